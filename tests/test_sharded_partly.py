"""Requests over shards of which only a part was stored: errors that forget nothing of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import pytest

from longshore.core.batches import NewBundle, Sort, Together
from longshore.core.model import NewJob
from longshore.core.store import Filter, Operation
from longshore.errors import (
    EnqueueUncertain,
    LongshoreError,
    PartlyEnqueued,
    StoreFull,
    StoreUnavailable,
)
from longshore.stores.memory.store import MemoryStore
from longshore.stores.sharded.producing import NAMED
from longshore.stores.sharded.store import ShardedStore
from tests.shard_tools import key_of
from tests.store_tools import job

LOST = "it broke. It is not known whether the last request was carried out."


class Failing(MemoryStore):
    """A store that raises an error, made of the jobs of a request, instead of storing these."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Any = None

    def run(self, op: Operation[Any], /) -> Any:
        if op.name == "insert" and self.error is not None:
            raise self.error
        return super().run(op)


@pytest.fixture
def store() -> Iterator[ShardedStore]:
    made = ShardedStore([Failing(), Failing()])
    yield made
    made.close()


@pytest.fixture(params=["blocking", "awaiting"])
def way(request: pytest.FixtureRequest) -> Any:
    return request.param


def _jobs(shard: int, count: int) -> list[NewJob]:
    return [job(shard_key=key_of(shard, 2), fresh=True) for _ in range(count)]


def _insert(
    store: ShardedStore, jobs: Sequence[NewJob], way: Literal["blocking", "awaiting"]
) -> LongshoreError:
    op = store.insert(jobs)

    async def awaiting() -> object:
        return await store.arun(op)

    with pytest.raises(LongshoreError) as raised:
        _ = store.run(op) if way == "blocking" else asyncio.run(awaiting())
    return raised.value


def _fails(store: ShardedStore, shard: int, error: LongshoreError) -> None:
    failing = store.shards[shard]
    assert isinstance(failing, Failing)
    failing.error = error


def test_what_a_shard_stored_in_part_is_told_with_what_others_stored(
    store: ShardedStore, way: Any
) -> None:
    here, there = _jobs(0, 2), _jobs(1, 2)
    _fails(store, 1, PartlyEnqueued("1 of 2 jobs were stored.", [there[0].id]))
    error = _insert(store, [*here, *there], way)
    assert isinstance(error, PartlyEnqueued)
    assert error.stored == (here[0].id, here[1].id, there[0].id)
    unsure = f"of 1 it is not known ({there[1].id}): 1 of 2"
    assert str(error).startswith(f"3 of 4 jobs were stored, in their shards, {unsure}")


def test_what_the_first_shard_stored_in_part_is_told_of_all(store: ShardedStore, way: Any) -> None:
    here, there = _jobs(0, 2), _jobs(1, 2)
    _fails(store, 0, PartlyEnqueued("1 of 2 jobs were stored.", [here[0].id]))
    error = _insert(store, [*here, *there], way)
    assert isinstance(error, PartlyEnqueued)
    assert error.stored == (here[0].id,)
    assert str(error).startswith("1 of 4 jobs were stored")
    assert f"of 1 it is not known ({here[1].id}), the other 2 were not: " in str(error)


@pytest.mark.parametrize("kind", ["uncertain", "lost"])
def test_what_may_be_stored_is_named_beside_what_is(
    store: ShardedStore, way: Any, kind: str
) -> None:
    here, there = _jobs(0, 2), _jobs(1, NAMED + 3)
    told = EnqueueUncertain(LOST, there[0].id) if kind == "uncertain" else StoreUnavailable(LOST)
    _fails(store, 1, told)
    error = _insert(store, [*here, *there], way)
    assert isinstance(error, PartlyEnqueued)
    assert error.stored == tuple(one.id for one in here)
    assert f"2 of {NAMED + 5} jobs were stored, in their shards, of {NAMED + 3} it" in str(error)
    assert all(one.id in str(error) for one in there[:NAMED])
    assert "and 3 more of that shard" in str(error)
    assert "jobs.get(id) before you enqueue one of them again" in str(error)
    assert "`handles`" not in str(error)


def test_those_that_no_shard_was_asked_for_are_counted_beside_the_uncertain() -> None:
    store = ShardedStore([Failing() for _ in range(3)])
    jobs = [job(shard_key=key_of(shard, 3), fresh=True) for shard in range(3)]
    _fails(store, 1, EnqueueUncertain(LOST, jobs[1].id))
    with pytest.raises(PartlyEnqueued, match=r"of 1 it is .*, the other 1 were not: ") as raised:
        store.run(store.insert(jobs))
    assert raised.value.stored == (jobs[0].id,)
    assert store.shards[2].run(store.shards[2].find(Filter(), limit=9)).records == ()
    store.close()


def test_the_rest_may_be_enqueued_again_where_it_is_surely_not_stored(
    store: ShardedStore, way: Any
) -> None:
    here, there = _jobs(0, 1), _jobs(1, 1)
    _fails(store, 1, StoreFull("no room is left; nothing was written."))
    error = _insert(store, [*here, *there], way)
    assert isinstance(error, PartlyEnqueued)
    assert "the others were not: " in str(error)
    assert "Enqueue those again that are not among the error's `handles`." in str(error)


def test_uncertainty_alone_is_told_as_it_is(store: ShardedStore, way: Any) -> None:
    (one,) = _jobs(1, 1)
    _fails(store, 1, EnqueueUncertain(LOST, one.id))
    error = _insert(store, [one], way)
    assert isinstance(error, EnqueueUncertain)
    assert (str(error), error.job_id) == (LOST, one.id)


def test_nothing_was_written_is_said_only_where_it_is_certain(
    store: ShardedStore, way: Any
) -> None:
    _fails(store, 1, StoreUnavailable(LOST))
    store.reach.close()  # nobody tries whether the shard answers again
    assert "othing was written" not in str(_insert(store, _jobs(1, 1), way))
    store.reach.down[1] = StoreUnavailable("shard 01 is down.")
    assert "shard 01 is down. Nothing was written." in str(_insert(store, _jobs(1, 1), way))


def test_the_same_holds_for_what_is_stored_together(store: ShardedStore) -> None:
    _fails(store, 1, StoreUnavailable(LOST))
    bundle = NewBundle(id="b", name="b", sort=Sort.BATCH, created_at=0, shard_key=key_of(1, 2))
    with pytest.raises(StoreUnavailable) as raised:
        store.run(store.insert((), Together((bundle,))))
    assert "othing was written" not in str(raised.value)
