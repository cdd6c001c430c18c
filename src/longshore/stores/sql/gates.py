"""What holds jobs of a SQL store back, and lets them go on: limits, rates, paused kinds.

A job that a claim may not take for a key is blocked by it and leaves the line. Whatever may give
the key room admits the first of them: a slot that is given back, a job that leaves the line without
having been claimed, a rate or a pause that opens. To admit too many is harmless, since the claim
decides again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple

from longshore.core.limits import BLOCKED, Limit, Setting, kind_key, opens_at, part_of
from longshore.stores.sql.core import Core
from longshore.stores.sql.statements import Row, Steps
from longshore.stores.sql.walk import Column, Restraints, Stretch, Tally, limits_of

#: How many keys one call of maintenance looks at: it goes on behind them the next time.
HEALED = 100

_PAUSED_KIND = kind_key("")


class FirstBlocked(NamedTuple):
    """Keys that have blocked jobs, as the first of these say: how full they are, and since when."""

    tally: Tally
    limits: Mapping[str, Limit]
    had: Mapping[str, int]  # by this transaction, as ``keys_had``


class Gating(Core):
    """Counting keys, admitting jobs and giving slots back."""

    #: What sorts before and behind every key.
    key_ends: ClassVar[tuple[str, str]] = ("", "~")

    _healed = ""

    # --- where databases differ ---

    def locked(self, keys: Iterable[str]) -> Steps[frozenset[str] | None]:  # noqa: ARG002
        """Let nobody else count these keys until this is committed.

        The answer: those that could be had, or ``None`` for all of them, as where writers take
        turns anyway.
        """
        yield from ()
        return None

    def keys_had(self, keys: Iterable[str]) -> Steps[Mapping[str, int]]:
        """As ``locked``: since when it has those keys that it could have, where others wait."""
        yield from self.locked(keys)
        return {}

    def turns_locked(self, queues: Sequence[str]) -> Steps[frozenset[str] | None]:  # noqa: ARG002
        """The same of queues whose values take turns."""
        yield from ()
        return None

    def started(self, since: Sequence[tuple[str, int]]) -> Steps[list[Row]]:
        """How often jobs under these keys have started since then.

        Each row may say besides whether jobs wait for its key.
        """
        rows: list[Row] = yield self.sql["starts"](rates=self.listed(since))
        return rows

    def unheld(self, ids: Sequence[str], *, gone: bool) -> Steps[None]:
        """These jobs give up their unique keys; ``gone``: their rows have been taken out."""
        if ids and not gone:
            yield self.sql["unhold"](ids=self.ids(ids))

    def forgotten(self, keys: Iterable[str], now: int) -> Steps[None]:  # noqa: ARG002
        """Forget starts that no window sees any more, at least those of these keys."""
        yield self.sql["starts_forget"](now=now)

    # --- before a claim ---

    def restrained(self, now: int) -> Steps[Restraints]:
        """What restrains a claim now."""
        rows: list[Row] = yield self.sql["restraints"](now=now)
        if not rows:
            return _FREE
        opens = [at for what, _, at in rows if what == "opens"]
        return Restraints(
            frozenset(name for what, name, _ in rows if what == "queue"),
            {name: at for what, name, at in rows if what == "kind"},
            opens[0] if opens else None,
            frozenset(name for what, name, _ in rows if what == "fair"),
        )

    def opened(self, now: int) -> Steps[Mapping[str, int]]:
        """Admit jobs whose keys have opened; those keys that it has now, and since when."""
        rows: list[Row] = yield self.sql["openings"](now=now)
        keys = [key for (key,) in rows]
        kinds = [key for key in keys if key.startswith(_PAUSED_KIND)]
        rates = [key for key in keys if not key.startswith(_PAUSED_KIND)]
        room = dict.fromkeys(kinds, BLOCKED)
        tally, limits, had = yield from self.first_blocked(rates, now)
        room.update((key, max(0, tally.room(key, limit))) for key, limit in limits.items())
        yield from self.admitted(room)
        left: list[Row] = yield self.sql["blocked_queues"](keys=self.listed(keys))
        more = {key for key, _ in left}
        yield self.sql["opening_forget"](keys=self.listed(keys))
        # Those that were let in may be where nobody claims: others go on when there is room again.
        yield from self.opening(
            {key: tally.as_set(limit) for key, limit in limits.items() if key in more}, now
        )
        # More of a kind wait than are admitted at once: the next claim goes on.
        again = [(key, now) for key in kinds if key in more]
        if again:
            yield self.sql["opening_set"].many(again)
        return had

    # --- counting ---

    def tallied(
        self, limits: Mapping[str, Limit], now: int, kinds: Mapping[str, int | None]
    ) -> Steps[Tally]:
        """How full these keys are."""
        settings = yield from self.settings() if limits else _no_settings()
        slots = [key for key, limit in limits.items() if limit.per is None]
        counts: dict[str, int] = {}
        if slots:
            rows: list[Row] = yield self.sql["used"](keys=self.listed(slots))
            counts.update((key, jobs) for key, jobs in rows)
        tally = Tally(counts, settings, kinds)
        as_set = limits if not settings else {k: tally.as_set(one) for k, one in limits.items()}
        since = [(key, now - one.per) for key, one in as_set.items() if one.per is not None]
        if since:
            rows = yield from self.started(since)
            counts.update([row[:2] for row in rows])
            tally.waits.update([(row[0], row[2]) for row in rows if len(row) > 2])
        return tally

    def settings(self) -> Steps[Mapping[str, Setting]]:
        """What people have set for limits."""
        rows: list[Row] = yield self.sql["settings"]()
        return {name: Setting(most, per) for name, most, per in rows}

    def first_blocked(self, keys: Sequence[str], now: int) -> Steps[FirstBlocked]:
        """What the first job that each of these keys has blocked says of it, and how full it is."""
        had: Mapping[str, int] = {}
        limits: dict[str, Limit] = {}
        if keys:
            rows: list[Row] = yield self.sql["blocked_first"](keys=self.listed(keys))
            for key, rules in rows:
                limit = limits_of(rules).get(key)
                if limit is not None:
                    limits[key] = limit
        if limits:
            had = yield from self.keys_had(sorted(limits))
        tally = yield from self.tallied(limits, now, {})
        return FirstBlocked(tally, limits, had)

    # --- letting jobs go on ---

    def admitted(self, keys: Mapping[str, int]) -> Steps[frozenset[str]]:
        """Put the first jobs that each key has blocked in each queue back into the line.

        Returns the queues in which there were some.
        """
        asked = [key for key in sorted(keys) if keys[key] > 0]
        if not asked:
            return frozenset()
        rows: list[Row] = yield self.sql["blocked_queues"](keys=self.listed(asked))
        if rows:
            yield self.sql["admit"].many([(key, queue, keys[key]) for key, queue in rows])
        return frozenset(queue for _, queue in rows)

    def freed(self, jobs: Sequence[tuple[str, Column]]) -> Steps[None]:
        """Running jobs have ended or were given back: so are their slots."""
        slots = [
            (key, job_id)
            for job_id, rules in jobs
            for key, limit in limits_of(rules).items()
            if limit.per is None
        ]
        if slots:
            keys = Counter(key for key, _ in slots)
            yield from self.locked(sorted(keys))
            yield self.sql["slot_remove"].many(slots)
            yield from self.admitted(keys)

    def left(self, jobs: Iterable[Row]) -> Steps[None]:
        """Jobs leave the line without having been claimed: others may have their room.

        ``jobs`` as the queries ``expired`` and ``standing`` give them.
        """
        keys: Counter[str] = Counter()
        for _, _, _, _, _, _, rules, stands in jobs:
            if stands:
                keys.update(limits_of(rules).keys())
        if keys:
            yield from self.locked(sorted(keys))
            yield from self.admitted(keys)

    def healed(self, limit: int, now: int) -> Steps[None]:
        """Admit jobs whose keys have room: a net for what nobody thought of."""
        first, last = self.key_ends
        rows: list[Row] = yield self.sql["blocked_keys"](
            after=self._healed or first, before=last, limit=min(limit, HEALED)
        )
        keys = [key for (key,) in rows]
        if keys:
            yield from self._healed_of(keys, limit, now)
        self._healed = keys[-1] if len(keys) == min(limit, HEALED) else ""

    def _healed_of(self, keys: Sequence[str], limit: int, now: int) -> Steps[None]:
        tally, limits, _ = yield from self.first_blocked(
            [key for key in keys if not key.startswith(_PAUSED_KIND)], now
        )
        room = {key: tally.room(key, as_declared) for key, as_declared in limits.items()}
        kinds = [key for key in keys if key.startswith(_PAUSED_KIND)]
        if kinds:
            paused: list[Row] = yield self.sql["kinds"](now=now)
            room.update(dict.fromkeys(kinds, BLOCKED))
            for kind, _, _ in paused:
                room.pop(kind_key(kind), None)
        yield from self.admitted({key: min(jobs, limit) for key, jobs in room.items()})

    # --- what a claim has done ---

    def restraining(
        self, stretch: Stretch, kinds: Mapping[str, int | None], now: int
    ) -> Steps[frozenset[str]]:
        """Write slots, starts and marks; returns the queues in which others were admitted."""
        if stretch.slots:
            yield self.sql["slot_add"].many(stretch.slots)
        if stretch.starts:
            yield self.sql["start_add"].many(_entries(stretch, now))
            yield from self.forgotten(stretch.starts, now)
        keys = {key for _, key in stretch.blocked}
        if stretch.blocked:
            yield self.sql["block"].many(stretch.blocked)
        admitted = yield from self.admitted(stretch.admits)
        waits = stretch.waiting
        rates = {key: limit for key, limit in stretch.limits.items() if key in waits}
        yield from self.opening(rates, now)
        ends = [(kind_key(kind), until) for kind, until in kinds.items() if until is not None]
        ends = [(key, until) for key, until in ends if key in keys]
        if ends:
            yield self.sql["opening_set"].many(ends)
        return admitted

    def opening(self, rates: Mapping[str, Limit], now: int) -> Steps[None]:
        """Note when these rates have room again; those that have no starts never have."""
        if not rates:
            return
        rows: list[Row] = yield self.sql["ledger"](keys=self.listed(sorted(rates)))
        ledgers: dict[str, list[tuple[int, int]]] = {key: [] for key in rates}
        for key, at, starts in rows:
            ledgers[key].append((at, starts))
        times: list[tuple[str, int]] = []
        shut: list[str] = []
        for key, limit in sorted(rates.items()):
            at = opens_at(ledgers[key], limit.per or 1, now)
            if at is None:
                shut.append(key)
            else:
                times.append((key, at))
        if times:
            yield self.sql["opening_set"].many(times)
        if shut:
            yield self.sql["opening_forget"](keys=self.listed(shut))


def _entries(stretch: Stretch, now: int) -> list[Row]:
    """Rows for the query ``start_add``: what this stretch adds to the ledgers of its rates."""
    limits, declared = stretch.limits, stretch.declared
    parts = {per: part_of(now, per or 1) for per in {limit.per for limit in limits.values()}}
    rows: list[Row] = []
    for key, starts in sorted(stretch.starts.items()):
        per, limit = limits[key].per, declared[key]
        rows.append((key, parts[per], now, starts, now + (per or 1), limit.to, limit.per))
    return rows


_FREE = Restraints(frozenset(), {}, None, frozenset())


def _no_settings() -> Steps[Mapping[str, Setting]]:
    yield from ()
    return {}
