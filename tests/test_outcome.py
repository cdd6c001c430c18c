"""How a run ends, by what its body raised: the pure decision, without a store or a clock."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from longshore.core.backoff import Backoff, Random, as_backoff, constant, exponential
from longshore.core.model import Ending, JobState, Lease, Why
from longshore.core.outcome import (
    MAX_MESSAGE,
    Attempt,
    Discard,
    ErrorPolicy,
    ErrorText,
    Policies,
    Retry,
    Snooze,
    decide,
    discard_on,
    meant,
    released,
    retry_on,
    succeeded,
)
from longshore.core.wording import storable
from longshore.errors import (
    AttemptTimeout,
    Cancelled,
    Interrupted,
    InvalidOption,
    InvalidPriority,
    InvalidQueueName,
    PayloadMismatch,
    UnknownJob,
)
from tests.store_tools import claimed

STARTED, ENDED = 1_000_000_000, 1_002_000_000
MINUTE = 60_000_000
LEASE = Lease("id-1", "process-1", 7)


def attempt(**fields: Any) -> Attempt:
    return Attempt(claimed(run=7, **fields), LEASE, STARTED, ENDED)


def text_of(error: BaseException) -> ErrorText:
    return ErrorText(type(error).__qualname__, str(error), "Traceback ...")


def end(
    raised: BaseException,
    *rules: ErrorPolicy,
    backoff: Backoff | None = None,
    random: Random = lambda: 0.0,
    **fields: Any,
) -> Ending:
    policies = Policies(backoff or as_backoff(None), rules)
    return decide(
        attempt(**fields), raised, text_of(raised), policies, kinds_digest="kinds", random=random
    )


def test_a_body_that_returned_has_succeeded() -> None:
    assert succeeded(LEASE, b"3") == Ending(LEASE, JobState.SUCCEEDED, result=b"3")
    told = succeeded(LEASE, None, "its result could not be stored")
    assert told.to is JobState.SUCCEEDED
    assert told.result_error == "its result could not be stored"
    assert not told.failed


def test_a_failure_is_retried_after_its_backoff_and_counted() -> None:
    ending = end(ValueError("bad"), backoff=constant(60, jitter=0))
    assert ending.to is JobState.RETRYING
    assert ending.failed
    assert ending.at == ENDED + MINUTE
    assert ending.entry is not None
    assert (ending.entry.run, ending.entry.why) == (7, Why.FAILED)
    assert (ending.entry.error, ending.entry.message) == ("ValueError", "bad")
    assert (ending.entry.started_at, ending.entry.ended_at) == (STARTED, ENDED)
    assert ending.entry.process == "process-1"


@pytest.mark.parametrize(("failures", "seconds"), [(0, 15), (1, 16), (2, 31), (3, 96)])
def test_the_default_backoff_counts_failures_from_zero(failures: int, seconds: int) -> None:
    ending = end(ValueError(), failures=failures)
    assert ending.at == ENDED + seconds * 1_000_000


def test_jitter_adds_and_random_numbers_are_given() -> None:
    ending = end(ValueError(), backoff=constant(100, jitter=0.5), random=lambda: 1.0)
    assert ending.at == ENDED + 150 * 1_000_000


@pytest.mark.parametrize(("failures", "to"), [(1, JobState.RETRYING), (2, JobState.DEAD)])
def test_the_last_attempt_ends_dead(failures: int, to: JobState) -> None:
    ending = end(ValueError(), failures=failures, max_attempts=3)
    assert ending.to is to
    assert ending.failed
    if to is JobState.DEAD:
        assert ending.reason == "attempts used up"
        assert ending.at is None


@pytest.mark.parametrize("raised", [SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
def test_what_a_job_raises_to_leave_is_a_failed_attempt(raised: BaseException) -> None:
    ending = end(raised)
    assert ending.to is JobState.RETRYING
    assert ending.failed


def test_a_timeout_is_a_failed_attempt_with_its_own_word() -> None:
    ending = end(AttemptTimeout("took longer than 1 s"))
    assert ending.failed
    assert ending.entry is not None
    assert ending.entry.why is Why.TIMED_OUT


def test_retry_counts_and_names_its_own_wait() -> None:
    ending = end(Retry(in_="1m"), failures=3)
    assert ending.to is JobState.RETRYING
    assert ending.failed
    assert ending.at == ENDED + MINUTE
    assert end(Retry(), failures=3).at == ENDED + 96 * 1_000_000
    assert end(Retry(in_="1m"), failures=24).to is JobState.DEAD


def test_snooze_uses_no_attempt_even_on_the_last() -> None:
    ending = end(Snooze("1m"), failures=24)
    assert ending.to is JobState.SCHEDULED
    assert not ending.failed
    assert ending.at == ENDED + MINUTE
    assert ending.entry is not None
    assert ending.entry.why is Why.SNOOZED
    assert ending.entry.error is None


def test_discard_ends_cancelled_with_its_reason() -> None:
    ending = end(Discard("no longer needed"))
    assert ending.to is JobState.CANCELLED
    assert ending.reason == "no longer needed"
    assert not ending.failed


def test_a_cancelled_run_ends_cancelled() -> None:
    ending = end(Cancelled("cancelled by a person"))
    assert ending.to is JobState.CANCELLED
    assert ending.reason == "cancelled by a person"
    assert not ending.failed
    assert end(Cancelled()).reason


def test_an_interrupted_run_goes_back_uncounted() -> None:
    assert end(Interrupted("stopping")) == released(attempt())
    ending = released(attempt())
    assert ending.to is JobState.AVAILABLE
    assert not ending.failed
    assert ending.parked is None


@pytest.mark.parametrize("raised", [UnknownJob("no such kind"), PayloadMismatch("lacks `x`")])
def test_what_this_process_cannot_read_is_parked(raised: Exception) -> None:
    ending = end(raised)
    assert ending.to is JobState.AVAILABLE
    assert not ending.failed
    assert ending.parked == f"{type(raised).__name__}: {raised}"
    assert ending.parked_by == "kinds"


# --- policies for exceptions --------------------------------------------------------------------


def test_rules_are_tried_in_the_order_given() -> None:
    rules = (retry_on(ConnectionError, wait=1, queue="slow", priority=9), retry_on(OSError, wait=2))
    first = end(ConnectionResetError(), *rules, random=lambda: 0.0)
    assert first.at == ENDED + 1_000_000
    assert (first.queue, first.priority) == ("slow", 9)
    second = end(FileNotFoundError(), *rules)
    assert second.at == ENDED + 2_000_000
    assert (second.queue, second.priority) == (None, None)
    assert end(ValueError(), *rules).at == ENDED + 15_000_000


def test_a_rule_counts_its_own_failures() -> None:
    doubling = exponential(base=1, cap="1h", jitter=0)
    rules = (retry_on(OSError, wait=doubling), retry_on(KeyError, wait=doubling))
    first = end(OSError(), *rules, failures=5)
    assert first.at == ENDED + 1_000_000, "the sixth failure of the job, the first of the rule"
    second = end(OSError(), *rules, failures=6, budgets=first.budgets)
    assert second.at == ENDED + 2_000_000
    other = end(KeyError(), *rules, failures=7, budgets=second.budgets)
    assert other.at == ENDED + 1_000_000
    third = end(OSError(), *rules, failures=8, budgets=other.budgets)
    assert third.at == ENDED + 4_000_000


def test_a_used_up_rule_ends_the_job_dead() -> None:
    rule = retry_on(OSError, wait=1, attempts=2)
    first = end(OSError(), rule)
    assert first.to is JobState.RETRYING
    second = end(OSError(), rule, failures=1, budgets=first.budgets)
    assert second.to is JobState.DEAD
    assert second.failed


def test_max_attempts_caps_every_rule() -> None:
    rule = retry_on(OSError, wait=1, attempts=100)
    assert end(OSError(), rule, failures=2, max_attempts=3).to is JobState.DEAD


def test_a_rule_may_be_for_timeouts_and_for_retry() -> None:
    assert end(AttemptTimeout(), retry_on(AttemptTimeout, wait=9)).at == ENDED + 9_000_000


def test_discard_on_ends_without_retry_and_keeps_the_error() -> None:
    ending = end(KeyError("gone"), discard_on(LookupError))
    assert ending.to is JobState.CANCELLED
    assert ending.reason == "discarded on KeyError"
    assert ending.entry is not None
    assert ending.entry.error == "KeyError"


def test_an_unreadable_budget_does_not_lose_the_job() -> None:
    ending = end(OSError(), retry_on(OSError, wait=1, attempts=3), budgets=b"\xff not JSON")
    assert ending.to is JobState.RETRYING


def broken(_attempt: int, _error: BaseException) -> float:
    raise RuntimeError("out of order")


def leaves(_attempt: int, _error: BaseException) -> float:
    raise SystemExit(3)


@pytest.mark.parametrize(
    "function", [broken, leaves, lambda *_: "soon", lambda *_: float("nan"), lambda *_: -1]
)
def test_a_bad_backoff_waits_as_the_default_says_and_tells(function: Any) -> None:
    ending = end(ValueError("x" * MAX_MESSAGE), backoff=as_backoff(function))
    assert ending.to is JobState.RETRYING
    assert ending.at == ENDED + 15_000_000
    told = end(ValueError("bad"), backoff=as_backoff(function))
    assert told.entry is not None
    assert "backoff" in (told.entry.message or "")
    assert ending.entry is not None
    assert len(ending.entry.message or "") <= MAX_MESSAGE


# --- what the rules refuse ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (retry_on, InvalidOption, "at least one exception"),
        (lambda: retry_on("TimeoutError"), InvalidOption, "exception classes"),
        (lambda: retry_on(ValueError()), InvalidOption, "exception classes"),
        (lambda: retry_on(int), InvalidOption, "exception classes"),
        (discard_on, InvalidOption, "at least one exception"),
        (lambda: retry_on(OSError, attempts=0), InvalidOption, "attempts=0"),
        (lambda: retry_on(OSError, wait="5"), InvalidOption, "wait='5'"),
        (lambda: retry_on(OSError, wait=-1), InvalidOption, "wait=-1"),
        (lambda: retry_on(OSError, queue="a b"), InvalidQueueName, "a b"),
        (lambda: retry_on(OSError, priority=10**9), InvalidPriority, "32767"),
        (lambda: Retry(in_="5"), InvalidOption, "in_='5'"),
        (lambda: Snooze(-1), InvalidOption, "wait=-1"),
    ],
)
def test_a_wrong_rule_is_refused_when_made(make: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told.replace("(", r"\(")):
        make()


def test_of_a_huge_text_only_what_is_kept_is_copied() -> None:
    text = "x" * 10_000_000
    tracemalloc.start()
    try:
        assert storable(text, 100) == "x" * 94 + " [cut]"
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 100_000


@pytest.mark.parametrize("rule", [discard_on(Exception), retry_on(Exception, attempts=1)])
def test_rules_do_not_decide_what_a_job_has_chosen(rule: ErrorPolicy) -> None:
    ending = end(Retry(in_="5m"), rule)
    assert (ending.to, ending.at) == (JobState.RETRYING, ENDED + 5 * MINUTE)


def test_a_rule_that_names_a_choice_decides_it() -> None:
    assert end(Retry(in_="5m"), discard_on(ValueError, Retry)).to is JobState.CANCELLED


@pytest.mark.parametrize(
    "order", [Interrupted("stops"), Cancelled("no more"), Snooze("1m"), Retry()]
)
def test_an_order_in_a_group_is_meant(order: Exception) -> None:
    assert meant(order) is order
    assert meant(ExceptionGroup("tasks", [order])) is order
    assert meant(BaseExceptionGroup("tasks", [ExceptionGroup("inner", [order])])) is order


def test_a_group_with_a_failure_in_it_is_a_failure() -> None:
    group = ExceptionGroup("tasks", [Snooze("1m"), ValueError()])
    assert meant(group) is group
    assert meant(failure := ExceptionGroup("tasks", [ValueError()])) is failure
