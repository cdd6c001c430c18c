"""What every operation over shards stands on: where jobs are, and tours of visits."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar

from longshore.core.shards import Placing, named
from longshore.core.store import Operation, Store
from longshore.stores.sharded.lives import Lives
from longshore.stores.sharded.reach import Reach, Visit

T = TypeVar("T")

#: The body of an operation: it yields the visits of a tour and is sent their replies.
Steps: TypeAlias = "Generator[Sequence[Visit], list[Any], T]"

#: More ids than these are not remembered; what is forgotten is looked for in every shard.
_REMEMBERED = 100_000


class Core:
    """The shards of one store and where its jobs are."""

    def __init__(self, reach: Reach, placing: Placing) -> None:
        self.reach = reach
        self.placing = placing
        self.lives = Lives()
        #: Jobs that were claimed from a shard which their ids do not name.
        self.strays: dict[str, int] = {}

    @property
    def shards(self) -> tuple[Store, ...]:
        """The stores, in the order of their numbers."""
        return self.reach.shards

    @property
    def everywhere(self) -> range:
        """The numbers of all shards."""
        return range(len(self.shards))

    def where(self, job_id: str) -> Sequence[int]:
        """The shards in which a job may be: one, as its id says, else all."""
        shard = self.strays.get(job_id)
        if shard is None:
            shard = named(job_id, len(self.shards))
        return self.everywhere if shard is None else (shard,)

    def found(self, job_id: str, shard: int) -> None:
        """Remember a job that is not where its id says."""
        if named(job_id, len(self.shards)) != shard:
            if len(self.strays) >= _REMEMBERED:
                self.strays.clear()
            self.strays[job_id] = shard

    def by_shard(self, ids: Iterable[str]) -> dict[int, list[str]]:
        """Ids by the shards in which they may be."""
        groups: dict[int, list[str]] = {}
        for job_id in dict.fromkeys(ids):
            for shard in self.where(job_id):
                groups.setdefault(shard, []).append(job_id)
        return groups

    def tour(
        self, make: Callable[[Store], Operation[Any]], shards: Iterable[int] | None = None
    ) -> Steps[list[Any]]:
        """Visit shards with one operation; gives their replies in order."""
        chosen = self.everywhere if shards is None else shards
        visits = [Visit(shard, make(self.shards[shard])) for shard in chosen]
        return (yield visits) if visits else []

    def ask(self, shard: int, op: Operation[T]) -> Steps[Any]:
        """Visit one shard."""
        (reply,) = yield [Visit(shard, op)]
        return reply
