"""Shards that are away: what goes on, what is refused, and what is made good afterwards."""

import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from longshore.core.model import Ending, JobState, Lease
from longshore.core.shards import with_shard
from longshore.core.store import (
    Beat,
    ClaimRequest,
    Filter,
    Operation,
    ProcessBeat,
    Rescue,
    SetQueue,
)
from longshore.errors import (
    PartlyEnqueued,
    StoreUnavailable,
)
from longshore.ids import new_id
from longshore.stores.sharded.store import ShardedStore
from longshore.stores.sqlite.store import SQLiteStore
from longshore.testing.conformance.bench import LEASE, SECOND
from tests import shard_tools
from tests.harbour_tools import eventually
from tests.shard_tools import SHARDS, Spread, key_of, leases
from tests.store_tools import EVERYTHING, job, register

spread = shard_tools.spread


def test_one_shard_down_does_not_stop_the_others(
    spread: Spread, caplog: pytest.LogCaptureFixture
) -> None:
    ids = [spread.insert(shard, 2) for shard in range(SHARDS)]
    with caplog.at_level(logging.WARNING, "longshore.shards"):
        spread.fall(1)
        claimed = spread.claim()
        assert sorted(one.id for one in claimed) == sorted([*ids[0], *ids[2]])
        (trouble,) = spread.store.troubles
        assert "shard 01 (memory://): no route to host" in trouble
        held = spread.run(
            spread.store.finish([Ending(one, JobState.SUCCEEDED) for one in leases(claimed)])
        )
        assert len(held) == 4
        assert spread.run(spread.store.beat(Beat((ProcessBeat("p", 0),), LEASE))).lost == set()
        assert spread.run(spread.store.rescue(Rescue())).leases == ()
        assert spread.run(spread.store.elect("p", LEASE))
        assert [one.name for one in spread.run(spread.store.queues())] == ["default"]
        assert len(spread.run(spread.store.processes())) == 1
        spread.rise(1)
    assert "the other shards go on" in caplog.text
    assert "shard 01 (memory://) answers again after" in caplog.text
    assert spread.store.troubles == ()
    assert sorted(one.id for one in spread.claim()) == sorted(ids[1])


def test_a_shard_that_is_down_is_not_waited_for_at_each_operation(spread: Spread) -> None:
    spread.fall(1)
    spread.shards[1].visits.clear()
    for _ in range(20):
        spread.claim()
        spread.run(spread.store.promote(10))
    assert set(spread.shards[1].visits) <= {"identity"}


def test_what_needs_a_shard_that_is_down_says_which_it_is(spread: Spread) -> None:
    ids = [spread.insert(shard)[0] for shard in range(SHARDS)]
    spread.fall(1)
    store = spread.store
    refused = r"shard 01 \(memory://\): no route to host"
    for op in (
        store.get([ids[1]]),
        store.find(Filter(), limit=9),
        store.count(Filter()),
        store.set_queue(SetQueue("default", paused=True)),
        store.cancel(ids, "stop"),
    ):
        with pytest.raises(StoreUnavailable, match=refused):
            spread.run(op)
    with pytest.raises(StoreUnavailable, match=f"{refused}.*Nothing was written"):
        spread.insert(1)
    assert spread.run(store.get([ids[0]]))[ids[0]].state is JobState.CANCELLED
    assert spread.run(store.get([ids[2]])), "what does not need it, works"
    spread.insert(2)


def test_a_request_over_shards_says_what_was_stored_when_one_fails(spread: Spread) -> None:
    one, two = (job(shard_key=key_of(shard, SHARDS), fresh=True) for shard in (0, 1))
    spread.fall(1)
    with pytest.raises(PartlyEnqueued, match=r"1 of 2 jobs.*shard 01") as error:
        spread.run(spread.store.insert([one, two]))
    assert error.value.stored == (one.id,)
    with pytest.raises(StoreUnavailable, match="Nothing was written"):
        spread.run(spread.store.insert([two, job(shard_key=key_of(2, SHARDS), fresh=True)]))
    found = spread.shards[2].run(spread.shards[2].find(Filter(), limit=9)).records
    assert found == ()


def test_all_shards_down_is_an_error_like_that_of_one_store(spread: Spread) -> None:
    for shard in spread.shards:
        shard.down = True
    for op in (
        spread.store.claim(ClaimRequest("p", 1, 1, EVERYTHING)),
        spread.store.queues(),
        spread.store.beat(Beat((ProcessBeat("p", 0),), LEASE)),
        spread.store.finish([Ending(Lease(new_id(), "p", 1), JobState.SUCCEEDED)]),
    ):
        with pytest.raises(StoreUnavailable):
            spread.run(op)


@pytest.mark.parametrize("way", ["finish", "exchange"])
def test_endings_wait_for_a_shard_that_is_down(spread: Spread, way: str) -> None:
    ids = [spread.insert(shard)[0] for shard in range(SHARDS)]
    endings = [Ending(one, JobState.SUCCEEDED) for one in leases(spread.claim())]
    spread.shards[1].down = True
    if way == "finish":
        held = spread.run(spread.store.finish(endings))
    else:
        held = spread.run(spread.store.exchange(endings, ClaimRequest("p", 99, 5, EVERYTHING))).held
    assert {lease.job_id for lease in held} == {ids[0], ids[2]}
    assert sum(len(owed) for owed in spread.store.owed.values()) == 1
    spread.rise(1)
    spread.claim()
    assert not spread.store.owed
    assert spread.run(spread.store.get([ids[1]]))[ids[1]].state is JobState.SUCCEEDED


def test_endings_that_are_owed_are_told_at_the_end(spread: Spread) -> None:
    (one,) = spread.insert(1)
    endings = [Ending(lease, JobState.SUCCEEDED) for lease in leases(spread.claim())]
    spread.shards[1].down = True
    assert spread.run(spread.store.finish([*endings, *others(spread)])) == set()
    spread.rise(1)
    shard = spread.shards[1]
    spread.run(spread.store.finish(()))
    assert shard.run(shard.get([one]))[one].state is JobState.SUCCEEDED


def others(spread: Spread) -> list[Ending]:
    """An ending for a shard that answers; its lease is nobody's."""
    return [Ending(Lease(with_shard(new_id(), 0), "p", 1), JobState.SUCCEEDED)]


def test_a_process_that_one_shard_gave_up_goes_on_in_all(spread: Spread) -> None:
    (before,) = spread.insert(1)
    (stale,) = leases(spread.claim(1))
    child = ShardedStore(spread.shards)  # another program: the supervisor's is `spread.store`
    spread.fall(1)
    beat = Beat((ProcessBeat("p", 0),), LEASE)
    for _ in range(3):
        spread.clock.advance(LEASE // 2)
        assert spread.run(spread.store.beat(beat)).lost == set()
    spread.rise(1)
    assert spread.run(spread.store.rescue(Rescue())).leases == (stale,)
    assert spread.run(spread.store.beat(beat)).lost == set(), "registered there again"
    ids = [spread.insert(shard)[0] for shard in range(SHARDS)]
    request = ClaimRequest("p", 7, 10, EVERYTHING)
    claimed = child.run(child.claim(request)).jobs
    assert {one.id for one in claimed} == {*ids, before}
    held = child.run(
        child.finish([Ending(one, JobState.SUCCEEDED) for one in leases(list(claimed))])
    )
    assert held == set(leases(list(claimed))), "with the lease as the process knows it"
    # The run that it lost with its lease was another's, and has ended there.
    assert child.run(child.finish([Ending(stale, JobState.SUCCEEDED)])) == set()
    record = spread.run(spread.store.get([before]))[before]
    assert (record.state, record.run) == (JobState.SUCCEEDED, 2)
    (process,) = spread.run(spread.store.processes())
    assert (process.id, process.lease_left > 0) == ("p", True)
    child.reach.shards = ()
    child.close()


def test_a_process_that_a_shard_could_not_renew_keeps_its_runs_there(spread: Spread) -> None:
    (job,) = spread.insert(1)
    (lease,) = leases(spread.claim(1))
    spread.fall(1)
    beat = Beat((ProcessBeat("p", 0),), LEASE)
    for _ in range(3):
        spread.clock.advance(LEASE // 2)
        assert spread.run(spread.store.beat(beat)).lost == set()
    spread.rise(1)
    assert spread.run(spread.store.beat(beat)).lost == set()
    assert spread.run(spread.store.rescue(Rescue())).leases == ()
    assert spread.run(spread.store.finish([Ending(lease, JobState.SUCCEEDED)])) == {lease}
    record = spread.run(spread.store.get([job]))[job]
    assert (record.state, record.run) == (JobState.SUCCEEDED, 1)


def test_jobs_of_a_shard_that_was_away_are_not_given_to_others_at_once(spread: Spread) -> None:
    (job,) = spread.insert(1)
    (lease,) = leases(spread.claim(1))
    spread.fall(1)
    spread.clock.advance(LEASE + 1)
    spread.rise(1)
    assert spread.run(spread.store.rescue(Rescue(patience=3_600_000_000))).leases == ()
    # Looked at for the first time, and a moment later.
    assert spread.run(spread.store.rescue(Rescue(patience=1))).withheld == 1
    spread.clock.advance(1)
    assert spread.run(spread.store.rescue(Rescue(patience=1))).leases == (lease,)
    assert spread.run(spread.store.get([job]))[job].state is JobState.AVAILABLE


def test_a_process_that_was_down_at_the_start_of_a_shard_serves_it_later(spread: Spread) -> None:
    spread.shards[1].down = True
    register(spread.store, "q")
    spread.rise(1)
    ids = [spread.insert(shard)[0] for shard in range(SHARDS)]
    beat = Beat((ProcessBeat("q", 0),), LEASE)
    assert spread.run(spread.store.beat(beat)).lost == set()
    assert {one.id for one in spread.claim(process="q")} == set(ids)


def test_a_process_that_all_shards_gave_up_is_lost(spread: Spread) -> None:
    spread.clock.advance(LEASE + 1)
    spread.run(spread.store.rescue(Rescue()))
    beat = Beat((ProcessBeat("p", 0),), LEASE)
    assert spread.run(spread.store.beat(beat)).lost == {"p"}
    assert not spread.run(spread.store.claim(ClaimRequest("p", 1, 1, EVERYTHING))).live


def test_a_beat_renews_where_shards_answer_while_one_hangs(tmp_path: Path) -> None:
    free = threading.Event()
    beats: list[int] = []

    class Hanging(SQLiteStore):
        number = 0

        def run(self, op: Operation[Any], /) -> Any:
            if op.name == "beat":
                beats.append(self.number)
                if self.number == 1:
                    assert free.wait(20)
            return super().run(op)

    shards = [Hanging(str(tmp_path / f"{number}.db")) for number in range(SHARDS)]
    for number, shard in enumerate(shards):
        shard.number = number
    store = ShardedStore(shards)
    try:
        register(store)
        beat = Beat((ProcessBeat("p", 0),), LEASE)
        for _ in range(3):
            assert store.run(store.beat(beat)).lost == set()
        assert not free.is_set()
        assert sorted(beats) == [0, 0, 0, 1, 2, 2, 2], "one visit at a time where one hangs"
        assert store.troubles == (), "slow is not down"
        free.set()
        eventually(lambda: store.run(store.beat(beat)).lost == set() and beats.count(1) > 1)
    finally:
        free.set()
        store.close()


def test_a_cancel_reaches_the_process_under_its_own_name(spread: Spread) -> None:
    spread.fall(1)
    spread.clock.advance(LEASE - SECOND)
    beat = Beat((ProcessBeat("p", 0),), LEASE)
    spread.run(spread.store.beat(beat))
    spread.clock.advance(LEASE - SECOND)
    spread.rise(1)
    spread.run(spread.store.beat(beat))
    (one,) = spread.insert(1)
    (lease,) = leases(spread.claim())
    spread.run(spread.store.cancel([one], "stop"))
    assert spread.run(spread.store.beat(beat)).cancels == (lease,)
    rescued = spread.run(spread.store.rescue(Rescue("p", frozenset({(one, lease.run)}))))
    assert (rescued.leases, rescued.interrupted) == ((lease,), (True,))
