"""From the records of a store to what is said of who looks after its jobs."""

from __future__ import annotations

from typing import Any

from longshore.core.attendance import attendance
from longshore.core.findings import Finding
from longshore.core.schedules import Entry, Schedule, ScheduleRecord
from longshore.core.store import Demand, ProcessRecord
from tests.store_tools import job


def process(name: str = "w:1", **fields: Any) -> ProcessRecord:
    given: dict[str, Any] = {
        "id": name,
        "app": "shop",
        "name": name,
        "host": "here",
        "pid": 1,
        "queues": ("*",),
        "kinds": ("mail",),
        "slots": 4,
        "embedded": False,
        "started_at": 0,
        "seen_at": 0,
        "lease_left": 1,
        "running": 0,
        "version": "2",
    }
    return ProcessRecord(**{**given, **fields})


def schedule(name: str, kind: str = "mail", **fields: Any) -> ScheduleRecord:
    planned = Schedule(name=name, when="@daily", job=job(id="", kind=kind, scheduled_at=0))
    return ScheduleRecord(
        name=name,
        revision=1,
        seen_at=0,
        watermark=0,
        last_job=None,
        last_at=None,
        fired=0,
        skipped=0,
        missed=0,
        firing=None,
        entry=Entry(app="shop", coded=planned, **fields),
    )


def said(*processes: ProcessRecord, **records: Any) -> dict[str, Finding]:
    """What is not as it should be, by what it is about."""
    given: dict[str, Any] = {"queues": (), "schedules": (), "parked": (), **records}
    demand = Demand(tuple(given["queues"]), dict.fromkeys(given["parked"], 1))
    found = attendance(processes, given["schedules"], demand, version="2")
    wrong = [one for one in found if one.result != "ok"]
    assert len({one.about for one in wrong}) == len(wrong)
    return {one.about: one for one in found if one.result != "ok"}


def test_of_jobs_that_are_looked_after_nothing_is_said() -> None:
    assert said(process(), queues=["a"], schedules=[schedule("s")]) == {}


def test_no_worker_and_one_that_is_gone() -> None:
    assert said()["workers"].result == "warn"
    assert said(process(lease_left=-1))["workers"].found == "no worker is live"
    gone = said(process(), process("gone:2", lease_left=-1, running=3))["workers"]
    assert (gone.result, "gone:2" in gone.found) == ("fail", True)


def test_queues_that_nobody_works() -> None:
    mail = process(queues=("mail", "-mail.slow"))
    assert "queues" not in said(mail, queues=["mail"])
    one = said(mail, queues=["web", "mail"])["queues"]
    assert (one.result, "jobs wait in web and" in one.found) == ("fail", True)
    assert "longshore worker -Q web" in one.do
    assert "queues" in said(process(lease_left=-1), queues=["mail"])


def test_a_worker_of_queues_that_this_release_cannot_read_is_believed() -> None:
    assert "queues" not in said(process(queues=("a::b",)), queues=["mail"])


def test_workers_of_other_releases_are_named() -> None:
    assert "releases" not in said(process(), process("v:2"))
    one = said(process(), process("old:2", version="1"), process("eldest:3", version=""))
    assert one["releases"].result == "warn"
    assert "1 (1), 2 (1), older than any that says so (1)" in one["releases"].found
    assert "old:2, eldest:3" in one["releases"].do
    assert "releases" not in said(process("old:2", version="1", lease_left=-1))
    assert "releases" in said(process("newer:2", version="3"))


def test_schedules_without_a_worker() -> None:
    assert "nobody fires s" in said(schedules=[schedule("s")])["schedules"].found
    one = said(process(), schedules=[schedule("s"), schedule("t", "report")])["schedules"]
    assert one.found == "no live worker knows the jobs of t"
    off = [schedule("p", paused_at=1), schedule("r", retired_at=1)]
    assert "schedules" not in said(schedules=off)


def test_parked_jobs_that_nobody_knows_and_those_that_do_not_fit() -> None:
    unknown = said(process(), parked=["gone"])["parked"]
    assert "no live worker knows: gone" in unknown.found
    unread = said(process(), parked=["mail"])["parked"]
    assert "cannot read: mail" in unread.found


def test_of_many_some_are_named() -> None:
    one = said(queues=[f"q{number}" for number in range(9)])["queues"]
    assert "q0, q1, q2, q3, q4 and 4 more" in one.found
