"""What is measured: each cell one workload on one store, where there is one beside its raw loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bench.workloads.spinning import turns_per_millisecond

#: ``--quick`` shows that everything works; its figures mean nothing.
QUICK = 100

RATE = {"jobs/s": "jobs/s"}
SECONDS = {"s": "s"}
MILLISECONDS = {"ms": "ms"}
PERCENTILES = {"p50": "ms", "p99": "ms"}
MEMORY = {"idle": "MiB", "after": "MiB"}


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
    """``figures``: those of its samples, with their units; ``raw`` gives the same ones."""

    workload: str
    variant: str
    store: str | None
    title: str
    figures: Mapping[str, str]
    ours: Call
    raw: Call | None = None

    @property
    def key(self) -> str:
        """Its name, as ``--only`` takes it too."""
        parts = (self.workload, self.variant, self.store)
        return "-".join(part for part in parts if part)

    @property
    def rows(self) -> Sequence[Row]:
        """Its figures; where there are several each has its name in its key."""
        if len(self.figures) == 1:
            return [Row(self.key, figure, unit) for figure, unit in self.figures.items()]
        return [Row(f"{self.key}-{name}", name, unit) for name, unit in self.figures.items()]


class Skipped(msgspec.Struct, frozen=True):
    """A cell that cannot be measured here, and why."""

    key: str
    reason: str


def cells(*, quick: bool) -> list[Cell]:
    """All of them, in the order in which they are run and shown."""

    def size(jobs: int) -> int:
        return max(100, jobs // QUICK) if quick else jobs

    return [
        *_enqueueing(size(10_000), size(100_000)),
        *_draining(size(200_000), size(100_000)),
        *_latency(size(1_000)),
        *_sleeping(size(2_000)),
        *_memory(size(50_000)),
        *_starting(2 if quick else 20),
        _spinning(size(6_000)),
        *_sidekiqload(size(500_000)),
    ]


def chosen(every: Sequence[Cell], only: Sequence[str], stores: Sequence[str]) -> list[Cell]:
    """Cells by workload or key, and by store; those that have no store are in every one."""
    return [
        cell
        for cell in every
        if (not only or cell.workload in only or cell.key in only)
        and (not stores or cell.store is None or cell.store in stores)
    ]


def skipped(cell: Cell) -> Skipped | None:
    """Whether this system cannot tell what the cell asks."""
    if cell.workload == "W5" and not Path("/proc/self/smaps_rollup").exists():
        return Skipped(cell.key, "this system does not tell a process's share of memory")
    return None


def _cell(key: str, title: str, figures: Mapping[str, str], ours: Call, raw: Call | None) -> Cell:
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
    )


def _enqueueing(single: int, bulk: int) -> list[Cell]:
    one = Call("enqueue.one_by_one", {"store": "sqlite", "jobs": single})
    many = Call("enqueue.in_bulk", {"store": "sqlite", "jobs": bulk})
    raw_one = Call("raw_sqlite.one_by_one", {"jobs": single})
    raw_many = Call("raw_sqlite.in_bulk", {"jobs": bulk})
    return [
        _cell("W1//sqlite", f"enqueue {single:,} jobs, a call each", RATE, one, raw_one),
        _cell("W1b//sqlite", f"enqueue {bulk:,} jobs by thousands", RATE, many, raw_many),
    ]


def _draining(memory: int, sqlite: int) -> list[Cell]:
    in_memory = Call("drain.drain", {"store": "memory", "jobs": memory})
    kept = Call("drain.drain", {"store": "sqlite", "jobs": sqlite})
    gone = Call("drain.drain", {"store": "sqlite", "jobs": sqlite, "kept": False})
    two = Call("fleet.drain", {"store": "sqlite", "jobs": sqlite, "processes": 2})
    raw_memory = Call("raw_memory.drain", {"jobs": memory})
    raw_sqlite = Call("raw_sqlite.drain", {"jobs": sqlite})
    few, many = f"drain {memory:,} jobs", f"drain {sqlite:,} jobs"
    return [
        _cell("W2//memory", few, RATE, in_memory, raw_memory),
        _cell("W2//sqlite", many, RATE, kept, raw_sqlite),
        _cell("W2/not-kept/sqlite", f"{many}, none kept", RATE, gone, raw_sqlite),
        _cell("W2/2-processes/sqlite", f"{many}, two processes", RATE, two, raw_sqlite),
    ]


def _latency(jobs: int) -> list[Cell]:
    title = f"enqueue to start, {jobs:,} jobs at 50 a second"
    paced = {"jobs": jobs, "per_second": 50}
    between = Call("fleet.latency", {"store": "sqlite", **paced})
    inside = Call("embedded.latency", {"store": "memory", **paced})
    return [
        _cell("W3//sqlite", f"{title}, between processes", PERCENTILES, between, None),
        _cell("W3//memory", f"{title}, in one process", PERCENTILES, inside, None),
    ]


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
        for store in ("memory", "sqlite")
        for how, (ours, raw) in loops.items()
    ]


def _memory(jobs: int) -> list[Cell]:
    params = {"store": "sqlite", "jobs": jobs}
    title = f"memory, idle and after {jobs:,} jobs"
    inside, program = Call("embedded.memory", params), Call("fleet.memory", params)
    return [
        _cell("W5/embedded/sqlite", f"{title}, embedded", MEMORY, inside, None),
        _cell("W5/worker/sqlite", f"{title}, `longshore worker`", MEMORY, program, None),
    ]


def _starting(tries: int) -> list[Cell]:
    importing = Call("starting.importing", {"tries": tries})
    first = Call("fleet.first_job", {"store": "sqlite"})
    return [
        _cell("W6/import/", f"import longshore, best of {tries}", MILLISECONDS, importing, None),
        _cell("W6/start/sqlite", "`longshore worker` to first job", MILLISECONDS, first, None),
    ]


def _spinning(jobs: int) -> Cell:
    params = {"jobs": jobs, "processes": 2, "turns": turns_per_millisecond()}
    title = f"drain {jobs:,} jobs of 1 ms CPU, two processes"
    ours = Call("fleet.spin", {"store": "sqlite", **params})
    return _cell("W7//sqlite", title, RATE, ours, Call("spinning.bare", params))


def _sidekiqload(jobs: int) -> list[Cell]:
    return [
        _cell(
            f"W10//{store}",
            f"sidekiqload, {jobs:,} jobs",
            RATE,
            Call("sidekiqload.load", {"store": store, "jobs": jobs}),
            None,
        )
        for store in ("memory", "sqlite")
    ]
