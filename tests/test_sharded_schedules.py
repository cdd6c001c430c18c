"""Schedules over shards: each lives where its jobs go, and nowhere else."""

from longshore.core.schedules import Answer, Declare, Schedule, SetSchedule
from longshore.core.shards import named
from longshore.core.ticks import planned
from longshore.ids import new_id
from longshore.stores.clock import ManualClock
from longshore.stores.memory.store import MemoryStore
from longshore.stores.sharded.store import ShardedStore
from tests.store_tools import job


def _scheduled(name: str, kind: str) -> Schedule:
    return Schedule(name=name, when="@hourly", job=job(kind=kind, id="", scheduled_at=0))


def test_a_name_that_is_in_another_shard_is_refused() -> None:
    store = ShardedStore([MemoryStore() for _ in range(3)])
    assert store.run(store.declare(Declare("app", (_scheduled("s", "a"),), fresh=True))) == ()
    home = store.placing.shard(job(kind="a"))
    other = next(k for k in "bcdefgh" if store.placing.shard(job(kind=k)) != home)
    moved = Declare("app", (_scheduled("s", other),), fresh=True)
    assert store.run(store.declare(moved)) == ("s",)
    (record,) = store.run(store.schedules())
    assert record.schedule.job.kind == "a"
    store.close()


def test_a_name_that_was_removed_by_others_may_live_in_another_shard() -> None:
    shards = [MemoryStore() for _ in range(3)]
    store = ShardedStore(shards)
    home = store.placing.shard(job(kind="a"))
    other = next(k for k in "bcdefgh" if store.placing.shard(job(kind=k)) != home)
    add = SetSchedule(name="s", verb="add", schedule=_scheduled("s", "a"))
    assert store.run(store.set_schedule(add)) is Answer.DONE
    moved = Declare("app", (_scheduled("s", other),), fresh=True)
    assert store.run(store.declare(moved)) == ("s",)
    store.run(store.schedules(["t"]))  # which says nothing of s
    # Another process removes it.
    shards[home].run(shards[home].set_schedule(SetSchedule(name="s", verb="remove")))
    assert store.run(store.declare(moved)) == ()
    (record,) = store.run(store.schedules())
    assert record.schedule.job.kind == other
    store.close()


def test_the_job_of_a_tick_is_in_the_shard_of_its_schedule() -> None:
    clock = ManualClock()
    store = ShardedStore([MemoryStore(clock=clock) for _ in range(3)])
    names = [_scheduled(kind, kind) for kind in "abcdefgh"]
    store.run(store.declare(Declare("app", tuple(names), fresh=True)))
    clock.advance(3_600_000_000)
    firings = [planned(record, clock.now(), new_id) for record in store.run(store.schedules())]
    for fired in store.run(store.fire([one for one in firings if one is not None])):
        (tick,) = fired.ticks
        home = store.placing.shard(job(kind=fired.name))
        assert named(tick.job_id or "", 3) == home
        inside = store.shards[home]
        assert tick.job_id in inside.run(inside.get([tick.job_id or ""]))
    store.close()


def test_what_no_shard_is_told_of_is_retired_there_too() -> None:
    clock = ManualClock()
    store = ShardedStore([MemoryStore(clock=clock) for _ in range(3)])
    names = [_scheduled(kind, kind) for kind in "abcdefgh"]
    store.run(store.declare(Declare("app", tuple(names), fresh=True)))
    assert {store.placing.shard(one.job) for one in names} == {0, 1, 2}
    clock.advance(61_000_000)
    store.run(store.declare(Declare("app", (names[0],))))
    retired = [record.name for record in store.run(store.schedules()) if record.retired]
    assert retired == list("bcdefgh")
    store.close()
