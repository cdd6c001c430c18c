"""Finding jobs by their arguments: a value meets what was stored of it, whatever its type."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from longshore import Longshore
from longshore.errors import InvalidOption


@pytest.fixture
def jobs() -> Iterator[Longshore]:
    app = Longshore("memory://")
    yield app
    app.close()


@dataclass
class Due:
    at: datetime


class Pair(NamedTuple):
    number: int
    text: str


class Colour(StrEnum):
    RED = "red"


NOON = datetime(2025, 1, 1, 12, 30)  # noqa: DTZ001 - without a zone


@pytest.mark.parametrize(
    ("annotation", "value", "other"),
    [
        (datetime, NOON, NOON.replace(hour=13)),
        (datetime, NOON.replace(tzinfo=UTC), NOON),
        (datetime, NOON.replace(tzinfo=UTC, microsecond=450_000), NOON.replace(tzinfo=UTC)),
        (datetime, NOON.replace(tzinfo=timezone(timedelta(hours=2))), NOON.replace(tzinfo=UTC)),
        (datetime, NOON.replace(tzinfo=ZoneInfo("Europe/Paris")), NOON.replace(tzinfo=UTC)),
        (date, date(2025, 1, 1), date(2025, 1, 2)),
        (time, time(12, 30, tzinfo=UTC), time(12, 30)),
        (timedelta, timedelta(days=2), timedelta(days=3)),
        (set[str], {"b", "a", "c", "zz"}, {"b", "a"}),
        (frozenset[int], frozenset([9, 1, 33]), frozenset([9])),
        (tuple[int, str], (1, "a"), (1, "b")),
        (Pair, Pair(1, "a"), Pair(2, "a")),
        (Due, Due(NOON.replace(tzinfo=UTC)), Due(NOON)),
        (list[datetime], [NOON.replace(tzinfo=UTC)], [NOON]),
        (dict[str, datetime], {"at": NOON.replace(tzinfo=UTC)}, {"at": NOON}),
        (Decimal, Decimal("1E+3"), Decimal("1E+4")),
        (uuid.UUID, uuid.UUID(int=5), uuid.UUID(int=6)),
        (Colour, Colour.RED, "blue"),
        (Path, Path("/tmp/a"), Path("/tmp/b")),
        (bytes, b"\xfb\xff", b"\xfb"),
        (int, 2**70, 2**71),
        (float, 0.5, 0.25),
        (str, "a", "b"),
        (bool, True, False),
    ],
)
def test_a_value_is_found(jobs: Longshore, annotation: Any, value: Any, other: Any) -> None:
    def body(v: Any) -> None: ...

    body.__annotations__ = {"v": annotation, "return": None}
    job = jobs.job(kind="look")(body)
    handle = job.enqueue(value)
    assert [one.id for one in jobs.query.filter(args={"v": value})] == [handle.id]
    assert jobs.query.filter(args={"v": other}).count() == 0


@pytest.mark.parametrize("value", [math.nan, math.inf, [math.nan]])
def test_what_json_does_not_have_is_refused(jobs: Longshore, value: object) -> None:
    """Else it would mean null, and ``delete()`` would take the wrong jobs."""
    with pytest.raises(InvalidOption, match="cannot be compared"):
        jobs.query.filter(args={"v": value})
