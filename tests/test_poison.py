"""Jobs whose processes die: what is kept of it, who runs alone after it, and who is quarantined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import psutil
import pytest

from longshore.core.interruptions import AFTER_END, BEFORE_START
from longshore.core.model import JobState, Lease, Why
from longshore.core.store import ClaimRequest, Line, NewProcess, Rescue
from longshore.handle import JobHandle
from tests.harbour_tools import Harbour, eventually
from tests.places import each
from tests.storm_tools import settings_on

pytestmark = [pytest.mark.timeout(120), pytest.mark.slow]


@pytest.fixture
def crews(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harbour]:
    with settings_on(getattr(request, "param", "sqlite"), tmp_path) as settings:
        made = Harbour(tmp_path, name="crews", **settings)
        made.jobs.migrate()
        try:
            yield made
        finally:
            made.stop()


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def interrupted(harbour: Harbour, handle: JobHandle[object], times: int) -> None:
    """Have a job interrupted so often, by the death of processes that nobody watched."""
    store = harbour.jobs.store
    for number in range(times):
        name = f"gone-{number}"
        store.run(
            store.register(
                NewProcess(
                    id=name,
                    app="crews",
                    name=name,
                    host="elsewhere",
                    pid=1,
                    lease=60_000_000,
                    queues=("*",),
                    kinds=(),
                    slots=1,
                    embedded=False,
                )
            )
        )
        claim = store.run(store.claim(ClaimRequest(name, 1, 1, (Line(("*",)),))))
        assert [job.id for job in claim.jobs] == [handle.id]
        lease = Lease(handle.id, name, claim.jobs[0].run)
        assert store.run(store.rescue(Rescue(name))).leases == (lease,)


def kills_three_times(harbour: Harbour, others: int, processes: int) -> None:
    """One job kills its process whenever it runs; all others finish."""
    app = harbour.app
    poison = app.poison.enqueue(others)
    innocents = [app.awaited.enqueue(), *(app.innocent.enqueue() for _ in range(others - 1))]
    harbour.worker(processes=processes, threads=others + 1)
    poison.wait(timeout=90)
    for handle in innocents:
        handle.wait(timeout=90)
    records = [handle.refresh().record for handle in innocents]
    assert [record.state for record in records] == [JobState.SUCCEEDED] * others, harbour.logs()
    dead = poison.refresh().record
    assert (dead.state, dead.reason) == (JobState.DEAD, "poison")
    assert (dead.interruptions, dead.failures) == (3, 0)
    assert [run.why for run in dead.runs] == [Why.INTERRUPTED] * 3
    assert all("SIGKILL" in (run.message or "") for run in dead.runs)
    processes_of = [line[1] for line in harbour.lines() if line[2:4] == ["start", "poison"]]
    assert len(processes_of) == 3
    deaths = Counter(record.interruptions for record in records)
    assert max(deaths) == 2
    assert sum(record.failures for record in records) == 0
    # Whoever was killed with it twice then ran alone, as it did.
    alone = [handle.result(timeout=1) for handle in innocents if handle.record.interruptions == 2]
    assert alone, "nobody was with it twice: nothing was shown"
    assert len({*alone, int(processes_of[2])}) == len(alone) + 1


def test_a_job_that_kills_its_process_among_twenty_is_quarantined_alone(crews: Harbour) -> None:
    kills_three_times(crews, others=20, processes=1)
    assert crews.app.where.enqueue().wait(timeout=30), "the worker goes on"
    assert "poison: its process died: SIGKILL for the third time" in crews.logs()


@pytest.mark.parametrize("crews", each("postgres18", "mariadb", "valkey"), indirect=True)
def test_a_job_that_kills_its_process_is_quarantined_on_every_store(crews: Harbour) -> None:
    kills_three_times(crews, others=2, processes=1)


@pytest.mark.parametrize("job", ["where", "awhere"])
def test_after_two_interruptions_a_job_runs_in_a_process_of_its_own(
    crews: Harbour, job: str
) -> None:
    handle = getattr(crews.app, job).enqueue()
    interrupted(crews, handle, 2)
    plain = crews.app.where.enqueue()
    worker = crews.worker(threads=2)
    here = plain.result(timeout=30)
    assert here in crews.family(worker)
    assert handle.result(timeout=30) not in crews.family(worker)
    interrupted_once = getattr(crews.app, job).using(queue="later").enqueue()
    assert interrupted_once.result(timeout=30) == here


def test_jobs_whose_bodies_were_over_are_not_suspected(crews: Harbour) -> None:
    """Else two deaths within a moment would have hundreds of tiny jobs run alone, one by one."""
    crews.env["LONGSHORE_FAILPOINTS"] = "before_complete:kill@2"
    handles = [crews.app.where.enqueue() for _ in range(30)]
    crews.worker(threads=1)
    for handle in handles:
        assert handle.wait(timeout=90)
    records = [handle.refresh().record for handle in handles]
    assert {record.state for record in records} == {JobState.SUCCEEDED}
    deaths = crews.logs().count("its process died: SIGKILL")
    assert deaths >= 1
    told = Counter(run.message for record in records for run in record.runs)
    assert told[AFTER_END] >= deaths
    # A body that was over is spared once; where its end is lost again, that is counted.
    midst = Counter[str]()
    for record in records:
        messages = [run.message for run in record.runs]
        assert messages.count(AFTER_END) <= 1
        begun = [run for run in record.runs if run.message != BEFORE_START]
        assert record.interruptions == len(begun) - messages.count(AFTER_END)
        midst.update(run.process for run in takewhile(lambda run: run.message != AFTER_END, begun))
    # In its one slot at most one body was in the midst of its run at each of these deaths.
    assert all(bodies == 1 for bodies in midst.values())


def test_interruptions_that_nobody_saw_count_and_never_quarantine(crews: Harbour) -> None:
    """Only the last one has to be the job's own: the two before were the loss of a host."""
    handle = crews.app.deadly.enqueue()
    interrupted(crews, handle, 5)
    record = handle.refresh().record
    assert (record.state, record.interruptions) == (JobState.AVAILABLE, 5)
    crews.worker(threads=1)
    handle.wait(timeout=30)
    record = handle.refresh().record
    assert (record.state, record.reason, record.interruptions) == (JobState.DEAD, "poison", 6)
    # A person has mended it, they think: it gets as many tries as a new one.
    assert crews.jobs.query.filter(kind="deadly").retry().changed == 1
    handle.wait(timeout=60)
    record = handle.refresh().record
    assert (record.state, record.reason, record.interruptions) == (JobState.DEAD, "poison", 3)
    assert len(record.runs) == 9


def test_a_process_of_one_job_dies_with_the_one_that_waits_for_it(crews: Harbour) -> None:
    """Its job runs again at once: the first body must be over, whatever it is busy with."""
    handle = crews.app.hold_apart.enqueue()
    crews.worker(threads=2)
    eventually(crews.lines, 30, "the start")
    pid = int(crews.lines()[0][1])
    parent = psutil.Process(pid).parent()
    assert parent is not None
    parent.kill()
    eventually(lambda: not lives(pid), 20, "its end")
    assert handle.result(timeout=30) == 2


@pytest.mark.parametrize("job", ["fault_here", "fault_apart"])
def test_what_a_process_says_when_it_crashes_is_kept_with_the_run(crews: Harbour, job: str) -> None:
    handle = getattr(crews.app, job).enqueue()
    crews.worker(threads=2)
    handle.result(timeout=30)
    (run,) = handle.refresh().runs
    assert (run.why, run.message) == (Why.INTERRUPTED, "its process died: SIGSEGV")
    assert run.traceback is not None
    assert run.traceback.startswith("Fatal Python error: Segmentation fault")
    first = run.traceback.split("\n\n")[1]
    assert first.startswith("Current thread")
    assert "in fault\n" in first
