"""Options of one job that are refused, B15 to B21 and B25, and the ends of what is accepted.

A refusal names the job, the option, the value and the accepted form, and writes nothing: on both
stores, by every way of enqueueing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from longshore import (
    ArgsMismatch,
    ConflictingOptions,
    InvalidOption,
    InvalidPriority,
    InvalidQueueName,
    JobState,
    Longshore,
    LongshoreError,
    LongshoreWarning,
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


# --- options: B15 to B21, B25 -------------------------------------------------------------------

QUEUES = ["", "x" * 300, "a b", "a/b", "../x", "{x}", "a\nb", "\0", "*", "Mail", ".a", "-a", "ä", 5]
LATER = datetime.now(UTC) + timedelta(hours=2)


class Option(NamedTuple):
    row: str
    options: dict[str, Any]
    error: type[LongshoreError]
    told: str


OPTIONS = [
    *(Option(f"B15 {name!a:.20}", {"queue": name}, InvalidQueueName, "queue=") for name in QUEUES),
    Option(
        "B16 large", {"priority": 10**9}, InvalidPriority, r"priority=1000000000.*-32768 to 32767"
    ),
    Option("B16 over", {"priority": 32_768}, InvalidPriority, r"-32768 to 32767"),
    Option("B16 under", {"priority": -32_769}, InvalidPriority, r"-32768 to 32767"),
    Option("B16 text", {"priority": "high"}, InvalidPriority, r"priority='high'"),
    Option("B16 bool", {"priority": True}, InvalidPriority, r"priority=True"),
    Option("B16 float", {"priority": 1.0}, InvalidPriority, r"priority=1.0"),
    Option("B17 negative", {"delay": -5}, InvalidOption, r"delay=-5.*duration >= 0"),
    Option("B17 bool", {"delay": True}, InvalidOption, r"delay=True.*not a duration"),
    Option("B17 unit", {"delay": "5"}, InvalidOption, r"delay='5'.*not a duration.*\"10m\""),
    Option("B17 None", {"delay": None}, InvalidOption, r"delay=None"),
    Option("B17 nan", {"delay": float("nan")}, InvalidOption, r"delay=nan"),
    Option("B17 ever", {"delay": 1e18}, InvalidOption, r"delay=1e\+18.*out of range"),
    Option("B18 naive", {"at": datetime(2030, 1, 1)}, InvalidOption, r"at=2030.*give a timezone"),  # noqa: DTZ001
    Option("B18 text", {"at": "tomorrow"}, InvalidOption, r"at='tomorrow'.*datetime"),
    Option("B18 date", {"at": date(2030, 1, 1)}, InvalidOption, r"at=.*datetime"),
    Option("B19 year 1", {"at": datetime.min.replace(tzinfo=UTC)}, InvalidOption, r"out of range"),
    Option("B19 9999", {"at": datetime.max.replace(tzinfo=UTC)}, InvalidOption, r"out of range"),
    Option(
        "B19 offset",
        {"at": datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))},
        InvalidOption,
        r"out of range",
    ),
    Option("B20 both", {"delay": 5, "at": LATER}, ConflictingOptions, r"delay=.*at="),
    Option("B20 late", {"at": LATER, "expires": "1h"}, ConflictingOptions, r"expire"),
    Option("B20 delay", {"delay": 60, "expires": 60}, ConflictingOptions, r"expire"),
    Option("B21 none", {"max_attempts": 0}, InvalidOption, r"max_attempts=0.*1 .*100000"),
    Option("B21 minus", {"max_attempts": -1}, InvalidOption, r"max_attempts=-1.*100000"),
    Option("B21 many", {"max_attempts": 10**6}, InvalidOption, r"max_attempts=1000000.*100000"),
    Option("B21 zero", {"timeout": 0}, InvalidOption, r"timeout=0.*out of range"),
    Option("B21 negative", {"timeout": -1}, InvalidOption, r"timeout=-1.*out of range"),
    Option("B21 unit", {"timeout": "5"}, InvalidOption, r"timeout='5'"),
    Option("B21 nan", {"timeout": float("nan")}, InvalidOption, r"timeout=nan"),
    Option("B21 expires", {"expires": 0}, InvalidOption, r"expires=0"),
    Option("B25 many", {"tags": ["x"] * 21}, InvalidOption, r"tags: 21.*at most 20"),
    Option("B25 long", {"tags": ["x" * 65]}, InvalidOption, r"tags\[0\]=.*64"),
    Option("B25 empty", {"tags": ["a", ""]}, InvalidOption, r"tags\[1\]=''"),
    Option("B25 reserved", {"tags": ["longshore.x"]}, InvalidOption, r"longshore\.x.*reserved"),
    Option("B25 text", {"tags": "eu"}, InvalidOption, r"tags='eu'.*list"),
    Option("B25 type", {"tags": [5]}, InvalidOption, r"tags\[0\]=5"),
    Option("B25 meta", {"meta": {"a": 1}}, InvalidOption, r"'meta'"),
    Option("id", {"id": "42"}, InvalidOption, r"id='42'.*UUID"),
    Option("id type", {"id": 42}, InvalidOption, r"id=42.*UUID"),
    Option("keep", {"keep_result": -1}, InvalidOption, r"keep_result=-1"),
    Option("unknown", {"queu": "mail"}, InvalidOption, r"'queu'.*mean queue\?"),
    Option("declared", {"isolation": "process"}, InvalidOption, r"'isolation'"),
]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.row)
def test_an_option_that_is_refused(jobs: Longshore, option: Option) -> None:
    job = jobs.job(kind="app.send")(send)
    with pytest.raises(option.error, match=option.told) as raised:
        job.using(**option.options).enqueue(1)
    assert "app.send" in str(raised.value)
    assert len(str(raised.value)) < 500
    with pytest.raises(option.error, match=option.told):
        asyncio.run(jobs.apush({"kind": "app.send"} | option.options))
    with pytest.raises(option.error, match=r"item 1"):
        jobs.enqueue_many((job.using(**given).bind(1)) for given in ({}, option.options))
    assert jobs.query.count() == 0


def test_b16_the_ends_of_the_range_are_valid(jobs: Longshore) -> None:
    job = jobs.job(kind="send")(send)
    for priority in (-32_768, -1, 0, 32_767):
        assert job.using(priority=priority).enqueue(1).refresh().record.priority == priority


def test_b19_a_time_long_past_runs_now_with_a_warning_at_the_caller(jobs: Longshore) -> None:
    job = jobs.job(kind="send")(send)
    with pytest.warns(LongshoreWarning, match=r"at=20\d\d.*past.*runs now") as caught:
        past = job.using(at=datetime.now(UTC) - timedelta(days=3650))
    assert caught[0].filename == __file__
    assert past.enqueue(1).refresh().state is JobState.AVAILABLE


def test_b25_the_largest_tags_are_accepted(jobs: Longshore) -> None:
    tags = [f"{number:02}" + "x" * 62 for number in range(20)]
    handle = jobs.job(kind="send")(send).using(tags=tags).enqueue(1)
    assert list(handle.refresh().record.tags) == tags


@pytest.mark.parametrize(
    ("pushed", "error", "told"),
    [
        ({}, InvalidOption, r"names no job"),
        ({"kind": ""}, InvalidOption, r"kind=''"),
        ({"kind": "x" * 201}, InvalidOption, r"kind=.*200"),
        ({"kind": 5}, InvalidOption, r"kind=5"),
        ({"kind": "x", "args": "ab"}, ArgsMismatch, r"args must be a list"),
        ({"kind": "x", "kwargs": [1]}, ArgsMismatch, r"kwargs a dictionary"),
        ({"kind": "x", "kwargs": {1: 2}}, UnstorableArgument, r"key.*int"),
        ({"kind": "x", "job": "y"}, InvalidOption, r"'job'"),
        ({"kind": "x", "backoff": 5}, InvalidOption, r"'backoff'"),
        ({5: "x"}, InvalidOption, r"names no job"),
    ],
)
def test_a_pushed_dictionary_that_is_refused(
    jobs: Longshore, pushed: dict[Any, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        jobs.push(pushed)
    assert jobs.query.count() == 0
