"""Unique keys of a SQL store: which job holds one, and what an insert or a retry makes of that.

The key is a column of the live row with a unique index. An insert just writes; only where that
wrote fewer rows than it should does it undo that, look and write again.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import json

from longshore.core.batches import replacing
from longshore.core.limits import Hold, OnConflict
from longshore.core.model import Inserted, NewJob
from longshore.stores.sql.bundles import Bundling
from longshore.stores.sql.gates import Gating
from longshore.stores.sql.notes import Noting
from longshore.stores.sql.statements import Row, Steps
from longshore.stores.sql.walk import rules_of


class Held(msgspec.Struct):
    """The job that holds a key; the fields are the columns of the query ``holders`` behind it."""

    id: str
    state: str
    held_until: int | None
    bound: bool = False  # it belongs to a batch or workflow


class Verdict(msgspec.Struct):
    """What an insert comes to, seen in the order of its jobs."""

    new: dict[str, NewJob]
    replaced: dict[str, NewJob]  # by the id of the holder
    cleared: list[str]  # holders whose time has run out
    answers: list[Inserted]


class Holding(Bundling, Gating, Noting):
    """Keys at insert and at retry."""

    def judged(self, jobs: Sequence[NewJob], now: int) -> Steps[Verdict]:
        """Look at what is there and decide what each job comes to; nothing is written."""
        rows: list[Row] = yield self.sql["existing"](ids=self.ids([job.id for job in jobs]))
        there = {row[0]: (row[1], self.octets(row[2])) for row in rows}
        holders = yield from self.holders(
            [hold.key for job in jobs for hold in (hold_of(job),) if hold is not None]
        )
        return judge(jobs, there, holders, now)

    def holders(self, keys: Sequence[str]) -> Steps[dict[str, Held]]:
        """Who holds these keys."""
        if not keys:
            return {}
        rows: list[Row] = yield self.sql["holders"](keys=self.listed(list(dict.fromkeys(keys))))
        found = {key: Held(job_id, state, until) for key, job_id, state, until in rows}
        if found:
            # A member of a batch or workflow is not replaced: others count on what it is.
            rows = yield self.sql["members_live"](ids=self.ids([h.id for h in found.values()]))
            bound = {job_id for (job_id,) in rows}
            for holder in found.values():
                holder.bound = holder.id in bound
        return found

    def settled(self, verdict: Verdict, now: int) -> Steps[None]:
        """Write what becomes of jobs that hold keys: of some the time is over, some change."""
        if verdict.cleared:
            yield from self.unheld(verdict.cleared, gone=False)
        if verdict.replaced:
            # What waited in the line may go elsewhere.
            rows: list[Row] = yield self.sql["standing"](ids=self.ids(list(verdict.replaced)))
            yield self.sql["replace"].many(
                [replacement(job_id, job, now) for job_id, job in verdict.replaced.items()]
            )
            yield from self.left(rows)
            # What was done for other arguments.
            yield self.sql["steps_forget"](ids=self.ids(list(verdict.replaced)))

    def retaken(self, jobs: Sequence[Row], now: int) -> Steps[list[str]]:
        """Let ended jobs with rules live again; returns those whose key is another's.

        ``jobs`` as the query ``standing_ended`` gives them, in the order in which they are tried.
        """
        held: list[str] = []
        revived: list[Row] = []
        wanted: dict[str, Hold] = {}
        rows: list[Row] = []
        for job_id, _, _, _, column, attempted_at in jobs:
            rules = rules_of(column)
            hold = None if rules is None else rules.hold
            if hold is not None and hold.until_started and attempted_at is not None:
                hold = None  # given up when it started
            if hold is not None:
                wanted[job_id] = hold
            fair = None if rules is None or rules.fair is None else rules.fair.key
            rows.append((job_id, now, *_column(hold, now), fair))
        taken = set((yield from self.holders([hold.key for hold in wanted.values()])))
        for row in rows:
            key = row[2]
            if key in taken:
                held.append(row[0])
            else:
                revived.append(row)
                if key is not None:
                    taken.add(key)
        if revived:
            written: int = yield self.sql["revive_ruled"].many(revived)
            if written < len(revived):
                # Another has taken a key meanwhile.
                ids = [row[0] for row in revived]
                live: list[Row] = yield self.sql["standing"](ids=self.ids(ids))
                there = {row[0] for row in live}
                held += [job_id for job_id in ids if job_id not in there]
        return held


def hold_of(job: NewJob) -> Hold | None:
    """The unique key that a job is to hold."""
    return None if job.rules is None else job.rules.hold


def ruled_columns(job: NewJob, now: int) -> Row:
    """What a job's row has of its rules: identity, unique_key, held_until, fair_key, rules."""
    rules = job.rules
    if rules is None:
        return (job.identity, None, None, None, None)
    fair = None if rules.fair is None else rules.fair.key
    return (job.identity, *_column(rules.hold, now), fair, json.encode(rules))


def replacement(holder: str, job: NewJob, now: int) -> Row:
    """The values of the query ``replace``."""
    identity, _, held_until, fair_key, rules = ruled_columns(job, now)
    return (
        holder,
        job.payload,
        job.state.value,
        job.scheduled_at,
        job.expires_at,
        identity,
        held_until,
        fair_key,
        rules,
    )


def judge(
    jobs: Sequence[NewJob],
    there: dict[str, tuple[str, bytes]],
    holders: dict[str, Held],
    now: int,
) -> Verdict:
    """What each job comes to; ``there``: kind and payload by id."""
    verdict = Verdict({}, {}, [], [])
    for job in jobs:
        first = there.get(job.id)
        if first is not None:
            same = first == (job.kind, job.payload)
            verdict.answers.append(Inserted(job.id, duplicate=same, conflict=not same))
            continue
        hold = hold_of(job)
        holder = None if hold is None else holders.get(hold.key)
        if holder is not None and holder.held_until is not None and holder.held_until <= now:
            verdict.cleared.append(holder.id)
            holder = None
        if hold is None or holder is None:
            there[job.id] = (job.kind, job.payload)
            verdict.new[job.id] = job
            verdict.answers.append(Inserted(job.id))
            if hold is not None:
                bound = job.rules is not None and bool(job.rules.bundles)
                holders[hold.key] = Held(job.id, job.state.value, None, bound)
        else:
            verdict.answers.append(_met(job, hold, holder, verdict, there))
    if any(answer.conflict for answer in verdict.answers):
        return Verdict({}, {}, [], verdict.answers)
    return verdict


def _met(
    job: NewJob,
    hold: Hold,
    holder: Held,
    verdict: Verdict,
    there: dict[str, tuple[str, bytes]],
) -> Inserted:
    """What a job comes to whose key is held."""
    if hold.on_conflict is OnConflict.RAISE:
        return Inserted(holder.id, held=True, conflict=True)
    if hold.on_conflict is OnConflict.RETURN or holder.state == "running" or holder.bound:
        return Inserted(holder.id, duplicate=True, held=True)
    left = replacing(job)
    if left is None:
        return Inserted(holder.id, duplicate=True, held=True)
    mine = verdict.new.get(holder.id)
    if mine is None:
        verdict.replaced[holder.id] = left
    else:
        verdict.new[holder.id] = msgspec.structs.replace(
            mine,
            payload=left.payload,
            state=left.state,
            scheduled_at=left.scheduled_at,
            expires_at=left.expires_at,
            identity=left.identity,
            rules=left.rules,
        )
    if holder.id in there:
        there[holder.id] = (there[holder.id][0], job.payload)
    holder.held_until = None  # it begins anew
    return Inserted(holder.id, duplicate=True, held=True, replaced=True)


def _column(hold: Hold | None, now: int) -> tuple[str | None, int | None]:
    """The key that a job takes now, and when its time runs out."""
    if hold is None:
        return (None, None)
    return (hold.key, None if hold.ttl is None else now + hold.ttl)
