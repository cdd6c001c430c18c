"""How long a job waits after a failed attempt.

A policy is a frozen value that computes a wait from the number of failures; it draws no random
numbers of its own, so tests own them. Jitter only ever adds: a policy never retries earlier than
it says, and jobs that failed together do not come back together.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import CoroutineType
from typing import Protocol, TypeAlias, runtime_checkable

import msgspec

from longshore.core.durations import ACCEPTED, Duration, describe, seconds
from longshore.core.wording import shown
from longshore.errors import InvalidOption

Random: TypeAlias = Callable[[], float]
"""Gives a number from 0 to just below 1, as ``random.random`` does."""

WaitFunction: TypeAlias = Callable[[int, BaseException], Duration]
"""A user's own policy: the attempt that failed (1 for the first) and its error, to a duration."""

#: No wait is longer, whatever a policy says: 24 waits of :func:`polynomial` take 17 days.
LONGEST_WAIT = 365 * 86_400.0

JITTER = 0.15


@runtime_checkable
class Backoff(Protocol):
    """A policy. ``failures`` counts the failure that just happened: 1 after the first."""

    def wait(self, failures: int, error: BaseException, random: Random) -> float:
        """Seconds until the next attempt."""
        ...


def polynomial(*, jitter: float = 1.0) -> Backoff:
    """The default policy: ``n**4 + 15 + random(0..10*(n+1))`` seconds after the n-th failure.

    n counts from 0. The first wait is 15 to 25 s; 24 waits, those of the default
    ``max_attempts=25``, take 16.6 days in the mean.

    Args:
        jitter: scales the random part, 0 to 1.

    Raises:
        InvalidOption: the jitter is out of range.

    Example:
        >>> polynomial(jitter=0).wait(3, ValueError(), lambda: 0.0)
        31.0
    """
    return Polynomial(_jitter(jitter))


def exponential(base: Duration = 1, cap: Duration = "1h", *, jitter: float = JITTER) -> Backoff:
    """Double the wait after each failure: ``base``, 2 x ``base``, 4 x ``base`` ... up to ``cap``.

    Args:
        base: the first wait.
        cap: the longest wait before jitter, at least ``base``.
        jitter: up to this share of the wait is added at random, 0 to 1.

    Raises:
        InvalidOption: not a duration or out of range; the jitter is out of range.

    Example:
        >>> exponential(base=2, cap="1m", jitter=0).wait(4, ValueError(), lambda: 0.0)
        16.0
    """
    first = seconds(base, field="base", maximum=LONGEST_WAIT)
    last = seconds(cap, field="cap", maximum=LONGEST_WAIT)
    if last < first:
        raise InvalidOption(
            f"exponential(base={shown(base)}, cap={shown(cap)}): the cap is below the base."
            " Give a cap that is at least the base."
        )
    return Exponential(first, last, _jitter(jitter))


def constant(wait: Duration, *, jitter: float = JITTER) -> Backoff:
    """The same wait after every failure.

    Args:
        wait: how long, before jitter.
        jitter: up to this share of the wait is added at random, 0 to 1.

    Raises:
        InvalidOption: not a duration or out of range; the jitter is out of range.

    Example:
        >>> constant("30s", jitter=0).wait(1, ValueError(), lambda: 0.0)
        30.0
    """
    return Constant(seconds(wait, field="wait", maximum=LONGEST_WAIT), _jitter(jitter))


def as_backoff(
    value: Backoff | WaitFunction | Duration | None,
    *,
    field: str = "backoff",
    jitter: float = JITTER,
) -> Backoff:
    """Make a policy of what an option was given.

    Args:
        value: a policy (returned as it is), ``(attempt, error) -> duration``, a constant
            duration, or ``None`` for :func:`polynomial`.
        field: the option's name, used in messages.
        jitter: for callables and durations; up to this share is added at random, 0 to 1.

    Raises:
        InvalidOption: none of these, a coroutine function, or a duration out of range.

    Example:
        >>> as_backoff("10s", field="wait", jitter=0).wait(1, ValueError(), lambda: 0.0)
        10.0
    """
    if value is None:
        return _DEFAULT
    if isinstance(value, Backoff) and not isinstance(value, type):
        return value
    share = _jitter(jitter)
    if not callable(value):
        try:
            return Constant(seconds(value, field=field, maximum=LONGEST_WAIT), share)
        except InvalidOption as error:
            raise InvalidOption(f"{error} {_OTHERS}") from None
    if isinstance(value, type) or _is_coroutine_function(value):
        raise InvalidOption(
            f"{field}={shown(value)} cannot be a policy: it must be an ordinary function"
            f" (attempt, error) -> duration. {_OTHERS}"
        )
    return Custom(value, share)


def safe_wait(
    backoff: Backoff, failures: int, error: BaseException, random: Random
) -> tuple[float, str | None]:
    """The wait in seconds, and a note when the policy could not be used.

    A policy that raises or gives nonsense never loses the job: it then waits as
    :func:`polynomial` says, and the note goes into the job's history.

    Example:
        >>> safe_wait(constant(3, jitter=0), 1, ValueError(), lambda: 0.0)
        (3.0, None)
    """
    try:
        # Checked again: the policy may be anybody's class.
        wait = seconds(backoff.wait(failures, error, random), field="wait", maximum=LONGEST_WAIT)
    except BaseException as problem:  # noqa: BLE001 - a user's code, sys.exit() included
        wait = _DEFAULT.wait(failures, error, random)
        used = describe(int(wait * 1_000_000))
        return wait, f"backoff {_name(backoff)} {_complaint(problem)}; waiting {used} instead"
    return wait, None


class Polynomial(msgspec.Struct, frozen=True):
    """See :func:`polynomial`."""

    jitter: float

    def wait(self, failures: int, error: BaseException, random: Random) -> float:  # noqa: ARG002
        n = max(failures - 1, 0)
        return min(n**4 + 15 + random() * self.jitter * 10 * (n + 1), LONGEST_WAIT)


class Exponential(msgspec.Struct, frozen=True):
    """See :func:`exponential`."""

    base: float
    cap: float
    jitter: float

    def wait(self, failures: int, error: BaseException, random: Random) -> float:  # noqa: ARG002
        # 2.0**1024 overflows, and no base needs more than 64 doublings to reach its cap.
        doublings = min(max(failures - 1, 0), 64)
        return _jittered(min(self.base * 2.0**doublings, self.cap), self.jitter, random)


class Constant(msgspec.Struct, frozen=True):
    """See :func:`constant`."""

    seconds: float
    jitter: float

    def wait(self, failures: int, error: BaseException, random: Random) -> float:  # noqa: ARG002
        return _jittered(self.seconds, self.jitter, random)


class Custom(msgspec.Struct, frozen=True):
    """A user's own ``(attempt, error) -> duration``; it may raise, see :func:`safe_wait`."""

    function: WaitFunction
    jitter: float

    def wait(self, failures: int, error: BaseException, random: Random) -> float:
        return _jittered(_duration(self.function(failures, error)), self.jitter, random)


_DEFAULT = Polynomial(1.0)
_OTHERS = (
    "A policy is polynomial(), exponential(base, cap), constant(s), a duration, or a function"
    " (attempt, error) -> duration."
)


def _jittered(wait: float, jitter: float, random: Random) -> float:
    return min(wait * (1 + jitter * random()), LONGEST_WAIT)


def _jitter(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise InvalidOption(
        f"jitter={shown(value)} is not a share of the wait: give a number from 0 (none) to 1."
    )


def _duration(value: object) -> float:
    if isinstance(value, int | float | str | timedelta):
        return seconds(value, field="wait", maximum=LONGEST_WAIT)
    problem = InvalidOption(f"wait={shown(value)} is not a duration. Give {ACCEPTED}.")
    if isinstance(value, CoroutineType):
        # Left open, the interpreter would complain that nobody awaited it.
        value.close()
    raise problem


def _is_coroutine_function(value: object) -> bool:
    code = getattr(value, "__code__", None)
    # CO_COROUTINE | CO_ASYNC_GENERATOR; `inspect` would cost more than this module.
    return bool(getattr(code, "co_flags", 0) & (0x80 | 0x200))


def _name(backoff: Backoff) -> str:
    named = backoff.function if isinstance(backoff, Custom) else type(backoff)
    return str(getattr(named, "__qualname__", None) or type(named).__name__)


def _complaint(problem: BaseException) -> str:
    try:
        text = str(problem).rstrip(".")
    except Exception:  # noqa: BLE001 - an error of a user's class
        text = ""
    return f"raised {type(problem).__name__}{f': {text[:200]}' if text else ''}"
