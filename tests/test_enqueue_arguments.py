"""Arguments that are refused at the call, B1 to B11, and those that come back exactly.

A refusal names the place of the value and what to do, and writes nothing: on both stores, by every
way of enqueueing.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest

from longshore import (
    ArgsMismatch,
    Longshore,
    LongshoreError,
    LongshoreWarning,
    PayloadTooLarge,
    UnstorableArgument,
)

GIVEN_ID = "0193ab5c-0000-7000-8000-00000000abcd"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["memory", "sqlite"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Longshore]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db"
    app = Longshore(url)
    yield app
    app.close()


def send(user_id: int, *, locale: str = "en") -> str:
    return f"{user_id}{locale}"


def take(*args: Any, **kwargs: Any) -> None: ...


def payload(jobs: Longshore, job_id: str) -> Any:
    return msgspec.json.decode(jobs.get(job_id).record.payload)


# --- arguments: B1 to B11 -----------------------------------------------------------------------


class Colour(Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


class Address(msgspec.Struct, frozen=True):
    street: str
    number: int


circle: list[Any] = []
circle.append(circle)
deep: list[Any] = []
for _ in range(100_000):
    deep = [deep]


class Case(NamedTuple):
    row: str
    args: tuple[Any, ...]
    error: type[LongshoreError]
    told: str
    kwargs: dict[str, Any] = {}  # noqa: RUF012 - never changed


ARGUMENTS = [
    Case("B1 object", (object(),), UnstorableArgument, r"args\[0\].*object"),
    Case("B1 set", (1, {"items": [0, 1, 2, {3}]}), UnstorableArgument, r"args\[1\]\.items\[3\]"),
    Case("B1 function", (send,), UnstorableArgument, r"args\[0\].*function"),
    Case("B1 file", (sys.stderr,), UnstorableArgument, r"args\[0\]"),
    Case("B1 lock", (threading.Lock(),), UnstorableArgument, r"args\[0\].*lock"),
    Case(
        "B1 named",
        (),
        UnstorableArgument,
        r"args\.user\.items\[1\]",
        {"user": {"items": [1, send]}},
    ),
    Case("B2 nan", (float("nan"),), UnstorableArgument, r"args\[0\].*nan"),
    Case("B2 inf", ([float("inf")],), UnstorableArgument, r"args\[0\]\[0\].*inf"),
    Case("B2 -inf", (), UnstorableArgument, r"args\.x.*inf", {"x": float("-inf")}),
    Case("B4 Decimal", (Decimal("1.10"),), UnstorableArgument, r"args\[0\].*Decimal"),
    Case("B4 datetime", (NOW,), UnstorableArgument, r"args\[0\].*datetime"),
    Case("B4 UUID", (UUID(int=1),), UnstorableArgument, r"args\[0\].*UUID"),
    Case("B4 bytes", (b"x",), UnstorableArgument, r"args\[0\].*bytes"),
    Case("B4 Enum", (Colour.RED,), UnstorableArgument, r"args\[0\].*Colour"),
    Case("B5 key", ({1: "a"},), UnstorableArgument, r"args\[0\].*key.*int"),
    Case("B5 both", ({1: "a", "1": "b"},), UnstorableArgument, r"args\[0\].*key"),
    Case("B6 surrogate", ("\ud800",), UnstorableArgument, r"args\[0\].*surrogate"),
    Case("B7 circle", (circle,), UnstorableArgument, r"64 levels"),
    Case("B7 depth", (deep,), UnstorableArgument, r"64 levels"),
    Case("B8 size", ("x" * 1_048_577,), PayloadTooLarge, r"1048576.*reference"),
    Case("B9 many", ([7] * 1_000_000,), PayloadTooLarge, r"1048576.*reference"),
]


@pytest.mark.parametrize("case", ARGUMENTS, ids=lambda case: case.row)
def test_an_argument_that_cannot_be_stored(jobs: Longshore, case: Case) -> None:
    job = jobs.job(kind="take")(take)
    started = time.perf_counter()
    with pytest.raises(case.error, match=case.told) as raised:
        job.enqueue(*case.args, **case.kwargs)
    assert time.perf_counter() - started < 1
    assert "take" in str(raised.value)
    assert len(str(raised.value)) < 500
    with pytest.raises(case.error):
        asyncio.run(job.aenqueue(*case.args, **case.kwargs))
    with pytest.raises(case.error, match=r"item 0"):
        jobs.enqueue_many(job.bind(*case.args, **case.kwargs) for _ in range(2))
    with pytest.raises(case.error):
        jobs.push({"kind": "take", "args": list(case.args), "kwargs": case.kwargs})
    assert jobs.query.count() == 0


def typed(  # noqa: PLR0917 - one parameter of each type
    amount: Decimal,
    at: datetime,
    day: date,
    key: UUID,
    data: bytes,
    colour: Colour,
    point: Point,
    address: Address,
    path: Path,
) -> None: ...


TYPED = (
    Decimal("1.10"),
    NOW,
    date(2026, 1, 1),
    UUID(int=1),
    b"\0\xff",
    Colour.RED,
    Point(1, 2),
    Address("High Street", 7),
    Path("a/b"),
)
BIG = [2**53 + 1, 2**63, -(2**63) - 1, 2**64 + 1, 10**30]
TEXTS = ["\0", "a\0b", "\u2028\u2029", "\U0001f600", "\x7f\x1b[31m", "\ufeff", ""]


def test_b4_values_travel_as_annotated(jobs: Longshore) -> None:
    job = jobs.job(kind="typed")(typed)
    record = job.enqueue(*TYPED).refresh().record
    args, kwargs = job.declaration.signature.decode(record.payload)
    assert (*args, *kwargs.values()) == TYPED
    naive = datetime(2026, 1, 1, 12, 30)  # noqa: DTZ001 - a naive one is what is tested
    record = job.enqueue(TYPED[0], naive, *TYPED[2:]).refresh().record
    _, kwargs = job.declaration.signature.decode(record.payload)
    assert kwargs["at"] == naive
    assert kwargs["at"].tzinfo is None


@pytest.mark.parametrize("value", [*BIG, *TEXTS], ids=ascii)
def test_b3_b6_numbers_and_texts_come_back_exactly(jobs: Longshore, value: object) -> None:
    """On every store: none of them reads a payload as anything but bytes."""
    job = jobs.job(kind="take")(take)
    try:
        handle = job.enqueue(value, key={"deep": [value]})
    except UnstorableArgument as error:
        # Refused is an answer too, but then by every store and without a trace.
        assert "args[0]" in str(error)  # noqa: PT017 - either of the two outcomes is right
        assert jobs.query.count() == 0
        return
    args, kwargs = job.declaration.signature.decode(handle.refresh().record.payload)
    assert (list(args), kwargs) == ([value], {"key": {"deep": [value]}})


def test_b8_the_limit_is_a_setting_and_counts_bytes(tmp_path: Path) -> None:
    jobs = Longshore("memory://", max_payload=1024)
    job = jobs.job(kind="take")(take)
    empty = len(job.bind("").payload)
    assert len(job.bind("x" * (1024 - empty)).payload) == 1024
    with pytest.raises(PayloadTooLarge, match=r"take.*1025.*1024.*reference"):
        job.enqueue("x" * (1025 - empty))
    with pytest.raises(PayloadTooLarge):
        job.enqueue("ü" * 600)
    assert jobs.query.count() == 0
    jobs.close()


MISMATCHES = [
    Case("B10 missing", (), ArgsMismatch, r"lacks `user_id`"),
    Case("B10 extra", (1, 2), ArgsMismatch, r"takes 1 positional.*2 were given"),
    Case("B10 unknown", (1,), ArgsMismatch, r"'language'.*locale", {"language": "fr"}),
    Case("B10 twice", (1,), ArgsMismatch, r"`user_id` twice", {"user_id": 1}),
    Case("B10 type", ("1",), ArgsMismatch, r"args\.user_id.*str.*int"),
    Case("B10 float", (1.5,), ArgsMismatch, r"args\.user_id.*float.*int"),
    Case("B10 None", (None,), ArgsMismatch, r"args\.user_id.*None.*int"),
    Case("B10 bool", (True,), ArgsMismatch, r"args\.user_id.*bool.*int"),
    Case("B10 named", (1,), ArgsMismatch, r"args\.locale.*int.*str", {"locale": 5}),
]


@pytest.mark.parametrize("case", MISMATCHES, ids=lambda case: case.row)
def test_b10_a_call_that_does_not_fit_is_refused_where_it_is_made(
    jobs: Longshore, case: Case
) -> None:
    job: Any = jobs.job(kind="send")(send)
    for verb in (job.enqueue, job.bind, job.using(queue="vip").enqueue):
        with pytest.raises(case.error, match=rf"send.*{case.told}"):
            verb(*case.args, **case.kwargs)
    with pytest.raises(case.error):
        asyncio.run(job.aenqueue(*case.args, **case.kwargs))
    assert jobs.query.count() == 0


def test_b11_a_change_after_the_call_has_no_effect(jobs: Longshore) -> None:
    job = jobs.job(kind="take")(take)
    items = [1, {"a": [2]}]
    handle, bound = job.enqueue(items), job.bind(items)
    items[1]["a"].append(3)  # type: ignore[index]
    items.clear()
    for job_id in (handle.id, bound.enqueue().id):
        assert payload(jobs, job_id)["args"] == [[1, {"a": [2]}]]


def test_large_arguments_are_stored_with_a_warning(jobs: Longshore) -> None:
    @jobs.job(kind="letter")
    def letter(text: str) -> None: ...

    with pytest.warns(LongshoreWarning, match="letter: its arguments take 70"):
        letter.enqueue("x" * 70_000)
    assert jobs.query.count() == 1
