"""Batches and workflows over shards: each lies in one, with all of its jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from longshore.core.batches import Bundle, Together, older
from longshore.core.model import Inserted, NewJob
from longshore.core.shards import named, shard_of
from longshore.core.store import Store, operation
from longshore.errors import CrossShard
from longshore.stores.sharded.consuming import Consuming
from longshore.stores.sharded.core import Steps
from longshore.stores.sharded.producing import Producing
from longshore.stores.sharded.reach import all_answered, answered, failed, written

_NOTHING = "Nothing was written."
_INCOMPLETE = "The other shards answer; the batch may be in this one."


class Bundling(Producing, Consuming):
    """Storing and reading what belongs together."""

    @operation(writes=True)
    def insert(
        self, jobs: Sequence[NewJob], together: Together | None = None
    ) -> Steps[Sequence[Inserted]]:
        """Store jobs, each in its shard; those that belong together in the one of all of them."""
        if together is None:
            return (yield from self.stored(jobs))
        there = older(jobs, together)
        home = self._home(jobs, together, there)
        answers = yield from self._stored_in(home, jobs, together)
        if there and any(answer.late for answer in answers):
            # Its id may name another shard than the one in which it is.
            replies = yield from self.tour(lambda shard: shard.bundles(there))
            found = all_answered(replies, _NOTHING)
            elsewhere = next((at for at, some in enumerate(found) if some), home)
            if elsewhere != home:
                answers = yield from self._stored_in(elsewhere, jobs, together)
        return answers

    @operation(writes=False)
    def bundles(
        self, ids: Sequence[str] | None = None, *, cursor: str | None = None, limit: int = 100
    ) -> Steps[tuple[Bundle, ...]]:
        """Batches and workflows of all shards, the newest first."""
        replies = yield from self.tour(lambda shard: shard.bundles(ids, cursor=cursor, limit=limit))
        every = [one for some in answered(replies) for one in some]
        # Each is in one shard: once all are found, it does not matter what others would say.
        if ids is None or not {one.id for one in every}.issuperset(ids):
            all_answered(replies, _INCOMPLETE)
        every.sort(key=lambda one: one.id, reverse=True)
        return tuple(every if ids is not None else every[:limit])

    @operation(writes=False)
    def members(
        self, bundle: str, *, live: bool = False, after: str = "", limit: int = 1000
    ) -> Steps[tuple[str, ...]]:
        """Ids of members, in order, from the shard that has them."""
        home = named(bundle, len(self.shards))
        reply: Any = ()
        if home is not None:
            op = self.shards[home].members(bundle, live=live, after=after, limit=limit)
            reply = yield from self.ask(home, op)
        if not reply or failed(reply):
            # There may be none behind `after`, or the bundle may be in another shard.
            keeper = yield from self._keeper(bundle, home)
            if keeper is not None and keeper != home:
                op = self.shards[keeper].members(bundle, live=live, after=after, limit=limit)
                home, reply = keeper, (yield from self.ask(keeper, op))
        (ids,) = all_answered([reply])
        if home is not None:
            for job_id in ids:
                self.found(job_id, home)
        return tuple(ids)

    def home_together(self, jobs: Sequence[NewJob], together: Together) -> tuple[Store, Together]:
        """The shard for what is stored as a whole, and who adds to it as that shard knows him."""
        home = self._home(jobs, together, older(jobs, together))
        return self.shards[home], self._known_there(together)

    # --- helpers ---

    def _keeper(self, bundle: str, first: int | None) -> Steps[int | None]:
        """The shard that has a bundle; the others are asked when the ``first`` has it not."""
        others = [shard for shard in self.everywhere if shard != first]
        asked: list[Any] = []
        for shards in ([] if first is None else [first], others):
            replies = yield from self.tour(lambda shard: shard.bundles([bundle]), shards)
            for shard, reply in zip(shards, replies, strict=True):
                if reply and not failed(reply):
                    return shard
            asked += replies
        all_answered(asked, _INCOMPLETE)
        return None

    def _known_there(self, together: Together) -> Together:
        if together.lease is None:
            return together
        return msgspec.structs.replace(together, lease=self.lease_at(together.lease))

    def _home(self, jobs: Sequence[NewJob], together: Together, there: Sequence[str]) -> int:
        """The one shard for all of it."""
        if together.lease is not None:
            return self.where(together.lease.job_id)[0]
        if there:
            return named(there[0], len(self.shards)) or 0
        first = together.bundles[0] if together.bundles else None
        if not jobs:
            if first is not None and first.shard_key is not None:
                return shard_of(first.shard_key, len(self.shards))
            return (named(first.id, len(self.shards)) if first is not None else None) or 0
        home = self.placing.shard(jobs[0])
        for job in jobs:
            own = self.placing.shard(job)
            if own != home:
                what = "a batch" if first is None else f"{first.sort} {first.name}"
                raise CrossShard(
                    f"job {job.kind} ({job.id}) belongs to shard {own:02d} and {what} to shard"
                    f" {home:02d}, and it lies in one; nothing was enqueued. Give all of its jobs"
                    " one shard_key=."
                )
        return home

    def _stored_in(
        self, home: int, jobs: Sequence[NewJob], together: Together
    ) -> Steps[Sequence[Inserted]]:
        mine = self._known_there(together)
        reply: Any = yield from self.ask(home, self.shards[home].insert(jobs, mine))
        answers = written(reply)
        for job in jobs:
            self.found(job.id, home)
        stored: Sequence[Inserted] = answers
        return stored
