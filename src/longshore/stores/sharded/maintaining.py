"""Maintenance of every shard: bounded as a whole, and of those that answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from longshore.core.model import Lease
from longshore.core.shards import Placing
from longshore.core.store import Operation, Rescue, Rescued, Store, operation
from longshore.stores.sharded.core import Core, Steps
from longshore.stores.sharded.lives import base
from longshore.stores.sharded.reach import Reach, answered, failed


class Maintaining(Core):
    """Elections, promotion, rescue and pruning."""

    def __init__(self, reach: Reach, placing: Placing) -> None:
        super().__init__(reach, placing)
        self._led: dict[str, frozenset[int]] = {}

    @operation(writes=True)
    def elect(self, process_id: str, lease: int) -> Steps[bool]:
        """Become or stay the one that prunes, in each shard for itself."""
        replies = yield from self.tour(lambda shard: shard.elect(process_id, lease))
        answered(replies)
        led = frozenset(shard for shard, reply in enumerate(replies) if reply is True)
        self._led[process_id] = led
        return bool(led)

    @operation(writes=True)
    def promote(self, limit: int) -> Steps[int]:
        """Make due jobs available; cancel those that have expired."""
        return (yield from self._bounded(self.everywhere, limit, _promote))

    @operation(writes=True)
    def prune(self, limit: int) -> Steps[int]:
        """Delete ended jobs past their retention, where a process of this program is elected."""
        led = frozenset[int]().union(*self._led.values())
        return (yield from self._bounded(sorted(led) or self.everywhere, limit, _prune))

    @operation(writes=True)
    def rescue(self, request: Rescue) -> Steps[Rescued]:
        """Give back running jobs whose process is gone.

        A shard that does not answer finds them by itself when their lease has run out. Who is
        patient waits after the outage of a shard too: there nobody was renewed meanwhile.
        """
        leases: list[Lease] = []
        interrupted: list[bool] = []
        withheld = 0
        replies: list[Any] = []
        for shard in self.everywhere:
            names = [None] if request.dead is None else self.lives.names(request.dead, shard)
            for name in names:
                left = request.limit - len(leases)
                if left <= 0 or self._is_fresh(shard, request):
                    break
                asked = msgspec.structs.replace(request, dead=name, limit=left)
                reply = yield from self.ask(shard, self.shards[shard].rescue(asked))
                replies.append(reply)
                if not failed(reply):
                    leases += [
                        Lease(one.job_id, base(one.process_id), one.run) for one in reply.leases
                    ]
                    interrupted += reply.interrupted
                    withheld += reply.withheld
        answered(replies)
        if request.dead is not None and len(leases) < request.limit and not withheld:
            self.lives.forget(request.dead)
            self._led.pop(request.dead, None)
        return Rescued(tuple(leases), tuple(interrupted), withheld)

    def _is_fresh(self, shard: int, request: Rescue) -> bool:
        """Whether a shard answers again for less than a patient rescuer waits."""
        back = self.reach.back.get(shard)
        if back is None or request.patience is None or request.dead is not None:
            return False
        return time.monotonic() - back < request.patience / 1e6

    def _bounded(
        self, shards: Sequence[int], limit: int, make: Callable[[Store, int], Operation[int]]
    ) -> Steps[int]:
        """Work through shards until so much was done."""
        done = 0
        replies: list[Any] = []
        for shard in shards:
            if done >= limit and replies:
                break
            reply = yield from self.ask(shard, make(self.shards[shard], limit - done))
            replies.append(reply)
            done += 0 if failed(reply) else reply
        answered(replies)
        return done


def _promote(store: Store, limit: int) -> Operation[int]:
    return store.promote(limit)


def _prune(store: Store, limit: int) -> Operation[int]:
    return store.prune(limit)
