"""Redis and Valkey: keys that people can read, full and emptied servers, hints, broken connections.

What every store must do alike is in the conformance suite.
"""

import asyncio
import contextlib
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from longshore.core.model import Ending, JobState, Lease, NewJob, Patch, Progress
from longshore.core.store import (
    Beat,
    ClaimRequest,
    Filter,
    Line,
    Operation,
    ProcessBeat,
    Rescue,
)
from longshore.errors import (
    LongshoreWarning,
    SchemaMismatch,
    StoreError,
    StoreFull,
)
from longshore.stores.redis.meeting import FORM, loading
from longshore.stores.redis.store import LOADS, RedisStore
from longshore.stores.redis.words import text, word
from tests import redis_tools
from tests.places import Place, each, place, redis_client
from tests.redis_tools import NOTHING, PLENTY, key, kill, open_at, succeeded
from tests.servers import private
from tests.store_tools import EVERYTHING, LEASE, claim, job, register

pytestmark = pytest.mark.servers


where, store, client = redis_tools.where, redis_tools.store, redis_tools.client
flushing = redis_tools.flushing

#: How long what was seen of many queues is remembered while jobs arrive, and some; seconds.
MORE_THAN_REMEMBERED = 0.3


# --- the keys ---


def test_a_person_can_read_a_job_with_plain_commands(
    store: RedisStore, where: Place, client: Any
) -> None:
    payload = '{"v":1,  "kwargs":{"to":"é 🚢"}}'.encode()
    new = job(payload=payload, queue="mail")
    store.run(store.insert([new]))
    words, _, behind = client.hget(key(where, "job"), new.id).partition(b"\n")
    assert words.startswith(b"available 0 ")
    assert behind[:-1] == payload
    assert client.zrange(key(where, "line:mail"), 0, -1) == [f"{new.scheduled_at}{new.id}".encode()]
    register(store)
    claim(store)
    store.run(store.finish([succeeded(new.id, b'{"sent": true}')]))
    assert client.hget(key(where, "state"), new.id).startswith(b"succeeded 1 p ")
    assert client.hget(key(where, "result"), new.id) == b'{"sent": true}'


def test_all_keys_are_under_one_hash_tag(store: RedisStore, where: Place, client: Any) -> None:
    before = set(client.keys("*"))
    store.run(store.insert([job(), job(scheduled_at=2**52, state=JobState.SCHEDULED)]))
    register(store)
    claim(store)
    made = set(client.keys(f"*{where.prefix}*")) - before
    assert len(made) > 5
    assert all(name.startswith(f"{{{where.prefix}}}".encode()) for name in made)


def test_a_job_of_which_nothing_is_kept_leaves_nothing(where: Place, client: Any) -> None:
    store = open_at(where, retention=NOTHING)
    jobs = [job(keep_result=0, tags=("t",)) for _ in range(4)]
    store.run(store.insert(jobs))
    register(store)
    claim(store)
    leases = [Lease(new.id, "p", 1) for new in jobs]
    store.run(store.save([Patch(leases[0], Progress(1.0))]))
    store.run(store.cancel([jobs[1].id], "stop"))
    held = store.run(
        store.finish(
            [
                succeeded(jobs[0].id, b"1"),
                Ending(leases[1], JobState.RETRYING, at=1, failed=True, budgets=b"{}"),
                Ending(leases[2], JobState.DEAD, reason="no", result_error="x"),
                succeeded(jobs[3].id),
            ]
        )
    )
    assert held == frozenset(leases)
    store.run(store.rescue(Rescue("p")))
    store.close()
    left = {name.decode().partition("}")[2] for name in client.keys(f"*{where.prefix}*")}
    assert left == {"schema"}


@pytest.mark.parametrize("name", ["", "-", "a b", "%", "é\n", "50%20", "app.<locals>.f"])
def test_any_text_is_one_word(name: str) -> None:
    assert " " not in word(name)
    assert word(name) not in {"", "-"}
    assert text(word(name).encode()) == name


def test_a_kind_may_have_any_characters(store: RedisStore) -> None:
    new = job(kind="a kind - with % é\n", tags=("a b",), meta={"x y": "z w"})
    store.run(store.insert([new]))
    register(store)
    (claimed,) = store.run(store.claim(ClaimRequest("p", 1, 1, EVERYTHING))).jobs
    assert (claimed.kind, claimed.tags) == (new.kind, new.tags)
    record = store.run(store.get([new.id]))[new.id]
    assert (record.kind, record.tags, record.meta) == (new.kind, new.tags, new.meta)
    assert store.run(store.count(Filter(kinds=(new.kind,))))[0].jobs == 1
    assert store.run(store.find(Filter(kinds=(new.kind,)), limit=2)).records == (record,)


def test_keys_of_a_newer_release_are_refused(where: Place, client: Any) -> None:
    store = open_at(where)
    store.migrate()
    client.hset(key(where, "schema"), "form", FORM + 1)
    newer = open_at(where)
    with pytest.raises(SchemaMismatch, match=rf"newer release.*keys_{FORM + 1}"):
        newer.run(newer.insert([job()]))
    assert newer.schema().breaking == (f"keys_{FORM + 1}",)
    store.close()
    newer.close()


# --- a server that is full, forgets, or throws away ---


@pytest.mark.private
@pytest.mark.parametrize("kind", each("redis", "valkey"))
def test_a_full_server_refuses_new_jobs_and_takes_all_else(kind: str, tmp_path: Path) -> None:
    with private(kind, "--maxmemory", "8mb") as server, place(kind, tmp_path, server) as where:
        store = open_at(where, retention=NOTHING)
        cargo = b'{"x":"%s"}' % (b"x" * 2000)
        inserted = [*filled(store, cargo, 20), *filled(store, cargo, 1)]
        counted = store.run(store.count(Filter()))
        assert [(one.state, one.jobs) for one in counted] == [
            (JobState.AVAILABLE, len(inserted))
        ], "nothing of the refused requests was written"
        register(store)
        assert claim(store, wanted=2) == inserted[:2]
        lease = Lease(inserted[0], "p", 1)
        assert store.run(store.save([Patch(lease, Progress(0.5))])) == {lease}
        assert store.run(store.cancel(inserted[1:3], "stop")).changed == (inserted[2],)
        orders = store.run(store.beat(Beat((ProcessBeat("p", 1),), LEASE)))
        assert [asked.job_id for asked in orders.cancels] == [inserted[1]]
        assert len(store.run(store.rescue(Rescue("p", limit=10))).leases) == 2
        assert store.run(store.elect("p", LEASE))
        register(store, "q")
        drained = drain(store, "q")
        assert sorted(drained) == sorted({inserted[0], *inserted[3:]})
        assert store.run(store.count(Filter())) == ()
        store.run(store.insert([job(payload=cargo)]))
        store.close()


def filled(store: RedisStore, cargo: bytes, size: int) -> list[str]:
    """Store jobs until there is no room; the ids of those that were acknowledged.

    What a server counts as used also holds the buffers of its connections, which come and go, so
    one refusal may be the last for a moment: it is full when it refuses three times in a row.
    """
    inserted: list[str] = []
    refused = 0
    for _ in range(10_000):
        new = [job(payload=cargo, keep_result=0) for _ in range(size)]
        try:
            store.run(store.insert(new))
        except StoreFull as error:
            said = str(error)
            refused += 1
            if refused == 3:
                assert "memory is full" in said
                return inserted
        else:
            refused = 0
            inserted += [one.id for one in new]
    pytest.fail("the server takes jobs without end")


def drain(store: RedisStore, process: str) -> list[str]:
    """Take and end everything; with nothing to take the server is full still, and says nothing."""
    ran: list[str] = []
    endings: list[Ending] = []
    for number in range(1, 10_000):
        answer = store.run(store.exchange(endings, ClaimRequest(process, number, 50, EVERYTHING)))
        assert len(answer.held) == len(endings)
        if not answer.claim.jobs:
            return ran
        ran += [one.id for one in answer.claim.jobs]
        endings = [
            Ending(Lease(one.id, process, one.run), JobState.SUCCEEDED) for one in answer.claim.jobs
        ]
    pytest.fail("the server gives jobs without end")


@pytest.mark.private
@pytest.mark.parametrize("kind", each("redis", "valkey"))
def test_a_claim_that_finds_nothing_is_answered_on_a_full_server(kind: str, tmp_path: Path) -> None:
    with private(kind) as server, place(kind, tmp_path, server) as where:
        store = open_at(where)
        register(store)
        watch = store.watch()
        claim(store)
        watch.wait(0)
        with contextlib.closing(redis_client(where.url)) as client:
            client.config_set("maxmemory", "1")
            assert claim(store, claim_id=2) == []
            assert claim(store, claim_id=3, lines=()) == []
            assert store.run(store.exchange([], ClaimRequest("p", 4, 1, EVERYTHING))).claim.live
            with pytest.raises(StoreFull):
                store.run(store.insert([job()]))
        watch.close()
        store.close()


def test_scripts_that_were_flushed_are_loaded_again(store: RedisStore, flushing: Any) -> None:
    store.run(store.insert([job()]))
    flushing.script_flush()
    store.run(store.insert([job()]))
    flushing.script_flush()
    assert len(asyncio.run(store.arun(store.find(Filter(), limit=5))).records) == 2


def test_scripts_that_are_flushed_while_they_are_loaded_are_loaded_again(
    store: RedisStore, flushing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = 0

    def loading_and_flushed() -> Any:
        nonlocal loads
        loads += 1
        yield from loading()
        if loads < LOADS:
            flushing.script_flush()

    store.run(store.insert([job()]))
    monkeypatch.setattr("longshore.stores.redis.store.loading", loading_and_flushed)
    flushing.script_flush()
    store.run(store.insert([job()]))
    assert loads > 0, "other tests on this server may have loaded them too"
    assert len(store.run(store.find(Filter(), limit=5)).records) == 2


@pytest.mark.parametrize("way", ["thread", "loop"])
def test_scripts_that_are_flushed_while_a_store_is_opened_are_loaded_again(
    where: Place, flushing: Any, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    loads = 0

    def loading_and_flushed() -> Any:
        nonlocal loads
        loads += 1
        yield from loading()
        if loads <= 2:
            flushing.script_flush()

    monkeypatch.setattr("longshore.stores.redis.meeting.loading", loading_and_flushed)
    store = open_at(where)
    if way == "loop":
        assert asyncio.run(store.arun(store.insert([job()])))
    else:
        assert store.run(store.insert([job()]))
    assert loads > 0
    store.close()


def test_an_emptied_store_is_noticed_and_then_used_again(
    store: RedisStore, where: Place, client: Any
) -> None:
    other = open_at(where)
    new, request = job(), ClaimRequest("p", 1, 1, EVERYTHING)
    store.run(store.insert([new]))
    register(store)
    other.run(other.count(Filter()))
    client.unlink(*client.keys(f"*{where.prefix}*"))
    refused: list[Operation[Any]] = [
        store.insert([job()]),
        other.insert([job(scheduled_at=2**52, state=JobState.SCHEDULED)]),
        store.claim(request),
    ]
    for op in refused[:2]:
        with pytest.raises(StoreError, match="was emptied while in use"):
            (other if op is refused[1] else store).run(op)
        assert client.hlen(key(where, "job")) == 0
    # It was told; what comes now is kept.
    store.run(store.insert([new]))
    assert store.run(store.get([new.id])).keys() == {new.id}
    assert not store.run(refused[2]).live
    other.close()


def test_a_worker_notices_that_its_store_was_emptied(
    store: RedisStore, where: Place, client: Any
) -> None:
    register(store)
    client.unlink(*client.keys(f"*{where.prefix}*"))
    with pytest.raises(StoreError, match="was emptied"):
        store.run(store.beat(Beat((ProcessBeat("p", 1),), LEASE)))


@pytest.mark.private
def test_a_server_that_throws_away_keys_is_refused(tmp_path: Path) -> None:
    given = ("--maxmemory", "20mb", "--maxmemory-policy", "allkeys-lru")
    with private("redis", *given) as server, place("redis", tmp_path, server) as where:
        store = open_at(where)
        with pytest.raises(StoreError, match=r"allkeys-lru.*noeviction"):
            store.run(store.insert([job()]))
        accepting = open_at(where, more="?evicting=yes")
        accepting.run(accepting.insert([job()]))
        with contextlib.closing(redis_client(where.url)) as client:
            client.config_set("maxmemory-policy", "volatile-lru")
        with pytest.warns(LongshoreWarning, match="volatile-lru"):
            store.run(store.insert([job()]))
        store.close()
        accepting.close()


@pytest.mark.private
def test_who_wants_his_jobs_on_disk_hears_that_they_are_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with private("redis") as server, place("redis", tmp_path, server) as where:
        for durability, told in (("normal", 0), ("full", 1)):
            store = open_at(where, durability=durability)
            store.run(store.insert([job()]))
            store.close()
            assert sum("append-only" in line for line in caplog.messages) == told


# --- hints ---


def heard_in(watch: Any, do: Any) -> float:
    """How long after it was done a watch that was waiting heard of it, seconds."""
    heard: list[bool] = []
    ended: list[float] = []

    def wait() -> None:
        heard.append(watch.wait(PLENTY))
        ended.append(time.monotonic())

    waiter = threading.Thread(target=wait)
    waiter.start()
    deadline = time.monotonic() + PLENTY
    while not watch._pending and time.monotonic() < deadline:
        threading.Event().wait(0.001)
    began = time.monotonic()
    do()
    waiter.join(PLENTY)
    assert heard == [True]
    return ended[0] - began


@pytest.mark.timed
def test_a_word_comes_at_once(store: RedisStore, where: Place) -> None:
    other, new = open_at(where), job()
    register(store)
    watch = other.watch()
    for do in (
        lambda: store.run(store.insert([new])),
        lambda: store.run(store.insert([job(scheduled_at=2**52, state=JobState.SCHEDULED)])),
        lambda: (claim(store), store.run(store.finish([succeeded(new.id)]))),
        lambda: store.run(store.retry([new.id])),
    ):
        assert heard_in(watch, do) < PLENTY / 20
    watch.close()
    other.close()


def test_nobody_is_told_who_does_not_wait(store: RedisStore, where: Place, client: Any) -> None:
    watch = store.watch()
    assert watch.wait(0) is False
    for _ in range(3):
        store.run(store.insert([job()]))
    # Told once, by the first of three; the server has answered by then or does so soon.
    assert watch.wait(PLENTY)
    assert watch.wait(0) is False
    assert client.hlen(key(where, "ears")) == 1
    watch.close()
    assert client.exists(key(where, f"wake:{watch.id}")) == 0


def test_a_claim_that_finds_little_leaves_word(store: RedisStore, where: Place) -> None:
    """So that what comes between it and the wait is not missed."""
    other = open_at(where)
    register(store)
    watch = store.watch()
    claim(store)
    watch.wait(0)
    other.run(other.insert([job()]))
    assert watch.wait(PLENTY)
    assert len(claim(store, claim_id=2)) == 1
    other.run(other.insert([job()]))
    assert watch.wait(PLENTY)
    watch.close()
    other.close()


def test_who_claims_does_not_hear_of_endings(store: RedisStore, where: Place) -> None:
    other = open_at(where)
    new = job()
    other.run(other.insert([new]))
    register(other)
    claim(other)
    register(store, "q")
    store.run(store.claim(ClaimRequest("q", 1, 1, EVERYTHING)))
    watch = store.watch()
    watch.wait(0)
    other.run(other.finish([succeeded(new.id)]))
    assert watch.wait(0.1) is False
    other.run(other.insert([job()]))
    assert watch.wait(PLENTY)
    watch.close()
    other.close()


@pytest.mark.timed
def test_a_watch_survives_its_connection(store: RedisStore, client: Any) -> None:
    store.run(store.insert([job()]))  # which gives this server the scripts, if nobody has yet
    watch = store.watch()
    assert watch.wait(0) is False
    kill(client, watch._link)
    assert watch.wait(0.05) is False
    watch._next_try = 0.0
    assert heard_in(watch, lambda: store.run(store.insert([job()]))) < PLENTY / 4
    watch.close()


def test_many_jobs_of_every_sort_go_through_one_script(store: RedisStore) -> None:
    """More than Lua takes in one call, with every way a claim and a report can go."""
    jobs = [numbered(number) for number in range(9000)]
    store.run(store.insert(jobs))
    register(store)
    taken = claim(store, wanted=9000)
    assert len(taken) == 9000
    endings = [
        succeeded(job_id, b"%d" % number)
        if number % 3
        else Ending(Lease(job_id, "p", 1), JobState.AVAILABLE, budgets=b"{}")
        for number, job_id in enumerate(taken)
    ]
    assert len(store.run(store.finish(endings))) == 9000
    states = {one.state: one.jobs for one in store.run(store.count(Filter()))}
    assert states == {JobState.AVAILABLE: 3000, JobState.SUCCEEDED: 6000}
    again = store.run(store.claim(ClaimRequest("p", 2, 9000, EVERYTHING))).jobs
    assert len(again) == 3000
    assert {one.budgets for one in again} == {b"{}"}
    assert len(store.run(store.find(Filter(), limit=10_000)).records) == 9000
    assert len(store.run(store.delete([new.id for new in jobs])).changed) == 6000


def numbered(number: int) -> NewJob:
    return job(payload=b"%d" % number)


# --- lines of many queues ---


def test_many_queues_are_looked_at_again_when_something_has_arrived(
    store: RedisStore, where: Place, client: Any
) -> None:
    first = [job(queue=f"q{number:03}") for number in range(100)]
    store.run(store.insert(first))
    line, hidden = key(where, "line:q050"), first[50]
    (member,) = client.zrange(line, 0, -1)
    client.zadd(line, {member: 9})
    register(store)
    assert claim(store, wanted=2) == [first[0].id, first[1].id]
    # Past every script, so that nobody is told.
    client.zadd(line, {member: -1})
    time.sleep(MORE_THAN_REMEMBERED)
    assert claim(store, 2, wanted=1) == [first[2].id]
    urgent = job(queue="q060", priority=-2)
    store.run(store.insert([urgent]))
    time.sleep(MORE_THAN_REMEMBERED)
    assert claim(store, 3, wanted=2) == [urgent.id, hidden.id]


def test_a_queue_that_is_named_twice_is_one(store: RedisStore) -> None:
    jobs = [job(queue="q") for _ in range(10)]
    store.run(store.insert(jobs))
    register(store)
    found: list[str] = []
    for number in (1, 2):
        request = ClaimRequest("p", number, 7, (Line(("q", "q")),))
        found += [one.id for one in store.run(store.claim(request)).jobs]
    assert sorted(found) == sorted(one.id for one in jobs)
