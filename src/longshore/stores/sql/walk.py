"""A claim's walk along what has been read: who runs, who waits for a key, who takes a turn.

No I/O: a store reads some rows and the counts of their keys, walks, writes what came of it, and
reads again where the rows did not reach.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from msgspec import json

from longshore.core.limits import BLOCKED, TURN, Limit, Rules, Setting, effective, kind_key
from longshore.core.store import ClaimRequest
from longshore.stores.sql.statements import Row
from longshore.stores.sql.turns import InOrder, Upcoming

#: The limits of a job by key; a key counts once.
Keyed: TypeAlias = "Mapping[str, Limit]"

#: The rules of a job as the store keeps them.
Column: TypeAlias = "bytes | str | None"

#: Jobs of one key have the same rules, and one claim looks at them more than once: so many are kept
#: as they were read.
READ: Final = 2048

_NONE: Keyed = {}
_RULES = json.Decoder(Rules)


@lru_cache(READ)
def rules_of(column: Column) -> Rules | None:
    """What a job's rules are, from their column."""
    return None if column is None else _RULES.decode(column)


def is_bundled(column: Column) -> bool:
    """Whether a job belongs to a batch or workflow, from the column of its rules."""
    rules = rules_of(column)
    return rules is not None and bool(rules.bundles)


@lru_cache(READ)
def is_once(column: Column) -> bool:
    """Whether a job may run at most once."""
    rules = rules_of(column)
    return rules is not None and rules.at_most_once


@lru_cache(READ)
def is_tied(column: Column) -> bool:
    """Whether others may wait for a job's end: it holds a slot or a key, or is of a bundle."""
    rules = rules_of(column)
    if rules is None:
        return False
    slots = any(limit.per is None for limit in rules.limits)
    return slots or rules.hold is not None or bool(rules.bundles)


@lru_cache(READ)
def limits_of(column: Column) -> Keyed:
    """The limits of a job by what is counted, from the column of its rules."""
    rules = rules_of(column)
    if rules is None or not rules.limits:
        return _NONE
    found: dict[str, Limit] = {}
    for limit in rules.limits:
        found.setdefault(limit.key, limit)
    return found


class Restraints(NamedTuple):
    """What restrains a claim now, whatever the jobs are."""

    queues: frozenset[str]  # paused
    kinds: Mapping[str, int | None]  # paused, and until when
    opens: int | None  # when the next key opens
    fair: frozenset[str]  # queues in which values take turns
    had: Mapping[str, int] = MappingProxyType({})  # keys that it has already, since when


class Tally:
    """How full keys are, counted in the store and from there on by this claim.

    ``counts``: running jobs of a key, or starts in the window that ends now. ``waits``: whether
    jobs wait for a key, where that was counted with it.
    """

    __slots__ = ("counts", "kinds", "settings", "waits")

    def __init__(
        self,
        counts: dict[str, int],
        settings: Mapping[str, Setting],
        kinds: Mapping[str, int | None],
    ) -> None:
        self.counts = counts
        self.settings = settings
        self.kinds = kinds
        self.waits: dict[str, bool] = {}

    def as_set(self, limit: Limit) -> Limit:
        """The limit as it holds now."""
        return effective(limit, self.settings.get(limit.name)) if self.settings else limit

    def room(self, key: str, limit: Limit) -> int:
        """How many more jobs a key lets run."""
        return self.as_set(limit).to - self.counts.get(key, 0)

    def blocker(self, kind: str, limits: Keyed) -> str | None:
        """What holds a job back: its kind, or the first of its limits that is full."""
        if kind in self.kinds:
            return kind_key(kind)
        counts = self.counts
        for key, limit in limits.items():
            if self.settings:
                limit = self.as_set(limit)  # noqa: PLW2901
            if counts.get(key, 0) >= limit.to:
                return key
        return None


class Walk:
    """One claim, over all that it reads.

    ``over``: it ends here; ``again``: there was more to do than one claim may; ``now``: when it had
    the keys that it counts, which is when its jobs start, however long it waited for them.
    """

    __slots__ = (
        "again", "blocked", "fair", "free", "had", "kinds", "now", "over", "passed", "paused",
        "request", "taken", "turns", "wanted",
    )  # fmt: skip

    def __init__(self, request: ClaimRequest, wanted: int, restraints: Restraints) -> None:
        self.request = request
        self.wanted = wanted  # how many still
        self.now = 0
        self.free = request.free  # for how many more jobs with a rate there is a slot
        self.paused = restraints.queues
        self.kinds = restraints.kinds
        self.fair = restraints.fair  # queues in which values may take turns
        self.had = restraints.had  # keys that it has had from the first, since when
        self.turns: dict[str, bool] = {}  # of which queues, and whether they could be locked
        self.taken: list[Row] = []  # as the queries ``ready_queue`` and ``ready_ids`` give them
        self.blocked = 0
        self.passed: set[str] = set()  # jobs under keys that another claim holds just now
        self.over = False
        self.again = False

    def since(self, keys: Iterable[str]) -> int | None:
        """Since when it has had all these keys, if it has had them from the first.

        Then it goes by that: a rate would lose in each window what admitting its jobs has taken.
        """
        times = [self.had.get(key) for key in keys]
        known = [at for at in times if at is not None]
        return max(known) if known and len(known) == len(times) else None


class Stretch:
    """What comes of the rows that were read at once."""

    __slots__ = (
        "admits", "blocked", "declared", "limits", "short", "slots", "starts", "taken", "waiting",
    )  # fmt: skip

    def __init__(self, waiting: Iterable[str]) -> None:
        self.waiting = set(waiting)  # keys that have blocked jobs
        self.taken: list[str] = []
        self.blocked: list[tuple[str, str]] = []  # id, key
        self.slots: list[tuple[str, str]] = []  # key, id
        self.starts: dict[str, int] = {}  # by key
        self.limits: dict[str, Limit] = {}  # rates that were used or are full, as they hold now
        self.declared: dict[str, Limit] = {}  # those that were used, as their jobs say
        self.admits: Counter[str] = Counter()
        self.short = False

    def start(self, job_id: str, limits: Keyed, tally: Tally, claim: Walk) -> bool:
        """Take a job that has limits; false if its rate would have to wait for a free slot."""
        rated = False
        for limit in limits.values():
            rated = rated or limit.per is not None
        if rated:
            if claim.free <= 0:
                claim.over = True
                return False
            claim.free -= 1
        counts, starts = tally.counts, self.starts
        for key, limit in limits.items():
            counts[key] = counts.get(key, 0) + 1
            if limit.per is None:
                self.slots.append((key, job_id))
            else:
                starts[key] = starts.get(key, 0) + 1
                self.limits[key] = tally.as_set(limit)
                self.declared[key] = limit
        return True

    def block(self, job_id: str, key: str, limits: Keyed, tally: Tally, claim: Walk) -> None:
        """Take a job out of the line until its key has room."""
        self.blocked.append((job_id, key))
        self.waiting.add(key)
        for other, limit in limits.items():
            if other != key:
                # It may have room for a job that waits for it: that one comes before the rest.
                if other in self.waiting and tally.room(other, limit) > 0:
                    self.admits[other] += 1
            elif limit.per is not None:
                self.limits[key] = tally.as_set(limit)
        claim.blocked += 1
        if claim.blocked >= BLOCKED:
            claim.over = claim.again = True


def walk(
    heads: Upcoming,
    tally: Tally,
    claim: Walk,
    *,
    held: frozenset[str] | None = None,
    waiting: Iterable[str] = (),
    marking: bool = True,
) -> Stretch:
    """Go on with a claim over rows whose keys have been counted.

    ``held`` are the keys that were locked, ``None`` if all were: jobs under others are passed by.
    ``waiting`` are those that have blocked jobs. Without ``marking`` what may not run is passed by.
    """
    stretch = Stretch(waiting)
    if isinstance(heads, InOrder):
        _started_together(heads, stretch, tally, claim, held)
    while claim.wanted and not claim.over and not stretch.admits:
        row = heads.first()
        if row is None:
            break
        limits = limits_of(row[5])
        if _passed_by(row[2], limits, held, claim):
            heads.drop(None)
            continue
        key = tally.blocker(row[4], limits)
        if key is None:
            if limits and not stretch.start(row[2], limits, tally, claim):
                break
            rules = rules_of(row[5])
            claim.wanted -= 1
            stretch.taken.append(row[2])
            heads.drop(TURN if rules is None or rules.fair is None else rules.fair.step)
        else:
            heads.drop(None)
            if marking:
                stretch.block(row[2], key, limits, tally, claim)
            else:
                claim.passed.add(row[2])
    stretch.short = heads.short
    return stretch


def _started_together(
    heads: InOrder, stretch: Stretch, tally: Tally, claim: Walk, held: frozenset[str] | None
) -> None:
    """Start the next jobs if even all together fit: a third of the price of asking for each.

    If one does not, nothing has happened.
    """
    rows = heads.next(claim.wanted)
    if tally.kinds or claim.passed or not rows:
        return
    counts, settings, rated, slots = dict(tally.counts), tally.settings, 0, False
    found: dict[str, Limit] = {}
    declared: dict[str, Limit] = {}
    # Those with the same rules are one look.
    for column, jobs in Counter([row[5] for row in rows]).items():
        has_rate = False
        for key, limit in limits_of(column).items():
            now = tally.as_set(limit) if settings else limit
            used = counts.get(key, 0) + jobs
            if used > now.to or (key in found and found[key] != now):
                return  # or, in the latter case, whom it lets run depends on who comes first
            counts[key], found[key] = used, now
            if limit.per is None:
                slots = True
            else:
                has_rate = True
                declared[key] = limit
        if has_rate:
            rated += jobs
        if rated > claim.free:
            return
    if held is not None and not held.issuperset(counts):
        return
    stretch.taken = [row[2] for row in rows]
    if slots:
        stretch.slots = _slots(rows)
    before = tally.counts
    stretch.starts = {key: counts[key] - before.get(key, 0) for key in declared}
    stretch.declared = declared
    stretch.limits = {key: found[key] for key in declared} if slots else found
    tally.counts = counts
    claim.wanted -= len(rows)
    claim.free -= rated
    heads.drop_next(len(rows))


def _slots(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """The slots that these jobs take: key, id."""
    return [
        (key, row[2])
        for row in rows
        for key, limit in limits_of(row[5]).items()
        if limit.per is None
    ]


def _passed_by(job_id: str, limits: Keyed, held: frozenset[str] | None, claim: Walk) -> bool:
    """Whether to leave a job alone, since others count one of its keys just now."""
    if job_id in claim.passed:
        return True
    if held is None or held.issuperset(limits):
        return False
    claim.passed.add(job_id)
    claim.again = True
    return True
