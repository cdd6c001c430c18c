"""What is done to workers while jobs run under limits, and what both clocks say of their owners.

The small tests and the long programmes run the same lives, the latter longer and on every store.
The bodies tell by the ledger (`tests/apps/limited.py`), the store by claims and records.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import psutil

from longshore import JobHandle, JobState, Longshore
from longshore.core.model import LIVE, JobRecord, Why
from tests.harbour_tools import Harbour, eventually
from tests.places import place

LEASE = 3
#: The promises: a child's death is noticed within one second, a machine's loss within so many.
CHILD, HOST = 1.0, 1.5 * LEASE + 0.5
#: Who was stopped past its lease may go on for so long after it wakes.
AWAKE = 0.1
#: Between the moment that a claim is stamped with and its look at the keys, microseconds.
BETWEEN = 50_000
#: What a loaded machine may add before it is our fault.
SLACK = 3.0


@contextmanager
def limited(kind: str, folder: Path, lease: float = LEASE) -> Iterator[Harbour]:
    """The application of the proofs in a place of its own on a store; its workers are stopped.

    What fails there tells what bodies and workers told.
    """
    with place(kind, folder) as where:
        harbour = Harbour(folder, lease, name="limited", **where.environment)
        try:
            yield harbour
        except BaseException as error:
            error.add_note(f"{harbour.ledger.read_text()[-4000:]}\n{harbour.logs()[-8000:]}")
            raise
        finally:
            harbour.stop()


class Watcher:
    """Asks for a number all the time and keeps the greatest."""

    def __init__(self, ask: Callable[[], int], *, gap: float = 0.005) -> None:
        self.most, self.looks = 0, 0
        self.error: Exception | None = None
        self._ask, self._gap = ask, gap
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _look(self) -> None:
        try:
            while not self._over.wait(self._gap):
                self.most = max(self.most, self._ask())
                self.looks += 1
        except Exception as error:  # noqa: BLE001 - raised where it is joined
            self.error = error


# --- what was seen ------------------------------------------------------------------------------


def overlaps(lines: Iterable[Sequence[str]]) -> list[tuple[str, str, float]]:
    """Runs of one value of which the second began before the first had ended, and how long before.

    A body that never told its end was killed or interrupted: it counts for no time. How long one
    went on after its worker had been stopped is for :meth:`Lives.lose_stop` to say.
    """
    lines = list(lines)
    ends = {(line[3], line[4]): float(line[0]) for line in lines if line[2] == "end"}
    found: list[tuple[str, str, float]] = []
    last: dict[str, tuple[float, str]] = {}
    for at, job_id, run, value in sorted(
        (float(line[0]), *line[3:6]) for line in lines if line[2] == "start"
    ):
        if value in last and at < last[value][0]:
            found.append((last[value][1], job_id, last[value][0] - at))
        last[value] = max(last.get(value, (0.0, "")), (ends.get((job_id, run), at), job_id))
    return found


def overlaps_in_store(records: Iterable[JobRecord]) -> list[tuple[str, str, float]]:
    """The same by the store's clock, of jobs with one run and one limit each.

    A claim has read its clock before it sees which keys are free; the end of the last job of a key
    may have come in between, but no more than :data:`BETWEEN` before.
    """
    lines: list[tuple[str, ...]] = []
    for record in records:
        if record.run == 1 and record.rules is not None and record.finalized_at is not None:
            key = record.rules.limits[0].key
            lines.append((f"{record.attempted_at}", "", "start", record.id, "1", key))
            lines.append((f"{record.finalized_at}", "", "end", record.id, "1"))
    return [found for found in overlaps(lines) if found[2] > BETWEEN]


def recount(jobs: Longshore) -> Counter[str]:
    """Compare what the store says of concurrency limits with the jobs themselves: keys in use."""
    used, blocked = Counter[str](), Counter[str]()
    for handle in jobs.query.filter(state=list(LIVE)):
        record = handle.record
        if record.state is JobState.RUNNING and record.rules is not None:
            used.update(limit.key for limit in record.rules.limits if limit.per is None)
        if record.blocked_by is not None:
            blocked[record.blocked_by] += 1
    told = jobs.limits.list(limit=10_000)
    assert +Counter({one.key: one.used for one in told}) == used
    assert +Counter({one.key: one.blocked for one in told}) == blocked
    return used


# --- what is done to workers ----------------------------------------------------------------------


class Lives:
    """A job under a limit of one, its worker stopped, continued and killed under it.

    ``took``: how long the key was not free after each fault, seconds, by the kind of fault; and
    under ``awake`` how long a body went on when its worker came back too late.
    """

    def __init__(self, harbour: Harbour) -> None:
        self.harbour = harbour
        self.alone: Any = harbour.app.alone
        self.handles: list[JobHandle[Any]] = []
        self.took: dict[str, list[float]] = {}

    def live(self, rounds: int = 1, faults: Sequence[str] = ("child", "stop", "host")) -> None:
        """Begin two workers; a job outlives three leases, then each fault in each round."""
        for _ in range(2):
            self.harbour.worker(threads=2)
        self.harbour.await_ready(2)
        running = self.harbour.jobs.query.filter(kind="alone", state="running")
        with Watcher(running.count) as watcher:
            self.outlive()
            for _ in range(rounds):
                for fault in faults:
                    getattr(self, f"lose_{fault}")()
            for handle in [self.enqueue(0.05) for _ in range(5)]:
                handle.wait(timeout=30)
        assert watcher.looks > 100
        assert watcher.most == 1
        self.settle()

    def enqueue(self, seconds: float) -> JobHandle[Any]:
        handle: JobHandle[Any] = self.alone.enqueue(seconds)
        self.handles.append(handle)
        return handle

    def outlive(self) -> None:
        """Longer than three leases, while the other worker asks for the next all the time."""
        long = self.enqueue(3.3 * LEASE)
        rest = [self.enqueue(0.2) for _ in range(3)]
        long.wait(timeout=60)
        assert len(self.harbour.starts(long.id)) == 1
        for handle in rest:
            handle.wait(timeout=20)

    def lose_child(self) -> None:
        """The child is killed: its supervisor gives the slot back at once."""
        killed, pid = self._begun(0.5)
        following = self.enqueue(0.1)
        os.kill(pid, signal.SIGKILL)
        self._taken_over(killed, "child", CHILD)
        for handle in (killed, following):
            handle.wait(timeout=20)
        assert [run.why for run in killed.refresh().runs] == [Why.INTERRUPTED]

    def lose_stop(self) -> None:
        """A worker is stopped for longer than its lease, supervisor and all, and continued."""
        stopped, pid = self._begun(1.0)
        family = self.harbour.family(self.harbour.worker_of(pid))
        for member in family:
            os.kill(member, signal.SIGSTOP)
        self._taken_over(stopped, "stop", HOST)
        woken = time.monotonic()
        for member in reversed(family):
            os.kill(member, signal.SIGCONT)
        eventually(lambda: self._left(stopped, pid), what="the end of the first body")
        self._note("awake", time.monotonic() - woken, AWAKE)
        stopped.wait(timeout=20)

    def lose_host(self) -> None:
        """A worker is killed with all its children, and another comes instead."""
        killed, pid = self._begun(0.5)
        self.harbour.lose(self.harbour.worker_of(pid))
        self._taken_over(killed, "host", HOST)
        self.harbour.worker(threads=2)
        killed.wait(timeout=20)

    def settle(self) -> None:
        """Everything succeeded, nobody met another, and every key is free."""
        assert {handle.refresh().state for handle in self.handles} == {JobState.SUCCEEDED}
        assert overlaps(self.harbour.lines()) == []
        assert overlaps_in_store(handle.record for handle in self.handles) == []
        assert recount(self.harbour.jobs) == {}

    def _begun(self, seconds: float) -> tuple[JobHandle[Any], int]:
        """A job that runs, and the child in which it does."""
        handle = self.enqueue(seconds)
        eventually(lambda: self.harbour.starts(handle.id), what="its start")
        return handle, int(self.harbour.starts(handle.id)[0][1])

    def _left(self, handle: JobHandle[Any], pid: int) -> bool:
        """Whether the first body is at work no more: interrupted, or gone with its process."""
        lines = self.harbour.lines()
        gone = not psutil.pid_exists(pid)
        return gone or any(line[1:4] == [f"{pid}", "left", handle.id] for line in lines)

    def _taken_over(self, handle: JobHandle[Any], fault: str, bound: float) -> None:
        began = time.monotonic()
        eventually(lambda: len(self.harbour.starts(handle.id)) == 2, 20, "its second start")
        self._note(fault, time.monotonic() - began, bound)

    def _note(self, fault: str, took: float, bound: float) -> None:
        assert took <= bound + SLACK, (fault, took)
        self.took.setdefault(fault, []).append(took)


def churn(harbour: Harbour, total: int, *, accounts: int = 10, kills: int = 4) -> None:
    """Many short jobs of a few keys, each with a limit of one, while their workers are killed.

    Towards the end nobody is alive for a moment, so that what the store holds is counted twice.
    """
    jobs, sole = harbour.jobs, harbour.app.sole
    handles = jobs.enqueue_many(sole.bind(n % accounts) for n in range(total))
    with Watcher(lambda: most_used(jobs), gap=0.05) as watcher:
        workers = [harbour.worker(threads=4) for _ in range(2)]
        for number in range(1, kills + 1):
            _await_ended(harbour, number * total // (kills + 2))
            os.kill(_a_child(harbour, workers[number % 2]), signal.SIGKILL)
        _await_ended(harbour, (kills + 1) * total // (kills + 2))
        for worker in workers:
            harbour.lose(worker)
        threading.Event().wait(0.5)  # what they asked of a server last comes to its end
        recount(jobs)
        for _ in range(2):
            harbour.worker(threads=4)
        _await_ended(harbour, total)
        eventually(lambda: not jobs.query.filter(state=list(LIVE)).count(), 30, "the last ending")
    assert watcher.most == 1
    no_leak(harbour, [handle.id for handle in handles])


def most_used(jobs: Longshore) -> int:
    """How many run under the fullest key, as the store tells."""
    return max((one.used for one in jobs.limits.list()), default=0)


def no_leak(harbour: Harbour, ids: Sequence[str]) -> None:
    """All of them succeeded, no two of a key at once by either clock, and no key is in use."""
    records = [handle.record for handle in harbour.jobs.query]
    assert {record.id for record in records} == set(ids)
    assert Counter(record.state for record in records) == {JobState.SUCCEEDED: len(ids)}
    assert all(record.failures == 0 for record in records)
    assert (met := overlaps(harbour.lines())) == [], met
    assert (told := overlaps_in_store(records)) == [], told
    assert recount(harbour.jobs) == {}
    assert all(one.used == one.blocked == 0 for one in harbour.jobs.limits.list())


def _a_child(harbour: Harbour, worker: Any) -> int:
    eventually(lambda: harbour.children(worker), 30, "a child")
    return harbour.children(worker)[0].pid


def _await_ended(harbour: Harbour, count: int, patience: float = 60) -> None:
    """Until so many bodies have ended; ``patience`` is for the next of them, seconds."""

    def ended() -> int:
        return len({line[3] for line in harbour.lines() if line[2] == "end"})

    before, since = ended(), time.monotonic()
    pause = threading.Event()
    while before < count:
        pause.wait(0.2)
        now = ended()
        if now > before:
            before, since = now, time.monotonic()
        assert time.monotonic() - since < patience, f"stuck after {before} of {count}"
