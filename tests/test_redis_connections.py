"""Connections to Redis and Valkey: broken, refused, moved, forked, and what an address may say.

What every store must do alike is in the conformance suite.
"""

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore.core.fitness import store_findings
from longshore.core.model import Ending, JobState, Lease
from longshore.core.store import (
    ClaimRequest,
    Filter,
    Operation,
    Retention,
)
from longshore.core.store_url import parse_url
from longshore.errors import (
    ClientClosed,
    ConfigurationError,
    EnqueueUncertain,
    StoreBusy,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnavailable,
    StoreUnwritable,
)
from longshore.stores.redis import links
from longshore.stores.redis.faults import explained
from longshore.stores.redis.store import RedisStore, open_redis
from longshore.stores.redis.wire import Link, Refused
from tests import redis_tools
from tests.places import Place, place, redis_client
from tests.redis_tools import NOTHING, PLENTY, Losing, Saying, kill, open_at, succeeded
from tests.servers import private
from tests.store_tools import EVERYTHING, claim, job, register

pytestmark = pytest.mark.servers


where, store, client = redis_tools.where, redis_tools.store, redis_tools.client


def test_a_killed_connection_is_survived(store: RedisStore, client: Any) -> None:
    store.run(store.insert([job()]))
    kill(client, store._links._idle[0][0])
    store.run(store.insert([job()]))

    async def twice() -> None:
        await store.arun(store.insert([job()]))
        (idle,) = store._links._waiting.values()
        kill(client, idle[0][0])
        await store.arun(store.insert([job()]))

    asyncio.run(twice())
    assert store.run(store.count(Filter()))[0].jobs == 4


def test_a_lost_answer_to_an_insert_is_asked_for_again(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.run(store.insert([job()]))
    losing = Losing(monkeypatch)
    losing.losses = 1
    (answer,) = store.run(store.insert([job(fresh=True)]))
    assert answer.duplicate, "the first try has stored it"
    assert store.run(store.count(Filter()))[0].jobs == 2


def test_an_insert_that_cannot_be_repeated_says_so(
    where: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_at(where, retention=NOTHING)
    kept, gone = job(keep_result=60_000_000), job(keep_result=59_000_000)
    store.run(store.count(Filter()))
    losing = Losing(monkeypatch)
    losing.losses = 1
    store.run(store.insert([kept]))
    losing.losses = 1
    with pytest.raises(EnqueueUncertain, match="whether job") as raised:
        store.run(store.insert([gone]))
    assert raised.value.job_id == gone.id
    assert store.run(store.count(Filter()))[0].jobs == 2
    store.close()


def test_a_report_that_repeats_a_part_and_brings_more_holds_though_nothing_is_kept(
    where: Place,
) -> None:
    store = open_at(where, retention=NOTHING)
    register(store)
    new = [job(keep_result=0) for _ in range(4)]
    store.run(store.insert(new))
    assert len(claim(store, 1, 4)) == 4
    ends = [succeeded(one.id) for one in new]
    for count in (1, 2, 2):
        assert len(store.run(store.finish(ends[:count]))) == count
    exchanged = store.run(store.exchange(ends, ClaimRequest("p", 2, 1, EVERYTHING)))
    assert len(exchanged.held) == 4
    store.close()


def test_a_lost_answer_to_a_report_is_answered_though_nothing_is_kept(
    where: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_at(where, retention=NOTHING)
    jobs = [job(keep_result=0) for _ in range(4)]
    store.run(store.insert(jobs))
    register(store)
    claim(store)
    losing = Losing(monkeypatch)
    endings = [
        succeeded(jobs[0].id),
        Ending(Lease(jobs[1].id, "p", 1), JobState.DEAD, reason="no"),
        succeeded(jobs[2].id, b"1"),
    ]
    losing.losses = 1
    assert len(store.run(store.finish(endings))) == 3
    losing.losses = 1
    answer = store.run(store.exchange([succeeded(jobs[3].id)], ClaimRequest("p", 2, 5, EVERYTHING)))
    assert len(answer.held) == 1
    assert store.run(store.finish([succeeded(jobs[3].id, run=2)])) == frozenset()
    store.close()


def test_nobody_there_is_told_without_the_password() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = parse_url(f"redis://user:s3cret@127.0.0.1:{port}/3")
    store = open_redis(url, retention=Retention(), prefix="x_", durability="normal")
    assert store.address == f"redis://127.0.0.1:{port}/3"
    with pytest.raises(StoreUnavailable, match="cannot be reached") as raised:
        store.run(store.count(Filter()))
    assert "s3cret" not in str(raised.value)
    with pytest.raises(StoreUnavailable):
        asyncio.run(store.arun(store.count(Filter())))
    store.close()


@pytest.mark.timed
@pytest.mark.private
def test_a_wrong_password_is_told_at_once(tmp_path: Path) -> None:
    with (
        private("redis") as server,
        place("redis", tmp_path, server) as where,
        contextlib.closing(redis_client(where.url)) as client,
    ):
        client.config_set("requirepass", "right")
        for password in ("", ":wr0ng@"):
            store = open_at(Place(where.url.replace("//", f"//{password}"), where.prefix))
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match="password") as raised:
                store.run(store.count(Filter()))
            assert time.monotonic() - began < PLENTY / 4
            assert "wr0ng" not in str(raised.value)
            store.close()
        store = open_at(Place(where.url.replace("//", "//:right@"), where.prefix))
        store.run(store.insert([job()]))
        asyncio.run(store.arun(store.insert([job()])))
        store.close()


@pytest.fixture
def saying() -> Iterator[Any]:
    servers: list[Saying] = []

    def say(reply: str) -> Saying:
        servers.append(Saying(reply))
        return servers[-1]

    yield say
    for server in servers:
        server.close()


@pytest.mark.parametrize(
    ("said", "kind", "again"),
    [
        ("LOADING Redis is loading the dataset in memory", StoreUnavailable, True),
        ("BUSY Redis is busy running a script.", StoreBusy, True),
        ("CLUSTERDOWN The cluster is down", StoreUnavailable, True),
        ("READONLY You can't write against a read only replica.", StoreUnwritable, True),
        ("MISCONF Redis is configured to save RDB snapshots", StoreUnwritable, False),
        ("NOAUTH Authentication required.", StoreUnavailable, False),
        ("ERR max number of clients reached", StoreUnavailable, True),
    ],
)
def test_what_passes_is_waited_out_and_the_rest_told_at_once(
    said: str, kind: type[StoreError], again: bool, saying: Any
) -> None:
    server = saying(f"-{said}")
    url = parse_url(f"redis://127.0.0.1:{server.port}")
    store = open_redis(url, retention=Retention(), prefix="x_", durability="normal")
    store.patience = 0.1
    with pytest.raises(kind, match=said.split(" ", 1)[1][:10]):
        store.run(store.count(Filter()))
    assert (server.asked > 4) is again
    store.close()


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", StoreFull),
        (
            "ERR Error running script (call to f_1): @user_script:3: @user_script: 3: -OOM no room",
            StoreFull,
        ),
        ("MASTERDOWN Link with MASTER is down", StoreUnavailable),
        ("NOREPLICAS Not enough good replicas to write.", StoreUnwritable),
        ("TRYAGAIN Multiple keys request during rehashing of slot", StoreBusy),
        ("ASK 1 127.0.0.1:1", StoreBusy),
        ("WRONGPASS invalid username-password pair or user is disabled.", StoreDenied),
        ("ERR invalid password", StoreDenied),
        ("NOPERM User x has no permissions to run the 'evalsha' command", StoreUnwritable),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", StoreError),
        ("ERR DB index is out of range", StoreDenied),
        ("SOMETHING nobody has heard of", StoreError),
    ],
)
def test_each_refusal_has_its_meaning(said: str, kind: type[StoreError]) -> None:
    error = explained(Refused(said), "redis://host")
    assert type(error) is kind
    assert said in str(error)


@pytest.mark.parametrize("awaiting", [False, True])
def test_a_store_follows_its_slot_to_another_server(
    where: Place, saying: Any, awaiting: bool
) -> None:
    real = parse_url(where.url)
    elsewhere = saying(f"-MOVED 42 {real.host}:{real.port}")
    moved = open_at(Place(f"redis://127.0.0.1:{elsewhere.port}", where.prefix))
    op = moved.insert([job()])
    answer = asyncio.run(moved.arun(op)) if awaiting else moved.run(op)
    assert len(answer) == 1
    assert elsewhere.asked
    moved.close()


@pytest.mark.private
def test_a_cluster_tells_of_its_servers(tmp_path: Path) -> None:
    with place("redis-cluster", tmp_path) as where:
        store = open_at(where)
        store.run(store.insert([job()]))
        assert store.address.startswith("redis+cluster://")
        assert [(seed.host, seed.port) for seed in store._links._seeds] == [
            (parse_url(where.url).host, parse_url(where.url).port)
        ]
        store.close()


def test_a_link_that_the_server_closed_meanwhile_is_not_used(
    store: RedisStore, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "LOOK_AFTER", 0.0)
    store.run(store.insert([job()]))
    (link, _) = store._links._idle[0]
    kill(client, link)
    assert link.ready([], PLENTY), "the end of it has arrived"
    Losing(monkeypatch)
    sent: list[Link] = []
    answer = Link.answer
    monkeypatch.setattr(
        Link, "answer", lambda used, packed: (sent.append(used), answer(used, packed))[1]
    )
    store.run(store.count(Filter()))
    assert link not in sent


def test_a_closed_store_is_closed_for_all(store: RedisStore) -> None:
    watch = store.watch()
    store.run(store.insert([job()]))
    store.close()
    with pytest.raises(ClientClosed):
        asyncio.run(store.arun(store.count(Filter())))
    assert watch.wait(PLENTY) is False


FORK = """
import os, sys
from longshore.core.store import Filter, Retention
from longshore.stores import connect

store = connect(sys.argv[1], retention=Retention(), prefix=sys.argv[2], durability="normal")
store.run(store.count(Filter()))
inherited = {link for link, _ in store._links._idle}
child = os.fork()
for _ in range(200):
    store.run(store.count(Filter()))
mine = {link for link, _ in store._links._idle}
assert mine and mine.isdisjoint(inherited) is (child == 0)
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
store.run(store.count(Filter()))
store.close()
"""


def test_no_connection_is_carried_over_a_fork(where: Place) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORK, where.url, where.prefix]
    subprocess.run(command, check=True, timeout=PLENTY, capture_output=True)


# --- replicas ---


@pytest.mark.private
@pytest.mark.parametrize("awaiting", [False, True])
def test_what_no_replica_has_is_not_acknowledged(tmp_path: Path, awaiting: bool) -> None:
    with private("redis") as server, place("redis", tmp_path, server) as where:
        store = open_at(where, durability="replicated", more="?replicas=1&wait=20ms")
        new = job()

        def do(op: Operation[Any]) -> Any:
            return asyncio.run(store.arun(op)) if awaiting else store.run(op)

        with pytest.raises(EnqueueUncertain, match="only 0 of 1 replicas") as raised:
            do(store.insert([new]))
        assert raised.value.job_id == new.id
        with pytest.raises(StoreUnavailable, match="only 0 of 1 replicas"):
            do(store.cancel([new.id], None))
        assert do(store.get([new.id]))[new.id].state is JobState.CANCELLED
        address = parse_url(where.url)
        with private("redis", "--replicaof", f"{address.host} {address.port}"):
            with contextlib.closing(redis_client(where.url)) as client:
                deadline = time.monotonic() + PLENTY
                while client.info("replication").get("slave0", {}).get("state") != "online":
                    assert time.monotonic() < deadline
                    threading.Event().wait(0.01)
                assert client.wait(1, 5000) == 1
            patient = open_at(where, durability="replicated", more="?wait=2s")
            client_side = patient.insert([job()])
            assert (
                len(
                    asyncio.run(patient.arun(client_side)) if awaiting else patient.run(client_side)
                )
                == 1
            )
            patient.close()
        store.close()


# --- addresses ---


@pytest.mark.parametrize(
    ("url", "durability", "said"),
    [
        ("redis://h/0?replica=2", "full", "option replica.*replicas"),
        ("redis://h/0", "fsync", "no durability 'fsync'"),
        ("redis://h/jobs", "full", "number of a database"),
        ("redis+cluster://h/1", "full", "nothing for a cluster"),
        ("redis://h?replicas=none", "replicated", "replicas must be a number"),
        ("redis://h?wait=5", "replicated", "wait"),
    ],
)
def test_an_address_that_cannot_work_is_refused(url: str, durability: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        open_redis(parse_url(url), retention=Retention(), prefix="x_", durability=durability)


def test_a_missing_driver_is_named() -> None:
    code = (
        "import sys; sys.modules['hiredis'] = None\n"
        "from longshore import Longshore\n"
        "jobs = Longshore('redis://localhost')\n"
        "jobs.store\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PLENTY, check=False
    )
    assert "ConfigurationError" in done.stderr
    assert "longshore[redis]" in done.stderr


def test_doctor_tells_of_a_server_that_is_not_of_a_cluster(where: Place) -> None:
    host, _, _ = where.url.removeprefix("redis://").partition("/")
    store = open_at(Place(f"redis+cluster://{host}"))
    (found,) = [one for one in store_findings(store.facts()[0]) if one.about == "cluster"]
    store.close()
    assert found.refuses
