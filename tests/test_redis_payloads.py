"""Redis and Valkey: small payloads stand behind the words of their job, large ones apart.

What every store must do alike is in the conformance suite.
"""

import contextlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from longshore.core.batches import NewBundle, Sort, Together
from longshore.core.limits import After, Hold, OnConflict, Rules
from longshore.core.model import Claimed, Ending, JobState, Lease, NewJob
from longshore.core.store import ClaimRequest, Filter
from longshore.ids import new_id
from longshore.stores.redis import producing
from longshore.stores.redis.meeting import FORM
from longshore.stores.redis.scripts import SCRIPTS
from longshore.stores.redis.store import RedisStore
from longshore.stores.redis.words import SMALL, with_payload
from tests import redis_tools
from tests.places import Place, each, place, redis_client
from tests.redis_tools import NOTHING, key, open_at, succeeded
from tests.servers import private
from tests.store_tools import EVERYTHING, job, register

pytestmark = pytest.mark.servers

where, store, client = redis_tools.where, redis_tools.store, redis_tools.client

#: Payloads by what might be taken amiss in them.
PAYLOADS = {
    "JSON": b'{"v":1,"args":[1, 2],"kwargs":{}}',
    "nothing": b"",
    "a newline": b"\n",
    "newlines and spaces": b"a b\n 1 2\n\n- - ",
    "every byte": bytes(range(256)),
    "the largest small one": b"x" * SMALL,
    "the smallest large one": b"\n" * (SMALL + 1),
    "a large one": b'"%b"' % (b" \n\0\xff" * 5000),
}


@pytest.fixture(params=["alone", "with rules"])
def rules(request: pytest.FixtureRequest) -> Rules | None:
    return None if request.param == "alone" else Rules(at_most_once=True)


def taken(store: RedisStore, number: int = 1) -> Sequence[Claimed]:
    return store.run(store.claim(ClaimRequest("p", number, 50, EVERYTHING))).jobs


@pytest.fixture
def apart(where: Place, client: Any) -> Callable[[], set[str]]:
    """The ids of jobs whose payload is in a hash of its own."""
    return lambda: {name.decode() for name in client.hkeys(key(where, "payload"))}


@pytest.fixture
def age(where: Place, client: Any) -> Callable[[], None]:
    """Write every job as a release before this did."""

    def written() -> None:
        for name, value in client.hgetall(key(where, "job")).items():
            words, mark, rest = value.partition(b"\n")
            if mark:
                client.hset(key(where, "job"), name, words)
                client.hset(key(where, "payload"), name, rest[:-1])

    return written


@pytest.fixture(params=["as now", "stored before"])
def either(request: pytest.FixtureRequest, age: Callable[[], None]) -> Callable[[], None]:
    return age if request.param == "stored before" else lambda: None


def left(where: Place, client: Any) -> set[str]:
    return {name.decode().partition("}")[2] for name in client.keys(f"*{where.prefix}*")}


# --- there and back ---


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_comes_back_as_it_was(
    store: RedisStore, apart: Callable[[], set[str]], name: str, rules: Rules | None
) -> None:
    new = job(payload=PAYLOADS[name], scheduled_at=1, created_at=2, rules=rules)
    store.run(store.insert([new]))
    assert apart() == ({new.id} if len(new.payload) > SMALL else set())
    register(store)
    (claimed,) = taken(store)
    assert (claimed.payload, claimed.scheduled_at, claimed.created_at) == (new.payload, 1, 2)
    assert taken(store)[0].payload == new.payload, "of a claim that was not heard"
    retry = Ending(Lease(new.id, "p", 1), JobState.RETRYING, at=1, failed=True)
    store.run(store.finish([retry]))
    record = store.run(store.get([new.id]))[new.id]
    assert (record.payload, record.created_at) == (new.payload, 2)
    assert store.run(store.find(Filter(kinds=(new.kind,)), limit=2)).records == (record,)
    (again,) = taken(store, 2)
    assert (again.run, again.payload, again.scheduled_at) == (2, new.payload, 1)


def test_small_and_large_ones_are_claimed_together(
    store: RedisStore, apart: Callable[[], set[str]]
) -> None:
    sizes = (1, 2000, 2000, 1, 3, SMALL + 1, 1, 900)
    jobs = [
        job(payload=b"%d " % number * size, scheduled_at=10 + number // 3, created_at=10)
        for number, size in enumerate(sizes)
    ]
    store.run(store.insert(jobs))
    assert apart() == {one.id for one in jobs if len(one.payload) > SMALL}
    register(store)
    got = [(one.id, one.payload, one.scheduled_at) for one in taken(store)]
    assert got == [(one.id, one.payload, one.scheduled_at) for one in jobs]


def test_a_request_of_nothing_but_large_ones(
    store: RedisStore, apart: Callable[[], set[str]]
) -> None:
    jobs = [job(payload=b"%d" % n * 1000, scheduled_at=1, created_at=1) for n in range(5)]
    store.run(store.insert(jobs))
    assert len(apart()) == 5
    register(store)
    assert [one.payload for one in taken(store)] == [one.payload for one in jobs]


def test_a_delayed_job_keeps_its_payload_and_its_time(store: RedisStore) -> None:
    jobs = [
        job(payload=b"1 2\n3 %d" % n, state=JobState.SCHEDULED, scheduled_at=5 + n, identity="i")
        for n in range(3)
    ]
    store.run(store.insert(jobs))
    register(store)
    assert [(one.payload, one.scheduled_at) for one in taken(store)] == [
        (one.payload, one.scheduled_at) for one in jobs
    ]
    assert store.run(store.count(Filter(identities=("i",))))[0].jobs == 3


# --- replaced and rewritten ---


def test_a_replaced_payload_leaves_nothing_behind(
    where: Place, client: Any, apart: Callable[[], set[str]]
) -> None:
    store = open_at(where, retention=NOTHING)
    register(store)
    small, large = b'["\n a"]', b"%b" % (b"b\n" * SMALL)
    hold = Rules(Hold("k", on_conflict=OnConflict.REPLACE))
    first = job(payload=small, rules=hold, keep_result=0)
    store.run(store.insert([first]))
    for payload in (large, small, large, large[1:], small, small[1:]):
        store.run(store.insert([job(payload=payload, rules=hold, keep_result=0)]))
        assert store.run(store.get([first.id]))[first.id].payload == payload
        assert apart() == ({first.id} if len(payload) > SMALL else set())
    # In one request too.
    store.run(store.insert([job(payload=one, rules=hold) for one in (large, small, large, small)]))
    assert apart() == set()
    (claimed,) = taken(store)
    assert (claimed.id, claimed.payload) == (first.id, small)
    store.run(store.finish([succeeded(first.id)]))
    store.close()
    assert left(where, client) == {"schema", "leases", "process:p", "running:p"}, (
        "its process is there"
    )


def workflow(*takes: NewJob, payload: bytes) -> tuple[NewBundle, NewJob]:
    new = NewBundle(id=new_id(), name="flow", sort=Sort.WORKFLOW, created_at=0)
    after = tuple(After(one.id, takes=True) for one in takes)
    last = job(state=JobState.WAITING, payload=payload, rules=Rules((), bundles=(new.id,)))
    return new, msgspec.structs.replace(last, rules=Rules(bundles=(new.id,), after=after))


@pytest.mark.parametrize("size", [10, 2 * SMALL], ids=["small", "large"])
@pytest.mark.parametrize("result", [10, 2 * SMALL, None], ids=["short", "long", "none"])
def test_outputs_are_filled_in_wherever_the_arguments_stand(
    store: RedisStore,
    apart: Callable[[], set[str]],
    either: Callable[[], None],
    size: int,
    result: int | None,
) -> None:
    register(store)
    first = job()
    pad = b" \n" * (size // 2)
    mark = b'"longshore:output:%b"' % first.id.encode()
    new, last = workflow(first, payload=b"[%b,%b]" % (mark, pad))
    first = msgspec.structs.replace(first, rules=Rules(bundles=(new.id,)))
    store.run(store.insert([first, last], Together((new,))))
    either()
    taken(store)
    value = None if result is None else b"7" * result
    store.run(store.finish([succeeded(first.id, value)]))
    (claimed,) = taken(store, 2)
    assert (claimed.id, claimed.payload) == (last.id, b"[%b,%b]" % (value or b"null", pad))
    assert (last.id in apart()) == (len(claimed.payload) > SMALL)


def test_a_payload_that_shrinks_is_not_left_apart(
    store: RedisStore, apart: Callable[[], set[str]]
) -> None:
    register(store)
    first = job()
    mark = b'"longshore:output:%b"' % first.id.encode()
    new, last = workflow(first, payload=b"[%b]" % b",".join([mark] * 10))
    first = msgspec.structs.replace(first, rules=Rules(bundles=(new.id,)))
    store.run(store.insert([first, last], Together((new,))))
    assert apart() == {last.id}
    taken(store)
    store.run(store.finish([succeeded(first.id)]))
    assert apart() == set()
    assert taken(store, 2)[0].payload == b"[%b]" % b",".join([b"null"] * 10)


@pytest.mark.parametrize("size", [1, 2 * SMALL], ids=["small", "large"])
def test_a_callback_has_its_payload(
    store: RedisStore, apart: Callable[[], set[str]], size: int
) -> None:
    register(store)
    after = job(payload=b" \n" * size)
    new = NewBundle(id=new_id(), name="batch", sort=Sort.BATCH, created_at=0, on_complete=after)
    store.run(store.insert([], Together((new,))))
    assert apart() == ({after.id} if size > 1 else set())
    (claimed,) = taken(store)
    assert (claimed.id, claimed.payload) == (after.id, after.payload)


# --- stored twice ---


@pytest.mark.parametrize("way", ["one by one", "in parts", "together"])
def test_the_same_again_is_a_duplicate_and_another_a_conflict(
    store: RedisStore,
    monkeypatch: pytest.MonkeyPatch,
    either: Callable[[], None],
    way: str,
) -> None:
    jobs = [job(payload=payload) for payload in PAYLOADS.values()]
    store.run(store.insert(jobs))
    either()
    if way == "in parts":
        monkeypatch.setattr(producing, "MOST", 3)
    others = [msgspec.structs.replace(one, payload=one.payload + b" ") for one in jobs]

    def insert(given: list[NewJob]) -> list[Any]:
        if way == "one by one":
            return [answer for one in given for answer in store.run(store.insert([one]))]
        return list(store.run(store.insert(given, Together(()) if way == "together" else None)))

    assert all(one.duplicate and not one.conflict for one in insert(jobs))
    assert all(one.conflict for one in insert(others))
    found = store.run(store.get([one.id for one in jobs]))
    assert [found[one.id].payload for one in jobs] == [one.payload for one in jobs]


# --- stored by a release before this ---


def test_jobs_stored_before_are_claimed_ended_and_erased(
    where: Place, client: Any, apart: Callable[[], set[str]], age: Callable[[], None]
) -> None:
    store = open_at(where, retention=NOTHING)
    register(store)
    hold = Rules(Hold("k", on_conflict=OnConflict.REPLACE))
    held = job(payload=b"1", rules=hold, keep_result=0)
    jobs = [job(payload=b"[%d]" % n, scheduled_at=n, keep_result=0) for n in range(4)]
    store.run(store.insert([*jobs, held]))
    age()
    assert len(apart()) == 5
    new = [job(payload=b"[%d]" % n, scheduled_at=n, keep_result=0) for n in (4, 5)]
    store.run(store.insert([*new, job(payload=b"2", rules=hold)]))
    assert held.id not in apart()
    record = store.run(store.get([jobs[1].id]))[jobs[1].id]
    assert (record.payload, record.scheduled_at) == (b"[1]", 1)
    got = taken(store)
    assert [one.payload for one in got] == [b"[%d]" % n for n in range(6)] + [b"2"]
    retry = Ending(Lease(jobs[0].id, "p", 1), JobState.RETRYING, at=1, failed=True)
    store.run(store.finish([retry, *(succeeded(one.id) for one in got[1:])]))
    (again,) = taken(store, 2)
    assert (again.id, again.payload) == (jobs[0].id, b"[0]")
    store.run(store.finish([succeeded(again.id, run=2)]))
    store.close()
    assert not {"job", "payload", "ids"} & left(where, client)


@pytest.mark.parametrize("way", ["the first operation", "migrate"])
def test_keys_of_an_older_release_are_marked_so_that_it_stays_away(
    where: Place, client: Any, way: str
) -> None:
    older = open_at(where)
    older.migrate()
    epoch = client.hget(key(where, "schema"), "epoch")
    older.close()
    client.hset(key(where, "schema"), "form", FORM - 1)
    store = open_at(where)
    assert store.schema().breaking == ()
    if way == "migrate":
        store.migrate()
    else:
        store.run(store.count(Filter()))
    assert client.hgetall(key(where, "schema")) == {b"epoch": epoch, b"form": b"%d" % FORM}
    store.close()


@pytest.mark.private
@pytest.mark.parametrize("kind", each("redis", "valkey"))
def test_a_full_server_is_marked_too(kind: str, tmp_path: Path) -> None:
    """Else nobody could take the jobs out of it."""
    with private(kind) as server, place(kind, tmp_path, server) as where:
        with contextlib.closing(open_at(where)) as store:
            store.migrate()
        with contextlib.closing(redis_client(where.url)) as client:
            client.hset(key(where, "schema"), "form", FORM - 1)
            client.config_set("maxmemory", "1")
            with contextlib.closing(open_at(where)) as store:
                register(store)
                assert taken(store) == ()
            assert client.hget(key(where, "schema"), "form") == b"%d" % FORM


# --- the value ---


def test_python_and_lua_mean_the_same_by_small() -> None:
    (found,) = re.findall(r"^local SMALL = (\d+)", SCRIPTS["together"].text, re.MULTILINE)
    assert int(found) == SMALL


def test_the_last_byte_tells_jobs_apart_and_not_those_that_are_alike() -> None:
    def ends(jobs: list[NewJob]) -> set[int]:
        return {with_payload(one, "available", "q", "k")[-1] for one in jobs}

    alike = job(payload=b"[1]")
    assert len(ends([alike, msgspec.structs.replace(alike, id=new_id())])) == 1
    assert len(ends([job(payload=b"[%05d]" % n, created_at=7) for n in range(5000)])) == 256
    assert len(ends([job(payload=b"[]", created_at=7**18 + 100 * n) for n in range(5000)])) > 200
