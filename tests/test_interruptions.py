"""The rule of three, and what is kept of a crash: pure."""

from __future__ import annotations

import pytest

from longshore.core.interruptions import Crash, crash_of, died
from longshore.core.model import Ending, JobState, Lease, Run, Why
from longshore.core.outcome import MAX_TRACEBACK, Attempt
from tests.store_tools import claimed

HOUR = 3_600_000_000
NOW = 100 * HOUR
CRASH = Crash("its process died: SIGKILL")


def run(number: int, ended_at: int, why: Why = Why.INTERRUPTED) -> Run:
    return Run(run=number, process="p", started_at=ended_at - 1, ended_at=ended_at, why=why)


def end(interruptions: int, *history: Run, known: bool = True) -> Ending:
    """What a death alone comes to, of a job that was interrupted so often before."""
    job = claimed(run=len(history) + 1, failures=7, interruptions=interruptions)
    attempt = Attempt(job, Lease("j", "p", job.run), NOW - 1, NOW)
    ending = died(attempt, CRASH, history if known else None)
    assert ending.interrupted, "always counted"
    assert not ending.failed, "never as a failure"
    assert ending.entry is not None
    assert (ending.entry.why, ending.entry.message) == (Why.INTERRUPTED, CRASH.message)
    return ending


@pytest.mark.parametrize("before", [0, 1])
def test_the_first_two_lead_back(before: int) -> None:
    history = [run(number, NOW - HOUR) for number in range(1, before + 1)]
    assert end(before, *history).to is JobState.AVAILABLE


def test_the_third_within_a_day_quarantines() -> None:
    ending = end(2, run(1, NOW - 23 * HOUR), run(2, NOW - HOUR))
    assert (ending.to, ending.reason) == (JobState.DEAD, "poison")


def test_the_third_in_more_than_a_day_leads_back() -> None:
    assert end(2, run(1, NOW - 25 * HOUR), run(2, NOW - HOUR)).to is JobState.AVAILABLE


def test_one_of_many_within_a_day_quarantines() -> None:
    old = [run(number, NOW - (60 - number) * HOUR) for number in range(1, 6)]
    assert end(5, *old).to is JobState.AVAILABLE
    ending = end(7, *old, run(6, NOW - 2 * HOUR), run(7, NOW - HOUR))
    assert (ending.to, ending.reason) == (JobState.DEAD, "poison")


def test_what_was_before_a_retry_does_not_count() -> None:
    before = [run(number, NOW - HOUR) for number in range(1, 4)]
    assert end(0, *before).to is JobState.AVAILABLE
    assert end(1, *before, run(4, NOW - 1)).to is JobState.AVAILABLE
    # Two since then, but the first of them is no longer in the history, only older ones are.
    older = [run(number, NOW - 30 * HOUR) for number in range(1, 4)]
    assert end(2, *older, run(4, NOW - 1)).to is JobState.AVAILABLE


def test_other_runs_between_do_not_count() -> None:
    others = [run(2, NOW - 2, Why.FAILED), run(3, NOW - 1, Why.RELEASED)]
    assert end(1, run(1, NOW - 3), *others).to is JobState.AVAILABLE
    assert end(2, run(1, NOW - 3), *others, run(4, NOW - 1)).to is JobState.DEAD


def test_a_history_that_cannot_be_read_blames_nobody() -> None:
    assert end(2, known=False).to is JobState.AVAILABLE


def test_the_thread_that_crashed_comes_first_and_the_rest_is_cut() -> None:
    others = "\n\n".join(f"Thread {n}:\n" + '  File "x.py", line 1 in y\n' * 50 for n in range(99))
    said = f"Fatal Python error: Aborted\n\n{others}\n\nCurrent thread 0x1:\n  File here\n"
    crash = crash_of("SIGABRT", said.encode())
    assert crash.message == "its process died: SIGABRT"
    assert crash.traceback is not None
    head = "Fatal Python error: Aborted\n\nCurrent thread 0x1:\n  File here\n\nThread 0:"
    assert crash.traceback.startswith(head)
    assert len(crash.traceback.encode()) <= MAX_TRACEBACK


def test_a_process_that_could_not_write_leaves_its_signal() -> None:
    assert crash_of("SIGKILL") == Crash("its process died: SIGKILL", None)
    assert crash_of("SIGSEGV", b"\xff\0 torn").traceback == "\ufffd\\x00 torn"
