"""Schedules of an application: declared in code, added at run time, looked at."""

import asyncio
import sys
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from zoneinfo import ZoneInfo

import msgspec
import pytest

from longshore import (
    ArgsMismatch,
    ConflictingOptions,
    CrossShard,
    DuplicateSchedule,
    EnqueueError,
    InvalidOption,
    InvalidSchedule,
    Job,
    JobState,
    Longshore,
    LongshoreError,
    ScheduleInCode,
    ScheduleNotFound,
    Unique,
    every,
)
from longshore.core.schedules import CatchUp, Declare, Overlap
from longshore.stores.clock import ManualClock
from longshore.stores.memory.store import MemoryStore


@pytest.fixture
def jobs() -> Iterator[Longshore]:
    made = Longshore("memory://")
    yield made
    made.close()


def test_a_schedule_in_code_is_the_kind_of_its_job_unless_named(jobs: Longshore) -> None:
    @jobs.schedule("0 5 * * 1-5", tz="Europe/Paris", catch_up="all", max_age="2h", overlap="skip")
    @jobs.schedule(every("1 day", at="04:30"), args=("eu",), name="nightly-eu")
    @jobs.job(kind="sync", queue="slow", max_attempts=3, expires="1h", tags=["a"])
    def sync(region: str = "us") -> str:
        return region

    assert sync("de") == "de"
    nightly, weekdays = jobs.schedules.list()
    assert (nightly.name, weekdays.name) == ("nightly-eu", "sync")
    assert (weekdays.revision, weekdays.in_code, weekdays.edited) == (0, True, False)
    schedule = weekdays.schedule
    assert (schedule.when, schedule.tz) == ("0 5 * * 1-5", "Europe/Paris")
    assert (schedule.catch_up, schedule.max_age) == (CatchUp.ALL, 7_200_000_000)
    assert schedule.overlap is Overlap.SKIP
    job = nightly.schedule.job
    assert (job.kind, job.queue, job.max_attempts, job.tags) == ("sync", "slow", 3, ("a",))
    assert (job.scheduled_at, job.expires_at) == (0, 3_600_000_000)
    assert b'"eu"' in job.payload


def test_a_job_class_has_schedules_too(jobs: Longshore) -> None:
    @jobs.schedule("@daily", kwargs={"width": 3})
    class Convert(Job, app=jobs):
        kind = "convert"

        def perform(self, width: int) -> int:
            return width

    assert Convert().perform(2) == 2
    assert jobs.schedules.run_now("convert").kind == "convert"


def test_what_cannot_work_is_refused_where_it_is_declared(jobs: Longshore) -> None:
    @jobs.job(kind="sync")
    def sync(region: str) -> None: ...

    with pytest.raises(InvalidSchedule, match="schedule: the hour '25'"):
        jobs.schedule("0 25 * * *")
    with pytest.raises(InvalidSchedule, match="schedule x: tz='Mars' is no time zone"):
        jobs.schedule("@daily", tz="Mars", name="x")
    with pytest.raises(InvalidOption, match="catch_up='two' is unknown"):
        jobs.schedule("@daily", catch_up="two")  # type: ignore[arg-type]
    with pytest.raises(InvalidOption, match="overlap=None is unknown"):
        jobs.schedule("@daily", overlap=None)  # type: ignore[arg-type]
    with pytest.raises(ConflictingOptions, match="max_age= says how late"):
        jobs.schedule("@daily", catch_up="none", max_age="1h")
    with pytest.raises(InvalidOption, match="max_age"):
        jobs.schedule("@daily", max_age=0)
    for name in ("", "a\n", "x" * 201, 5):
        with pytest.raises(InvalidOption, match="is not the name of a schedule"):
            jobs.schedule("@daily", name=name)  # type: ignore[arg-type]
    with pytest.raises(InvalidSchedule, match=r"schedule: tz=.* Give its name, tz='Europe/Paris'"):
        jobs.schedule("@daily", tz=ZoneInfo("Europe/Paris"))  # type: ignore[arg-type]
    with pytest.raises(InvalidSchedule, match="is no time zone"):
        jobs.schedule("@daily", tz=["UTC"])  # type: ignore[arg-type]
    with pytest.raises(InvalidOption, match=r"schedule x: args='eu' is not .* args=\('eu',\)"):
        jobs.schedule("@daily", args="eu", name="x")
    with pytest.raises(InvalidOption, match="schedule: kwargs=7 gives no arguments"):
        jobs.schedule("@daily", kwargs=7)  # type: ignore[arg-type]
    with pytest.raises(ArgsMismatch, match=r"schedule nightly: sync: .*region"):
        jobs.schedule("@daily", name="nightly")(sync)
    with pytest.raises(ArgsMismatch, match="region"):
        jobs.schedule("@daily", args=(1,))(sync)
    for other in (print, 5, Longshore, Job):
        with pytest.raises(InvalidOption, match=r"is not a job.*above @jobs\.job"):
            jobs.schedule("@daily")(other)
    assert len(jobs.planned) == 0


def test_a_second_schedule_of_a_job_needs_a_name(jobs: Longshore) -> None:
    @jobs.job(kind="sync")
    def sync() -> None: ...

    jobs.schedule("@daily")(sync)
    with pytest.raises(DuplicateSchedule, match="two schedules are called 'sync'"):
        jobs.schedule("@hourly")(sync)
    jobs.schedule("@hourly", name="other")(sync)

    @jobs.job(kind="clean")
    def clean() -> None: ...

    with pytest.raises(DuplicateSchedule, match="of the job sync and one of clean"):
        jobs.schedule("@hourly", name="other")(clean)
    assert list(jobs.planned) == ["sync", "other"]


def test_a_module_that_is_loaded_again_means_the_newer(jobs: Longshore) -> None:
    source = """
@jobs.schedule({when!r})
@jobs.job(kind="sync")
def sync() -> None: ...
"""
    for when in ("@daily", "@hourly"):
        module = ModuleType("reloaded")
        module.__dict__["jobs"] = jobs
        exec(compile(source.format(when=when), "reloaded.py", "exec"), module.__dict__)
    assert jobs.schedules.get("sync").schedule.when == "@hourly"


def test_an_annotation_that_is_resolved_later_is_looked_at_then(jobs: Longshore) -> None:
    def sync(region: "Later") -> None: ...  # noqa: F821

    jobs.schedule("@daily", args=(1,))(jobs.job(kind="sync")(sync))
    module = sys.modules[__name__]
    with pytest.raises(LongshoreError, match="Later"):
        jobs.planned.schedules()
    module.Later = int  # type: ignore[attr-defined]
    try:
        (schedule,) = jobs.planned.schedules()
        assert b'"region":1' in schedule.job.payload
    finally:
        del module.Later


def test_adding_changing_and_removing_at_run_time(jobs: Longshore) -> None:
    @jobs.job(kind="report")
    def report(number: int) -> int:
        return number

    jobs.schedules.add("report-7", report.bind(7), "0 9 * * *", tz="Asia/Tokyo")
    jobs.schedules.add("report-7", report.using(queue="slow", delay="5m").bind(8), every("15m"))
    (record,) = jobs.schedules.list()
    assert (record.schedule.when, record.in_code, record.edited) == ("every 15 min", False, False)
    assert (record.schedule.job.queue, record.schedule.job.scheduled_at) == ("slow", 300_000_000)
    handle = jobs.schedules.run_now("report-7")
    assert handle.record.meta == {"schedule": "report-7"}
    assert handle.state is JobState.SCHEDULED
    jobs.schedules.remove("report-7")
    assert jobs.schedules.list() == ()
    with pytest.raises(ScheduleNotFound, match="there is no schedule 'report-7'"):
        jobs.schedules.remove("report-7")


def test_what_only_one_job_can_have_is_refused(jobs: Longshore) -> None:
    @jobs.job(kind="report")
    def report() -> None: ...

    one = report.using(id="01928374-5566-7788-9907-0123456789ab").bind()
    with pytest.raises(InvalidOption, match="given id="):
        jobs.schedules.add("x", one, "@daily")
    with pytest.raises(InvalidOption, match="not a bound job"):
        jobs.schedules.add("x", report, "@daily")  # type: ignore[arg-type]
    other = Longshore("memory://")
    with pytest.raises(EnqueueError, match="another Longshore object"):
        other.schedules.add("x", report.bind(), "@daily")
    other.close()


def test_orders_for_one_in_code_that_no_worker_has_declared_yet(jobs: Longshore) -> None:
    @jobs.schedule("@daily")
    @jobs.job(kind="sync")
    def sync() -> None: ...

    jobs.schedules.pause("sync", reason="provider down")
    record = jobs.schedules.get("sync")
    assert (record.paused, record.entry.reason) == (True, "provider down")
    jobs.schedules.resume("sync")
    assert not jobs.schedules.get("sync").paused
    with pytest.raises(ScheduleInCode, match="declared in code"):
        jobs.schedules.remove("sync")
    jobs.schedules.add("sync", sync.bind(), "@hourly")
    assert jobs.schedules.get("sync").edited
    jobs.schedules.reset("sync")
    assert jobs.schedules.get("sync").schedule.when == "@daily"


def test_what_no_worker_declares_any_more_is_what_the_code_says() -> None:
    """Workers without a scheduler declare nothing: then a deploy would change nothing here."""
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    jobs = Longshore("memory://")
    jobs.client._store = store

    @jobs.schedule("0 9 * * *", args=(2,))
    @jobs.job(kind="sync")
    def sync(number: int) -> None: ...

    new = jobs.planned.schedules()
    old = msgspec.structs.replace(new[0], when="0 5 * * *", tz="Europe/Paris")
    store.run(store.declare(Declare(jobs.planned.app, (old,), fresh=True)))
    assert jobs.schedules.get("sync").schedule == old, "a worker of another release lives"
    clock.advance(60_000_000)
    assert jobs.schedules.get("sync").schedule == new[0]
    assert [one.schedule for one in jobs.schedules.list()] == list(new)
    assert {at.hour for at in jobs.schedules.next("sync", 3)} == {9}
    jobs.schedules.pause("sync")
    assert store.run(store.schedules())[0].schedule == new[0]
    jobs.close()


def test_a_reason_is_text_that_every_store_can_keep(tmp_path: Path) -> None:
    jobs = Longshore(f"sqlite:///{tmp_path}/jobs.db")
    jobs.migrate()
    jobs.schedules.add("s", jobs.job(kind="one")(lambda: None).bind(), "@daily")
    with pytest.raises(InvalidOption, match="schedule s: reason=7 is no text; nothing was changed"):
        jobs.schedules.pause("s", 7)  # type: ignore[arg-type]
    assert not jobs.schedules.get("s").paused
    jobs.schedules.pause("s", "\ud800\0" + "x" * 2000)
    (record,) = jobs.schedules.list()
    assert record.entry.reason is not None
    assert record.entry.reason.startswith("\\ud800\\x00xx")
    assert len(record.entry.reason) == 1000
    jobs.close()


def test_an_unknown_name_says_the_nearest(jobs: Longshore) -> None:
    @jobs.schedule("@daily", name="nightly")
    @jobs.job(kind="sync")
    def sync() -> None: ...

    verbs = (
        jobs.schedules.pause,
        jobs.schedules.resume,
        jobs.schedules.reset,
        jobs.schedules.remove,
        jobs.schedules.get,
        jobs.schedules.next,
        jobs.schedules.ticks,
        jobs.schedules.run_now,
    )
    for verb in verbs:
        with pytest.raises(ScheduleNotFound, match="Did you mean nightly"):
            verb("nigthly")


def test_the_next_times_are_in_its_zone(jobs: Longshore) -> None:
    @jobs.schedule("30 2 * * *", tz="Europe/Berlin")
    @jobs.job(kind="sync")
    def sync() -> None: ...

    times = jobs.schedules.next("sync", 400)
    assert len(times) == 400
    assert str(times[0].tzinfo) == "Europe/Berlin"
    assert {(at.hour, at.minute) for at in times} == {(2, 30), (3, 0)}
    assert all(later - at > timedelta(hours=22) for at, later in pairwise(times))
    with pytest.raises(InvalidOption):
        jobs.schedules.next("sync", 0)


def test_a_job_run_by_hand_keeps_its_rules(jobs: Longshore) -> None:
    @jobs.schedule("@daily", args=(7,))
    @jobs.job(kind="sync", identity="user", unique=Unique())
    def sync(user: int) -> None: ...

    first = jobs.schedules.run_now("sync")
    assert jobs.schedules.run_now("sync") == first
    assert sync.find(user=7) == first


def test_every_verb_has_its_awaiting_twin(jobs: Longshore) -> None:
    @jobs.job(kind="sync")
    def sync() -> None: ...

    async def go() -> None:
        schedules = jobs.schedules
        await schedules.aadd("s", sync.bind(), "@daily")
        assert [one.name for one in await schedules.alist()] == ["s"]
        await schedules.apause("s", "why")
        assert (await schedules.aget("s")).paused
        await schedules.aresume("s")
        await schedules.areset("s")
        assert len(await schedules.anext("s", 3)) == 3
        assert await schedules.aticks("s") == ()
        handle = await schedules.arun_now("s")
        assert handle.record.meta == {"schedule": "s"}
        await schedules.aremove("s")
        assert await schedules.alist() == ()

    asyncio.run(go())


def test_over_shards_a_schedule_lives_where_its_jobs_go(tmp_path: Path) -> None:
    jobs = Longshore(shards=[f"sqlite:///{tmp_path}/{n}.db" for n in range(3)])

    @jobs.job(kind="a")
    def first() -> None: ...

    kinds = [jobs.job(kind=f"k{n}")(lambda: None) for n in range(8)]
    jobs.schedules.add("s", first.bind(), "@daily")
    handle = jobs.schedules.run_now("s")
    assert handle.id[21:23] == first.enqueue().id[21:23]
    elsewhere = next(kind for kind in kinds if kind.enqueue().id[21:23] != handle.id[21:23])
    with pytest.raises(CrossShard, match="schedule s is in shard"):
        jobs.schedules.add("s", elsewhere.bind(), "@daily")
    jobs.schedules.add("second", first.bind(), "* * * * * *")
    with jobs.worker(threads=1).running():
        while not jobs.schedules.ticks("second"):
            pass
    (tick, *_) = jobs.schedules.ticks("second")
    assert (tick.job_id or "")[21:23] == handle.id[21:23]
    jobs.schedules.pause("s")
    assert jobs.schedules.get("s").paused
    jobs.schedules.remove("s")
    with pytest.raises(ScheduleNotFound):
        jobs.schedules.get("s")
    jobs.close()
