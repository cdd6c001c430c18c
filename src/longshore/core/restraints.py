"""What a person writes to restrain jobs: unique, concurrency and rate, checked when made.

How each follows from the arguments of one job is in :mod:`longshore.core.rules`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from longshore.core.durations import Duration, microseconds
from longshore.core.limits import OnConflict
from longshore.core.wording import did_you_mean, shown
from longshore.errors import InvalidOption

#: An argument by its name, or a function of the arguments that its parameters name.
Key: TypeAlias = str | Callable[..., object]

Until = Literal["finished", "started"]
Conflict = Literal["return", "replace", "raise"]

MOST: Final = 1_000_000_000
LONGEST_NAME: Final = 200
_YEAR: Final = 366 * 86_400
_GROUP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


class Unique(msgspec.Struct, frozen=True, kw_only=True):
    """At most one live job for each key: its ``identity``, else all its arguments.

    Parameters: ``until``, the key is free again when the job has ``"finished"`` or when it first
    ``"started"``; ``ttl``, a duration after which another job may take the key all the same;
    ``on_conflict``: ``"return"`` the job that holds the key, ``"replace"`` its arguments and time
    if it does not run yet, or ``"raise"`` :class:`UniqueHeld`.

    >>> from longshore import Unique
    >>> Unique(until="started", on_conflict="replace").until
    'started'
    """

    until: Until = "finished"
    ttl: Duration | None = None
    on_conflict: Conflict = "return"

    def __post_init__(self) -> None:
        _one_of("Unique", "until", self.until, get_args(Until))
        _one_of("Unique", "on_conflict", self.on_conflict, get_args(Conflict))
        if self.ttl is not None:
            microseconds(self.ttl, field="Unique: ttl", minimum=0.001)

    @property
    def conflict(self) -> OnConflict:
        """``on_conflict`` as it is stored."""
        return OnConflict(self.on_conflict)

    @property
    def hold_for(self) -> int | None:
        """``ttl`` in microseconds."""
        return None if self.ttl is None else microseconds(self.ttl, field="ttl")


class _AtMost(msgspec.Struct, frozen=True):
    to: int


class Concurrency(_AtMost, frozen=True, kw_only=True):
    """At most ``to`` jobs run at once, for each value of ``key``.

    Parameters: ``to``; ``key``, the name of an argument or a function of arguments, else all jobs
    of the kind count together; ``group``, a name under which several kinds count together, and
    which ``jobs.limits`` knows.

    >>> from longshore import Concurrency
    >>> Concurrency(to=3, key="account_id").to
    3
    """

    key: Key | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        _check("Concurrency", self.to, self.key, self.group)

    @property
    def window(self) -> int | None:
        """Microseconds of its period; a concurrency has none."""
        return None


class Rate(_AtMost, frozen=True, kw_only=True):
    """At most ``to`` jobs start in any period of ``per``, for each value of ``key``.

    Parameters: ``to``; ``per``, a duration; ``key`` and ``group`` as of :class:`Concurrency`.

    >>> from longshore import Rate
    >>> Rate(10, per="1m").window
    60000000
    """

    per: Duration
    key: Key | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        _check("Rate", self.to, self.key, self.group)
        check_per(self.per, field="Rate: per")

    @property
    def window(self) -> int | None:
        """Microseconds of its period."""
        return check_per(self.per, field="per")


def check_to(value: object, *, field: str, least: int = 1, most: int = MOST) -> int:
    """A whole number, such as how many may run or start: at most a thousand million.

    Raises:
        InvalidOption: not a whole number in the range.

    Example:
        >>> check_to(3, field="to")
        3
    """
    if type(value) is int and least <= value <= most:
        return value
    raise InvalidOption(f"{field}={shown(value)} must be a whole number from {least} to {most}.")


def check_per(value: Duration, *, field: str) -> int:
    """The period of a rate in microseconds.

    Raises:
        InvalidOption: not a duration from a millisecond to a year.

    Example:
        >>> check_per("1m", field="per")
        60000000
    """
    return microseconds(value, field=field, minimum=0.001, maximum=_YEAR)


def check_name(name: object, *, field: str = "name") -> str:
    """The name of a limit: a group, a kind, or ``kind.key``.

    Raises:
        InvalidOption: not such a text.

    Example:
        >>> check_name("account")
        'account'
    """
    if (
        isinstance(name, str)
        and 0 < len(name) <= LONGEST_NAME
        and ":" not in name
        and name.isprintable()
    ):
        return name
    raise InvalidOption(
        f"{field}={shown(name)} is not the name of a limit. Give its group=, else the kind, or"
        f" kind.key; at most {LONGEST_NAME} characters and no colon."
    )


def _one_of(what: str, field: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        near = did_you_mean(value, known) if isinstance(value, str) else ""
        words = " or ".join(f'"{word}"' for word in known)
        raise InvalidOption(f"{what}: {field}={shown(value)} is unknown.{near} Give {words}.")


def _check(what: str, to: object, key: object, group: object) -> None:
    check_to(to, field=f"{what}: to")
    if key is not None and not callable(key) and not (isinstance(key, str) and key):
        raise InvalidOption(
            f"{what}: key={shown(key)} is neither the name of an argument nor a function of"
            " arguments."
        )
    if group is not None and not (isinstance(group, str) and _GROUP.fullmatch(group)):
        raise InvalidOption(
            f"{what}: group={shown(group)} is not a name. Use 1 to 64 letters, digits, _, . or -."
        )
