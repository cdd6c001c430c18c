"""What restrains one job beyond its time and place: holds, limits, turns; and the rules of rates.

Stores decide all of it inside their own writes. What they must agree on to the microsecond stands
here once: what a key is called, how starts are counted, and when a full key opens again.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

#: Starts of one key that fall into the same hundredth of its period are counted as one entry, at
#: the time of the latest: a ledger never has more than a hundred and one entries a key.
PARTS: Final = 100
#: Starts of one key that are no further apart than a tenth of its period, and at most so many
#: microseconds, leave the window together: a full rate is asked ten times a second, not for each.
BURST: Final = 100_000
#: One turn of weight 1; a heavier value takes shorter steps.
TURN: Final = 1_000_000
#: A claim marks at most so many jobs as blocked, and a gate that opens admits at most so many of a
#: queue at once; who needs more comes again.
BLOCKED: Final = 1000

#: Starts of one rate key: (when the latest of these started, how many), oldest first.
Ledger: TypeAlias = "Sequence[tuple[int, int]]"


class OnConflict(StrEnum):
    """What becomes of a job whose unique key is held."""

    RETURN = "return"  # the holder is the answer
    REPLACE = "replace"  # the holder, if it does not run, gets the new arguments and time
    RAISE = "raise"  # nothing is written


class Hold(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A unique key as its job holds it: from the insert until it has ended, or started.

    ``ttl``: microseconds after which the next insert that meets it may clear it.
    """

    key: str
    until_started: bool = False
    on_conflict: OnConflict = OnConflict.RETURN
    ttl: int | None = None


class Limit(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One limit of one job: at most ``to`` running at once, or ``to`` starts in ``per`` µs.

    ``name`` is what people set at run time; ``value`` is the part of the key that comes from the
    job's arguments, empty where the limit has none.
    """

    name: str
    value: str
    to: int
    per: int | None = None

    @property
    def key(self) -> str:
        """What is counted; also what a blocked job says it is blocked by.

        Example:
            >>> Limit("account", "7", to=3).key
            'c:account:7'
        """
        return f"{'c' if self.per is None else 'r'}:{self.name}:{self.value}"


class Fair(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Whose turn a job uses: ``step`` is :data:`TURN` divided by the weight of ``key``."""

    key: str
    step: int = TURN


class After(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A job that must have succeeded first; ``takes``: what it returned is an argument."""

    job_id: str
    takes: bool = False


class Rules(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """All of it for one job; stores keep it as one value beside the columns that they search.

    ``bundles``: the batches and the workflow it belongs to, the innermost first. ``after``: what it
    waits for; with ``cascade`` it is cancelled when one of those dies or is cancelled.
    """

    hold: Hold | None = None
    limits: tuple[Limit, ...] = ()
    fair: Fair | None = None
    at_most_once: bool = False
    bundles: tuple[str, ...] = ()
    after: tuple[After, ...] = ()
    cascade: bool = False

    @property
    def replaces(self) -> bool:
        """Whether the holder of its unique key may get its arguments."""
        return self.hold is not None and self.hold.on_conflict is OnConflict.REPLACE


class Setting(msgspec.Struct, frozen=True, gc=False):
    """What a person set at run time for every key of one name; wins over the declaration."""

    to: int
    per: int | None = None


# --- what people ask and order ---


class SetKind(msgspec.Struct, frozen=True, gc=False):
    """Pause or resume one kind of job in all queues; as :class:`SetQueue`."""

    kind: str
    paused: bool
    reason: str | None = None
    pause_for: int | None = None


class KindRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A paused kind as people read it."""

    kind: str
    reason: str | None
    resumes_at: int | None


class SetLimit(msgspec.Struct, frozen=True, gc=False):
    """What holds for every key of this ``name`` from now on; ``None`` gives it back to the code."""

    name: str
    setting: Setting | None


class LimitRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One key of a limit that has been used lately or blocks jobs, as people read it.

    ``used``: jobs that run under it, or starts in the present window, of ``to``. ``holders``: some
    of the running jobs, the first ten by id; none for a rate. ``opens_at``: when a full rate has
    room again, if jobs wait for it. A name that was only set has a record with an empty ``key``.
    """

    key: str
    name: str
    value: str
    to: int
    per: int | None
    used: int
    blocked: int
    holders: tuple[str, ...]
    opens_at: int | None
    setting: Setting | None


# --- the rules that all stores share ---


def kind_key(kind: str) -> str:
    """What jobs of a paused kind are blocked by.

    Example:
        >>> kind_key("app.sync")
        'k:app.sync'
    """
    return f"k:{kind}"


def effective(limit: Limit, setting: Setting | None) -> Limit:
    """The limit as it holds now.

    Example:
        >>> effective(Limit("mail", "", to=10, per=1_000_000), Setting(to=2)).to
        2
    """
    if setting is None:
        return limit
    per = None if limit.per is None else setting.per or limit.per
    return Limit(limit.name, limit.value, setting.to, per)


def part_of(now: int, per: int) -> int:
    """Which entry of its key's ledger a start of this moment belongs to.

    Example:
        >>> part_of(1_234_567, 1_000_000)
        123
    """
    return now // max(1, per // PARTS)


def started(ledger: Ledger, per: int, now: int) -> int:
    """How many starts the window that ends now has seen.

    Example:
        >>> started([(0, 3), (600, 2)], 1000, 1000)
        2
    """
    return sum(starts for at, starts in ledger if at + per > now)


def opens_at(ledger: Ledger, per: int, now: int) -> int | None:
    """When the next starts leave the window; ``None`` when it holds none.

    Those that follow the first closely leave with the last of them: within a hundredth of the
    period or, where that is less than :data:`BURST`, within a tenth and that. So a burst stays one,
    starts that were spread become some, and nobody asks for each.

    Example:
        >>> opens_at([(0, 3), (80, 1), (600, 2)], 1000, 100)
        1080
    """
    inside = [at for at, _ in ledger if at + per > now]
    if not inside:
        return None
    together = inside[0] + max(1, per // PARTS, min(per // 10, BURST))
    return max(at for at in inside if at <= together) + per
