"""Batches and workflows of the memory store: members, and what follows when one of them ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from longshore.core.batches import (
    Bundle,
    NewBundle,
    Output,
    Tally,
    Together,
    blocker,
    doomed,
    filled,
    older,
    stays,
    with_another,
)
from longshore.core.limits import Rules
from longshore.core.model import ENDED, Inserted, JobState, NewJob
from longshore.stores.memory.row import Row
from longshore.stores.memory.rows import AVAILABLE, RUNNING, SCHEDULED, WAITING, Rows

_NONE = Rules()


class Group:
    """One bundle: what is counted, who is in it, and who of these is live."""

    __slots__ = ("kept_until", "live", "members", "tally")

    def __init__(self, new: NewBundle) -> None:
        self.tally = Tally(new, 0, 0, 0, 0, None)
        self.members: dict[str, None] = {}
        self.live: set[str] = set()
        self.kept_until: int | None = None

    def read(self) -> Bundle:
        """The bundle as it stands."""
        tally = self.tally
        return Bundle(
            new=tally.new,
            live=len(self.live),
            succeeded=tally.succeeded,
            cancelled=tally.cancelled,
            dead=tally.dead,
            told=tally.told,
            finished_at=tally.finished_at,
        )


class Bundles:
    """All bundles, over the rows of their members.

    A row that ends or lives again is only noted; the operation calls :meth:`follow` at its end,
    before anybody else can look.
    """

    def __init__(self, rows: Rows, store: Callable[[NewJob], object]) -> None:
        self._rows = rows
        self._store = store
        self._groups: dict[str, Group] = {}
        self._children: dict[str, dict[str, None]] = {}
        self._noted: list[tuple[Row, JobState]] = []

    # --- storing ---

    def fits(self, jobs: Sequence[NewJob], together: Together) -> bool:
        """Whether new jobs may join what is there, added by a run that holds its lease.

        Where neither they nor their bundles are new, the request was made before.
        """
        if not jobs and all(bundle.id in self._groups for bundle in together.bundles):
            return True
        lease = together.lease
        if lease is not None:
            row = self._rows.rows.get(lease.job_id)
            if (
                row is None
                or row.state is not RUNNING
                or (row.run, row.claimed_by) != (lease.run, lease.process_id)
            ):
                return False
        return all(self._is_open(bundle) for bundle in older(jobs, together))

    def add(
        self, jobs: Sequence[NewJob], together: Together, answers: Sequence[Inserted], now: int
    ) -> None:
        """Note what jobs just stored belong to and wait for."""
        new = [one for one in together.bundles if one.id not in self._groups]
        for bundle in new:
            self._groups[bundle.id] = Group(bundle)
        for job, answer in zip(jobs, answers, strict=True):
            if answer.duplicate:
                continue
            rules = job.rules or _NONE
            for bundle_id in rules.bundles:
                group = self._groups[bundle_id]
                group.members[job.id] = None
                group.live.add(job.id)
            for after in rules.after:
                self._children.setdefault(after.job_id, {})[job.id] = None
        for bundle in sorted(new, key=lambda one: -len(one.parents)):
            self._settle(self._groups[bundle.id], now)

    # --- what follows ---

    def note(self, row: Row, state: JobState) -> None:
        """A row has ended, or an ended one with this state lives again."""
        if row.new.rules is not None and row.new.rules.bundles:
            self._noted.append((row, state))

    def follow(self, now: int) -> None:
        """Count what was noted, open or cancel who waited, finish what has no live member."""
        touched: dict[str, Group] = {}
        while self._noted:
            noted, self._noted = self._noted, []
            for row, state in noted:
                self._count(row, state, touched)
            ended = [row.new.id for row, _ in noted if row.state in ENDED]
            children = [child for one in ended for child in self._children.get(one, ())]
            there = (self._rows.rows.get(child) for child in dict.fromkeys(children))
            waiting = [row for row in there if row is not None and row.state is WAITING]
            # All are decided by what had ended before any of them does.
            causes = [self._cause(row) for row in waiting]
            for row, cause in zip(waiting, causes, strict=True):
                self._go_on(row, cause, now)
        for group in sorted(touched.values(), key=lambda one: -len(one.tally.new.parents)):
            self._settle(group, now)

    def again(self, row: Row) -> JobState:
        """The state in which an ended row lives again: it may have to wait for others still."""
        rules = row.new.rules
        if rules is None or not rules.bundles:
            return AVAILABLE
        self._noted.append((row, row.state))
        if not rules.after or row.attempted_at is not None:
            return AVAILABLE
        if blocker(rules, self._outputs(rules)) is not None:
            return WAITING
        self._fill(row)
        return AVAILABLE

    def is_bound(self, row: Row) -> bool:
        """Whether a row belongs to something unfinished."""
        return any(map(self._is_open, (row.new.rules or _NONE).bundles))

    # --- keeping and looking ---

    def put_off(self, row: Row, now: int) -> bool:
        """Keep an ended row whose time is over, if what it belongs to holds it back."""
        there = (self._groups.get(one) for one in (row.new.rules or _NONE).bundles)
        groups = [one for one in there if one is not None]
        later = [time for one in groups if (time := stays(one.read(), one.kept_until, now))]
        if not later:
            return False
        row.kept_until = now + min(later)
        row.finalized_at = row.finalized_at or now
        self._rows.keeping.keep(row)
        return True

    def prune(self, now: int) -> None:
        """Forget what finished and is past its retention."""
        for bundle, group in list(self._groups.items()):
            if group.kept_until is not None and group.kept_until <= now:
                del self._groups[bundle]
                for job_id in group.members:
                    self._children.pop(job_id, None)

    def bundles(
        self, ids: Sequence[str] | None, cursor: str | None, limit: int
    ) -> tuple[Bundle, ...]:
        if ids is not None:
            chosen: Iterable[str] = (one for one in ids if one in self._groups)
        else:
            chosen = (one for one in self._groups if cursor is None or one < cursor)
        found = sorted(set(chosen), reverse=True)
        return tuple(
            self._groups[one].read() for one in (found if ids is not None else found[:limit])
        )

    def members(self, bundle: str, live: bool, after: str, limit: int) -> tuple[str, ...]:  # noqa: FBT001
        group = self._groups.get(bundle)
        if group is None:
            return ()
        ids: Iterable[str] = group.live if live else group.members
        return tuple(sorted(one for one in ids if one > after)[:limit])

    # --- helpers ---

    def _is_open(self, bundle: str) -> bool:
        group = self._groups.get(bundle)
        return group is not None and group.tally.finished_at is None

    def _count(self, row: Row, state: JobState, touched: dict[str, Group]) -> None:
        lives = row.state not in ENDED
        for bundle in (row.new.rules or _NONE).bundles:
            group = self._groups.get(bundle)
            if group is None:
                continue
            touched[bundle] = group
            group.tally.count(state, -1 if lives else 1)
            (group.live.add if lives else group.live.discard)(row.new.id)

    def _cause(self, row: Row) -> str | None:
        """With whose end a waiting row ends too."""
        rules = row.new.rules or _NONE
        return doomed(rules, self._outputs(rules))

    def _go_on(self, row: Row, cause: str | None, now: int) -> None:
        rules = row.new.rules or _NONE
        if cause is not None:
            self._rows.cancel_row(row, with_another(cause), now)
        elif blocker(rules, self._outputs(rules)) is None:
            self._fill(row)
            self._rows.step(row, SCHEDULED if row.scheduled_at > now else AVAILABLE)
            row.scheduled_at = max(row.scheduled_at, now)
            self._rows.place(row)

    def _fill(self, row: Row) -> None:
        """Put outputs of others into the arguments of a row."""
        rules = row.new.rules or _NONE
        payload = filled(row.new.payload, rules, self._outputs(rules))
        row.new = msgspec.structs.replace(row.new, payload=payload)

    def _outputs(self, rules: Rules) -> dict[str, Output]:
        outputs: dict[str, Output] = {}
        for after in rules.after:
            row = self._rows.rows.get(after.job_id)
            if row is not None and row.state in ENDED:
                lost = row.result_error is not None
                outputs[after.job_id] = Output(row.state.value, row.result, lost)
        return outputs

    def _settle(self, group: Group, now: int) -> None:
        jobs = group.tally.settle(now, live=bool(group.live))
        kept = self._rows.kept[group.tally.worst]
        over = group.tally.finished_at is not None and kept is not None
        group.kept_until = now + (kept or 0) if over else None
        for job in jobs:
            self._store(job)
