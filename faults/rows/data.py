"""Poison, releases that differ, data that is too large or hostile, and races: F70 to F79."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise

import msgspec
import psutil

from faults.frame import row
from faults.harm import PATIENCE
from faults.trial import Trial
from longshore import EnqueueError, LongshoreError, PayloadTooLarge
from longshore.core.model import JobRecord, JobState, NewJob
from longshore.ids import new_id
from tests.checker_tools import quantile
from tests.ledger_tools import Word

INNOCENTS = 20


@row("F70", "one job kills every process that runs it, among twenty innocent ones", jobs=200)
def poison(trial: Trial) -> None:
    """That it runs alone the third time, and is then dead, are rules of interruptions."""
    trial.worker(threads=INNOCENTS + 1)
    trial.ready(2)
    innocent = [trial.give("work", ms=1500) for _ in range(2 * INNOCENTS)]
    trial.until(lambda: trial.started(*innocent) >= INNOCENTS, PATIENCE, "their start")
    bad = trial.give("poison")
    trial.load()
    account = trial.settle()
    records = trial.records()
    trial.exactly("deaths by it", trial.started(bad), 3)
    trial.holds(
        "it is dead by poison",
        records[bad].state is JobState.DEAD and "poison" in str(records[bad].reason),
        f"{records[bad].state} {records[bad].reason}",
    )
    others = [record for n, record in records.items() if n != bad]
    dead = sum(record.state is JobState.DEAD for record in others)
    trial.exactly("innocents that are dead", dead, 0)
    trial.exactly("innocents that finished", account.states.get("succeeded", 0), len(others))


@row("F71", "the application's releases differ between who enqueues and who works")
def deploy_skew(trial: Trial) -> None:
    trial.environment["LEDGERED_RELEASE"] = "later"
    trial.reopen()
    old = trial.worker()
    trial.ready(2)
    trial.load()
    new = [
        *(trial.give("later") for _ in range(5)),
        *(trial.give("changed", added=7) for _ in range(5)),
    ]
    foreign = _of_a_later_version(trial)
    trial.loads[-1].end(300)
    trial.until(
        lambda: all(
            record.state is JobState.AVAILABLE and record.parked
            for n, record in trial.records().items()
            if n in new
        ),
        PATIENCE,
        "the parking of what the old one does not know",
    )
    records = trial.records()
    trial.exactly("attempts of what was parked", sum(records[n].failures for n in new), 0)
    parked = trial.store.run(trial.store.get([foreign])).get(foreign)
    trial.holds(
        "a payload of a later version waits",
        parked is not None and parked.state is JobState.AVAILABLE and not parked.failures,
        str(parked.state if parked else None),
    )
    trial.app.jobs.get(foreign).cancel()
    old.end()
    trial.worker(environment={"LEDGERED_RELEASE": "later"})
    trial.settle()
    records = trial.records()
    done = sum(records[n].state is JobState.SUCCEEDED for n in new)
    trial.exactly("of them run by the later release", done, len(new))
    trial.exactly("failures", sum(one.failures for one in records.values()), 0)


def _of_a_later_version(trial: Trial) -> str:
    """A job as a later release of Longshore may write it; its id."""
    store = trial.store
    made = trial.history()[0]
    job = NewJob(
        new_id(),
        "work",
        "default",
        b'{"v":99,"args":[],"kwargs":{}}',
        JobState.AVAILABLE,
        0,
        made.created_at,
        made.created_at,
    )
    store.run(store.insert([job]))
    return job.id


@row("F72", "arguments, results, log lines and errors of ten megabytes", jobs=200)
def huge(trial: Trial) -> None:
    worker = trial.worker(processes=1)
    trial.ready(1)
    trial.load().end(300)
    (child,) = worker.children()
    trial.until(lambda: trial.counted()[JobState.SUCCEEDED] == trial.jobs, PATIENCE, "the load")
    before = psutil.Process(child).memory_info().rss
    refused = 0
    for cargo in ("x" * 10_000_000, _deep(100_000)):
        with suppress(PayloadTooLarge, EnqueueError):
            trial.give("carry", cargo=cargo)
            continue
        refused += 1
    trial.exactly("arguments refused", refused, 2)
    given: dict[str, int] = {}
    for what in ("result", "log", "deep", "error"):
        given[what] = n = (
            trial.give("hostile", what="huge") if what == "error" else trial.give("huge", what=what)
        )
        trial.until(lambda n=n: trial.records()[n].state in _ENDED, PATIENCE, "its end")
        grown = (psutil.Process(child).memory_info().rss - before) / 1e6
        trial.figures[f"memory grown after {what}, MB"] = grown
    trial.settle()
    records = {what: trial.records()[n] for what, n in given.items()}
    grown = (psutil.Process(child).memory_info().rss - before) / 1e6
    trial.figures["memory grown, MB"] = grown
    trial.at_most("memory grown, MB", grown, 50)
    for what in ("result", "deep", "log"):
        trial.holds(
            f"{what}: succeeded",
            records[what].state is JobState.SUCCEEDED,
            str(records[what].state),
        )
    for what in ("result", "deep"):
        trial.holds(f"{what}: told that it is not kept", records[what].result_error)
    error = records["error"]
    told = max((len(entry.message or "") for entry in error.runs), default=0)
    trial.holds(
        "the error: dead, its text cut",
        error.state is JobState.DEAD and told <= 10_100,
        f"{error.state} {told}",
    )


def _deep(levels: int) -> list[object]:
    deep: list[object] = []
    for _ in range(levels):
        deep = [deep]
    return deep


@row("F73", "exceptions that cannot be told, are many, or go round in a circle", jobs=200)
def hostile(trial: Trial) -> None:
    worker = trial.worker(processes=1)
    trial.ready(1)
    children = worker.children()
    trial.load()
    given = {
        what: trial.give("hostile", what=what)
        for what in ("silent", "group", "circle", "surrogates", "huge")
    }
    trial.settle()
    records = trial.records()
    for what, n in given.items():
        entries = records[n].runs
        trial.holds(
            f"{what}: dead, with its class",
            records[n].state is JobState.DEAD and entries and entries[-1].error,
            str(records[n].state),
        )
        size = max((len(msgspec.json.encode(entry)) for entry in entries), default=0)
        trial.at_most(f"{what}: bytes kept", size, 200_000)
    trial.holds("the process lives on", worker.children() == children)


@row("F75", "everything fails", jobs=10_000)
def all_fail(trial: Trial) -> None:
    trial.worker()
    trial.worker()
    trial.ready(4)
    load = trial.load(kinds=("failing",))
    others: list[int] = []
    while not load.done:
        others.append(trial.give("work", options={"queue": "other"}))
        trial.wait(0.1)
    account = trial.settle(300)
    # Three attempts each and not one more: what fails asks for no more claims than its attempts.
    trial.exactly("of what fails acknowledged", load.acked, trial.jobs)
    runs = account.starts - len(others)
    trial.exactly("runs of what fails", runs, 3 * load.acked)
    trial.exactly("dead", account.states.get("dead", 0), load.acked)
    theirs = set(others)
    asked = {line.n: line.at for line in trial.lines if line.word is Word.ATTEMPTED}
    waits = sorted(
        (line.at - asked[line.n]) / 1e6
        for line in trial.lines
        if line.word is Word.STARTED and line.n in theirs
    )
    trial.exactly("jobs of another queue that ran", len(waits), len(others))
    trial.at_most("p99 of their wait, s", quantile(waits, 0.99), 2, timed=True)


@row("F76", "a machine is lost that ran unique jobs")
def unique_lost(trial: Trial) -> None:
    lost = trial.worker()
    trial.worker()
    trial.ready(4)
    most = trial.scaled(200, least=12)
    keys = [f"k{number}" for number in range(most)]
    for number, key in enumerate(keys):
        _ask(trial, key, ms=300)
        # While it lives its key is held, also when whoever ran it is gone.
        _ask(trial, key, ms=300)
        if number == most // 2:
            lost.lose()
    trial.load()
    account = trial.settle()
    trial.exactly("stored beside one that held the key", _beside(trial), 0)
    trial.exactly("keys free afterwards", sum(_ask(trial, key) for key in keys), most)
    trial.settle()
    trial.figures["duplicated"] = account.duplicated


def _ask(trial: Trial, key: str, ms: int = 0) -> bool:
    """Enqueue a unique job; whether it was stored."""
    n = trial.number()
    handle = trial.app.once.enqueue(n, key=key, ms=ms)
    if handle.is_duplicate:
        trial.ledger.write(Word.REFUSED, n)
        return False
    trial.ledger.write(Word.ACKED, n, handle.id)
    return True


_ENDED = {JobState.SUCCEEDED, JobState.DEAD, JobState.CANCELLED}


def _beside(trial: Trial) -> int:
    """How many unique jobs were stored while another one of their key was live."""
    of_key: dict[str, list[JobRecord]] = {}
    for record in trial.history():
        if record.kind == "once":
            key = msgspec.json.decode(record.payload)["kwargs"]["key"]
            of_key.setdefault(key, []).append(record)
    wrong = 0
    for records in of_key.values():
        records.sort(key=lambda record: record.created_at)
        wrong += sum(
            before.finalized_at is None or before.finalized_at > after.created_at
            for before, after in pairwise(records)
        )
    return wrong


@row("F77", "a whole machine is stopped for three leases, with a limit of one for each key")
def limit_and_zombie(trial: Trial) -> None:
    """That what holds a slot is interrupted in time is a rule of the worker's lease."""
    frozen = trial.worker()
    trial.worker()
    trial.ready(4)
    keys = trial.scaled(100, least=10)
    many = [
        n
        for _ in range(max(2, trial.jobs // keys // 2))
        for key in range(keys)
        for n in [trial.give("sole", key=key, ms=50)]
    ]
    trial.until(lambda: trial.started(*many) > len(many) // 4, PATIENCE, "some of them")
    family = frozen.freeze()
    worst = 0
    for _ in range(10):
        worst = max(worst, _owners(trial))
        trial.wait(0.3 * trial.lease)
    frozen.thaw(family)
    load = trial.load(max(20, trial.jobs // 10))
    while not load.done:
        worst = max(worst, _owners(trial))
        trial.wait(0.2)
    trial.settle()
    trial.figures["jobs with a limit"] = len(many)
    trial.at_most("running at once under one key", worst, 1)


def _owners(trial: Trial) -> int:
    running = Counter(
        record.payload.partition(b'"key":')[2]
        for record in trial.history()
        if record.kind == "sole" and record.state is JobState.RUNNING
    )
    return max(running.values(), default=0)


@row("F78", "members of batches die, are cancelled, come late, and callbacks are killed", jobs=1000)
def batch_edges(trial: Trial) -> None:
    jobs, app = trial.app.jobs, trial.app
    workers = [trial.worker() for _ in range(2)]
    trial.ready(4)
    load = trial.load(endless=True)
    wanted: Counter[str] = Counter()
    for number in range(trial.scaled(40, least=8)):
        deadly, size = number % 3 == 1, number % 4
        names = {name: f"{name} {number}" for name in ("success", "complete", "death")}
        with jobs.batch(
            f"b{number}",
            on_success=app.told.bind(names["success"]),
            on_complete=app.told.bind(names["complete"]),
            on_death=app.told.bind(names["death"]),
        ) as batch:
            members = [trial.number() for _ in range(size + deadly)]
            for n in members[:size]:
                batch.add(app.work.bind(n, ms=20))
            for n in members[size:]:
                batch.add(app.raising.bind(n, what="BaseException"))
        for n in members:
            trial.ledger.write(Word.ACKED, n)
        wanted[names["complete"]] += 1
        wanted[names["death" if deadly else "success"]] += 1
        worker = trial.random.choice(workers)
        worker.kill(trial.random.choice(worker.await_children(2)))
    load.stop()
    trial.settle()
    came = Counter(
        msgspec.json.decode(record.payload)["kwargs"]["what"]
        for record in trial.history()
        if record.kind == "told"
    )
    trial.holds(
        "each callback came once",
        came == wanted,
        str(
            {
                name: (wanted[name], came[name])
                for name in wanted | came
                if wanted[name] != came[name]
            }
        ),
    )


@row("F79", "cancel, retry and endings race for the same jobs")
def races(trial: Trial) -> None:
    trial.worker(threads=8)
    trial.ready(2)
    numbers = trial.many("work", trial.jobs, ms=5)
    ids = [line.job_id for line in trial.lines if line.word is Word.ACKED]
    errors: Counter[str] = Counter()

    def race(job_id: str) -> None:
        # What has succeeded is left alone: to run it again would be its own explanation.
        handle = trial.app.jobs.get(job_id)
        try:
            if handle.cancel() and trial.random.random() < 0.5:
                handle.refresh()
                if handle.record.state is JobState.CANCELLED:
                    handle.retry()
        except LongshoreError as error:
            errors[type(error).__name__] += 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(race, ids))
    trial.settle(300)
    records = trial.records()
    bad = [record.id for record in records.values() if not _one_winner(record)]
    trial.exactly("jobs", len(records), len(numbers))
    trial.exactly("jobs whose end does not fit their history", len(bad), 0)
    trial.figures |= {f"errors: {name}": count for name, count in errors.items()}


def _one_winner(record: JobRecord) -> bool:
    """It has ended in one way, and an end by success is of its newest run."""
    if record.state not in _ENDED or record.finalized_at is None:
        return False
    return record.state is not JobState.SUCCEEDED or all(
        entry.run != record.run for entry in record.runs
    )
