"""Batches and workflows while their workers are killed again and again; the proofs share these.

Bodies tell by the ledger (`tests/apps/storming.py`), the store by records and by counting anew.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil

from longshore.core.model import LIVE, JobRecord, JobState, Why
from longshore.core.shards import named
from longshore.core.store import Filter
from longshore.query.batches import Batch
from tests.bundles_tools import recount
from tests.harbour_tools import Harbour, eventually
from tests.places import Place, place

LEASE = 3
PAUSE = 0.05


@contextmanager
def stormy(kind: str, folder: Path, seed: int, *, pace: float = 0.004) -> Iterator[Storming]:
    """The application in a place of its own on a kind of store, without a worker yet."""
    with settings_on(kind, folder) as settings:
        harbour = Harbour(
            folder, LEASE, name="storming", STORM_SEED=str(seed), STORM_PACE=str(pace), **settings
        )
        harbour.jobs.migrate()
        try:
            yield Storming(harbour, seed)
        finally:
            harbour.stop()


@contextmanager
def settings_on(kind: str, folder: Path) -> Iterator[dict[str, str]]:
    """The environment for a place on a kind of store; ``redis-shards`` is three of one."""
    with place(kind.removesuffix("-shards"), folder) as where:
        yield _shards(where, folder) if kind.endswith("-shards") else where.environment


def _shards(where: Place, folder: Path) -> dict[str, str]:
    if not where.url.startswith("sqlite"):
        return {**where.environment, "LONGSHORE_SHARDS": "3"}
    files = " ".join(f"sqlite:///{folder}/shard{number}.db" for number in range(3))
    return {"LONGSHORE_STORE": "", "LONGSHORE_SHARDS": files}


class Storming:
    """Workers that are killed at random, of a child, a supervisor or a whole machine at a time."""

    def __init__(self, harbour: Harbour, seed: int) -> None:
        self.harbour = harbour
        self.app: Any = harbour.app
        self.jobs = harbour.jobs
        self.random = random.Random(seed)
        #: What was killed, and what people did meanwhile.
        self.met: Counter[str] = Counter()
        self.pause = threading.Event()

    def begin(self, workers: int = 2, threads: int = 6) -> None:
        self.threads = threads
        for _ in range(workers):
            self.harbour.worker(threads=threads)
        self.harbour.await_ready(workers)

    def strike(self) -> None:
        """Kill something; whatever does not come back by itself is started anew."""
        alive = [one for one in self.harbour.workers if one.poll() is None]
        worker = self.random.choice(alive)
        self.pause.wait(self.random.random() * 0.3)
        what = self.random.choice(("child", "child", "supervisor", "machine"))
        eventually(lambda: self.harbour.children(worker), 30, "a child")
        children = self.harbour.children(worker)
        match what:
            case "child":
                os.kill(children[0].pid, signal.SIGKILL)
            case "supervisor":
                os.kill(worker.pid, signal.SIGKILL)
                worker.wait(10)
                # Whose supervisor is gone ends by itself.
                eventually(lambda: not any(map(_lives, children)), 60, "the end of orphans")
            case _:
                self.harbour.lose(worker)
        if what != "child":
            self.harbour.worker(threads=self.threads)
        self.met[f"killed: {what}"] += 1

    def dead(self, *kinds: str, limit: int = 50) -> list[str]:
        store = self.jobs.store
        where = Filter(states=frozenset({JobState.DEAD}), kinds=kinds)
        return [one.id for one in store.run(store.find(where, limit=limit)).records]

    def retry(self, ids: Sequence[str]) -> None:
        store = self.jobs.store
        self.met["retried"] += len(store.run(store.retry(ids)).changed) if ids else 0

    def cancel(self, batch: Batch, count: int) -> None:
        """Cancel some members that have not ended, but none of the batch inside."""
        store = self.jobs.store
        live = store.run(store.members(batch.id, live=True, limit=2000))
        some = self.random.sample(live, min(count, len(live)))
        records = store.run(store.get(some))
        done = store.run(
            store.cancel([one for one in some if records[one].kind != "inner"], "enough")
        )
        self.met["cancelled"] += len(done.changed) + len(done.requested)

    def counts(self, bundle: str) -> list[int]:
        """Succeeded, cancelled, dead and live: as written, and found to be so by counting."""
        store: Any = self.jobs.store
        shards = getattr(store, "shards", None)
        home = store if shards is None else shards[named(bundle, len(shards)) or 0]
        written, counted = recount(home, bundle)
        assert written == counted, (written, counted)
        self.met["samples"] += 1
        return written

    def records(self, ids: Sequence[str]) -> dict[str, JobRecord]:
        store, found = self.jobs.store, dict[str, JobRecord]()
        for first in range(0, len(ids), 500):
            found |= store.run(store.get(ids[first : first + 500]))
        return found

    def notes(self, word: str) -> list[list[str]]:
        return [line for line in self.harbour.lines() if line[2] == word]

    def told(self) -> Counter[tuple[str, str]]:
        """The callbacks that are stored, whether they have run or not."""
        handles = list(self.jobs.query.filter(queue="callbacks"))
        return Counter(
            (given["batch"], given["what"])
            for given in (msgspec.json.decode(one.record.payload)["kwargs"] for one in handles)
        )


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


# --- a batch with a batch inside ------------------------------------------------------------------


def members(storm: Storming, total: int, *, inside: int, kills: int, apart: int = 0) -> None:
    """So many members, some of them in a batch inside, through so many kills.

    Members die, are retried, are cancelled, add others; the batch inside is never cancelled, and
    its dead are retried until all have succeeded.
    """
    app, jobs = storm.app, storm.jobs

    def callbacks(name: str) -> dict[str, Any]:
        return {
            f"on_{what}": app.told.bind(name, what) for what in ("success", "complete", "death")
        }

    made: list[str] = []
    with jobs.batch("outer", **callbacks("outer")) as outer:
        for number in range(total - inside):
            kind = app.apart if number < apart else (app.load, app.awaited)[number % 3 == 0]
            made.append(outer.add(kind.bind(number)).id)
        with outer.batch("inner", **callbacks("inner")) as inner:
            made += [inner.add(app.inner.bind(number)).id for number in range(inside)]
    # Some already now: a fast store may have nothing left at the first look.
    storm.cancel(outer, 2)
    storm.begin()
    step = total / (kills + 1)
    strikes, finished = 0, False
    deadline = time.monotonic() + 600
    while not finished:
        assert time.monotonic() < deadline, storm.harbour.logs()[-3000:]
        *ended, live = storm.counts(outer.id)
        storm.counts(inner.id)
        # Before the kill, which may take as long as all that is left.
        if live > total / 10:
            storm.cancel(outer, 2)
            storm.retry(storm.dead("load", "awaited", "apart", limit=2))
        if sum(ended) >= step * (strikes + 1) and strikes < kills:
            storm.strike()
            strikes += 1
        # A second time, right after a kill and what people did: a fast store leaves few rounds.
        storm.counts(outer.id)
        storm.retry(storm.dead("inner"))
        storm.counts(inner.id)
        # Asked again, and in this order: who was just retried may die once more.
        finished = not storm.counts(outer.id)[3] and not inner.refresh().dead
        storm.pause.wait(PAUSE)
    # Whoever is retried now opens it again; that is told to nobody.
    storm.retry(storm.dead())
    eventually(lambda: storm.counts(outer.id)[3] == 0, 60, "the end of the last members")
    eventually(lambda: _idle(storm), 60, "the callbacks")
    settle(storm, outer, inner, made)
    storm.met["members"] = outer.total


def _idle(storm: Storming) -> bool:
    return not storm.jobs.query.filter(state=sorted(LIVE)).count()


def settle(storm: Storming, outer: Batch, inner: Batch, made: Sequence[str]) -> None:
    """What is stored, counted, told and written in the ledger fits together."""
    jobs = storm.jobs
    for batch in (outer, inner):
        batch.refresh()
        assert [batch.succeeded, batch.cancelled, batch.dead, 0] == storm.counts(batch.id)
        assert batch.total == batch.succeeded + batch.cancelled + batch.dead
        assert batch.finished
    ids = [one.id for one in outer.jobs()]
    late = {line[3] for line in storm.notes("late")}
    assert len(ids) == len(set(ids)) == outer.total
    # Who added one and was killed before he could note it has added it all the same.
    assert set(made) | late <= set(ids)
    records = storm.records(ids)
    assert all(
        record.kind in {"load", "inner"} for one, record in records.items() if one not in made
    )
    assert [one.id for one in inner.jobs()] == [i for i in ids if records[i].kind == "inner"]
    states = Counter(record.state for record in records.values())
    assert (states[JobState.SUCCEEDED], states[JobState.CANCELLED], states[JobState.DEAD]) == (
        outer.succeeded,
        outer.cancelled,
        outer.dead,
    )
    done = {(line[3], int(line[4])) for line in storm.notes("end")}
    for record in records.values():
        if record.state is JobState.SUCCEEDED:
            assert (record.id, record.run) in done, record
    assert (inner.dead, inner.cancelled) == (0, 0)
    expected = {("outer", "complete"): 1, ("outer", "death"): 1}
    expected |= {("inner", what): 1 for what in ("success", "complete", "death")}
    if not outer.cancelled and not outer.dead:
        expected["outer", "success"] = 1
    assert storm.told() == expected
    assert {handle.state for handle in jobs.query.filter(queue="callbacks")} == {"succeeded"}
    storm.met["late"] = len(ids) - len(made)
    storm.met["interrupted"] = _interrupted(records)
    storm.met["died"] = outer.dead


def _interrupted(records: dict[str, JobRecord]) -> int:
    return sum(run.why is Why.INTERRUPTED for one in records.values() for run in one.runs)


# --- a workflow -----------------------------------------------------------------------------------


def graph(storm: Storming, nodes: int, kills: int) -> None:
    """A workflow with random edges, through so many kills; its dead are retried until it ends."""
    app, jobs = storm.app, storm.jobs
    edges: dict[int, tuple[list[int], list[int]]] = {}
    with jobs.workflow("graph") as flow:
        made: list[Any] = []
        for number in range(nodes):
            before = storm.random.sample(range(number), min(number, storm.random.choice((0, 1, 3))))
            takes = before[:2] if storm.random.random() < 0.5 else []
            after = before[len(takes) :]
            given = {name: made[at].output for name, at in zip(("one", "two"), takes, strict=False)}
            edges[number] = (takes, after)
            made.append(flow.add(app.node.bind(number, **given), after=[made[at] for at in after]))
    storm.begin()
    strikes, finished = 0, False
    deadline = time.monotonic() + 600
    while not finished:
        assert time.monotonic() < deadline, storm.harbour.logs()[-3000:]
        *ended, live = storm.counts(flow.id)
        if sum(ended) >= nodes * (strikes + 1) / (kills + 1) and strikes < kills:
            storm.strike()
            strikes += 1
        storm.retry(storm.dead())
        flow.refresh()
        finished = flow.finished and not flow.dead and not live
        storm.pause.wait(PAUSE)
    assert (flow.total, flow.succeeded) == (nodes, nodes)
    assert storm.counts(flow.id) == [nodes, 0, 0, 0]
    records = storm.records([one.id for one in made])
    values: list[int] = []
    first, last = _times(storm)
    for number, one in enumerate(made):
        takes, after = edges[number]
        one_and_two = ([values[at] for at in takes] + [0, 0])[:2]
        values.append(app.worth(number, *one_and_two))
        assert msgspec.json.decode(records[one.id].result or b"") == values[-1]
        for at in (*takes, *after):
            assert last[made[at].id] <= first[one.id], "it began before the other had ended"
    storm.met["nodes"] = nodes
    storm.met["edges"] = sum(len(takes) + len(after) for takes, after in edges.values())
    storm.met["interrupted"] = _interrupted(records)


def _times(storm: Storming) -> tuple[dict[str, float], dict[str, float]]:
    """Of each job when its first run began, and when the last of them said that it was done."""
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for line in storm.harbour.lines():
        at, what, job_id = float(line[0]), line[2], line[3]
        if what == "start":
            first[job_id] = min(at, first.get(job_id, at))
        elif what == "end":
            last[job_id] = max(at, last.get(job_id, at))
    return first, last
