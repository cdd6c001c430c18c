"""Bodies that eat memory, crash, leave, fork and raise what is no exception: F11 to F14."""

from __future__ import annotations

from collections.abc import Sequence

from faults.frame import row
from faults.trial import Trial
from longshore.core.model import JobState, Run
from tests.ledger_tools import Word

#: What a supervisor may have, bytes: enough for what it needs, far less than a body asks for.
MEMORY = 2_000_000_000


@row("F11", "bodies eat memory; some are killed for it")
def memory_eaten(trial: Trial) -> None:
    trial.worker(prefix=("prlimit", f"--as={MEMORY}"))
    trial.ready(2)
    load = trial.load()
    greedy, killed = list[int](), list[int]()
    for number in trial.meanwhile(trial.scaled(40, least=4)):
        if number % 2:
            killed.append(trial.give("once_killed"))
        else:
            greedy.append(trial.give("greedy"))
    load.end(300)
    trial.settle()
    records = trial.records()
    failed = [records[n] for n in greedy]
    trial.holds(
        "without memory: an ordinary failed attempt",
        all(one.state is JobState.DEAD and "MemoryError" in (one.error or "") for one in failed),
        str({(one.state.value, one.error) for one in failed}),
    )
    killers = [records[n] for n in _killers(trial, killed)]
    trial.at_least("bodies that killed their process", len(killers), 1)
    trial.holds(
        "killed: interrupted, not failed, and run again",
        all(one.state is JobState.SUCCEEDED and one.interruptions for one in killers),
        str({(one.state.value, one.interruptions) for one in killers}),
    )
    trial.exactly("failures of theirs", sum(records[n].failures for n in killed), 0)


@row("F12", "a wild pointer in a body")
def native_crash(trial: Trial) -> None:
    """What the dead process said is attached to the run: a rule of interruptions."""
    for _ in range(2):
        trial.worker()
    trial.ready(4)
    trial.load()
    given = [trial.give("once_killed", how="pointer") for _ in trial.meanwhile(trial.scaled(20))]
    trial.settle()
    crashed = _killers(trial, given)
    told = [[_told(entry) for entry in trial.records()[n].runs] for n in crashed]
    trial.at_least("bodies that crashed", len(crashed), 1)
    trial.holds(
        "the run tells of SIGSEGV",
        all(any("SIGSEGV" in text for text in texts) for texts in told),
        str([texts for texts in told if not any("SIGSEGV" in text for text in texts)]),
    )
    trial.recovers(1)


def _killers(trial: Trial, given: Sequence[int]) -> list[int]:
    """Which of these ended their process: those that began in their first run.

    Of two in one process the first may end the other before its body begins, and in a second run
    neither does anything.
    """
    began = {line.n for line in trial.lines if line.word is Word.STARTED and line.run == 1}
    return [n for n in given if n in began]


def _told(entry: Run) -> str:
    return f"{entry.error} {entry.message} {entry.traceback}"


@row("F13", "bodies leave by os._exit, SystemExit, KeyboardInterrupt and the like")
def leaving_bodies(trial: Trial) -> None:
    worker = trial.worker(processes=1)
    trial.ready(1)
    trial.load()
    raised: list[int] = []
    before = worker.children()
    for what in ("SystemExit", "KeyboardInterrupt", "GeneratorExit", "BaseException"):
        n = trial.give("raising", what=what)
        raised.append(n)
        trial.until(lambda n=n: n in _dead(trial), 60, f"the end of {what}")
    trial.holds("the process of four of them lives on", worker.children() == before)
    left = trial.give("once_killed", how="exit")
    trial.settle()
    records = trial.records()
    trial.holds("none of the four succeeded", all(n in _dead(trial) for n in raised))
    trial.exactly("interruptions of the fifth", records[left].interruptions, 1)
    trial.exactly("failures of the fifth", records[left].failures, 0)
    # What ran in a process of its own, as one does that may be to blame, ends with it.
    died = {line.pid for line in trial.lines if line.word is Word.DIED}
    trial.exactly("deaths", len(died.intersection(before)), 1)


def _dead(trial: Trial) -> set[int]:
    return {n for n, record in trial.records().items() if record.state is JobState.DEAD}


@row("F14", "a body forks and both copies return; another leaves a thread and a process")
def forking_bodies(trial: Trial) -> None:
    trial.worker()
    trial.ready(2)
    trial.load()
    given = [
        trial.give(("forking", "leaving")[number % 2])
        for number in trial.meanwhile(trial.scaled(40, least=6))
    ]
    account = trial.settle()
    records = trial.records()
    ended = [records[n].state for n in given]
    trial.exactly("of them succeeded", ended.count(JobState.SUCCEEDED), len(given))
    trial.exactly("duplicated", account.duplicated, 0)
    trial.exactly("failures recorded", sum(record.failures for record in records.values()), 0)
    trial.holds("no traceback in any log", "Traceback" not in trial.workers.said())
