"""Schedules over shards: each lives in the shard of its jobs, under a name that no other has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from longshore.core.model import NewJob
from longshore.core.schedules import (
    Answer,
    Declare,
    Fired,
    Firing,
    Schedule,
    ScheduleRecord,
    SetSchedule,
    TickRecord,
)
from longshore.core.shards import Placing, with_shard
from longshore.core.store import operation
from longshore.errors import CrossShard
from longshore.stores.sharded.core import Core, Steps
from longshore.stores.sharded.reach import Reach, Visit, all_answered, answered, failed, log

_INCOMPLETE = "The other shards answer; the schedule may be in this one."


class Scheduling(Core):
    """Declaring, setting and firing over all shards."""

    def __init__(self, reach: Reach, placing: Placing) -> None:
        super().__init__(reach, placing)
        #: In which shard each schedule is, as far as it was seen.
        self._homes: dict[str, int] = {}
        #: Which schedules the log told of that would have to move, and where to.
        self._moved: set[tuple[str, int]] = set()

    @operation(writes=True)
    def declare(self, request: Declare) -> Steps[tuple[str, ...]]:
        """Store what code declares where its jobs go, retire elsewhere what it does not.

        One that is stored stays in its shard, which a job with a unique key or a limit must not.
        Refused is what would have to move: as its old schedule it would fire twice.
        """
        replies = yield from self.tour(lambda shard: shard.schedules())
        self._note_homes(replies)
        refused: list[str] = []
        groups: dict[int, list[Schedule]] = {shard: [] for shard in self.everywhere}
        for schedule in request.schedules:
            shard = self.placing.shard(schedule.job)
            # Another application's is refused by the shard it is in, as long as that one lives.
            home = self._homes.get(schedule.name, shard)
            if home == shard or not _is_counted(schedule.job):
                groups[home].append(schedule)
            else:
                refused.append(schedule.name)
                self._tell_of_moved(schedule, home, shard)
        visits = [
            Visit(
                shard,
                self.shards[shard].declare(msgspec.structs.replace(request, schedules=tuple(mine))),
            )
            for shard, mine in groups.items()
        ]
        replies = yield visits
        for names in answered(replies):
            refused += names
        return tuple(refused)

    @operation(writes=True)
    def fire(self, firings: Sequence[Firing]) -> Steps[tuple[Fired, ...]]:
        """Settle ticks, each in the shard of its schedule."""
        if any(firing.name not in self._homes for firing in firings):
            replies = yield from self.tour(lambda shard: shard.schedules())
            self._note_homes(replies)
        groups: dict[int, list[Firing]] = {}
        for firing in firings:
            shard = self._homes.get(firing.name)
            if shard is not None:
                groups.setdefault(shard, []).append(_placed(firing, shard))
        if not groups:
            return tuple(Fired(firing.name, held=False) for firing in firings)
        replies = yield [
            Visit(shard, self.shards[shard].fire(mine)) for shard, mine in groups.items()
        ]
        done = {one.name: one for some in answered(replies) for one in some}
        return tuple(done.get(one.name, Fired(one.name, held=False)) for one in firings)

    @operation(writes=True)
    def set_schedule(self, request: SetSchedule) -> Steps[Answer]:
        """Give an order to the shard that has the schedule; a new one goes where its jobs go."""
        replies = yield from self.tour(lambda shard: shard.schedules([request.name]))
        self._note_homes(replies, [request.name])
        home = self._homes.get(request.name)
        schedule = request.schedule
        if home is None:
            all_answered(replies, _INCOMPLETE)
        if schedule is not None:
            shard = self.placing.shard(schedule.job)
            if home is not None and home != shard:
                raise CrossShard(
                    f"schedule {request.name} is in shard {home:02d}, and a job {schedule.job.kind}"
                    f" goes to shard {shard:02d}; nothing was changed. Add it under another name"
                    " and remove this one, or give its job shard_key=."
                )
            home = shard
        if home is None:
            return Answer.UNKNOWN
        reply = yield from self.ask(home, self.shards[home].set_schedule(request))
        (answer,) = all_answered([reply])
        return Answer(answer)

    @operation(writes=False)
    def schedules(self, names: Sequence[str] | None = None) -> Steps[tuple[ScheduleRecord, ...]]:
        """Schedules by name, of the shards that answer."""
        replies = yield from self.tour(lambda shard: shard.schedules(names))
        self._note_homes(replies, names)
        found = {record.name: record for records in answered(replies) for record in records}
        if names is not None and not found.keys() >= set(names):
            all_answered(replies, _INCOMPLETE)
        return tuple(found[name] for name in sorted(found))

    @operation(writes=False)
    def ticks(self, name: str, *, limit: int) -> Steps[tuple[TickRecord, ...]]:
        """What became of the last ticks of a schedule, the newest first."""
        home = self._homes.get(name)
        where = None if home is None else (home,)
        replies = yield from self.tour(lambda shard: shard.ticks(name, limit=limit), where)
        found = [tick for ticks in all_answered(replies, _INCOMPLETE) for tick in ticks]
        return tuple(sorted(found, key=lambda tick: tick.at, reverse=True)[:limit])

    def _tell_of_moved(self, schedule: Schedule, home: int, shard: int) -> None:
        if (schedule.name, shard) in self._moved:
            return
        self._moved.add((schedule.name, shard))
        log.error(
            "schedule %s is stored in %s, and its job %s, which has a unique key or a limit, goes"
            " to %s: only there is it counted. It is retired a minute after the last process that"
            " declared it where it is. Give it another name=, or remove it once it is retired: it"
            " is then stored anew where it belongs",
            schedule.name,
            self.reach.label(home),
            schedule.job.kind,
            self.reach.label(shard),
        )

    def _note_homes(self, replies: Iterable[Any], names: Sequence[str] | None = None) -> None:
        """What shards answered that were asked for all schedules, or for these names."""
        for shard, records in enumerate(replies):
            if failed(records):
                continue
            there = {record.name for record in records}
            for name, home in tuple(self._homes.items()):
                if home == shard and name not in there and (names is None or name in names):
                    self._homes.pop(name, None)
            self._homes.update((name, shard) for name in there)


def _is_counted(job: NewJob) -> bool:
    """Whether a job shares something with others that is counted in one shard."""
    return job.rules is not None and (job.rules.hold is not None or bool(job.rules.limits))


def _placed(firing: Firing, shard: int) -> Firing:
    """A firing whose jobs have the shard in their ids."""

    def placed(job: NewJob | None) -> NewJob | None:
        return None if job is None else msgspec.structs.replace(job, id=with_shard(job.id, shard))

    ticks = tuple(msgspec.structs.replace(due, job=placed(due.job)) for due in firing.ticks)
    return msgspec.structs.replace(firing, ticks=ticks)
