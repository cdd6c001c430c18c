"""Schedules over shards: each lives where its jobs go, and nowhere else."""

import itertools

import pytest

from longshore.core.limits import Hold, Limit, Rules
from longshore.core.schedules import RETIRES, Answer, Declare, Schedule, SetSchedule
from longshore.core.shards import named, shard_of
from longshore.core.ticks import planned
from longshore.ids import new_id
from longshore.stores.clock import ManualClock
from longshore.stores.memory.store import MemoryStore
from longshore.stores.sharded.store import ShardedStore
from tests.store_tools import job


def _scheduled(name: str, kind: str) -> Schedule:
    return Schedule(name=name, when="@hourly", job=job(kind=kind, id="", scheduled_at=0))


def test_a_name_that_is_in_another_shard_stays_there() -> None:
    store = ShardedStore([MemoryStore() for _ in range(3)])
    assert store.run(store.declare(Declare("app", (_scheduled("s", "a"),), fresh=True))) == ()
    home = store.placing.shard(job(kind="a"))
    other = next(k for k in "bcdefgh" if store.placing.shard(job(kind=k)) != home)
    moved = Declare("app", (_scheduled("s", other),), fresh=True)
    assert store.run(store.declare(moved)) == ()
    (record,) = store.run(store.schedules())
    assert record.schedule.job.kind == other
    assert [len(one.run(one.schedules())) for one in store.shards] == [
        int(number == home) for number in range(3)
    ]
    store.close()


def test_a_name_that_another_application_has_in_another_shard_is_refused() -> None:
    store = ShardedStore([MemoryStore() for _ in range(3)])
    store.run(store.declare(Declare("app", (_scheduled("s", "a"),), fresh=True)))
    home = store.placing.shard(job(kind="a"))
    other = next(k for k in "bcdefgh" if store.placing.shard(job(kind=k)) != home)
    assert store.run(store.declare(Declare("shop", (_scheduled("s", other),), True))) == ("s",)
    (record,) = store.run(store.schedules())
    assert (record.entry.app, record.schedule.job.kind) == ("app", "a")
    store.close()


def _grown(rules: Rules | None = None) -> tuple[ManualClock, ShardedStore, Declare, int]:
    """A schedule that was declared over two shards, whose job goes to the third of three."""
    clock = ManualClock()
    shards = [MemoryStore(clock=clock) for _ in range(3)]
    kind = next(k for k in map(str, itertools.count()) if shard_of(k, 3) == 2)
    new = job(kind=kind, id="", scheduled_at=0, rules=rules)
    request = Declare("app", (Schedule(name="s", when="@hourly", job=new),), fresh=True)
    before = ShardedStore(shards[:2])
    assert before.run(before.declare(request)) == ()
    return clock, ShardedStore(shards), request, shard_of(kind, 2)


def test_a_schedule_goes_on_when_its_jobs_go_to_a_shard_that_was_added() -> None:
    clock, store, request, home = _grown()
    for _ in range(3):
        clock.advance(RETIRES + 1)
        assert store.run(store.declare(request)) == ()
    clock.advance(3_600_000_000)
    (record,) = store.run(store.schedules())
    assert not record.retired
    firing = planned(record, clock.now(), new_id)
    assert firing is not None
    (fired,) = store.run(store.fire([firing]))
    assert fired.held
    (tick, *_) = fired.ticks
    assert named(tick.job_id or "", 3) == home
    assert (tick.job_id or "") in store.run(store.get([tick.job_id or ""]))
    store.close()


@pytest.mark.parametrize(
    "rules", [Rules(hold=Hold("k")), Rules(limits=(Limit("l", "k", 1),))], ids=["unique", "limit"]
)
def test_a_schedule_whose_job_is_counted_elsewhere_now_is_refused_and_may_be_moved(
    rules: Rules, caplog: pytest.LogCaptureFixture
) -> None:
    clock, store, request, home = _grown(rules)
    for _ in range(2):
        assert store.run(store.declare(request)) == ("s",)
        clock.advance(RETIRES + 1)
    (told,) = caplog.messages
    assert f"schedule s is stored in shard {home:02d}" in told
    assert "goes to shard 02 (memory://): only there is it counted" in told
    assert store.run(store.declare(request)) == ("s",)
    (record,) = store.run(store.schedules())
    assert record.retired
    # What the log advises.
    assert store.run(store.set_schedule(SetSchedule(name="s", verb="remove"))) is Answer.DONE
    assert store.run(store.declare(request)) == ()
    (record,) = store.shards[2].run(store.shards[2].schedules())
    assert not record.retired
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
