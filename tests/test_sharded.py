"""Jobs spread over several stores: the suite where its words apply, and what is the shards' own."""

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from longshore.core.model import Ending, Inserted, JobState
from longshore.core.shards import Placing, ShardBy, named, shard_of, with_shard
from longshore.core.store import (
    ClaimRequest,
    Filter,
    Line,
    Operation,
    Rescue,
    Retention,
    SetQueue,
    Store,
)
from longshore.errors import (
    ClientClosed,
    EnqueueError,
    LongshoreError,
    StoreUnavailable,
)
from longshore.ids import new_id
from longshore.stores.clock import ManualClock
from longshore.stores.memory.store import MemoryStore
from longshore.stores.sharded import consuming
from longshore.stores.sharded.store import ShardedStore
from longshore.stores.sqlite.store import SQLiteStore
from longshore.testing.conformance import Bench, OnStatement, OpenStore, StoreConformance
from longshore.testing.conformance.bench import LEASE, MINUTE, SECOND, succeeded
from longshore.testing.conformance.faults import WRITES, Stumble, Stumbled, start, view
from longshore.testing.conformance.trace import RETENTION, SEEDS, Script, Stage
from tests import shard_tools
from tests.shard_tools import SHARDS, Spread, key_of, leases
from tests.store_tools import EVERYTHING, driven, job, register
from tests.stores import open_memory, open_sqlite


def sharded(open_one: OpenStore, shard_by: ShardBy = "kind") -> OpenStore:
    def open_store(
        *, clock: ManualClock, retention: Retention, on_statement: OnStatement | None = None
    ) -> Store:
        return ShardedStore(
            [
                open_one(clock=clock, retention=retention, on_statement=on_statement)
                for _ in range(SHARDS)
            ],
            shard_by=shard_by,
        )

    return open_store


#: Chapters in which jobs of several kinds share keys and turns: an application whose jobs do that
#: has them in one shard, or is refused. The other chapters have their kinds in several.
TOGETHER = {
    "batching",
    "workflows",
    "holding",
    "replacing",
    "limiting",
    "slots",
    "rating",
    "turning",
}


#: What an operation may be in a shard: reports go by themselves where it is another's turn.
PARTS = {"exchange": ("finish", "claim")}


class ShardStumble(Stumble):
    def __call__(self, operation: str, number: int) -> None:
        mine = operation in PARTS.get(self.operation, ())
        super().__call__(self.operation if mine else operation, number)


class ShardsConformance(StoreConformance):
    """The suite, but for two of its sentences, which over shards are others."""

    most_failures = 1_000  # of one operation, which has fewer statements than that

    @pytest.fixture
    def open_one(self, tmp_path: Path) -> OpenStore:
        raise NotImplementedError

    @pytest.fixture
    def open_store(self, request: pytest.FixtureRequest, open_one: OpenStore) -> OpenStore:
        chapter = request.function.__module__.rpartition(".")[2]
        return sharded(open_one, _together if chapter in TOGETHER else "kind")

    @pytest.fixture(autouse=True)
    def visited_in_turn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not by what was idle a moment of real time ago: the statements are to be counted."""
        monkeypatch.setattr(consuming, "IDLE", 0.0)

    @pytest.mark.parametrize("name", WRITES)
    def test_an_operation_that_fails_has_done_nothing_and_may_be_repeated(
        self, bench: Bench, name: str
    ) -> None:
        """It may have been done in some shards: repeated, it is done in all.

        More may be admitted there by then than has room, which the next claim sees.
        """
        stumble = ShardStumble()
        op, untouched = start(bench, name, stumble)
        stumble.expect(op)
        bench.do(op)
        assert stumble.steps, f"no shard called on_statement in {name}"
        steps, done = stumble.steps, view(bench, marks=False)
        for step in range(1, steps + 1, -(-steps // self.most_failures)):
            op, before = start(bench, name, stumble)
            assert before == untouched
            stumble.expect(op, fail_at=step)
            with pytest.raises((Stumbled, LongshoreError)):
                bench.do(op)
            stumble.expect(op)
            bench.do(op)
            assert view(bench, marks=False) == done

    def test_a_script_gives_the_trace_that_all_stores_give(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the jobs of a script belong to one shard; over shards each has an order.

        There the lines of a claim are not taken apart either: one that ends before a job with a
        rate, for want of a free slot, goes on with the next line, which another shard may have.
        """
        monkeypatch.setattr(consuming, "_parts", lambda request: [request])
        bench.open(RETENTION)
        store = bench.store
        assert isinstance(store, ShardedStore)
        store.placing = Placing(SHARDS, _together)
        Script(SEEDS[bench.awaiting], Stage(store, bench.clock, bench.drive)).play()

    def test_a_lease_of_which_some_jobs_were_taken_is_lost(self, bench: Bench) -> None:
        """In that shard: the process is registered there again, and goes on in all."""
        bench.add(3)
        bench.process()
        leases = bench.leases()
        bench.pass_time(LEASE + 1)
        taken = bench.rescue(limit=1).leases
        assert len(taken) == 1
        assert bench.beat("p1").lost == frozenset()
        assert bench.finish(*map(succeeded, leases)) == {*leases} - {*taken}
        assert bench.rescue().leases == ()
        assert bench.leases() == [replace(lease, run=2) for lease in taken]

    def test_a_lease_stays_while_only_jobs_of_others_were_taken(self, bench: Bench) -> None:
        """Who lost one there goes on too, but not with that job."""
        bench.add(2)
        bench.process("p1")
        bench.process("p2")
        mine, yours = bench.lease("p1"), bench.lease("p2")
        bench.pass_time(LEASE + 1)
        taken = bench.rescue(limit=1).leases
        assert bench.beat("p1", "p2").lost == frozenset()
        assert bench.finish(succeeded(mine), succeeded(yours)) == {mine, yours} - {*taken}
        assert bench.rescue().leases == ()

    def test_tables_are_up_to_date_and_stay_so(self, bench: Bench) -> None:
        status = bench.store.schema()
        assert (status.pending, status.unknown) == ((), ())
        assert bench.store.migrate() == ()
        assert bench.store.schema() == status


def _together(_kind: str, _arguments: Mapping[str, Any]) -> str:
    return "all of them"


class TestShardsInMemory(ShardsConformance):
    bench = driven("awaiting")

    @pytest.fixture
    def open_one(self, tmp_path: Path) -> OpenStore:
        return open_memory(tmp_path)


@pytest.mark.slow
class TestShardsInFiles(ShardsConformance):
    bench = driven("blocking")
    most_failures = 8  # shards in memory fail at each

    @pytest.fixture
    def open_one(self, tmp_path: Path) -> OpenStore:
        return open_sqlite(tmp_path)


# --- where a job goes ---


def test_the_shard_of_a_key_is_the_same_in_every_release() -> None:
    keys = ("app.jobs.send_welcome", "mail.send", "ü", "tenant-7", "")
    assert [shard_of(key, 8) for key in keys] == GOLDEN[8]
    assert [shard_of(key, 100) for key in keys] == GOLDEN[100]


GOLDEN = {8: [7, 1, 6, 5, 3], 100: [19, 19, 85, 80, 88]}


def test_one_shard_more_takes_its_share_and_moves_nothing_else() -> None:
    keys = [f"tenant-{number}" for number in range(2_000)]
    before, after = ({key: shard_of(key, n) for key in keys} for n in (4, 5))
    moved = [key for key in keys if before[key] != after[key]]
    assert {after[key] for key in moved} == {4}
    assert 300 < len(moved) < 500
    counts = [list(after.values()).count(shard) for shard in range(5)]
    assert min(counts) > 300


def test_two_digits_of_an_id_name_its_shard() -> None:
    ids = [new_id() for _ in range(100)]
    for shard, job_id in enumerate(ids):
        placed = with_shard(job_id, shard)
        assert named(placed, 100) == shard
        assert len(placed) == 36
        assert (placed[:21], placed[23:]) == (job_id[:21], job_id[23:])
    assert named(with_shard(ids[0], 42), 42) is None
    assert named("01928374-5566-7788-99a7-0123456789ab", 100) is None
    assert named("01928374-5566-7788-99²³-0123456789ab", 100) is None
    assert named("", 8) is None


PAYLOAD = b'{"v":1,"kwargs":{"tenant":"acme","n":7,"none":null}}'


@pytest.mark.parametrize(
    ("shard_by", "key"),
    [
        ("kind", "app.job"),
        ("queue", "mail"),
        ("args.tenant", "acme"),
        ("args.n", "7"),
        ("args.none", "app.job"),
        ("args.missing", "app.job"),
        (lambda kind, arguments: f"{kind}/{arguments['tenant']}", "app.job/acme"),
        (lambda _kind, _arguments: None, "app.job"),
    ],
)
def test_what_decides_the_shard(shard_by: Any, key: str) -> None:
    new = job(queue="mail", payload=PAYLOAD)
    assert Placing(8, shard_by).shard(new) == shard_of(key, 8)
    assert Placing(8, shard_by).shard(job(shard_key="mine")) == shard_of("mine", 8)


def test_what_cannot_be_read_goes_by_its_kind() -> None:
    for payload in (b'{"v":1,"kid":"k","box":"b"}', b"\xff", b"[]", b""):
        new = job(payload=payload)
        assert Placing(8, "args.tenant").shard(new) == shard_of("app.job", 8)


@pytest.mark.parametrize("gave", [7, "", b"x", object()])
def test_a_function_that_gives_no_text_is_refused(gave: Any) -> None:
    placing = Placing(8, lambda _kind, _arguments: gave)
    with pytest.raises(EnqueueError, match=r"app\.job.*shard_by gave.*nothing was enqueued"):
        placing.shard(job())


def test_a_function_that_raises_is_told() -> None:
    def shard_by(_kind: str, arguments: Any) -> str:
        return arguments["tenant"]

    with pytest.raises(EnqueueError, match=r"shard_by raised KeyError\('tenant'\)"):
        Placing(8, shard_by).shard(job())


# --- many shards, one store ---


spread = shard_tools.spread


def test_a_job_is_asked_for_where_its_id_says(spread: Spread) -> None:
    ids = [spread.insert(shard)[0] for shard in range(SHARDS)]
    for shard in spread.shards:
        shard.visits.clear()
    assert list(spread.run(spread.store.get([ids[1]]))) == [ids[1]]
    assert [shard.visits for shard in spread.shards] == [[], ["get"], []]
    assert list(spread.run(spread.store.get(ids))) == ids


def test_an_id_that_was_given_is_found_wherever_it_is(spread: Spread) -> None:
    # A UUID of the application: its digits name no shard, or by chance a wrong one.
    given = [with_shard(new_id(), 2), new_id()[:21] + "ff" + new_id()[23:]]
    here = key_of(0, SHARDS)
    spread.run(spread.store.insert([job(id=one, shard_key=here) for one in given]))
    assert set(spread.run(spread.store.get(given))) == set(given)
    assert len(spread.shards[0].run(spread.shards[0].find(Filter(), limit=9)).records) == 2
    (one, two) = jobs = spread.claim()
    assert spread.run(spread.store.cancel([one.id], "stop")).requested == (one.id,)
    endings = [Ending(lease, JobState.SUCCEEDED) for lease in leases(jobs)]
    # Another program does not know where it was claimed, and finds it all the same.
    spread.store.strays.clear()
    assert len(spread.run(spread.store.finish(endings))) == 2
    assert spread.run(spread.store.retry([two.id])).changed == (two.id,)
    assert spread.run(spread.store.delete(given)).changed == tuple(given)


def test_an_id_means_one_job_over_all_shards(spread: Spread) -> None:
    first = job(shard_key=key_of(0, SHARDS))
    spread.run(spread.store.insert([first]))
    again = job(id=first.id, shard_key=key_of(1, SHARDS))
    assert spread.run(spread.store.insert([again])) == [Inserted(first.id, duplicate=True)]
    other = job(id=first.id, payload=b"[1]", shard_key=key_of(1, SHARDS))
    new = job()
    answers = spread.run(spread.store.insert([new, other]))
    assert answers == [Inserted(new.id), Inserted(first.id, conflict=True)]
    other = job(id=first.id, payload=b"[1]", shard_key=key_of(0, SHARDS))
    new = job(shard_key=key_of(1, SHARDS))
    answers = spread.run(spread.store.insert([new, other]))
    assert answers == [Inserted(new.id), Inserted(first.id, conflict=True)]
    assert len(spread.run(spread.store.find(Filter(), limit=9)).records) == 1


def test_a_count_is_the_sum_over_shards(spread: Spread) -> None:
    for shard in range(SHARDS):
        spread.insert(shard, shard + 2)
    (counted,) = spread.run(spread.store.count(Filter()))
    assert counted.jobs == 2 + 3 + 4


def test_claims_take_turns_so_that_no_shard_starves(spread: Spread) -> None:
    for shard in range(SHARDS):
        spread.insert(shard, 30)
    taken = [named(one.id, SHARDS) for _ in range(SHARDS * 5) for one in spread.claim(2)]
    assert [taken.count(shard) for shard in range(SHARDS)] == [10] * SHARDS
    spread.insert(0, 500, priority=-10)
    late = [named(one.id, SHARDS) for _ in range(6) for one in spread.claim(10)]
    assert {0, 1, 2} == set(late), "a shard full of urgent jobs does not stop the others"


def test_lines_are_strict_over_all_shards(spread: Spread) -> None:
    spread.insert(0, 3, queue="low")
    urgent = [spread.insert(shard, 2, queue="high") for shard in (1, 2)]
    lines = (Line(("high",)), Line(("low",)))
    first = spread.claim(4, lines=lines)
    assert sorted(one.id for one in first) == sorted(one for some in urgent for one in some)
    assert [one.queue for one in spread.claim(4, lines=lines)] == ["low"] * 3


def test_one_claim_gives_the_jobs_of_a_line_in_their_order(spread: Spread) -> None:
    late = spread.insert(0, priority=5)
    soon = spread.insert(1, priority=-5)
    middle = spread.insert(2)
    assert [one.id for one in spread.claim()] == [*soon, *middle, *late]


def test_many_lines_are_claimed_too(spread: Spread) -> None:
    names = [f"q{number}" for number in range(40)]
    spread.insert(1, queue="q39")
    spread.insert(2, queue="q3")
    claimed = spread.claim(5, lines=tuple(Line((name,)) for name in names))
    assert [one.queue for one in claimed] == ["q3", "q39"]


def test_a_claim_that_is_repeated_gives_the_same_jobs(spread: Spread) -> None:
    for shard in range(SHARDS):
        spread.insert(shard, 5)
    request = ClaimRequest("p", 1, 7, EVERYTHING)
    first = spread.run(spread.store.claim(request)).jobs
    assert len(first) == 7
    again = spread.run(spread.store.claim(request)).jobs
    assert sorted(one.id for one in again) == sorted(one.id for one in first)
    spread.claims = 1
    assert len(spread.claim(99)) == 8


def test_prune_and_rescue_are_bounded_over_all_shards(spread: Spread) -> None:
    for shard in range(SHARDS):
        spread.insert(shard, 4)
    claimed = spread.claim(99)
    assert len(spread.run(spread.store.rescue(Rescue("p", limit=5))).leases) == 5
    assert len(spread.run(spread.store.rescue(Rescue("p", limit=50))).leases) == 7
    register(spread.store, "q", lease=10**15)
    claimed = spread.claim(99, "q")
    spread.run(
        spread.store.finish([Ending(one, JobState.SUCCEEDED) for one in leases(claimed, "q")])
    )
    spread.clock.advance(3 * 86_400 * SECOND)
    assert spread.run(spread.store.prune(5)) == 5
    assert spread.run(spread.store.prune(50)) == 7


def test_pages_go_through_all_shards_in_order(spread: Spread) -> None:
    ids = [one for _ in range(5) for shard in range(SHARDS) for one in spread.insert(shard, 2)]
    for oldest_first in (True, False):
        found: list[str] = []
        cursor = None
        while True:
            page = spread.run(
                spread.store.find(Filter(), limit=4, cursor=cursor, oldest_first=oldest_first)
            )
            found += [record.id for record in page.records]
            cursor = page.cursor
            if cursor is None:
                break
        assert found == sorted(ids, reverse=not oldest_first)


def test_a_queue_is_one_queue_over_all_shards(spread: Spread) -> None:
    for shard in range(SHARDS):
        spread.insert(shard, shard + 1, queue="mail")
    spread.claim(1)
    spread.clock.advance(SECOND)
    pause = SetQueue("mail", paused=True, reason="provider", pause_for=MINUTE)
    spread.run(spread.store.set_queue(pause))
    (queue,) = spread.run(spread.store.queues())
    assert (queue.depth, queue.running, queue.latency) == (5, 1, SECOND)
    assert (queue.paused, queue.reason) == (True, "provider")
    assert queue.resumes_at == spread.clock.now() + MINUTE
    assert spread.claim() == []
    spread.run(spread.store.set_queue(SetQueue("mail", paused=False)))
    assert len(spread.claim()) == 5


def test_a_watch_hears_of_every_shard(spread: Spread) -> None:
    watch = spread.store.watch()
    watch.wait(0)
    for shard in range(SHARDS):
        spread.insert(shard)
        assert watch.wait(20), f"shard {shard}"
    watch.wake()
    watch.close()


def test_a_wait_does_not_spin_while_a_watch_fails() -> None:
    class Deaf(MemoryStore):
        waits = 0

        def watch(self) -> Any:
            inner, outer = super().watch(), self

            class Broken:
                def wait(self, timeout: float) -> bool:
                    outer.waits += 1
                    raise StoreUnavailable("gone")

                wake, close = inner.wake, inner.close

            return Broken()

    deaf = Deaf()
    store = ShardedStore([deaf, MemoryStore()])
    watch = store.watch()
    assert not watch.wait(0.2)
    assert deaf.waits <= 2
    watch.close()
    store.close()


def test_shards_are_awaited_at_once(tmp_path: Path) -> None:
    together = asyncio.Event()
    waiting = 0

    class Slow(MemoryStore):
        async def arun(self, op: Operation[Any], /) -> Any:
            nonlocal waiting
            waiting += 1
            if waiting == SHARDS:
                together.set()
            await asyncio.wait_for(together.wait(), 20)
            return super().run(op)

    store = ShardedStore([Slow() for _ in range(SHARDS)])
    assert asyncio.run(store.arun(store.queues())) == ()
    store.close()


def test_shards_are_visited_at_once_by_blocking_callers_too(tmp_path: Path) -> None:
    barrier = threading.Barrier(SHARDS)

    class Slow(SQLiteStore):
        def run(self, op: Operation[Any], /) -> Any:
            barrier.wait(20)
            return super().run(op)

    store = ShardedStore([Slow(str(tmp_path / f"{n}.db")) for n in range(SHARDS)])
    assert store.run(store.queues()) == ()
    store.close()


def test_a_closed_store_of_shards_says_so() -> None:
    store = ShardedStore([MemoryStore(), MemoryStore()])
    store.close()
    for op in (store.queues(), store.insert([job()])):
        with pytest.raises(ClientClosed):
            store.run(op)
    store.close()
