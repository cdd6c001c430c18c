"""What is measured: each cell one workload on one store, beside its raw loop and peers if any."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from bench.peers.catalogue import on
from bench.workloads.spinning import turns_per_millisecond

#: ``--quick`` shows that everything works; its figures mean nothing.
QUICK = 100

RATE = {"jobs/s": "jobs/s"}
SECONDS = {"s": "s"}
MILLISECONDS = {"ms": "ms"}
PERCENTILES = {"p50": "ms", "p99": "ms"}
TAILS = {"p50": "ms", "p95": "ms", "p99": "ms"}
CLAIMS = {"rate": "jobs/s", "claim-p99": "ms"}
LATENESS = {"rate": "jobs/s", "late-p50": "ms", "late-p99": "ms"}
ROOM = {"waiting": "bytes", "ended": "bytes"}
MEMORY = {"idle": "MiB", "after": "MiB"}

#: The stores, in the order in which they are shown, and the modules of their raw loops.
STORES: Mapping[str, str] = {
    "memory": "raw_memory",
    "sqlite": "raw_sqlite",
    "postgres": "raw_postgres",
    "mariadb": "raw_mysql",
    "redis": "raw_redis",
    "valkey": "raw_redis",
}

#: Of them those whose servers tell who waits, and the loops of `raw_latency` on these.
TELLING: Mapping[str, str] = {"raw_postgres": "postgres", "raw_redis": "redis"}

#: Of jobs that W2 drains: a run of seconds.
DRAINED: Mapping[str, int] = {"memory": 200_000, "mariadb": 50_000}

#: Those that other processes can reach.
SHARED = tuple(store for store in STORES if store != "memory")

#: Of jobs that W8 drains, of those that wait behind them and those that ended before them. With a
#: million they are fewer than 2^20: Redis moves a table to one twice as large as it outgrows it, a
#: place with each look. That is the price of growing, not of what is there.
CROWDED = 40_000
BEHIND = 1_000_000
ENDED: Mapping[str, int] = {
    "sqlite": 2_000_000,
    "postgres": 10_000_000,
    "mariadb": 10_000_000,
    "redis": 1_000_000,
    "valkey": 1_000_000,
}

#: Peers whose two processes are measured too, and against which none of our jobs are kept.
PAIRED = ("sidekiq", "bullmq", "graphile", "pgqueuer")

#: Of jobs that W9 drains, on every store, and its rules as they are shown.
RESTRAINED = 50_000
RULES: Mapping[str, str] = {
    "results": "results",
    "unique": "a unique key each",
    "concurrency": "1,000 at once over 1,000 keys",
    "rate": "1,000,000 a second over 1,000 keys",
    "fair": "turns of 100 values",
    "encryption": "arguments and results encrypted",
}


#: How many jobs a run has, of those that make it one of seconds.
Size = Callable[[int], int]


class Call(msgspec.Struct, frozen=True):
    """One workload and what it is called with."""

    name: str
    params: Mapping[str, object]


class Row(msgspec.Struct, frozen=True):
    """One figure of a cell as it is shown and judged."""

    key: str
    figure: str
    unit: str


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """``figures``: those of its samples, with their units; ``raw`` and ``peers`` give the same.

    ``pinned``: where its store has a server, that has one core and all else shares the other;
    otherwise all of them have both.
    """

    workload: str
    variant: str
    store: str | None
    title: str
    figures: Mapping[str, str]
    ours: Call
    raw: Call | None = None
    peers: Mapping[str, Call] = {}
    pinned: bool = True

    @property
    def key(self) -> str:
        """Its name; no other cell has it."""
        parts = (self.workload, self.variant, self.store)
        return "-".join(part for part in parts if part)

    @property
    def names(self) -> frozenset[str]:
        """What ``--only`` takes it by: its workload, that and its variant, or all of its key."""
        both = f"{self.workload}-{self.variant}" if self.variant else self.workload
        return frozenset((self.workload, both, self.key))

    @property
    def rows(self) -> Sequence[Row]:
        """Its figures; where there are several each has its name in its key."""
        if len(self.figures) == 1:
            return [Row(self.key, figure, unit) for figure, unit in self.figures.items()]
        return [Row(f"{self.key}-{name}", name, unit) for name, unit in self.figures.items()]


class Skipped(msgspec.Struct, frozen=True):
    """A cell, or a peer of one, that cannot be measured here, and why."""

    key: str
    reason: str


def cells(*, quick: bool) -> list[Cell]:
    """All of them, in the order in which they are run and shown."""

    def size(jobs: int) -> int:
        return max(100, jobs // QUICK) if quick else jobs

    return [
        *_enqueueing(size),
        *_draining(size),
        *_latency(size),
        *_sleeping(size(2_000)),
        *_memory(size(50_000)),
        *_starting(2 if quick else 20),
        *_spinning(size(6_000)),
        *_crowded(size),
        *_restrained(size),
        *_sidekiqload(size(500_000)),
        *_awaited(200),
        *_crowd(size(100_000), 4 if quick else 64),
        *_due(size(100_000)),
        *_room(size(100_000)),
    ]


def chosen(every: Sequence[Cell], only: Sequence[str], stores: Sequence[str]) -> list[Cell]:
    """Cells by their names, and by store; those that have no store are in every one."""
    return [
        cell
        for cell in every
        if (not only or not cell.names.isdisjoint(only))
        and (not stores or cell.store is None or cell.store in stores)
    ]


def skipped(cell: Cell) -> str | None:
    """Why this system cannot tell what the cell asks; ``None`` if it can."""
    if cell.workload == "W5" and not Path("/proc/self/smaps_rollup").exists():
        return "this system does not tell a process's share of memory"
    return None


def _cell(  # noqa: PLR0917 - each has a title, figures and loops, in this order
    key: str,
    title: str,
    figures: Mapping[str, str],
    ours: Call,
    raw: Call | None,
    peers: Mapping[str, Call] | None = None,
    *,
    pinned: bool = True,
) -> Cell:
    """``key`` is ``workload/variant/store``."""
    workload, variant, store = key.split("/")
    return Cell(
        workload=workload,
        variant=variant,
        store=store or None,
        title=title,
        figures=figures,
        ours=ours,
        raw=raw,
        peers=peers or {},
        pinned=pinned,
    )


def _peers(key: str, loop: str, size: Size, **params: object) -> dict[str, Call]:
    """Calls of those that do the workload of ``key`` on its store, each with its own size."""
    workload, _, store = key.split("/")
    return {
        peer.name: Call(
            f"peer.{loop}", {"peer": peer.name, "jobs": size(peer.jobs[workload]), **params}
        )
        for peer in on(store, workload)
    }


def _enqueueing(size: Size) -> Iterator[Cell]:
    loops = {"W1": ("one_by_one", 10_000), "W1b": ("in_bulk", 100_000)}
    for workload, (loop, jobs) in loops.items():
        number = size(jobs)
        how = "a call each" if workload == "W1" else "by thousands"
        for store, raw in STORES.items():
            key = f"{workload}//{store}"
            ours = Call(f"enqueue.{loop}", {"store": store, "jobs": number})
            bare = Call(f"{raw}.{loop}", {"jobs": number})
            title = f"enqueue {number:,} jobs, {how}"
            yield _cell(key, title, RATE, ours, bare, _peers(key, loop, size))
    number = size(loops["W1"][1])
    params = {"store": "sqlite", "jobs": number, "durability": "normal"}
    ours = Call("enqueue.one_by_one", params)
    bare = Call("raw_sqlite.one_by_one", {"jobs": number, "synchronous": "normal"})
    title = f"enqueue {number:,} jobs, a call each, not waiting for the disk"
    yield _cell("W1/normal/sqlite", title, RATE, ours, bare)


def _draining(size: Size) -> Iterator[Cell]:
    for store, raw in STORES.items():
        jobs = size(DRAINED.get(store, 100_000))
        params = {"store": store, "jobs": jobs}
        title, bare = f"drain {jobs:,} jobs", Call(f"{raw}.drain", {"jobs": jobs})
        yield _cell(f"W2//{store}", title, RATE, Call("drain.drain", params), bare)
        if store == "memory":
            continue
        gone = Call("drain.drain", {**params, "kept": False})
        yield _cell(f"W2/not-kept/{store}", f"{title}, none kept", RATE, gone, bare)
        yield from _programs(store, size, params)


def _programs(store: str, size: Size, params: Mapping[str, object]) -> Iterator[Cell]:
    """W2 by `longshore worker`: a peer's worker is a program, so ours is one beside it.

    Two processes and the server may use all cores, and stand beside one process where it is so too.
    """
    title = f"drain {params['jobs']:,} jobs, `longshore worker`"
    one = Call("fleet.drain", {**params, "processes": 1})
    two = Call("fleet.drain", {**params, "processes": 2})
    gone = Call("fleet.drain", {**params, "processes": 1, "kept": False})
    others = _peers(f"W2//{store}", "drain", size)
    twice = _peers(f"W2//{store}", "drain", size, processes=2)
    pairs = {name: call for name, call in twice.items() if name in PAIRED}
    if others:
        yield _cell(f"W2/worker/{store}", title, RATE, one, None, others)
        best = {name: call for name, call in others.items() if name in PAIRED}
        yield _cell(f"W2/worker-not-kept/{store}", f"{title}, none kept", RATE, gone, None, best)
    key = f"W2/2-processes/{store}"
    yield _cell(key, f"{title}, two processes beside one", RATE, two, one, pairs, pinned=False)


def _latency(size: Size) -> Iterator[Cell]:
    paced = {"jobs": size(1_000), "per_second": 50}
    title = f"enqueue to start, {paced['jobs']:,} jobs at 50 a second"
    for store, raw in STORES.items():
        key = f"W3//{store}"
        if store == "memory":
            inside = Call("embedded.latency", {"store": store, **paced})
            yield _cell(key, f"{title}, in one process", PERCENTILES, inside, None)
            continue
        between = Call("fleet.latency", {"store": store, **paced})
        bare = Call(f"raw_latency.{TELLING[raw]}", paced) if raw in TELLING else None
        peers = _peers(key, "latency", size, per_second=50)
        yield _cell(key, f"{title}, between processes", PERCENTILES, between, bare, peers)


def _sleeping(jobs: int) -> list[Cell]:
    params = {"jobs": jobs, "slots": 50}
    title = f"{jobs:,} jobs of 50 ms sleep at 50 slots"
    loops = {
        "threads": ("sleeping.sleep_in_threads", "sleeping.bare_threads"),
        "async": ("sleeping.sleep_in_loop", "sleeping.bare_loop"),
    }
    return [
        _cell(
            f"W4/{how}/{store}",
            f"{title}, {how}",
            SECONDS,
            Call(ours, {"store": store, **params}),
            Call(raw, params),
        )
        for store in STORES
        for how, (ours, raw) in loops.items()
    ]


def _memory(jobs: int) -> Iterator[Cell]:
    title = f"memory, idle and after {jobs:,} jobs"
    for store in SHARED:
        params = {"store": store, "jobs": jobs}
        inside, program = Call("embedded.memory", params), Call("fleet.memory", params)
        yield _cell(f"W5/embedded/{store}", f"{title}, embedded", MEMORY, inside, None)
        yield _cell(f"W5/worker/{store}", f"{title}, `longshore worker`", MEMORY, program, None)


def _starting(tries: int) -> Iterator[Cell]:
    importing = Call("starting.importing", {"tries": tries})
    title = f"from longshore import Longshore, best of {tries}"
    yield _cell("W6/import/", title, MILLISECONDS, importing, None)
    for store in SHARED:
        first = Call("fleet.first_job", {"store": store})
        yield _cell(
            f"W6/start/{store}", "`longshore worker` to first job", MILLISECONDS, first, None
        )


def _spinning(jobs: int) -> Iterator[Cell]:
    """Not pinned: the workload is about every core being busy."""
    params = {"jobs": jobs, "processes": 2, "turns": turns_per_millisecond()}
    title = f"drain {jobs:,} jobs of 1 ms CPU, two processes"
    for store in SHARED:
        ours = Call("fleet.spin", {"store": store, **params})
        bare = Call("spinning.bare", params)
        yield _cell(f"W7//{store}", title, RATE, ours, bare, pinned=False)


def _crowded(size: Size) -> Iterator[Cell]:
    """What stands in the place of the raw loop is the same drain where there is nothing else."""
    for store in SHARED:
        jobs, behind, ended, lines = map(size, (CROWDED, BEHIND, ENDED[store], 10_000))
        params = {"store": store, "jobs": jobs}
        settled = {**params, "settled": True}
        alone = Call("drain.drain", settled)
        program = Call("fleet.drain", {**settled, "processes": 1})
        title = f"drain {jobs:,} jobs"
        first = Call("fleet.drain_before", {**params, "behind": behind})
        text = f"{title}, {behind:,} waiting behind, beside none"
        yield _cell(f"W8/waiting/{store}", text, RATE, first, program)
        kept = Call("crowded.kept", {**params, "ended": ended})
        text = f"{title}, {ended:,} ended before, beside none"
        yield _cell(f"W8/kept/{store}", text, RATE, kept, alone)
        spread = Call("crowded.queues", {**params, "queues": lines})
        text = f"{title} of {lines:,} queues, beside one"
        yield _cell(f"W8/queues/{store}", text, RATE, spread, alone)
        if store == "postgres":
            before = size(500_000)
            churned = Call("crowded.churned", {**params, "before": before})
            text = f"{title} after {before:,} under a held transaction, beside none"
            yield _cell(f"W8/churn/{store}", text, RATE, churned, alone)


def _restrained(size: Size) -> Iterator[Cell]:
    """What stands in the place of the raw loop is the same drain without a rule."""
    for store in STORES:
        jobs = size(RESTRAINED)
        params = {"store": store, "jobs": jobs}
        for rule in RULES:
            ours = Call("restrained.drain", {**params, "rule": rule})
            title = f"drain {jobs:,} jobs with {RULES[rule]}, beside W2"
            yield _cell(f"W9/{rule}/{store}", title, RATE, ours, Call("drain.drain", params))


def _sidekiqload(jobs: int) -> list[Cell]:
    return [
        _cell(
            f"W10//{store}",
            f"sidekiqload, {jobs:,} jobs",
            RATE,
            Call("sidekiqload.load", {"store": store, "jobs": jobs}),
            None,
        )
        for store in STORES
    ]


def _awaited(jobs: int) -> Iterator[Cell]:
    """A result is awaited in another process than its job's; in memory there is no other."""
    title = f"end of a job to its result elsewhere, {jobs:,} jobs one by one"
    for store, raw in STORES.items():
        if store != "memory":
            ours = Call("fleet.results", {"store": store, "jobs": jobs})
            bare = Call(f"{raw}.awaited", {"jobs": jobs}) if raw in TELLING else None
            yield _cell(f"W11//{store}", title, TAILS, ours, bare)


def _crowd(jobs: int, many: int) -> Iterator[Cell]:
    title = f"drain {jobs:,} jobs, {many} processes beside one"
    for store in SHARED:
        params = {"store": store, "jobs": jobs}
        ours = Call("crowd.processes", {**params, "processes": many})
        one = Call("crowd.processes", {**params, "processes": 1})
        yield _cell(f"W12//{store}", title, CLAIMS, ours, one, pinned=False)


def _due(jobs: int) -> Iterator[Cell]:
    for store in SHARED:
        ours = Call("crowd.due", {"store": store, "jobs": jobs})
        yield _cell(f"W13//{store}", f"{jobs:,} jobs due in one second", LATENESS, ours, None)


def _room(jobs: int) -> Iterator[Cell]:
    for store in STORES:
        ours = Call("weighing.room", {"store": store, "jobs": jobs})
        yield _cell(f"W14//{store}", f"room for each of {jobs:,} jobs", ROOM, ours, None)
