"""Storing jobs in the shards they belong to."""

from __future__ import annotations

from collections.abc import Sequence

from longshore.core.model import Inserted, NewJob
from longshore.core.store import operation
from longshore.errors import PartlyEnqueued
from longshore.stores.sharded.core import Core, Steps
from longshore.stores.sharded.reach import all_answered, failed

_NOTHING = "Nothing was written."


class Producing(Core):
    """Insertion: all or none in one shard, one shard after the other where there are more."""

    @operation(writes=True)
    def insert(self, jobs: Sequence[NewJob]) -> Steps[Sequence[Inserted]]:
        """Store jobs, each in its shard."""
        places = [self.placing.shard(job) for job in jobs]
        seen = yield from self._seen(jobs)
        answers: list[Inserted] = []
        groups: dict[int, list[int]] = {}
        for number, job in enumerate(jobs):
            first = seen.get(job.id)
            if first is None:
                seen[job.id] = (job.kind, job.payload)
                groups.setdefault(places[number], []).append(number)
                answers.append(Inserted(job.id))
            else:
                same = first == (job.kind, job.payload)
                answers.append(Inserted(job.id, duplicate=same, conflict=not same))
        if any(answer.conflict for answer in answers):
            return answers
        stored: list[str] = []
        for shard, numbers in groups.items():
            mine = [jobs[number] for number in numbers]
            reply = yield from self.ask(shard, self.shards[shard].insert(mine))
            if failed(reply) and stored:
                raise PartlyEnqueued(_partly(stored, len(jobs), str(reply.error)), stored)
            (inserted,) = all_answered([reply], _NOTHING)
            if any(answer.conflict for answer in inserted) and stored:
                raise PartlyEnqueued(
                    _partly(stored, len(jobs), "another program stored one of their ids"), stored
                )
            for number, answer in zip(numbers, inserted, strict=True):
                answers[number] = answer
            stored += [answer.id for answer in inserted if not answer.duplicate]
        return answers

    def _seen(self, jobs: Sequence[NewJob]) -> Steps[dict[str, tuple[str, bytes]]]:
        """Kind and payload of what is stored already under an id that was given, in any shard.

        A job of the same id and another kind may be in another shard, which would not notice.
        """
        given = [job.id for job in jobs if not job.fresh]
        if not given:
            return {}
        replies = yield from self.tour(lambda shard: shard.get(given))
        return {
            job_id: (record.kind, record.payload)
            for records in all_answered(replies, _NOTHING)
            for job_id, record in records.items()
        }


def _partly(stored: Sequence[str], of: int, why: str) -> str:
    return (
        f"{len(stored)} of {of} jobs were stored, in their shards, the others were not: {why}"
        " Enqueue those again that are not among the error's `handles`."
    )
