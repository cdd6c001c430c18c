"""Redis and Valkey: what rules of jobs leave in the keys, read there and cost; names of any sort.

What every store must do alike is in the conformance suite.
"""

import contextlib
import random
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec import json

from longshore.core.limits import (
    Fair,
    Hold,
    Limit,
    OnConflict,
    Rules,
    SetKind,
    SetLimit,
    Setting,
    opens_at,
    part_of,
    started,
)
from longshore.core.model import Ending, JobState, Lease, NewJob
from longshore.core.store import ClaimRequest, Filter, Line, Rescue, Retention
from longshore.core.store_url import parse_url
from longshore.errors import StoreFull
from longshore.stores.clock import ManualClock
from longshore.stores.redis import producing
from longshore.stores.redis.store import RedisStore, open_redis
from tests import redis_tools
from tests.places import Place, each, place, redis_client
from tests.redis_tools import NOTHING, key, open_at, succeeded
from tests.servers import private
from tests.store_tools import EVERYTHING, claim, job, register

pytestmark = pytest.mark.servers

where, store, client = redis_tools.where, redis_tools.store, redis_tools.client

SECOND = 1_000_000
ONE = Limit("account", "7", 1)
RATE = Limit("mail", "", 2, SECOND)
ALL = Rules(Hold("all", until_started=True), (ONE, RATE), Fair("=a"), at_most_once=True)

#: Values that would end a word, a range or an escape if they were written as they are.
ODD = ("", " ", "a b", "!", "!B", "a!", "%", "%20", "é", "\x00", '"', "\\", "\n", ":", "]", "a")


def left_keys(where: Place, client: Any) -> set[str]:
    return {name.decode().partition("}")[2] for name in client.keys(f"*{where.prefix}*")}


def timed_at(where: Place, clock: ManualClock) -> RedisStore:
    return open_redis(
        parse_url(where.url),
        retention=Retention(),
        prefix=where.prefix,
        durability="normal",
        clock=clock,
    )


def limited(*limits: Limit) -> dict[str, object]:
    return {"rules": Rules(limits=limits)}


def test_a_person_can_read_the_rules_of_a_job(store: RedisStore, where: Place, client: Any) -> None:
    new = job(rules=ALL, identity="7")
    store.run(store.insert([new]))
    assert json.decode(client.hget(key(where, "rules"), new.id), type=Rules) == ALL
    assert client.hget(key(where, "holds"), "all") == new.id.encode()
    register(store)
    assert claim(store) == [new.id]
    assert client.zrange(key(where, "slots"), 0, -1) == [f"c:account:7 {new.id}".encode()]
    assert client.exists(key(where, "holds")) == 0
    rule, *parts = client.hget(key(where, "starts"), "r:mail:").decode().split(";")
    assert rule == f"1 {RATE.to} {RATE.per} mail "
    assert [part.split()[2] for part in parts] == ["1"]


def test_jobs_with_rules_leave_nothing(where: Place, client: Any) -> None:
    store = open_at(where, retention=NOTHING)
    register(store)
    make = [
        *({"rules": ALL}, {"rules": ALL}, {"rules": Rules(Hold("b"), (ONE,)), "identity": "i"}),
        *(limited(ONE, RATE), limited(RATE), limited(RATE), limited(Limit("host", "", 2), ONE)),
        {"rules": Rules(fair=Fair("=b")), "identity": "i"},
        {"identity": "i", "expires_at": 2**52},
    ]
    jobs = [job(keep_result=0, **fields) for fields in make]
    store.run(store.insert(jobs))
    store.run(store.set_kind(SetKind("app.two", paused=True, pause_for=3600 * SECOND)))
    paused = job(kind="app.two", keep_result=0)
    store.run(store.insert([paused]))
    taken = claim(store, wanted=20)
    assert 0 < len(taken) < len(jobs)
    assert client.exists(key(where, "blocked")) == 1
    endings = [succeeded(job_id) for job_id in taken[1:]]
    store.run(store.finish([Ending(Lease(taken[0], "p", 1), JobState.DEAD), *endings]))
    again = claim(store, claim_id=2, wanted=20)
    store.run(store.rescue(Rescue("p")))
    assert again
    store.run(store.cancel([one.id for one in jobs[::2]], None))
    store.run(store.delete([one.id for one in [*jobs, paused]]))
    store.run(store.set_kind(SetKind("app.two", paused=False)))
    assert store.run(store.count(Filter())) == ()
    deadline = time.monotonic() + 20
    # The window of the rate is a second long.
    while client.exists(key(where, "rates")) and time.monotonic() < deadline:
        store.run(store.prune(100))
    store.close()
    left = left_keys(where, client)
    # What a line without jobs is known by goes when it is looked at; virtual time stays.
    assert {name for name in left if not name.startswith("turns:")} <= {"schema", "ready"}
    assert all(client.hkeys(key(where, name)) for name in left if name.startswith("turns:"))


@pytest.mark.parametrize("sort", ["c", "r"])
def test_values_may_have_any_characters(store: RedisStore, where: Place, sort: str) -> None:
    per = None if sort == "c" else 3600 * SECOND
    limits = [Limit("x", value, 1, per) for value in ODD]
    jobs = [job(**limited(limit)) for limit in limits for _ in range(2)]
    store.run(store.insert(jobs))
    register(store)
    assert claim(store, wanted=100) == [one.id for one in jobs[::2]]
    records = store.run(store.limits())
    assert [record.key for record in records] == sorted(limit.key for limit in limits)
    assert {record.value for record in records} == set(ODD)
    assert {(record.used, record.blocked) for record in records} == {(1, 1)}
    found = store.run(store.get([one.id for one in jobs[1::2]]))
    assert [found[one.id].blocked_by for one in jobs[1::2]] == [limit.key for limit in limits]
    (first, *_) = store.run(store.limits([limits[2].key]))
    assert first.key == limits[2].key
    if sort == "c":
        store.run(store.finish([succeeded(one.id) for one in jobs[::2]]))
        assert sorted(claim(store, claim_id=2, wanted=100)) == sorted(one.id for one in jobs[1::2])
    else:
        store.run(store.set_limit(SetLimit("x", Setting(2))))
        assert len(claim(store, claim_id=2, wanted=100)) == len(ODD)


def test_kinds_values_and_identities_may_have_any_characters(store: RedisStore) -> None:
    register(store)
    for odd in ODD:
        new = job(kind=f"k{odd}", identity=odd, rules=Rules(fair=Fair(f"={odd}")))
        store.run(store.insert([new]))
        store.run(store.set_kind(SetKind(new.kind, paused=True)))
        assert claim(store, claim_id=1) == []
        assert store.run(store.get([new.id]))[new.id].blocked_by == f"k:{new.kind}"
        assert [one.kind for one in store.run(store.kinds())] == [new.kind]
        (record,) = store.run(store.find(Filter(identities=(odd,)), limit=5)).records
        assert (record.id, record.identity) == (new.id, odd)
        store.run(store.set_kind(SetKind(new.kind, paused=False)))
        assert claim(store, claim_id=1) == [new.id]
        store.run(store.finish([succeeded(new.id)]))


def test_an_exchange_finds_those_that_its_own_endings_let_in(store: RedisStore) -> None:
    """Also one that takes turns, where nobody did when it began."""
    first, second = (job(rules=Rules(limits=(ONE,), fair=Fair("=a"))) for _ in range(2))
    store.run(store.insert([first, second]))
    register(store)
    assert claim(store, wanted=2) == [first.id]
    answer = store.run(store.exchange([succeeded(first.id)], ClaimRequest("p", 2, 2, EVERYTHING)))
    assert [one.id for one in answer.claim.jobs] == [second.id]


def calls_of(client: Any, do: Any) -> dict[str, int]:
    client.config_resetstat()
    do()
    stats = client.info("commandstats")
    return {
        name: told["calls"]
        for name, told in stats.items()
        if name not in {"cmdstat_config|resetstat", "cmdstat_info", "cmdstat_config"}
    }


@pytest.mark.private
@pytest.mark.parametrize("kind", each("redis", "valkey"))
def test_a_claim_of_plain_jobs_does_nothing_for_each(kind: str, tmp_path: Path) -> None:
    with private(kind) as server, place(kind, tmp_path, server) as where:
        store = open_at(where)
        register(store)
        # There are others elsewhere, of every sort that needs no look at each claim.
        others = [job(queue="other", rules=Rules(Hold("u"), (ONE,))), job(queue="other")]
        store.run(store.insert([*others, *(job() for _ in range(400))]))
        with contextlib.closing(redis_client(where.url)) as client:
            lines = (Line(("default",)),)
            request = [ClaimRequest("p", n, wanted, lines) for n, wanted in ((1, 2), (2, 200))]
            few = calls_of(client, lambda: store.run(store.claim(request[0])))
            many = calls_of(client, lambda: store.run(store.claim(request[1])))
        assert few == many
        assert few["cmdstat_evalsha"] == 1
        assert few["cmdstat_exists"] == 2  # what restrains, and large payloads
        assert "cmdstat_zrangebylex" not in few
        store.close()


def test_the_ledger_is_counted_as_the_rules_say(where: Place) -> None:
    """Random starts beside the functions that all stores have to agree with."""
    clock = ManualClock()
    store = timed_at(where, clock)
    chance = random.Random(7)
    register(store, lease=2**50)
    for number, per in enumerate((7, 99, 101, 12_345, SECOND, 86_400 * SECOND)):
        limit = Limit(f"n{number}", "", 5, per)
        parts: dict[int, tuple[int, int]] = {}
        for step in range(25):
            clock.advance(chance.choice((0, 1, per // 100, per // 7, per)))
            now = clock.now()
            ledger = sorted(parts.values())
            room = limit.to - started(ledger, per, now)
            wanted = chance.randint(1, 3)
            new = [job(queue=limit.name, **limited(limit)) for _ in range(wanted)]
            store.run(store.insert(new))
            line = Line((limit.name,))
            claim_id = number * 1000 + step + 1
            answer = store.run(store.claim(ClaimRequest("p", claim_id, wanted, (line,))))
            assert len(answer.jobs) == min(room, wanted), (per, step)
            if answer.jobs:
                part = part_of(now, per)
                at, starts = parts.get(part, (now, 0))
                parts[part] = (max(at, now), starts + len(answer.jobs))
            (record,) = store.run(store.limits([limit.key]))
            ledger = sorted(parts.values())
            assert record.used == started(ledger, per, now)
            if record.blocked and len(answer.jobs) < wanted:
                assert record.opens_at == opens_at(ledger, per, now)
        waiting = store.run(store.find(Filter(queues=(limit.name,)), limit=100)).records
        store.run(store.cancel([one.id for one in waiting], None))
        store.run(store.delete([one.id for one in waiting]))
    store.close()


def test_a_ledger_stays_short(where: Place, client: Any) -> None:
    clock = ManualClock()
    store = timed_at(where, clock)
    register(store, lease=2**50)
    limit = Limit("often", "", 1_000_000, SECOND)
    for number in range(1, 400):
        new = job(**limited(limit))
        store.run(store.insert([new]))
        assert claim(store, claim_id=number) == [new.id]
        store.run(store.finish([succeeded(new.id)]))
        clock.advance(SECOND // 50)
    newest, older = [client.hget(key(where, name), "r:often:") for name in ("starts", "older")]
    assert newest.count(b";") < 10  # what a claim reads and writes
    assert newest.count(b";") + older.count(b";") < 220
    (record,) = store.run(store.limits())
    assert record.used == 49
    clock.advance(SECOND)
    store.run(store.prune(100))
    assert not client.exists(key(where, "starts"), key(where, "older"))
    store.close()


def test_the_older_parts_of_a_ledger_are_looked_at_before_it_goes(
    where: Place, client: Any
) -> None:
    """What counts the longest is among them where the period was longer when they started."""
    clock = ManualClock()
    store = timed_at(where, clock)
    register(store, lease=2**50)
    slow, quick = Limit("mail", "", 100, 60 * SECOND), Limit("mail", "", 100, SECOND)
    for number, limit in enumerate([quick, *[slow] * 3, *[quick] * 16], start=1):
        new = job(**limited(limit))
        store.run(store.insert([new]))
        assert claim(store, claim_id=number) == [new.id]
        clock.advance(SECOND)
    assert client.hexists(key(where, "older"), "r:mail:")
    clock.advance(SECOND)
    store.run(store.prune(100))
    assert client.hexists(key(where, "starts"), "r:mail:")
    new = job(**limited(slow))
    store.run(store.insert([new]))
    assert claim(store, claim_id=50) == [new.id]
    (record,) = store.run(store.limits())
    assert record.used == 21
    store.close()


def test_a_ledger_stays_until_its_last_start_counts_no_more(where: Place, client: Any) -> None:
    clock = ManualClock()
    store = timed_at(where, clock)
    register(store, lease=2**50)
    for number in (1, 2):
        new = job(**limited(RATE))
        store.run(store.insert([new]))
        assert claim(store, claim_id=number) == [new.id]
        clock.advance(SECOND // 2)
    used = []
    for _ in range(3):
        clock.advance(SECOND // 10)
        store.run(store.prune(100))
        used += [record.used for record in store.run(store.limits())]
        clock.advance(SECOND // 5)
    assert used == [1, 1]
    assert client.exists(key(where, "starts")) == 0
    assert client.exists(key(where, "started")) == 0
    assert client.exists(key(where, "rates")) == 0
    store.close()


def test_a_blocked_job_costs_its_value_no_turn(store: RedisStore) -> None:
    register(store)
    runs = job(**limited(ONE))
    store.run(store.insert([runs]))
    assert claim(store) == [runs.id]
    rules = (Rules(limits=(ONE,), fair=Fair("=a")), Rules(fair=Fair("=a")), Rules(fair=Fair("=b")))
    jobs = [job(scheduled_at=number, rules=some) for number, some in enumerate(rules)]
    store.run(store.insert(jobs))
    assert claim(store, claim_id=2, wanted=1) == [jobs[1].id]
    assert claim(store, claim_id=3, wanted=1) == [jobs[2].id]


def test_a_name_may_look_like_a_ledger(store: RedisStore) -> None:
    register(store)
    limit = Limit(";1 2 3 4;%s 5", ";6 7 8 9 !", 3, SECOND)
    jobs = [job(**limited(limit)) for _ in range(4)]
    store.run(store.insert(jobs))
    assert len(claim(store, claim_id=1, wanted=2)) == 2
    assert len(claim(store, claim_id=2, wanted=2)) == 1
    (record,) = store.run(store.limits())
    assert (record.name, record.used, record.blocked) == (limit.name, 3, 1)


def test_neighbours_that_look_alike_have_their_own_limits(store: RedisStore) -> None:
    register(store)
    one, other = Limit("host", "a", 1), Limit("host", 'a","to":1},{"name":"host', 1)
    both = (Limit("host", "a", 1), Limit("host", "b", 1))
    rules = [(one,), (other,), both, (Limit("host", "b", 1),), (Limit("host", "c d", 1), RATE)]
    jobs = [job(scheduled_at=number, **limited(*some)) for number, some in enumerate(rules)]
    store.run(store.insert(jobs))
    assert claim(store, wanted=9) == [jobs[0].id, jobs[1].id, jobs[3].id, jobs[4].id]
    store.run(store.finish([succeeded(jobs[0].id)]))
    assert claim(store, claim_id=2, wanted=9) == []
    store.run(store.finish([succeeded(jobs[3].id)]))
    assert claim(store, claim_id=3, wanted=9) == [jobs[2].id]


def test_a_request_in_parts_is_refused_before_anything_is_written(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producing, "MOST", 4)
    strict = Rules(Hold("k", on_conflict=OnConflict.RAISE))
    held = job(rules=Rules(Hold("k")))
    store.run(store.insert([held]))
    jobs = [*(job() for _ in range(9)), job(rules=strict)]
    answers = store.run(store.insert(jobs))
    assert [one.conflict for one in answers] == [False] * 9 + [True]
    assert (answers[9].id, answers[9].held) == (held.id, True)
    assert store.run(store.count(Filter()))[0].jobs == 1
    store.run(store.cancel([held.id], None))
    twice = [job(rules=strict), *(job() for _ in range(8)), job(rules=strict)]
    answers = store.run(store.insert(twice))
    assert [one.conflict for one in answers] == [False] * 9 + [True]
    assert len(store.run(store.get([one.id for one in twice]))) == 0
    assert not any(one.conflict for one in store.run(store.insert(twice[:9])))


# --- a server that is full ---


def crowd() -> list[NewJob]:
    rules = (
        *(Rules(limits=(ONE,)), Rules(limits=(RATE,)), Rules(Hold("u"), (ONE,), Fair("=a"))),
        *(Rules(fair=Fair("=b")), Rules(limits=(Limit("host", "", 3), ONE))),
    )
    return [
        job(payload=b'{"x":"%s"}' % (b"x" * 500), keep_result=0, rules=rules[number % 5])
        for number in range(200)
    ]


@pytest.mark.private
@pytest.mark.parametrize("kind", each("redis", "valkey"))
def test_a_full_server_blocks_and_lets_in_all_the_same(kind: str, tmp_path: Path) -> None:
    with private(kind) as server, place(kind, tmp_path, server) as where:
        store = open_at(where, retention=NOTHING)
        register(store)
        register(store, "q")
        jobs = crowd()
        store.run(store.insert(jobs))
        there = store.run(store.count(Filter()))[0].jobs
        paused = job(kind="app.two", keep_result=0)
        store.run(store.insert([paused]))
        with contextlib.closing(redis_client(where.url)) as client:
            client.config_set("maxmemory", "1")
            with pytest.raises(StoreFull):
                store.run(store.insert([job()]))
            store.run(store.set_kind(SetKind("app.two", paused=True)))
            taken = claim(store, wanted=100)
            assert taken
            assert client.zcard(key(where, "blocked")) > 50
            store.run(store.set_limit(SetLimit("account", Setting(2))))
            store.run(store.cancel(taken[:1], None))
            store.run(store.rescue(Rescue("p")))
            store.run(store.promote(100))
            done: set[str] = set()
            endings: list[Ending] = []
            for number in range(1, 1000):
                request = ClaimRequest("q", number, 50, EVERYTHING)
                answer = store.run(store.exchange(endings, request))
                assert len(answer.held) == len(endings)
                endings = [
                    Ending(Lease(one.id, "q", one.run), JobState.SUCCEEDED)
                    for one in answer.claim.jobs
                ]
                done |= {one.id for one in answer.claim.jobs}
                if len(done) >= there - 1 - 40 and not endings:
                    break
            waiting = store.run(store.find(Filter(), limit=1000)).records
            assert {one.blocked_by for one in waiting} <= {"k:app.two", RATE.key}
            store.run(store.cancel([one.id for one in waiting], None))
            assert store.run(store.count(Filter())) == ()
        store.close()
