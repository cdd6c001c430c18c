"""Batches and workflows of a SQL store: what is stored with them, and what follows when jobs end.

``member`` says which jobs are in a bundle and which of them are live, ``edge`` who depends on whom.
An insert only adds to these. Whoever ends members, or lets them live again, holds the bundles'
rows until the commit, in the order of their ids, and jobs before bundles as everybody does: then
counts, dependants and callbacks are one write with the end itself.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Final

from msgspec import json

from longshore.core.batches import (
    LATER,
    MUCH_LATER,
    Bundle,
    End,
    NewBundle,
    Output,
    Tally,
    Together,
    blocker,
    doomed,
    filled,
    older,
)
from longshore.core.limits import Rules
from longshore.core.model import Inserted, JobState, NewJob
from longshore.core.store import operation
from longshore.stores.sql.core import TEXT, Core
from longshore.stores.sql.statements import Row, Steps
from longshore.stores.sql.walk import Column, rules_of

_NEW: Final = json.Decoder(NewBundle)
#: What sorts behind every id and before every id.
_LAST: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"
_FIRST: Final = "00000000-0000-0000-0000-000000000000"


class Bundling(Core):
    """Storing bundles, counting their members, opening dependants."""

    def inserted(self, jobs: Sequence[NewJob], now: int) -> Steps[int]:
        """Write jobs; here the callbacks of bundles."""
        raise NotImplementedError

    # --- storing ---

    def in_time(
        self, jobs: Sequence[NewJob], together: Together, answers: Sequence[Inserted]
    ) -> Steps[bool]:
        """Whether jobs may join what is there; what an earlier try has stored is not asked again.

        What they join is held until the commit.
        """
        fresh = [
            job
            for job, answer in zip(jobs, answers, strict=True)
            if answer.held or not (answer.duplicate or answer.conflict)
        ]
        # Who only enqueues may not look at bundles, and has no reason to.
        if together.lease is None and not older(fresh, together):
            return True
        if not fresh:
            ids = [bundle.id for bundle in together.bundles]
            rows: list[Row] = (yield self.sql["bundles_of"](ids=self.ids(ids))) if ids else []
            if len(rows) == len(ids):
                return True
        return (yield from self._open_to(fresh, together))

    def joined_together(
        self, jobs: Sequence[NewJob], together: Together, answers: Sequence[Inserted]
    ) -> Steps[None]:
        """Write what belongs to jobs just stored."""
        stored = [job for job, answer in zip(jobs, answers, strict=True) if not answer.duplicate]
        members = [(bundle, job.id, 1) for job in stored for bundle in (job.rules or _NONE).bundles]
        edges = [
            (after.job_id, job.id, (job.rules or _NONE).bundles[0])
            for job in stored
            for after in (job.rules or _NONE).after
        ]
        if members:
            yield self.sql["member_add"].many(sorted(members))
        if edges:
            yield self.sql["edge_add"].many(sorted(set(edges)))
        if together.bundles:
            yield from self._begun(together.bundles, {bundle for bundle, _, _ in members})

    def _begun(self, bundles: Sequence[NewBundle], full: Container[str]) -> Steps[None]:
        """Write new bundles; who only enqueues may do no more with them."""
        empty = [Tally(new, 0, 0, 0, 0, None) for new in bundles if new.id not in full]
        now = (yield from self.time()) if empty else 0
        kept = self.kept[TEXT[JobState.SUCCEEDED]]
        until = None if kept is None else now + kept
        jobs: list[NewJob] = []
        rows = [_row(new) for new in bundles if new.id in full]
        # What lies in another is told of before it.
        for tally in sorted(empty, key=lambda one: -len(one.new.parents)):
            jobs += tally.settle(now, live=False)
            rows.append(_row(tally.new, tally.told, tally.finished_at, until))
        written: int = yield self.sql["bundle_add"].many(rows)
        # What an earlier try of this request has written is told already.
        if jobs and written:
            yield from self.inserted(jobs, now)

    @operation(writes=True)
    def joinable(self, jobs: Sequence[NewJob], together: Together) -> Steps[bool]:
        """Whether jobs may join what is there; it stays so until the commit.

        Asked first where nothing can be taken back, and where no job has a unique key: who waits
        for one while he holds bundles may wait for ever.
        """
        return (yield from self._open_to(jobs, together))

    def _open_to(self, jobs: Sequence[NewJob], together: Together) -> Steps[bool]:
        if together.lease is not None:
            lease = together.lease
            rows: list[Row] = yield self.sql["lease_shared"](
                id=lease.job_id, process_id=lease.process_id, run=lease.run
            )
            if not rows:
                return False
        there = older(jobs, together)
        if there:
            rows = yield self.sql["bundles_shared"](ids=self.ids(there))
            return len(rows) == len(there)
        return True

    # --- what follows from an end ---

    def bundled(self, ends: Sequence[End], now: int) -> Steps[list[tuple[Row, str]]]:
        """Count ends and open dependants; returns those that end too, and by whom.

        They are rows as the query ``standing`` gives them. Bundles are settled by the caller's
        :meth:`settled_bundles`, when nothing more ends.
        """
        ids = [end.job_id for end in ends]
        yield self.sql["member_set"](ids=self.ids(ids), live=0)
        rows: list[Row] = yield self.sql["dependants"](ids=self.ids(ids))
        children = list(dict.fromkeys(child for (child,) in rows))
        if not children:
            return []
        rows = yield self.sql["standing"](ids=self.ids(children))
        waiting = [row for row in rows if row[1] == "waiting"]
        return (yield from self._opened(waiting, now))

    def settled_bundles(self, counted: Mapping[str, Tally], now: int) -> Steps[None]:
        """Finish what has no live member any more, or let it go on; store callbacks."""
        yield from self._settled(counted, now)

    def held_for(self, ends: Iterable[End]) -> Steps[dict[str, Tally]]:
        """Hold the bundles of these jobs until the commit."""
        ids = sorted({bundle for end in ends for bundle in end.rules.bundles})
        return (yield from self._held(ids))

    def reopened(self, jobs: Sequence[Row], now: int) -> Steps[None]:
        """Ended jobs live again; ``jobs`` as the query ``standing_ended`` gave them."""
        back: list[End] = []
        untried: list[str] = []
        for job_id, state, _, _, column, attempted_at in jobs:
            rules = rules_of(column)
            if rules is None or not rules.bundles:
                continue
            back.append(End(job_id, rules, state))
            if rules.after and attempted_at is None:
                untried.append(job_id)
        if not back:
            return
        tallies = yield from self.held_for(back)
        yield self.sql["member_set"](ids=self.ids([end.job_id for end in back]), live=1)
        counted(tallies, back, -1)
        if untried:
            yield self.sql["wait"](ids=self.ids(untried))
            rows: list[Row] = yield self.sql["standing"](ids=self.ids(untried))
            yield from self._opened(rows, now, ending=False)
        yield from self._settled(tallies, now)

    def unfinished(self, jobs: Iterable[tuple[str, Column]]) -> Steps[frozenset[str]]:
        """Those of these jobs that belong to something unfinished."""
        of: dict[str, tuple[str, ...]] = {}
        for job_id, column in jobs:
            rules = rules_of(column)
            if rules is not None and rules.bundles:
                of[job_id] = rules.bundles
        if not of:
            return frozenset()
        ids = sorted({bundle for bundles in of.values() for bundle in bundles})
        rows: list[Row] = yield self.sql["bundles_shared"](ids=self.ids(ids))
        open_ = {bundle for (bundle,) in rows}
        return frozenset(job_id for job_id, bundles in of.items() if open_.intersection(bundles))

    # --- keeping ---

    def pruned_bundles(self, now: int, limit: int) -> Steps[None]:
        """Delete bundles past their retention, their members and edges, some at a time."""
        rows: list[Row] = yield self.sql["bundles_over"](now=now)
        for (bundle,) in rows:
            yield self.sql["edges_forget"](bundle=bundle, limit=limit)
            gone: int = yield self.sql["members_forget"](bundle=bundle, limit=limit)
            if gone < limit:
                yield self.sql["bundle_remove"](bundle=bundle)

    def put_off(self, now: int, limit: int) -> Steps[None]:
        """Keep ended members, whose time would be over, as :func:`stays` says."""
        rows: list[Row] = yield self.sql["kept_back"](now=now, limit=limit)
        for unfinished, later in ((1, LATER), (0, MUCH_LATER)):
            ids = [job_id for job_id, told in rows if told == unfinished]
            if ids:
                yield self.sql["kept_longer"](ids=self.ids(ids), until=now + later)

    # --- looking ---

    @operation(writes=False)
    def bundles(
        self, ids: Sequence[str] | None = None, *, cursor: str | None = None, limit: int = 100
    ) -> Steps[tuple[Bundle, ...]]:
        """Batches and workflows, the newest first, each read with its members at one moment."""
        rows: list[Row]
        if ids is None:
            rows = yield self.sql["bundles"](cursor=cursor or _LAST, limit=limit)
        else:
            rows = yield self.sql["bundles_of"](ids=self.ids(list(dict.fromkeys(ids))))
        found = [
            Bundle(
                new=_NEW.decode(entry),
                succeeded=succeeded,
                cancelled=cancelled,
                dead=dead,
                told=told,
                finished_at=finished_at,
                live=live,
            )
            for succeeded, cancelled, dead, told, finished_at, entry, live in rows
        ]
        return tuple(sorted(found, key=lambda one: one.id, reverse=True))

    @operation(writes=False)
    def members(
        self, bundle: str, *, live: bool = False, after: str = "", limit: int = 1000
    ) -> Steps[tuple[str, ...]]:
        """Ids of members, in order."""
        rows: list[Row] = yield self.sql["members_living" if live else "members"](
            bundle=bundle, after=after or _FIRST, limit=limit
        )
        return tuple(job_id for (job_id,) in rows)

    # --- helpers ---

    def _held(self, ids: Sequence[str]) -> Steps[dict[str, Tally]]:
        rows: list[Row] = yield self.sql["bundles_held"](ids=self.ids(sorted(ids)))
        return {row[0]: Tally(_NEW.decode(row[6]), *row[1:6]) for row in rows}

    def _settled(self, tallies: Mapping[str, Tally], now: int) -> Steps[None]:
        if not tallies:
            return
        rows: list[Row] = yield self.sql["bundles_live"](ids=self.ids(sorted(tallies)))
        live = {bundle for (bundle,) in rows}
        jobs: list[NewJob] = []
        written: list[Row] = []
        # What lies in another is settled before it.
        for bundle in sorted(tallies, key=lambda one: -len(tallies[one].new.parents)):
            tally = tallies[bundle]
            jobs += tally.settle(now, live=bundle in live)
            kept = self.kept[TEXT[tally.worst]]
            # By its end, not by now: a repeated request does not keep what has finished for longer.
            until = None if tally.finished_at is None or kept is None else tally.finished_at + kept
            counts = (tally.succeeded, tally.cancelled, tally.dead, tally.told)
            written.append((bundle, *counts, tally.finished_at, until))
        yield self.sql["bundle_set"].many(sorted(written))
        if jobs:
            yield from self.inserted(jobs, now)

    def _opened(
        self, waiting: Sequence[Row], now: int, *, ending: bool = True
    ) -> Steps[list[tuple[Row, str]]]:
        """Let jobs go on that have all they waited for; returns those that end instead."""
        rules = {row[0]: rules_of(row[6]) or _NONE for row in waiting}
        asked = {after.job_id for one in rules.values() for after in one.after}
        outputs: dict[str, Output] = {}
        if asked:
            rows: list[Row] = yield self.sql["outputs"](ids=self.ids(sorted(asked)))
            for job_id, state, result, error in rows:
                value = None if result is None else self.octets(result)
                outputs[job_id] = Output(state, value, error is not None)
        over: list[tuple[Row, str]] = []
        free: list[str] = []
        for row in waiting:
            cause = doomed(rules[row[0]], outputs) if ending else None
            if cause is not None:
                over.append((row, cause))
            elif blocker(rules[row[0]], outputs) is None:
                free.append(row[0])
        if free:
            takes = [one for one in free if any(after.takes for after in rules[one].after)]
            if takes:
                rows = yield self.sql["existing"](ids=self.ids(takes))
                payloads = [
                    (row[0], filled(self.octets(row[2]), rules[row[0]], outputs).decode())
                    for row in rows
                ]
                yield self.sql["fill"].many(payloads)
            yield self.sql["open"](ids=self.ids(free), now=now)
        return over


def counted(tallies: Mapping[str, Tally], ends: Iterable[End], jobs: int) -> None:
    """Count members in or out."""
    for end in ends:
        for bundle in end.rules.bundles:
            tally = tallies.get(bundle)
            if tally is not None:
                tally.count(end.state, jobs)


_NONE: Final = Rules()


def _row(
    new: NewBundle, told: int = 0, finished_at: int | None = None, until: int | None = None
) -> Row:
    entry = json.encode(new).decode()
    return (new.id, new.sort.value, new.name, new.created_at, entry, told, finished_at, until)
