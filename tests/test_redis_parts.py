"""Redis and Valkey: what goes to the server in parts, scripts and requests of very many jobs."""

import asyncio
import contextlib
import subprocess
import sys
from hashlib import sha1
from pathlib import Path
from typing import Any

import msgspec
import pytest

from longshore.core.store import Filter
from longshore.errors import PartlyEnqueued
from longshore.stores.redis import producing
from longshore.stores.redis.meeting import loading
from longshore.stores.redis.scripts import SCRIPTS
from longshore.stores.redis.store import RedisStore
from longshore.stores.redis.wire import AsyncLink, Link, Lost, Refused
from tests import redis_tools
from tests.places import place
from tests.redis_tools import open_at
from tests.servers import private
from tests.store_tools import job

pytestmark = pytest.mark.servers


where, store, client = redis_tools.where, redis_tools.store, redis_tools.client


@pytest.mark.parametrize("known", ["none", "all but two", "not told"])
def test_a_server_is_given_the_scripts_that_it_has_not(known: str) -> None:
    names = list(SCRIPTS)
    there = [int(known == "all but two" and name not in {"claim", "insert"}) for name in names]
    steps = loading()
    asked, replies = next(steps)
    assert replies == 1
    assert all(SCRIPTS[name].sha in asked for name in names)
    answer: list[Any] = [Refused("NOPERM no such right") if known == "not told" else there]
    given, waited = list[bytes](), list[int]()
    with contextlib.suppress(StopIteration):
        while True:
            sent, replies = steps.send(answer)
            given.append(sent)
            waited.append(replies)
            answer = [b"sha"] * replies
    wanted = [name for name, is_there in zip(names, there, strict=True) if not is_there]
    assert len(given) == len(wanted), "one at a time"
    assert all(SCRIPTS[n].text.encode() in sent for n, sent in zip(wanted, given, strict=True))
    assert waited == [0] * (len(wanted) - 1) + [len(wanted)], "and one wait for all"


def test_no_process_keeps_the_scripts_as_long_as_they_are_sent() -> None:
    texts = {name: script.text.encode() for name, script in SCRIPTS.items()}
    shas = {name: sha1(text).hexdigest().encode() for name, text in texts.items()}
    assert shas == {name: script.sha for name, script in SCRIPTS.items()}
    code = (
        "import hashlib, pathlib, tracemalloc, longshore.stores.redis; tracemalloc.start();"
        "import longshore.stores.redis.scripts; print(tracemalloc.get_traced_memory()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert int(done.stdout) < sum(map(len, texts.values())) / 3


def test_a_refusal_to_say_which_scripts_are_there_is_told() -> None:
    steps = loading()
    next(steps)
    with pytest.raises(Refused, match="LOADING"):
        steps.send([Refused("LOADING the dataset")])


def test_a_request_of_very_many_jobs_goes_in_parts(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producing, "MOST", 4)
    jobs = [job() for _ in range(10)]
    store.run(store.insert(jobs[8:9]))
    other = msgspec.structs.replace(jobs[8], payload=b"[]")
    answers = store.run(store.insert([*jobs[:8], other, jobs[9]]))
    assert [answer.conflict for answer in answers] == [False] * 8 + [True, False]
    assert store.run(store.count(Filter()))[0].jobs == 1
    answers = store.run(store.insert(jobs))
    assert [answer.duplicate for answer in answers] == [False] * 8 + [True, False]
    assert store.run(store.count(Filter()))[0].jobs == 10


@pytest.mark.private
def test_a_part_that_finds_no_room_tells_of_those_that_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producing, "MOST", 100)
    with (
        private("redis", "--maxmemory", "8mb") as server,
        place("redis", tmp_path, server) as where,
    ):
        store = open_at(where)
        jobs = [job(payload=b'"%s"' % (b"x" * 3000)) for _ in range(4000)]
        with pytest.raises(PartlyEnqueued, match="of 4000 jobs were stored") as raised:
            store.run(store.insert(jobs))
        stored = raised.value.stored
        assert list(stored) == [one.id for one in jobs[: len(stored)]]
        assert store.run(store.count(Filter()))[0].jobs == len(stored) > 0
        store.close()


@pytest.mark.parametrize("way", ["thread", "loop"])
@pytest.mark.parametrize("losses", [1, 1000])
def test_a_connection_lost_between_the_parts_of_a_request(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch, way: str, losses: int
) -> None:
    monkeypatch.setattr(producing, "MOST", 4)
    if losses > 1:
        monkeypatch.setattr(store, "patience", 0.3)
    inserts, answer, ask = 0, Link.answer, AsyncLink.ask

    def look(packed: bytes) -> None:
        nonlocal inserts
        inserts += SCRIPTS["insert"].sha in packed
        if 3 <= inserts < 3 + losses and SCRIPTS["insert"].sha in packed:
            raise Lost("cut off", sent=True)

    def cut(link: Link, packed: bytes) -> Any:
        look(packed)
        return answer(link, packed)

    async def acut(link: AsyncLink, packed: bytes, replies: int = 1) -> list[Any]:
        look(packed)
        return await ask(link, packed, replies)

    store.run(store.insert([job()]))  # with its scripts loaded
    inserts = 0
    monkeypatch.setattr(Link, "answer", cut)
    monkeypatch.setattr(AsyncLink, "ask", acut)
    jobs = [job() for _ in range(10)]

    def insert() -> Any:
        op = store.insert(jobs)
        return store.run(op) if way == "thread" else asyncio.run(store.arun(op))

    if losses == 1:
        assert len(insert()) == 10
    else:
        with pytest.raises(PartlyEnqueued, match="8 jobs of this call are stored") as raised:
            insert()
        assert set(raised.value.stored) == {one.id for one in jobs[:8]}
        monkeypatch.setattr(Link, "answer", answer)
        monkeypatch.setattr(AsyncLink, "ask", ask)
        assert sum(one.duplicate for one in insert()) == 8
    assert store.run(store.count(Filter()))[0].jobs == 11
