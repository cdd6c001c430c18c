"""What is special to each store: how it is opened, shared, locked and followed.

What every store must do alike is in the conformance suite.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore.core.model import ENDED, Ending, JobState, Lease
from longshore.core.store import (
    Beat,
    ClaimRequest,
    Filter,
    ProcessBeat,
    Retention,
    Store,
)
from longshore.errors import (
    ClientClosed,
    ConfigurationError,
)
from longshore.stores import connect
from longshore.stores.memory.store import MemoryStore
from longshore.stores.sqlite.store import SQLiteStore
from tests.store_tools import EVERYTHING, claim, job, register


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "jobs.db")


@pytest.fixture(params=["memory", "sqlite"])
def each(request: pytest.FixtureRequest, path: str) -> Iterator[Store]:
    opened = MemoryStore() if request.param == "memory" else SQLiteStore(path, synchronous="normal")
    yield opened
    opened.close()


# --- addresses ---


def opened(url: str, durability: str = "full") -> Store:
    return connect(url, retention=Retention(), prefix="longshore_", durability=durability)


def test_an_address_finds_its_store(path: str) -> None:
    assert opened("memory://").name == "memory"
    store = opened(f"sqlite:///{path}")
    assert (store.name, store.address, store.shared) == ("sqlite", path, True)
    assert not Path(path).exists(), "nothing is opened before the first operation"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://app:secret@db.example/app", "postgres"),
        ("mysql://app:secret@db.example/app", "mysql"),
        ("redis://app:secret@db.example/3", "redis"),
        ("redis+cluster://app:secret@db.example", "redis"),
    ],
)
def test_an_address_on_a_server_finds_its_store_without_asking_it(url: str, name: str) -> None:
    store = opened(url)
    assert (store.name, store.shared) == (name, True)
    assert "db.example" in store.address
    assert "secret" not in store.address
    store.close()


def test_an_option_that_sqlite_does_not_have_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="Did you mean"):
        opened(f"sqlite:///{path}?syncronous=normal")
    with pytest.raises(ConfigurationError, match="no durability 'replicated'"):
        opened(f"sqlite:///{path}", durability="replicated")


@pytest.mark.parametrize(
    ("url", "durability", "level"),
    [("", "full", 2), ("", "normal", 1), ("?synchronous=normal", "full", 1)],
)
def test_durability_reaches_the_file(path: str, url: str, durability: str, level: int) -> None:
    store = opened(f"sqlite:///{path}{url}", durability)
    assert isinstance(store, SQLiteStore)
    connection = store._open()
    assert connection.execute("pragma synchronous").fetchone() == (level,)
    connection.close()


@pytest.mark.parametrize("prefix", ["", "1a", "a-b", "a;drop", "Ä", "a" * 49])
def test_a_prefix_that_is_not_a_name_never_reaches_sql(path: str, prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot begin the names of tables"):
        SQLiteStore(path, prefix=prefix)


def test_two_prefixes_share_a_file_and_nothing_else(path: str) -> None:
    one, two = SQLiteStore(path, prefix="one_"), SQLiteStore(path, prefix="two_")
    one.run(one.insert([job()]))
    assert [len(s.run(s.find(Filter(), limit=9)).records) for s in (one, two)] == [1, 0]
    one.close()
    two.close()


def test_a_closed_store_says_so(each: Store) -> None:
    each.run(each.insert([job()]))
    each.close()
    with pytest.raises(ClientClosed, match="closed"):
        each.run(each.insert([job()]))


# --- watching ---


def test_a_watch_hears_of_work_from_elsewhere(each: Store) -> None:
    watch = each.watch()
    watch.wait(0)
    other = each if each.name == "memory" else SQLiteStore(each.address, synchronous="normal")
    inserting = threading.Timer(0.05, lambda: other.run(other.insert([job()])))
    inserting.start()
    assert watch.wait(10)
    inserting.join(10)
    while watch.wait(0):
        pass
    assert not watch.wait(0.02), "a hint is given once"
    watch.close()
    other.close()


def test_a_word_ends_a_wait_without_a_hint(each: Store) -> None:
    each.run(each.insert([job()]))
    watch = each.watch()
    while watch.wait(0):
        pass
    watch.wake()
    started = time.monotonic()
    assert not watch.wait(10)
    waking = threading.Timer(0.02, watch.wake)
    waking.start()
    assert not watch.wait(10)
    assert time.monotonic() - started < 5
    waking.join(10)
    watch.close()


# --- counts and pages ---


def test_counts_are_exact_after_anything(each: Store) -> None:
    play = Play(each)
    for _ in range(400):
        play.act()
        records = each.run(each.find(Filter(), limit=10**6)).records
        found = Counter((one.queue, one.kind, one.state) for one in records)
        counted = {
            (one.queue, one.kind, one.state): one.jobs for one in each.run(each.count(Filter()))
        }
        assert counted == dict(found)


class Play:
    """Does one thing after another, by chance but the same in every run."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.chance = random.Random(7)
        self.now = time.time_ns() // 1000
        self.ids: list[str] = []
        self.leases: list[Lease] = []
        self.claims = 0
        register(store)

    def act(self) -> None:
        store, chance, run = self.store, self.chance, self.store.run
        some = chance.sample(self.ids, min(len(self.ids), 4))
        acts = [
            self.insert,
            self.take,
            self.finish,
            lambda: run(store.cancel(some, None)),
            lambda: run(store.retry(some)),
            lambda: run(store.delete(some[:1])),
            lambda: run(store.move(some, chance.choice("ab"))),
            lambda: run(store.promote(2)),
            lambda: run(store.beat(Beat((ProcessBeat("p", self.claims - 3),)))),
            lambda: run(store.prune(2)),
        ]
        chance.choice(acts)()

    def insert(self) -> None:
        chance = self.chance
        new = [
            job(
                queue=chance.choice("ab"),
                kind=chance.choice("xy"),
                state=chance.choice((JobState.AVAILABLE, JobState.SCHEDULED)),
                scheduled_at=self.now + chance.choice((-1, 10**12)),
                keep_result=chance.choice((0, 10**12)),
                expires_at=chance.choice((None, None, self.now)),
            )
            for _ in range(chance.randrange(6))
        ]
        self.store.run(self.store.insert(new))
        self.ids += [one.id for one in new]

    def take(self) -> None:
        self.claims += 1
        request = ClaimRequest("p", self.claims, 3, EVERYTHING)
        claimed = self.store.run(self.store.claim(request)).jobs
        self.leases += [Lease(one.id, "p", one.run) for one in claimed]

    def finish(self) -> None:
        taken = [self.leases.pop() for _ in range(min(len(self.leases), 3))]
        ends = [JobState.RETRYING, JobState.SCHEDULED, JobState.AVAILABLE, *sorted(ENDED)]
        endings = [
            Ending(lease, self.chance.choice(ends), at=self.now - 1, queue="b", reason="r")
            for lease in taken
        ]
        self.store.run(self.store.finish([*endings, *endings]))


def test_jobs_of_one_report_are_kept_each_for_its_own_time(path: str) -> None:
    for store in (
        MemoryStore(retention=Retention(0, 0, 0)),
        SQLiteStore(path, retention=Retention(0)),
    ):
        register(store)
        keeps = (0, 10**9, None, 0)
        new = [job(keep_result=keep) for keep in keeps]
        store.run(store.insert(new))
        assert len(claim(store)) == len(new)
        endings = [Ending(Lease(one.id, "p", 1), JobState.SUCCEEDED) for one in new]
        assert len(store.run(store.finish(endings))) == len(new)
        assert list(store.run(store.get([one.id for one in new]))) == [new[1].id, new[2].id]
        assert [one.jobs for one in store.run(store.count(Filter()))] == [2]
        # Only what is kept can tell that this is a repetition.
        assert len(store.run(store.finish(endings))) == 2
        store.close()


@pytest.mark.parametrize("oldest_first", [False, True])
def test_pages_are_the_same_whichever_way_leads_to_them(each: Store, oldest_first: bool) -> None:
    new = [job(kind="rare" if n % 50 == 0 else "common", queue=f"q{n % 3}") for n in range(300)]
    each.run(each.insert(new))
    each.run(each.cancel([one.id for one in new[:250]], None))
    for where in (
        Filter(kinds=("rare",)),
        Filter(kinds=("rare",), queues=("q0", "q1")),
        Filter(kinds=("common",), states=frozenset({JobState.CANCELLED})),
        Filter(states=frozenset({JobState.AVAILABLE})),
        Filter(states=ENDED, queues=("none",)),
        Filter(ids=tuple(one.id for one in new[::7]), kinds=("common",)),
    ):
        expected = [
            one.id
            for number, one in enumerate(new)
            if (not where.kinds or one.kind in where.kinds)
            and (not where.queues or one.queue in where.queues)
            and (not where.ids or one.id in where.ids)
            and (
                not where.states
                or (JobState.CANCELLED if number < 250 else JobState.AVAILABLE) in where.states
            )
        ]
        found: list[str] = []
        cursor = None
        while True:
            page = each.run(each.find(where, limit=4, cursor=cursor, oldest_first=oldest_first))
            found += [record.id for record in page.records]
            cursor = page.cursor
            if cursor is None:
                break
        assert found == (expected if oldest_first else expected[::-1])


# --- memory ---


def test_memory_forgets_what_was_cancelled_in_a_paused_queue() -> None:
    store = MemoryStore(retention=Retention(0, 0, 0))
    new = [job(keep_result=0) for _ in range(5_000)]
    store.run(store.insert(new))
    store.run(store.cancel([one.id for one in new[:4_900]], None))
    lane = store._state.lanes["default"]
    assert len(lane.ordered) + len(lane.others) < 2_500
    register(store)
    assert claim(store, wanted=1_000) == [one.id for one in new[4_900:]]


def test_memory_keeps_order_when_jobs_come_out_of_order() -> None:
    store = MemoryStore()
    register(store)
    chance = random.Random(3)
    new = [job(priority=chance.randrange(3), scheduled_at=chance.randrange(50)) for _ in range(300)]
    chance.shuffle(new)
    store.run(store.insert(new))
    expected = sorted(new, key=lambda one: (one.priority, one.scheduled_at, one.id))
    got = [id_ for number in range(1, 31) for id_ in claim(store, number, 10)]
    assert got == [one.id for one in expected]
