"""The store of several stores; see :class:`ShardedStore`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from longshore.core.facts import Facts
from longshore.core.model import Lease
from longshore.core.schema import Difference, Migration, SchemaStatus
from longshore.core.shards import Placing, ShardBy
from longshore.core.store import Operation, Store, Watch, adrive, drive
from longshore.errors import StoreDenied, StoreError, StoreUnavailable
from longshore.stores.sharded.bundling import Bundling
from longshore.stores.sharded.inspecting import Inspecting
from longshore.stores.sharded.maintaining import Maintaining
from longshore.stores.sharded.reach import Reach, log
from longshore.stores.sharded.scheduling import Scheduling
from longshore.stores.sharded.watch import ShardedWatch

T = TypeVar("T")


class ShardedStore(Bundling, Maintaining, Inspecting, Scheduling):
    """Several stores as one; see :class:`longshore.core.store.Store`.

    An operation here yields visits to shards, which are operations there; each is a transaction of
    its shard, and nothing is one over several. What concerns one job concerns one shard.

    Args:
        shards: the stores; a shard's number is its place, for good: new ones are added at the end.
        shard_by: what decides the shard of a job.
    """

    name = "shards"

    def __init__(self, shards: Sequence[Store], *, shard_by: ShardBy = "kind") -> None:
        super().__init__(Reach(shards), Placing(len(shards), shard_by))
        self.shared = all(shard.shared for shard in shards)
        self.address = _address(shards)

    def run(self, op: Operation[T], /) -> T:
        """Drive an operation and block until every shard that it visits has committed."""
        op.before()
        return drive(op, self.reach.visit_all)

    async def arun(self, op: Operation[T], /) -> T:
        """Drive an operation, awaiting all shards of a tour at once."""
        return await adrive(op, self.reach.avisit_all)

    @property
    def troubles(self) -> tuple[str, ...]:
        """A sentence for each shard that does not answer just now."""
        return tuple(str(error) for _, error in sorted(self.reach.down.items()))

    def home(self, lease: Lease) -> tuple[Store, Lease]:
        """The shard of a job that was claimed here, and the lease as that shard knows it."""
        (shard, *_) = self.where(lease.job_id)
        return self.shards[shard], self.lease_at(lease)

    def answering(self) -> ShardedStore:
        """The shards that answer just now, to be counted; not to be closed.

        Raises:
            StoreError: none does.
        """
        down = self.reach.down
        shards = [shard for number, shard in enumerate(self.shards) if number not in down]
        if not shards:
            raise next(iter(down.values()))
        return ShardedStore(shards)

    def watch(self) -> Watch:
        """A watch that hears of every shard."""
        return ShardedWatch(self.shards)

    def schema(self) -> SchemaStatus:
        """Which migrations each shard has had: ``SHARD/NAME``."""
        found = [(number, shard.schema()) for number, shard in enumerate(self.shards)]
        return SchemaStatus(
            *(
                tuple(
                    _in_shard(number, name)
                    for number, status in found
                    for name in getattr(status, field)
                )
                for field in SchemaStatus.__struct_fields__
            )
        )

    def migrate(self) -> tuple[str, ...]:
        """Bring the tables of every shard up to date; says which ran where."""
        return tuple(self._each(lambda shard: shard.migrate(), _in_shard))

    def script(self) -> tuple[Migration, ...]:
        """Every migration for every shard."""
        return tuple(
            self._each(
                lambda shard: shard.script(),
                lambda number, one: msgspec.structs.replace(one, name=_in_shard(number, one.name)),
            )
        )

    def verify(self) -> tuple[Difference, ...]:
        """Compare the tables of every shard."""
        return tuple(
            self._each(
                lambda shard: shard.verify(),
                lambda number, one: msgspec.structs.replace(
                    one, table=_in_shard(number, one.table)
                ),
            )
        )

    def facts(self) -> tuple[Facts, ...]:
        """What each shard says of itself that can be reached.

        Raises:
            StoreError: none can, or one refuses.
        """
        found: list[Facts] = []
        away: StoreUnavailable | None = None
        for number, shard in enumerate(self.shards):
            label = self.reach.label(number)
            try:
                found += (msgspec.structs.replace(one, address=label) for one in shard.facts())
            except StoreDenied:
                raise
            except StoreUnavailable as error:
                away = error
        if away is not None and not found:
            raise away
        return tuple(found)

    def close(self) -> None:
        """Tell shards what they are owed, if they answer, and close them."""
        if self.owed:
            try:
                self.run(self.finish(()))
            except StoreError as error:
                log.warning("some endings could not be told (%s); those jobs run again", error)
        self.reach.close()

    def _each(
        self, ask: Callable[[Store], Iterable[T]], told: Callable[[int, T], T]
    ) -> Iterable[T]:
        for number, shard in enumerate(self.shards):
            for one in ask(shard):
                yield told(number, one)


def _in_shard(number: int, name: str) -> str:
    return f"{number:02d}/{name}"


def _address(shards: Sequence[Store]) -> str:
    addresses = list(dict.fromkeys(shard.address for shard in shards))
    if len(addresses) == 1:
        return f"{len(shards)} shards in {addresses[0]}"
    return f"{len(shards)} shards: {', '.join(addresses)}"
