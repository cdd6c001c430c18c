"""One run of one row: its store, workers and load, what is done to them, and the verdict."""

from __future__ import annotations

import importlib.util
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from faults.frame import Row
from faults.load import Load, refused
from faults.records import Criterion, Result
from faults.workers import Worker, Workers
from longshore import LongshoreError, StoreError
from longshore.core.model import ENDED, JobRecord, JobState
from longshore.core.store import Filter
from tests.checker_tools import Account, Recovery, check, number_of, runs_of, summed
from tests.harbour_tools import APPS, eventually
from tests.ledger_tools import Ledger, Line, Reader, Word, now
from tests.places import Place, place
from tests.servers import Server, private, shared

MOST_DETAILS = 5
ENDLESS = 10_000_000


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How large one run is."""

    store: str
    seed: int = 1
    jobs: int = 5000
    #: However few a row itself takes, its load goes on until so many were tried.
    least: int = 0
    rate: float = 200
    lease: float = 3
    soak: float = 0  # seconds, of the row that lasts as long as it is told


class Trial:
    """What a row plays with; made by :func:`run`."""

    def __init__(self, row: Row, plan: Plan, folder: Path, where: Place, server: Server | None):
        self.row = row
        self.plan = plan
        self.store_kind = plan.store
        self.jobs = plan.jobs
        self.lease = plan.lease
        #: Everything that is left to chance comes from here.
        self.random = random.Random(f"{row.number} {plan.seed}")
        self.folder = folder
        self.where = where
        #: The server behind the store: only a row that declares ``own`` may stop it.
        self.server = server
        #: Where its administrator connects to, once the trial goes on as somebody else.
        self.administrator = ""
        self.ledger = Ledger(folder / "ledger")
        self._reader = Reader(self.ledger.path)
        self.environment = {
            **where.environment,
            "LEDGERED_LEDGER": str(self.ledger.path),
            "LEDGERED_LEASE": str(plan.lease),
        }
        self.app: Any = self._load()
        self.workers = Workers(folder, self.ledger, self.environment)
        self.loads: list[Load] = []
        self.pause = threading.Event()
        self.account: Account | None = None
        self.criteria: list[Criterion] = []
        self.figures: dict[str, float] = {}
        self._next = 0
        self.app.jobs.migrate()

    def _load(self) -> ModuleType:
        """The application, in this process: to enqueue and to ask."""
        before = dict(os.environ)
        os.environ.update(self.environment)
        try:
            spec = importlib.util.spec_from_file_location("ledgered", APPS / "ledgered.py")
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        finally:
            os.environ.clear()
            os.environ.update(before)
        return module

    # --- what a row does --------------------------------------------------------------------------

    def worker(
        self,
        *options: str,
        processes: int = 2,
        threads: int = 4,
        failpoints: str = "",
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        output: Path | None = None,
    ) -> Worker:
        """A further worker; it boots while the row goes on."""
        given = dict(environment or {})
        if failpoints:
            given["LONGSHORE_FAILPOINTS"] = failpoints
        return self.workers.start(
            *options,
            processes=processes,
            threads=threads,
            environment=given,
            prefix=prefix,
            output=output,
        )

    def ready(self, count: int) -> None:
        """Until so many processes have joined."""
        store = self.store
        eventually(lambda: len(store.run(store.processes())) >= count, 60, f"{count} processes")

    def load(
        self,
        jobs: int | None = None,
        *,
        kinds: Sequence[str] = ("work", "awork"),
        ms: tuple[int, int] = (1, 40),
        rate: float | None = None,
        endless: bool = False,
    ) -> Load:
        """Producers that enqueue jobs of these kinds, which take so many milliseconds.

        One that is ``endless`` goes on until it is told to stop.
        """
        numbers = range(self._next, self._next + (ENDLESS if endless else jobs or self.jobs))
        self._next = numbers.stop

        def of(n: int) -> tuple[Any, dict[str, Any]]:
            chance = random.Random(f"{self.plan.seed} {n}")
            return getattr(self.app, chance.choice(kinds)), {"ms": chance.randint(*ms)}

        load = Load(self.ledger, numbers, rate or self.plan.rate, of)
        self.loads.append(load)
        return load

    def number(self) -> int:
        """The next number, and a word in the ledger that a job of it is about to be enqueued."""
        n, self._next = self._next, self._next + 1
        self.ledger.write(Word.ATTEMPTED, n)
        return n

    def give(self, kind: str, *, options: Mapping[str, Any] | None = None, **kwargs: Any) -> int:
        """Enqueue one job that a row needs by itself, with options of its own; its number."""
        n = self.number()
        try:
            handle = getattr(self.app, kind).using(**(options or {})).enqueue(n, **kwargs)
        except LongshoreError as error:
            refused(self.ledger, n, error)
            raise
        self.ledger.write(Word.ACKED, n, handle.id)
        return n

    def many(
        self, kind: str, count: int, *, at: datetime | None = None, **kwargs: Any
    ) -> list[int]:
        """Enqueue so many jobs in one call; their numbers."""
        numbers = range(self._next, self._next + count)
        self._next = numbers.stop
        for n in numbers:
            self.ledger.write(Word.ATTEMPTED, n)
        try:
            job = getattr(self.app, kind).using(**({"at": at} if at else {}))
            handles = self.app.jobs.enqueue_many([job.bind(n, **kwargs) for n in numbers])
        except LongshoreError as error:
            for n in numbers:
                refused(self.ledger, n, error)
            raise
        for n, handle in zip(numbers, handles, strict=True):
            self.ledger.write(Word.ACKED, n, handle.id)
        return list(numbers)

    def move(self, url: str) -> None:
        """Go on with a store at another address, or with another file at the same one."""
        self.where = self.where._replace(url=url)
        self.environment.update(self.where.environment)
        self.workers.environment.update(self.where.environment)
        self.reopen()
        self.app.jobs.migrate()

    def reopen(self) -> None:
        """Begin anew with the store, as another process would."""
        self.app.jobs.close()
        self.app.LEDGER.close()
        self.app = self._load()

    def rest(self) -> None:
        """End all workers, and leave the store alone."""
        self.workers.close()
        self.app.jobs.close()

    def scaled(self, full: int, least: int = 2) -> int:
        """A number that the matrix gives for 5 000 jobs, for as many as there are here."""
        return max(least, full * self.jobs // (self.row.jobs or 5000))

    def meanwhile(self, times: int) -> Iterator[int]:
        """So many moments spread at random over the load, at least while it lasts."""
        load = self.loads[-1]
        for number in range(times):
            wanted = self.jobs * (number + self.random.random()) / (times + 1)
            self.until(lambda wanted=wanted: load.acked >= wanted or load.done, 300, "the load")
            yield number

    def until(self, ask: Callable[[], object], seconds: float, what: str) -> None:
        """Wait until something is so."""
        eventually(ask, seconds, f"{self.row.number} on {self.store_kind}: {what}")

    def busy(self, worker: Worker, pid: int | None = None) -> None:
        """Until a body runs in a worker, or in one of its processes."""

        def runs() -> bool:
            pids = {pid} if pid else set(worker.family())
            return any(
                run.pid in pids and not (run.finished or run.raised) for run in runs_of(self.lines)
            )

        self.until(runs, 60, "work under way")

    def gone(self, pid: int) -> None:
        """Until no live process record is of this process any more: its jobs were given back."""
        store = self.store
        self.until(
            lambda: all(one.pid != pid for one in store.run(store.processes())), 60, "its burial"
        )

    def ended(self, pids: Sequence[int]) -> bool:
        """Whether all of these processes were seen to end."""
        died = {line.pid for line in self.lines if line.word is Word.DIED}
        return died.issuperset(pids)

    def wait(self, seconds: float) -> None:
        """Let time pass: only where the fault itself is a time, as three leases are."""
        self.pause.wait(seconds)

    def note(self, text: str) -> None:
        """For whoever reads the ledger."""
        self.ledger.write(Word.NOTE, note=text)

    # --- what a row asks --------------------------------------------------------------------------

    @property
    def store(self) -> Any:
        return self.app.jobs.store

    @property
    def lines(self) -> list[Line]:
        """The ledger so far."""
        return self._reader.lines()

    def started(self, *numbers: int) -> int:
        """How many bodies have started, of these jobs if any are named."""
        return sum(
            line.word is Word.STARTED and (not numbers or line.n in numbers) for line in self.lines
        )

    def records(self) -> dict[int, JobRecord]:
        """What the store has now, by number."""
        return {number_of(record): record for record in self.history()}

    def waits(self, since: int = 0, until: int = 1 << 62) -> list[float]:
        """Seconds from each enqueue between these moments of the ledger to its first start."""
        asked: dict[int, int] = {}
        waits: list[float] = []
        for line in self.lines:
            if line.word is Word.ATTEMPTED and since <= line.at <= until:
                asked[line.n] = line.at
            elif line.word is Word.STARTED and line.n in asked:
                waits.append((line.at - asked.pop(line.n)) / 1e6)
        return sorted(waits)

    def history(self) -> list[JobRecord]:
        """Every job that the store has."""
        store, found, cursor = self.store, list[JobRecord](), None
        while True:
            page = store.run(store.find(Filter(), limit=500, cursor=cursor))
            found += page.records
            cursor = page.cursor
            if cursor is None:
                return found

    def counted(self) -> Counter[JobState]:
        """How many jobs the store says it has in each state."""
        store, states = self.store, Counter[JobState]()
        for counted in store.run(store.count(Filter())):
            states[counted.state] += counted.jobs
        return +states

    def settle(self, within: float = 120) -> Account:
        """End the load, wait until no job is live any more, and do the accounts.

        What has not ended in time is not an error here: the accounts say that it is incomplete.
        """
        self._end_load()
        missing = self.plan.least - sum(line.word is Word.ATTEMPTED for line in self.lines)
        if missing > 0:
            self.load(missing)
            self._end_load()
        deadline = time.monotonic() + within
        while self._live() and time.monotonic() < deadline:
            self.pause.wait(0.1)
        history = self.history()
        # Beside the ledger, for whoever looks into a run that did not hold.
        (self.folder / "history.jsonl").write_bytes(
            b"\n".join(msgspec.json.encode(record) for record in history)
        )
        recounted = Counter(record.state for record in history)
        self.account = check(self.lines, history, time.time_ns() // 1000 - now())
        counted = self.counted()
        self._expect("counts as recounted from rows", counted == recounted, str(counted))
        return self.account

    def _end_load(self) -> None:
        for load in self.loads:
            load.end(60 + max(self.jobs, self.plan.least) / self.plan.rate * 3)

    def _live(self) -> bool:
        """Whether any is, or nobody can say just now."""
        try:
            return any(state not in ENDED for state in self.counted())
        except StoreError:
            return True

    # --- what a row judges ------------------------------------------------------------------------

    def exactly(self, what: str, value: float, wanted: float) -> None:
        self._expect(f"{what} = {wanted:g}", value == wanted, f"{value:g}")

    def at_most(self, what: str, value: float, most: float, *, timed: bool = False) -> None:
        """``timed``: the bound is of this machine's speed too."""
        self._expect(f"{what} ≤ {most:g}", value <= most, f"{value:g}", timed=timed)

    def at_least(self, what: str, value: float, least: float, *, timed: bool = False) -> None:
        self._expect(f"{what} ≥ {least:g}", value >= least, f"{value:g}", timed=timed)

    def holds(self, what: str, so: object, found: str = "", *, timed: bool = False) -> None:
        self._expect(what, bool(so), found, timed=timed)

    def recovers(self, most: float) -> None:
        """The jobs that killed processes had begun started again within so many seconds."""
        recovery = self.account.recovery if self.account else Recovery()
        self.at_least("jobs interrupted and started again", recovery.count, 1)
        self.at_most("time to recover, p99, s", recovery.p99, most, timed=True)

    def recovers_unstarted(self, most: float) -> None:
        """The same for jobs that were claimed and had not begun."""
        recovery = summed(self.account.unstarted if self.account else ())
        self.at_least("jobs given back and started", recovery.count, 1)
        self.at_most("time to recover what had not begun, p99, s", recovery.p99, most, timed=True)

    def _expect(self, what: str, passed: bool, found: str, *, timed: bool = False) -> None:
        self.criteria.append(Criterion(what, passed, found, timed))

    # --- its end ----------------------------------------------------------------------------------

    def result(self, seconds: float) -> Result:
        """What came of it."""
        account = self.account or self.settle()
        always = [
            _nothing("lost", account.lost),
            _nothing("unexpected", account.unexpected),
            _nothing("unexplained", account.unexplained),
            _nothing("outcomes of an old run", account.zombie),
            _nothing("gaps in the history", account.incomplete),
        ]
        if not self.row.control:
            self.criteria[:0] = always
        recovery = account.recovery
        return Result(
            row=self.row.number,
            title=self.row.title,
            **msgspec.structs.asdict(self.plan),
            attempted=account.attempted,
            acked=account.acked,
            uncertain=account.uncertain,
            ran=account.ran,
            lost=account.missing,
            unexpected=len(account.unexpected),
            duplicated=account.duplicated,
            unexplained=len(account.unexplained),
            zombie=len(account.zombie),
            incomplete=len(account.incomplete),
            overlap=round(account.overlap, 3),
            recoveries=recovery.count,
            recovery=(round(recovery.p50, 3), round(recovery.p99, 3), round(recovery.most, 3)),
            figures=self.figures,
            criteria=tuple(self.criteria),
            seconds=round(seconds, 1),
        )

    def close(self) -> None:
        for load in self.loads:
            load.stop()
        self.workers.close()
        self.app.jobs.close()
        self.app.LEDGER.close()
        self.ledger.close()


def _nothing(what: str, found: Sequence[object]) -> Criterion:
    few = ", ".join(map(str, found[:MOST_DETAILS])) + (", …" if len(found) > MOST_DETAILS else "")
    return Criterion(
        f"{what} = 0", not found, f"{len(found)}: {few}" if found else "0", timed=False
    )


@contextmanager
def opened(row: Row, plan: Plan, folder: Path) -> Iterator[Trial]:
    """A trial of a row on a store, on a server of its own if the row wants one."""
    with ExitStack() as stack:
        server = None
        if plan.store != "sqlite":
            own = row.own
            server = (
                shared(plan.store)
                if own is None
                else stack.enter_context(private(plan.store, *own.given, durable=own.durable))
            )
        where = stack.enter_context(place(plan.store, folder, server))
        trial = Trial(row, plan, folder, where, server)
        stack.callback(trial.close)
        yield trial


def run(row: Row, plan: Plan, folder: Path) -> Result:
    """Play a row once."""
    began = time.monotonic()
    with opened(row, plan, folder) as trial:
        row.play(trial)
        return trial.result(time.monotonic() - began)
