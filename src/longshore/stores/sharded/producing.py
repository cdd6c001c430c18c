"""Storing jobs in the shards they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from longshore.core.limits import OnConflict
from longshore.core.model import Inserted, NewJob
from longshore.errors import EnqueueUncertain, PartlyEnqueued, StoreUnavailable
from longshore.stores.sharded.core import Core, Steps
from longshore.stores.sharded.reach import all_answered, failed, written

_NOTHING = "Nothing was written."

#: So many ids are named by the message of an error.
NAMED: Final = 20


class Producing(Core):
    """Insertion: all or none in one shard, one shard after the other where there are more."""

    def stored(self, jobs: Sequence[NewJob]) -> Steps[Sequence[Inserted]]:
        """Store jobs, each in its shard."""
        seen = yield from self._seen(jobs)
        answers: list[Inserted] = []
        groups: dict[int, list[int]] = {}
        refusing: set[int] = set()
        for number, job in enumerate(jobs):
            mine = self.placing.shard(job)
            shard, kind, payload = seen.setdefault(job.id, (mine, job.kind, job.payload))
            same = (kind, payload) == (job.kind, job.payload)
            if shard == mine:  # a shard tells by itself what is there
                groups.setdefault(mine, []).append(number)
                answers.append(Inserted(job.id))
                if not same or _may_be_refused(job):
                    refusing.add(mine)
            else:
                answers.append(Inserted(job.id, duplicate=same, conflict=not same))
        if any(answer.conflict for answer in answers):
            return answers
        stored: list[str] = []
        # As long as the others have stored nothing, nothing of them is stored.
        for shard, numbers in sorted(groups.items(), key=lambda group: group[0] not in refusing):
            belong = [jobs[number] for number in numbers]
            inserted = yield from self._stored_there(shard, belong, stored, len(jobs))
            refused = next((answer for answer in inserted if answer.conflict), None)
            if refused is not None and stored:
                raise _partly(stored, len(jobs), _refusal(refused))
            for number, answer in zip(numbers, inserted, strict=True):
                answers[number] = answer
            if refused is not None:
                return answers
            stored += [answer.id for answer in inserted if not answer.duplicate]
        return answers

    def _stored_there(
        self, shard: int, jobs: Sequence[NewJob], stored: Sequence[str], of: int
    ) -> Steps[Sequence[Inserted]]:
        """Store jobs in one shard, when others have ``stored`` some of all.

        Whoever enqueues again what an error does not name as stored must not double it: none is
        raised that forgets what others have stored, or takes for absent what may be there.
        """
        try:
            reply: Any = yield from self.ask(shard, self.shards[shard].insert(jobs))
        except PartlyEnqueued as error:
            # The shard may have lost the reply to what followed: of the rest some may be there.
            there = frozenset(error.stored)
            rest = [job for job in jobs if job.id not in there]
            raise _partly([*stored, *error.stored], of, str(error), rest) from error
        except EnqueueUncertain as error:
            if not stored:
                raise
            raise _partly(stored, of, str(error), jobs) from error
        if failed(reply) and stored:
            # One that could not be reached may have been lost after it had written.
            lost = reply.asked and isinstance(reply.error, StoreUnavailable)
            raise _partly(stored, of, str(reply.error), jobs if lost else ()) from reply.error
        inserted: Sequence[Inserted] = written(reply)
        return inserted

    def _seen(self, jobs: Sequence[NewJob]) -> Steps[dict[str, tuple[int, str, bytes]]]:
        """Shard, kind and payload of what is stored already under an id that was given.

        A job of the same id and another kind may be in another shard, which would not notice.
        """
        given = [job.id for job in jobs if not job.fresh]
        if not given:
            return {}
        replies = yield from self.tour(lambda shard: shard.get(given))
        return {
            job_id: (shard, record.kind, record.payload)
            for shard, records in enumerate(all_answered(replies, _NOTHING))
            for job_id, record in records.items()
        }


def _may_be_refused(job: NewJob) -> bool:
    """Whether the request is refused when the unique key of this job is held."""
    hold = None if job.rules is None else job.rules.hold
    return hold is not None and hold.on_conflict is OnConflict.RAISE


def _refusal(answer: Inserted) -> str:
    if answer.held:
        return f"job {answer.id} holds the unique key of one of them."
    return "another program stored one of their ids."


def _partly(
    stored: Sequence[str], of: int, why: str, uncertain: Sequence[NewJob] = ()
) -> PartlyEnqueued:
    """The error for what was stored of so many; of some it may not be known."""
    if uncertain:
        ids = ", ".join(job.id for job in uncertain[:NAMED])
        if len(uncertain) > NAMED:
            ids += f" and {len(uncertain) - NAMED} more of that shard"
        fate = f"of {len(uncertain)} it is not known ({ids})"
        others = of - len(stored) - len(uncertain)
        if others:
            fate += f", the other {others} were not"
        advice = "Those may be there: look with jobs.get(id) before you enqueue one of them again."
    else:
        fate = "the others were not"
        advice = "Enqueue those again that are not among the error's `handles`."
    return PartlyEnqueued(
        f"{len(stored)} of {of} jobs were stored, in their shards, {fate}: {why.rstrip('.')}."
        f" {advice}",
        stored,
    )
