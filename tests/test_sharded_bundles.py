"""Batches while another shard is away: they are read, followed and cancelled where they lie."""

from __future__ import annotations

import msgspec
import pytest

from longshore.core.batches import NewBundle, Sort, Together
from longshore.core.limits import Rules
from longshore.core.shards import with_shard
from longshore.errors import StoreUnavailable
from longshore.ids import new_id
from tests import shard_tools
from tests.shard_tools import SHARDS, Spread, key_of
from tests.store_tools import job

spread = shard_tools.spread


def _batch(spread: Spread, shard: int, *, named: int | None = None) -> tuple[str, tuple[str, ...]]:
    """A batch of two jobs in a shard, its id naming this one or another."""
    key = key_of(shard, SHARDS)
    digits = shard if named is None else named
    bundle_id = with_shard(new_id(), digits)
    new = NewBundle(id=bundle_id, name="b", sort=Sort.BATCH, created_at=0, shard_key=key)
    rules = Rules(bundles=(bundle_id,))
    plain = [job(shard_key=key, fresh=True, rules=rules) for _ in range(2)]
    jobs = [msgspec.structs.replace(one, id=with_shard(one.id, digits)) for one in plain]
    spread.run(spread.store.insert(jobs, Together((new,))))
    return bundle_id, tuple(one.id for one in jobs)


@pytest.mark.parametrize("named", [0, 2])
def test_a_batch_is_read_while_another_shard_is_away(spread: Spread, named: int) -> None:
    store = spread.store
    batch, ids = _batch(spread, 0, named=named)
    spread.fall(1)
    (found,) = spread.run(store.bundles([batch]))
    assert found.total == 2
    assert spread.run(store.members(batch)) == ids
    assert spread.run(store.members(batch, after=ids[0], live=True)) == ids[1:]
    assert spread.run(store.members(batch, after=ids[1])) == (), "there are no more"
    assert len(spread.run(store.cancel(spread.run(store.members(batch, live=True)), "x")).changed)
    assert spread.run(store.members(batch, live=True)) == ()


def test_only_the_shard_that_its_id_names_is_asked_for_the_members(spread: Spread) -> None:
    batch, ids = _batch(spread, 0)
    for shard in spread.shards:
        shard.visits.clear()
    assert spread.run(spread.store.members(batch)) == ids
    assert spread.run(spread.store.members(batch, after=ids[1])) == ()
    assert [len(shard.visits) for shard in spread.shards] == [3, 0, 0]


def test_what_may_be_in_the_shard_that_is_away_is_not_said_to_be_nowhere(spread: Spread) -> None:
    store = spread.store
    here, _ = _batch(spread, 0)
    away, _ = _batch(spread, 1)
    unknown = with_shard(new_id(), 2)
    spread.fall(1)
    for op in (
        store.bundles([away]),
        store.bundles([here, away]),
        store.bundles([unknown]),
        store.bundles(),
        store.members(away),
        store.members(unknown),
    ):
        with pytest.raises(StoreUnavailable, match=r"shard 01 \(memory://\)"):
            spread.run(op)
    spread.rise(1)
    assert spread.run(store.bundles([unknown])) == ()
    assert spread.run(store.members(unknown)) == ()
