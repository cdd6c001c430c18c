"""From "what the job function did" to "what the store must write". Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, cast

import msgspec

from longshore.core.backoff import Backoff, WaitFunction, as_backoff, safe_wait
from longshore.core.durations import Duration, microseconds
from longshore.core.model import Claimed, Ending, JobState, Lease, Run, Why
from longshore.core.options import check_max_attempts, check_priority, check_queue
from longshore.core.wording import storable
from longshore.errors import (
    AttemptTimeout,
    Cancelled,
    Interrupted,
    InvalidOption,
    PayloadError,
    UnknownJob,
)

_SUCCEEDED: Final = JobState.SUCCEEDED
MAX_MESSAGE: Final = 10_000
MAX_TRACEBACK: Final = 65_536


class Signal(Exception):
    """Root of what a job raises to choose its own ending."""


class Retry(Signal):
    """Raised by a job: this attempt failed, try again.

    Parameters: ``in_``, a duration until the next attempt; without it the job's backoff decides.
    It counts as a failed attempt.

    >>> raise Retry(in_="5m")
    Traceback (most recent call last):
    longshore.core.outcome.Retry: retry in 5m
    """

    def __init__(self, *, in_: Duration | None = None) -> None:
        self.wait = None if in_ is None else microseconds(in_, field="in_")
        super().__init__("retry" if in_ is None else f"retry in {in_}")


class Snooze(Signal):
    """Raised by a job: nothing is wrong, run me again after ``wait``; no attempt is used.

    >>> raise Snooze("1h")
    Traceback (most recent call last):
    longshore.core.outcome.Snooze: snooze for 1h
    """

    def __init__(self, wait: Duration) -> None:
        self.wait = microseconds(wait, field="wait")
        super().__init__(f"snooze for {wait}")


class Discard(Signal):
    """Raised by a job: end here, do not retry. The job is cancelled and keeps ``reason``.

    >>> raise Discard("no longer needed")
    Traceback (most recent call last):
    longshore.core.outcome.Discard: no longer needed
    """

    def __init__(self, reason: str = "discarded by the job") -> None:
        self.reason = reason
        super().__init__(reason)


class ErrorPolicy(msgspec.Struct, frozen=True):
    """What happens after certain exceptions; made by :func:`retry_on` and :func:`discard_on`."""

    name: str
    exceptions: tuple[type[BaseException], ...]
    discard: bool = False
    wait: Backoff | None = None
    attempts: int | None = None
    queue: str | None = None
    priority: int | None = None


def retry_on(
    *exceptions: type[BaseException],
    wait: Backoff | WaitFunction | Duration | None = None,
    attempts: int | None = None,
    queue: str | None = None,
    priority: int | None = None,
) -> ErrorPolicy:
    """A rule for ``errors=``: after these exceptions retry in this way.

    Parameters: ``wait``, a duration, a policy or a callable, else the job's ``backoff``;
    ``attempts``, how many failed attempts of this rule are allowed before the job is dead (its
    ``max_attempts`` still caps them all); ``queue`` and ``priority`` of the retried job. Raises
    :class:`InvalidOption`.

    >>> retry_on(TimeoutError, wait=3, attempts=10).name
    'TimeoutError'
    """
    return ErrorPolicy(
        name=_exception_names("retry_on", exceptions),
        exceptions=exceptions,
        wait=None if wait is None else as_backoff(wait, field="wait"),
        attempts=None if attempts is None else check_max_attempts(attempts, field="attempts"),
        queue=None if queue is None else check_queue(queue),
        priority=None if priority is None else check_priority(priority),
    )


def discard_on(*exceptions: type[BaseException]) -> ErrorPolicy:
    """A rule for ``errors=``: after these exceptions the job is cancelled, never retried.

    >>> discard_on(LookupError).discard
    True
    """
    return ErrorPolicy(
        name=_exception_names("discard_on", exceptions), exceptions=exceptions, discard=True
    )


class Policies(msgspec.Struct, frozen=True):
    """A declaration's rules for failures."""

    backoff: Backoff
    errors: tuple[ErrorPolicy, ...] = ()


class ErrorText(msgspec.Struct, frozen=True):
    """An exception as it is kept: class, message and traceback, already cut to their limits."""

    name: str
    message: str
    traceback: str


class Attempt(msgspec.Struct, frozen=True):
    """One run that is over, seen from the worker's clock in microseconds."""

    job: Claimed
    lease: Lease
    started_at: int
    ended_at: int

    def entry(self, why: Why, error: ErrorText | None = None) -> Run:
        """Its line for ``runs[]``."""
        return Run(
            run=self.lease.run,
            process=self.lease.process_id,
            started_at=self.started_at,
            ended_at=self.ended_at,
            why=why,
            error=error.name if error else None,
            message=error.message if error else None,
            traceback=error.traceback if error else None,
        )


def succeeded(lease: Lease, result: bytes | None, result_error: str | None = None) -> Ending:
    """The job returned."""
    if result_error is None:
        # The way of most jobs: nothing by keyword.
        return Ending(lease, _SUCCEEDED, None, False, False, None, result)  # noqa: FBT003
    return Ending(lease, _SUCCEEDED, result_error=result_error)


def released(attempt: Attempt) -> Ending:
    """The run goes back: its worker stops, or it was claimed and never started."""
    return Ending(attempt.lease, JobState.AVAILABLE, entry=attempt.entry(Why.RELEASED))


def interrupted(attempt: Attempt) -> Ending:
    """The run was stopped after its body had started; the store knows whether it may run again."""
    return Ending(
        attempt.lease,
        JobState.AVAILABLE,
        interrupted=True,
        entry=attempt.entry(Why.INTERRUPTED),
    )


def decide(
    attempt: Attempt,
    raised: BaseException,
    text: ErrorText,
    policies: Policies,
    *,
    kinds_digest: str,
    random: Callable[[], float],
) -> Ending:
    """How a run ends that raised ``raised``; ``text`` is the error as it will be kept."""
    match raised:
        case Snooze(wait=wait):
            return Ending(
                attempt.lease,
                JobState.SCHEDULED,
                at=attempt.ended_at + wait,
                entry=attempt.entry(Why.SNOOZED),
            )
        case Discard(reason=reason):
            return _discarded(attempt, _said(reason), None)
        case Cancelled():
            return Ending(
                attempt.lease,
                JobState.CANCELLED,
                entry=attempt.entry(Why.CANCELLED),
                reason=_said(raised) or "cancelled while it ran",
            )
        case Interrupted():
            return released(attempt)
        case UnknownJob() | PayloadError():
            return Ending(
                attempt.lease,
                JobState.AVAILABLE,
                entry=attempt.entry(Why.PARKED, text),
                parked=f"{text.name.rpartition('.')[2]}: {text.message}",
                parked_by=kinds_digest,
            )
        case _:
            return _failed(attempt, raised, text, policies, random)


def _failed(
    attempt: Attempt,
    raised: BaseException,
    text: ErrorText,
    policies: Policies,
    random: Callable[[], float],
) -> Ending:
    job = attempt.job
    why = Why.TIMED_OUT if isinstance(raised, AttemptTimeout) else Why.FAILED
    entry = attempt.entry(why, text)
    rule = next((p for p in policies.errors if _covers(p, raised)), None)
    if rule is not None and rule.discard:
        return _discarded(attempt, f"discarded on {text.name}", text)
    budgets = job.budgets
    backoff, failures = policies.backoff, job.failures
    used_up = failures + 1 >= job.max_attempts
    if rule is not None:
        spent = _budgets(budgets)
        failures = spent.get(rule.name, 0)
        spent[rule.name] = failures + 1
        budgets = msgspec.json.encode(spent)
        backoff = rule.wait or backoff
        used_up = used_up or (rule.attempts is not None and failures + 1 >= rule.attempts)
    if used_up:
        reason = "attempts used up"
        return Ending(
            attempt.lease, JobState.DEAD, failed=True, entry=entry, reason=reason, budgets=budgets
        )
    wait, note = _wait(raised, backoff, failures, random)
    if note is not None:
        entry = msgspec.structs.replace(entry, message=f"{text.message} [{note}]"[:MAX_MESSAGE])
    return Ending(
        attempt.lease,
        JobState.RETRYING,
        at=attempt.ended_at + wait,
        failed=True,
        entry=entry,
        budgets=budgets,
        queue=rule.queue if rule else None,
        priority=rule.priority if rule else None,
    )


def _covers(rule: ErrorPolicy, raised: BaseException) -> bool:
    """Whether a rule is about this; about a choice of the job only if it names that."""
    exceptions = rule.exceptions
    if isinstance(raised, Signal):
        exceptions = tuple(one for one in exceptions if issubclass(one, Signal))
    return isinstance(raised, exceptions)


def meant(raised: BaseException) -> BaseException:
    """What a body has raised; of a group of nothing but orders to a worker the first of them.

    A task group wraps what its tasks raise, whatever it is.

    Example:
        >>> meant(ExceptionGroup("tasks", [Snooze("1s")]))
        Snooze('snooze for 1s')
        >>> meant(ValueError())
        ValueError()
    """
    leaves = list(_leaves(raised))
    if all(isinstance(leaf, (Signal, Interrupted, Cancelled)) for leaf in leaves):
        return leaves[0]
    return raised


def _leaves(raised: BaseException) -> Iterator[BaseException]:
    if isinstance(raised, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", raised)
        for one in group.exceptions:
            yield from _leaves(one)
    else:
        yield raised


def _wait(
    raised: BaseException, backoff: Backoff, failures: int, random: Callable[[], float]
) -> tuple[int, str | None]:
    """Microseconds until the next attempt, and a note when the job's own rule did not work."""
    if isinstance(raised, Retry) and raised.wait is not None:
        return raised.wait, None
    wait, note = safe_wait(backoff, failures + 1, raised, random)
    return int(wait * 1_000_000), note


def _discarded(attempt: Attempt, reason: str, text: ErrorText | None) -> Ending:
    return Ending(
        attempt.lease,
        JobState.CANCELLED,
        entry=attempt.entry(Why.CANCELLED, text),
        reason=reason,
    )


def _said(reason: object) -> str:
    """A reason as it can be stored: a job may give anything, and one ending may spoil a batch."""
    try:
        text = str(reason)
    except BaseException as problem:  # noqa: BLE001 - a user's __str__ may raise anything
        text = f"(its reason could not be made: {type(problem).__name__})"
    return storable(text, MAX_MESSAGE)


def _exception_names(rule: str, exceptions: tuple[object, ...]) -> str:
    if not exceptions:
        msg = f"{rule}() needs at least one exception class"
        raise InvalidOption(msg)
    for found in exceptions:
        if not isinstance(found, type) or not issubclass(found, BaseException):
            msg = f"{rule}() takes exception classes, not {found!r}"
            raise InvalidOption(msg)
    return ",".join(_name(found) for found in exceptions if isinstance(found, type))


def _name(exception: type) -> str:
    module = exception.__module__
    return exception.__qualname__ if module == "builtins" else f"{module}.{exception.__qualname__}"


def _budgets(stored: bytes | None) -> dict[str, int]:
    try:
        return msgspec.json.decode(stored, type=dict[str, int]) if stored else {}
    except msgspec.DecodeError:
        # A budget that cannot be read must not lose the job: its count begins again.
        return {}
