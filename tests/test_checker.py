"""The checker of the fault programme finds each fault that is made up here, and nothing else."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from longshore.core.model import JobRecord, JobState, Run, Why
from tests.checker_tools import Account, check, quantile
from tests.ledger_tools import LENGTH, Ledger, Line, Word, read

CHILD, OTHER = 10, 20


def record(n: int, run: int, *runs: Run, state: JobState = JobState.SUCCEEDED, **more: Any) -> Any:
    given: dict[str, Any] = {
        "id": f"job-{n}",
        "kind": "work",
        "queue": "default",
        "state": state,
        "payload": json.dumps({"v": 1, "args": [], "kwargs": {"n": n}}).encode(),
        "run": run,
        "result": json.dumps([n, run]).encode() if state is JobState.SUCCEEDED else None,
        "runs": runs,
        "cancel_requested": False,
        "tags": (),
        "meta": {},
    }
    numbers = ("priority", "failures", "interruptions", "max_attempts", "scheduled_at")
    rest = dict.fromkeys((*numbers, "created_at"), 0)
    nothing = {
        name: None for name in JobRecord.__struct_fields__ if name not in given.keys() | rest.keys()
    }
    return JobRecord(**{**nothing, **rest, **given, **more})


def entry(run: int, why: Why = Why.INTERRUPTED, at: int = 0) -> Run:
    return Run(run=run, process="p", started_at=at, ended_at=at, why=why)


def asked(n: int, word: Word = Word.ACKED) -> list[Line]:
    return [Line(0, Word.ATTEMPTED, n), Line(1, word, n)]


def ran(n: int, run: int, at: int, pid: int = CHILD, *, end: int | None = 5) -> list[Line]:
    begun = [Line(at, Word.STARTED, n, f"job-{n}", run, pid)]
    return (
        begun if end is None else [*begun, Line(at + end, Word.FINISHED, n, f"job-{n}", run, pid)]
    )


def killed(at: int, pid: int = CHILD) -> Line:
    return Line(at, Word.KILLED, pid=pid)


GOOD = [*asked(1), *ran(1, 1, 10), *asked(2), *ran(2, 1, 12)]
HISTORY = [record(1, 1), record(2, 1)]


def test_of_a_good_run_nothing_is_said() -> None:
    account = check(GOOD, HISTORY)
    assert account.sound
    assert (account.acked, account.ran, account.starts, account.duplicated) == (2, 2, 2, 0)
    assert (account.overlap, account.times, account.recovered) == (0, (), 0)
    assert account.states == {"succeeded": 2}


def test_an_interruption_that_is_told_is_no_fault() -> None:
    lines = [*asked(1), *ran(1, 1, 10, end=None), killed(20), *ran(1, 2, 520_020, OTHER)]
    account = check(lines, [record(1, 2, entry(1))])
    assert account.sound
    assert (account.duplicated, account.redone, account.interrupted) == (1, 0, 1)
    assert account.times == (0.52,)
    assert account.overlap == 0


def test_what_was_claimed_by_the_dead_and_had_not_begun_is_timed_apart() -> None:
    lines = [*asked(1), killed(20), *ran(1, 2, 250_020, OTHER)]
    account = check(lines, [record(1, 2, entry(1, Why.RELEASED, at=5_000_020))], 5_000_000)
    assert account.sound
    assert (account.times, account.unstarted, account.before_start) == ((), (0.25,), 0)
    account = check(lines, [record(1, 2, entry(1))])
    assert (account.unstarted, account.before_start, account.last_claimed) == ((), 1, 1)


def test_of_the_dead_it_is_counted_from_their_last_claim() -> None:
    lines = [*asked(1), *asked(2), killed(90), *ran(1, 2, 120, OTHER), *ran(2, 1, 30)]
    lines += ran(2, 2, 130, OTHER)
    early = [record(1, 2, entry(1, Why.RELEASED, at=10)), record(2, 2, entry(1, at=80))]
    account = check(lines, early)
    assert (account.unstarted, account.last_claimed) == ((0.00004,), 1)
    before = [record(1, 2, entry(1, Why.RELEASED, at=80)), record(2, 2, entry(1, at=10))]
    assert check(lines, before).last_claimed == 0


def test_what_was_over_and_not_told_is_recovered_like_what_was_interrupted() -> None:
    lines = [*asked(1), *ran(1, 1, 10), killed(20), *ran(1, 2, 520_020, OTHER)]
    account = check(lines, [record(1, 2, entry(1, Why.RELEASED))])
    assert account.sound
    assert (account.times, account.redone, account.interrupted) == ((0.52,), 1, 0)


UNFAIR = {
    "an acknowledged job that never ran": (
        [*GOOD, *asked(3)],
        HISTORY,
        {"lost": (3,), "incomplete": ("number 3: the store does not know it any more",)},
    ),
    "an acknowledged job that is still there": (
        [*GOOD, *asked(3)],
        [*HISTORY, record(3, 0, state=JobState.AVAILABLE)],
        {"lost": (3,), "incomplete": ("job-3: it is available at the end",)},
    ),
    "a job that ran and vanished": (
        GOOD,
        HISTORY[:1],
        {"incomplete": ("number 2: the store does not know it any more",)},
    ),
    "a success without a body": (
        [*GOOD, *asked(3)],
        [*HISTORY, record(3, 1)],
        {"lost": (3,), "incomplete": ("job-3: run 1 succeeded and never started",)},
    ),
    "a job that nobody asked for": (
        [*GOOD, *ran(9, 1, 30)],
        [*HISTORY, record(9, 1)],
        {"unexpected": (9,)},
    ),
    "a job that was refused and ran": (
        [*GOOD, *asked(3, Word.REFUSED), *ran(3, 1, 30)],
        [*HISTORY, record(3, 1)],
        {"unexpected": (3,)},
    ),
    "a job that is stored twice": (
        GOOD,
        [*HISTORY, record(2, 0, id="twin", state=JobState.CANCELLED)],
        {"unexpected": (2,)},
    ),
    "a second run that nothing explains": (
        [*GOOD, *ran(1, 2, 40, OTHER)],
        [record(1, 2), record(2, 1)],
        {"unexplained": ("job-1: nothing says why run 1 was not the last",)},
    ),
    "one run that starts twice": (
        [*GOOD, *ran(1, 1, 40, OTHER)],
        HISTORY,
        {"unexplained": ("job-1: run 1 started twice",)},
    ),
    "an old run that succeeds after a new one began": (
        [*GOOD, *ran(1, 2, 40, OTHER)],
        [record(1, 1), record(2, 1)],
        {
            "zombie": ("job-1: run 2 was the newest, 1 succeeded",),
            "unexplained": ("job-1: nothing says why run 1 was not the last",),
        },
    ),
    "the result of an old run under a new one": (
        [*GOOD, *ran(1, 2, 40, OTHER)],
        [record(1, 2, entry(1), result=b"[1, 1]"), record(2, 1)],
        {"zombie": ("job-1: the result of run 1 is that of run 2",)},
    ),
    "a run that ended in two ways": (
        GOOD,
        [record(1, 1, entry(1)), record(2, 1)],
        {"zombie": ("job-1: run 1 ended in success and in another way",)},
    ),
    "a run that was interrupted twice": (
        [*GOOD, *ran(1, 2, 40, OTHER)],
        [record(1, 2, entry(1), entry(1)), record(2, 1)],
        {"zombie": ("job-1: run 1 ended twice",)},
    ),
}


@pytest.mark.parametrize("name", UNFAIR)
def test_a_fault_is_found(name: str) -> None:
    lines, history, expected = UNFAIR[name]
    account = check(lines, history)
    assert not account.sound
    assert {field: getattr(account, field) for field in SOUND} == {
        **dict.fromkeys(SOUND, ()),
        **expected,
    }


SOUND = ("lost", "unexpected", "unexplained", "zombie", "incomplete")


def test_two_runs_at_once_are_timed() -> None:
    lines = [*asked(1), *ran(1, 1, 1_000_000, end=3_000_000), *ran(1, 2, 2_500_000, OTHER)]
    account = check(lines, [record(1, 2, entry(1))])
    assert (account.overlap, account.overlaps) == (1.5, (1,))
    # One whose body was left, or
    left = Line(2_000_000, Word.RAISED, 1, "job-1", 1, CHILD)
    lines = [
        *asked(1),
        *ran(1, 1, 1_000_000, end=None),
        left,
        *ran(1, 2, 2_500_000, OTHER),
        killed(3_000_000),
    ]
    assert check(lines, [record(1, 2, entry(1))]).overlap == 0
    # that was killed before the other began, was not there any more.
    lines = [*asked(1), *ran(1, 1, 1_000_000, end=None), killed(2_000_000), *ran(1, 2, 2_500_000)]
    assert check(lines, [record(1, 2, entry(1))]).overlap == 0


def test_what_nobody_knew_and_ran_is_recovered() -> None:
    lines = [*GOOD, *asked(3, Word.UNCERTAIN), *ran(3, 1, 30), *asked(4, Word.UNCERTAIN)]
    account: Account = check(lines, [*HISTORY, record(3, 1)])
    assert account.sound
    assert (account.uncertain, account.recovered) == (2, 1)


def test_quantiles_are_of_what_was_measured() -> None:
    times = [float(n) for n in range(1, 101)]
    assert (quantile(times, 0.5), quantile(times, 0.99), quantile(times, 1)) == (50, 99, 100)
    assert (quantile([], 0.5), quantile([7.0], 0.99), quantile([1.0, 2.0], 0.5)) == (0, 7, 1)


def test_a_ledger_is_written_by_many_and_read_whole(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")

    def write(number: int) -> None:
        for n in range(200):
            ledger.write(Word.STARTED, n, f"job-{number}", run=number, note="ü" * 500)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.close()
    lines = read(tmp_path / "ledger")
    assert ledger.path.stat().st_size == 800 * LENGTH
    assert sorted((line.job_id, line.n) for line in lines) == sorted(
        (f"job-{number}", n) for number in range(4) for n in range(200)
    )
    assert {(line.pid, line.word) for line in lines} == {(os.getpid(), Word.STARTED)}
