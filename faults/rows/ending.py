"""Workers that are told to end, are replaced, or cannot begin: F15 to F17 and F19 to F21."""

from __future__ import annotations

import signal
from collections import Counter

import psutil

from faults.frame import SERVERS, row
from faults.lines import line
from faults.trial import Trial
from faults.workers import Worker
from longshore.core.model import Why
from tests.checker_tools import quantile
from tests.ledger_tools import Word, now

#: Codes that the documentation gives to a worker's end.
DRAINED, RETURNED, AT_ONCE, NO_APPLICATION = 0, 9, 130, 3
GRACE = 2.0
#: The longest that a call of a store may take, seconds.
CALL = 5.0


@row("F15", "children that hold too much memory are replaced, under load")
def recycled(trial: Trial) -> None:
    """By `--max-rss`, a rule of the worker's children."""
    for _ in range(2):
        trial.worker("--max-rss", "160M")
    trial.ready(4)
    # Fewer would not fill any child; a larger part of them would keep two processors booting.
    trial.load(max(trial.jobs, 1000), kinds=("work", "awork") * 3 + ("work", "hoard"), ms=(1, 40))
    account = trial.settle()
    least = _least_share(trial)
    trial.figures["smallest share of what came that was done, in 2 s"] = least
    trial.at_least("done of what came, in every 2 s", least, 0.8, timed=True)
    replaced = len({line.pid for line in trial.lines if line.word is Word.DIED})
    trial.figures["children replaced"] = replaced
    trial.at_least("children replaced", replaced, 1)
    trial.exactly("duplicated", account.duplicated, 0)


def _least_share(trial: Trial) -> float:
    """Of what was enqueued in two seconds, how much was done in them, where that was least."""
    width = 2_000_000
    came, done = Counter[int](), Counter[int]()
    for one in trial.lines:
        if one.word is Word.ACKED:
            came[one.at // width] += 1
        elif one.word is Word.FINISHED:
            done[one.at // width] += 1
    # The first and the last are not whole.
    return min((done[at] / came[at] for at in sorted(came)[1:-1]), default=1.0)


@row("F16", "a worker is told to stop among jobs of all lengths")
def graceful_stop(trial: Trial) -> None:
    worker = trial.worker("--shutdown-timeout", str(GRACE), threads=8)
    trial.worker(threads=8)
    trial.ready(4)
    load = trial.load(ms=(1, 60))
    trial.until(lambda: load.acked >= trial.jobs / 3, 300, "some jobs")
    long = [trial.give("work", ms=trial.random.randint(100, 10_000)) for _ in range(16)]
    trial.until(lambda: trial.started(*long) >= 8, 60, "the start of long jobs")
    family = set(worker.family())
    told = now()
    code = worker.end()
    took = (now() - told) / 1e6
    account = trial.settle()
    late = [
        (line.at - told) / 1e6
        for line in trial.lines
        if line.word is Word.STARTED and line.pid in family and line.at > told
    ]
    trial.at_most("last start after it was told, s", max(late, default=0), 0.25, timed=True)
    trial.at_most("its end, s", took, GRACE + 1, timed=True)
    returned = [record for record in trial.history() if record.runs]
    whys = {entry.why for record in returned for entry in record.runs}
    trial.holds("what was given back was released", whys <= {Why.RELEASED, Why.INTERRUPTED})
    trial.exactly("failures counted", sum(one.failures for one in returned), 0)
    trial.holds("exit code", code == (RETURNED if account.duplicated else DRAINED), str(code))


@row("F17", "signals come many at a time")
def signal_storm(trial: Trial) -> None:
    storms = {
        "TERM x 20": ([signal.SIGTERM] * 20, {DRAINED, RETURNED}),
        # Who has nothing to do has ended before the second comes.
        "INT x 2": ([signal.SIGINT] * 2, {AT_ONCE, DRAINED, RETURNED}),
        "HUP and TERM": ([signal.SIGHUP, signal.SIGTERM], {DRAINED, RETURNED}),
    }
    trial.worker()
    trial.ready(2)
    trial.load(endless=True)
    for name, (signals, codes) in storms.items():
        worker = trial.worker("--shutdown-timeout", "1")
        trial.ready(4)
        for number in signals:
            worker.send(number)
        code = worker.process.wait(30)
        trial.holds(f"exit code after {name}", code in codes, str(code))
    early = trial.worker()
    trial.until(lambda: psutil.Process(early.pid).children(), 60, "its first child")
    trial.holds("exit code after TERM during its start", early.end() == DRAINED)
    trial.until(lambda: trial.loads[-1].acked >= trial.jobs, 300, "the rest of the jobs")
    trial.loads[-1].stop()
    trial.settle()
    trial.holds("no traceback in any log", "Traceback" not in trial.workers.said())


@row("F18", "a worker is told to stop while its store does not answer", on=SERVERS)
def stop_without_store(trial: Trial) -> None:
    with line(trial) as (proxy, over):
        cut_off = trial.worker("--shutdown-timeout", str(GRACE), environment=over)
        trial.worker()
        trial.ready(4)
        load = trial.load(ms=(20, 120))
        trial.until(lambda: load.acked >= trial.jobs / 3, 300, "some jobs")
        proxy.blackhole()
        told = now()
        cut_off.end(60)
        took = (now() - told) / 1e6
        trial.settle()
        trial.figures["its end, s"] = round(took, 2)
        # Once for each call under way when the line went dead, and for the goodbye.
        trial.at_most("its end, s", took, GRACE + CALL, timed=True)
        trial.holds("no traceback in its log", "Traceback" not in cut_off.said())


@row("F19", "a worker is the first process of its container", on=("sqlite",))
def first_process(trial: Trial) -> None:
    outer = trial.worker(prefix=("unshare", "-pf", "--mount-proc"))
    trial.ready(2)
    trial.load()
    for _ in trial.meanwhile(10):
        trial.give("orphaning")
    trial.until(lambda: not _defunct(outer), 5, "nothing defunct")
    (first,) = psutil.Process(outer.pid).children()
    first.send_signal(signal.SIGTERM)
    outer.process.wait(60)
    trial.worker()
    trial.settle()
    trial.holds("it ended by TERM", not outer.alive)


def _defunct(worker: Worker) -> list[psutil.Process]:
    below = psutil.Process(worker.pid).children(recursive=True)
    return [one for one in below if one.is_running() and one.status() == psutil.STATUS_ZOMBIE]


@row("F20", "workers are replaced one after the other while jobs come")
def rolling_deploy(trial: Trial) -> None:
    worker = trial.worker()
    trial.ready(2)
    load = trial.load(endless=True)
    trial.until(lambda: load.acked >= trial.jobs / 20, 300, "a measure before")
    since = now()
    for _ in range(trial.scaled(20)):
        fresh = trial.worker()
        trial.ready(4)
        code = worker.end()
        # What was claimed and had not begun is given back at once: that is no second run.
        trial.holds("the old one ended well", code in {DRAINED, RETURNED}, str(code))
        worker = fresh
    until = now()
    load.stop()
    account = trial.settle()
    before, during = trial.waits(until=since), trial.waits(since, until)
    trial.figures |= {"p99 wait before": quantile(before, 0.99), "during": quantile(during, 0.99)}
    trial.exactly("duplicated", account.duplicated, 0)
    # Below a fifth of a second the difference is one of a busy machine.
    bound = max(0.2, 3 * quantile(before, 0.99))
    trial.at_most("p99 of the wait, s", quantile(during, 0.99), bound, timed=True)


@row("F21", "children that cannot start", jobs=200)
def cannot_boot(trial: Trial) -> None:
    broken = trial.worker(processes=1, environment={"LEDGERED_BOOT": "raise"})
    code = broken.process.wait(60)
    trial.exactly("exit code without an application", code, NO_APPLICATION)
    trial.holds("it names what is missing", "left_out" in broken.said())
    dying = trial.worker(processes=1, environment={"LEDGERED_BOOT": "exit"})
    began = now()
    trial.wait(15)
    dead = sum(line.word is Word.DIED and line.at > began for line in trial.lines)
    # After one, two, four and eight seconds, and then each half minute: ten in the first minute.
    trial.at_most("starts in a quarter of a minute", dead, 6)
    trial.holds("it goes on trying", dying.alive)
    dying.end()
    trial.worker()
    trial.load()
    trial.settle()
