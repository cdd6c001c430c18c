"""Schedules as type checkers see them; `api.py` says how to read this."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, assert_type

from longshore import (
    Event,
    Job,
    JobFunction,
    JobHandle,
    Longshore,
    ScheduleRecord,
    TickRecord,
    every,
)

jobs = Longshore("memory://")


# --- declare: the job stays what it was ----------------------------------------------------------


@jobs.schedule("0 5 * * 1-5", tz="Europe/Paris", catch_up="one", overlap="skip")
@jobs.schedule(every("1 day", at="04:30"), args=("eu",), name="nightly-eu", max_age="2h")
@jobs.job
def sync(region: str = "us") -> int:
    return len(region)


@jobs.schedule(every(timedelta(minutes=15)), kwargs={"width": 3})
class Convert(Job, app=jobs):
    def perform(self, width: int) -> str:
        return str(width)


def declared() -> None:
    assert_type(sync.enqueue("eu"), JobHandle[int])
    assert_type(Convert.enqueue(3), JobHandle[str])
    _: JobFunction[..., Any, int] = sync
    sync.enqueue(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


jobs.schedule("@daily", catch_up="two")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
jobs.schedule("@daily", overlap="no")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
jobs.schedule(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
jobs.schedule("@daily", zone="UTC")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
every("1 day", at=4)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- at run time --------------------------------------------------------------------------------


def at_run_time() -> None:
    schedules = jobs.schedules
    schedules.add("report-7", sync.bind("eu"), "0 9 * * *", tz="UTC", catch_up="all", max_age=3600)
    schedules.add("report-8", Convert.bind(3), every("15m"))
    schedules.add("x", sync, "@daily")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(schedules.list(), tuple[ScheduleRecord, ...])
    assert_type(schedules.get("x"), ScheduleRecord)
    assert_type(schedules.next("x", 5), tuple[datetime, ...])
    assert_type(schedules.ticks("x"), tuple[TickRecord, ...])
    assert_type(schedules.run_now("x"), JobHandle[Any])
    schedules.pause("x", reason="why")
    schedules.resume("x")
    schedules.reset("x")
    schedules.remove("x")


async def awaiting() -> None:
    schedules = jobs.schedules
    await schedules.aadd("report-7", sync.bind("eu"), "0 9 * * *")
    assert_type(await schedules.alist(), tuple[ScheduleRecord, ...])
    assert_type(await schedules.anext("x"), tuple[datetime, ...])
    assert_type(await schedules.arun_now("x"), JobHandle[Any])
    assert_type((await schedules.aget("x")).paused, bool)


@jobs.on("schedule.skipped")
def told(event: Event) -> None:
    assert_type(event.schedule, str | None)
