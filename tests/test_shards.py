"""An application over shards: settings, ids, verbs, and workers that die or lose a shard."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from longshore import ConfigurationError, InvalidOption, JobNotFound, Longshore
from longshore.core.model import JobState
from longshore.core.settings import Layer, build
from longshore.core.shards import named, shard_of
from longshore.core.store import Filter
from longshore.core.store_url import parse_url
from longshore.errors import PartlyEnqueued
from longshore.stores.sharded.store import ShardedStore
from longshore.stores.sqlite.store import SQLiteStore
from tests.harbour_tools import Harbour, eventually
from tests.places import place
from tests.servers import private
from tests.store_tools import migrations

URLS = ["postgresql://app:secret@one/app", "postgresql://app:secret@two/app"]


def settings(**given: Any) -> Any:
    return build([Layer("arguments", given)])


# --- settings ---


def test_a_list_of_addresses_makes_one_store_of_shards() -> None:
    made = settings(shards=URLS, shard_by="args.tenant")
    assert (made.shards, made.shard_by) == (2, "args.tenant")
    assert [str(one) for one in made.store.parts] == [
        "postgresql://app:***@one/app",
        "postgresql://app:***@two/app",
    ]
    assert "secret" not in repr(made)
    assert "secret" not in str(made.rows())
    told = {name: (value, source) for name, value, source in made.rows()}
    assert told["shards"] == ("2", "arguments")
    assert told["store"][1] == "arguments"
    assert parse_url(made.store.reveal()) == made.store


def test_a_number_makes_shards_of_one_address() -> None:
    made = settings(store="redis://cache/0", shards=8)
    assert made.shards == 8
    assert str(made.store) == "8 shards in redis://cache/0"
    assert parse_url(made.store.reveal()) == made.store
    assert settings(store="redis://cache/0").shards == 0


@pytest.mark.parametrize("between", [", ", ",", " , "])
def test_addresses_with_commas_between_are_refused(between: str) -> None:
    given = Layer("environment", {"shards": between.join(URLS)}, text=True)
    with pytest.raises(ConfigurationError, match="with spaces between, without commas"):
        build([given])


def test_shards_come_from_the_environment_and_from_files_too() -> None:
    text = build([Layer("environment", {"shards": " ".join(URLS)}, text=True)])
    assert text.shards == 2
    counted = build([Layer("environment", {"shards": "4", "store": "redis://cache"}, text=True)])
    assert counted.shards == 4
    listed = build([Layer("pyproject.toml", {"shards": URLS, "shard_by": "queue"})])
    assert (listed.shards, listed.shard_by) == (2, "queue")
    stronger = build(
        [
            Layer("environment", {"store": "", "shards": ""}, text=True),
            Layer("pyproject.toml", {"shards": URLS}),
        ]
    )
    assert stronger.shards == 2


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"shards": []}, r"0 are not possible. Give 1 to 100"),
        ({"shards": 0}, r"0 are not possible. Give 2 to 100"),
        ({"shards": 1}, r"1 are not possible. Give 2 to 100"),
        ({"shards": -1}, r"-1 are not possible"),
        ({"shards": 101}, r"101 are not possible.*two digits"),
        ({"shards": True}, r"shards=True is neither a list of addresses nor a number"),
        ({"shards": 2.0}, r"neither a list of addresses nor a number"),
        ({"shards": {"a": "b"}}, r"neither a list of addresses nor a number"),
        ({"shards": "mysql"}, r"shards: URL|not a store's address|address starts with"),
        ({"shards": [7]}, r"shards must be an address as text, not int"),
        ({"shards": [*URLS, "nothing"]}, r"address starts with"),
        ({"shards": [URLS[0], URLS[1], URLS[0]]}, r"the 1\. and the 3\. are the same place"),
        (
            {"shards": ["postgresql://a@one/app", "postgres://b:x@one:5432/app?sslmode=disable"]},
            r"the 1\. and the 2\. are the same place \(postgres://b:\*\*\*@one",
        ),
        ({"shards": ["sqlite:///a.db", "sqlite:///a.db?synchronous=normal"]}, r"the same place"),
        ({"shards": ["redis://h", "redis://h:6379/0"]}, r"the same place"),
        ({"shards": ["memory://"]}, r"memory:// cannot be one of several"),
        ({"shards": ["shards: sqlite:///a.db sqlite:///b.db"]}, r"cannot be one of several"),
        (
            {"shards": URLS, "store": "sqlite:///a.db"},
            r"both store and shards were given.*Keep one of them; store was given by: arguments",
        ),
        ({"shards": 2, "prefix": "p" * 46}, r"prefix=p+ is too long: each shard adds three"),
        ({"shard_by": "queue"}, r"shard_by was given, but there are no shards"),
        ({"shards": URLS, "shard_by": "kin"}, r"shard_by=\'kin\'.*Did you mean"),
        ({"shards": URLS, "shard_by": "args."}, r"does not say what decides"),
        ({"shards": URLS, "shard_by": "args.a b"}, r"does not say what decides"),
        ({"shards": URLS, "shard_by": 7}, r"does not say what decides"),
    ],
    ids=str,
)
def test_shards_that_cannot_be_are_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as refused:
        settings(**given)
    assert "secret" not in str(refused.value)


def test_a_store_of_another_layer_is_named() -> None:
    layers = [
        Layer("arguments", {"shards": URLS}),
        Layer("environment", {"store": "redis://h"}, text=True),
    ]
    with pytest.raises(ConfigurationError, match=r"LONGSHORE_STORE.*given by: arguments"):
        build(layers)


@pytest.mark.parametrize("key", ["", "x" * 201, 7, None, b"a"])
def test_a_shard_key_that_is_none_is_refused(key: Any) -> None:
    app = Longshore("memory://", shards=2)

    @app.job(kind="a")
    def a() -> None: ...

    with pytest.raises(InvalidOption, match=r"job a: shard_key=.*text of 1 to 200"):
        a.using(shard_key=key)
    app.close()


# --- an application ---


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Longshore]:
    urls = [f"sqlite:///{tmp_path}/{name}.db?synchronous=normal" for name in "abc"]
    made = Longshore(shards=urls, shard_by="args.tenant")
    yield made
    made.close()


def test_jobs_are_spread_and_followed_by_their_ids(app: Longshore) -> None:
    @app.job(kind="bill")
    def bill(tenant: str, amount: int = 1) -> str:
        return f"{tenant}:{amount}"

    @app.job(kind="tidy")
    def tidy() -> str:
        return "tidy"

    tenants = [f"tenant-{number}" for number in range(30)]
    handles = app.enqueue_many(bill.bind(tenant) for tenant in tenants)
    one = bill.enqueue("tenant-1")
    other = bill.using(shard_key="tenant-2").enqueue("tenant-1")
    plain = tidy.enqueue()
    pushed = app.push({"kind": "bill", "kwargs": {"tenant": "tenant-3"}})
    for handle, key in [
        *zip(handles, tenants, strict=True),
        (one, "tenant-1"),
        (other, "tenant-2"),
        (plain, "tidy"),
        (pushed, "tenant-3"),
    ]:
        assert named(handle.id, 3) == shard_of(key, 3)
    assert {named(handle.id, 3) for handle in handles} == {0, 1, 2}
    assert app.query.count() == 34
    assert [job.id for job in app.query] == sorted(
        (h.id for h in [*handles, one, other, plain, pushed]), reverse=True
    )
    app.worker(threads=3).run(until_empty=True)
    assert one.result(timeout=5) == "tenant-1:1"
    assert app.get(plain.id).result(timeout=5) == "tidy"
    assert {handle.refresh().state for handle in handles} == {JobState.SUCCEEDED}
    assert app.query.filter(kind="bill", state="succeeded").count() == 33
    with pytest.raises(JobNotFound):
        app.get("01928374-5566-7788-9901-0123456789ab")


def test_an_id_of_the_application_is_kept(app: Longshore) -> None:
    @app.job(kind="bill")
    def bill(tenant: str) -> str:
        return tenant

    given = "01928374-5566-7788-99ff-0123456789ab"
    first = bill.using(id=given).enqueue("acme")
    again = bill.using(id=given).enqueue("acme")
    assert (first.id, first.is_duplicate, again.is_duplicate) == (given, False, True)
    app.worker(threads=1).run(until_empty=True)
    assert app.get(given).result(timeout=5) == "acme"


def test_verbs_and_queues_reach_every_shard(app: Longshore) -> None:
    @app.job(kind="bill", queue="mail")
    def bill(tenant: str) -> None: ...

    handles = app.enqueue_many(bill.bind(f"tenant-{number}") for number in range(12))
    mail = app.queues["mail"]
    mail.pause(reason="provider down")
    assert mail.refresh().depth() == 12
    app.worker(threads=2).run(until_empty=True)
    assert app.query.filter(state="available").count() == 12
    mail.resume()
    assert app.query.filter(queue="mail").cancel().changed == 12
    assert {handle.refresh().state for handle in handles} == {JobState.CANCELLED}
    assert app.query.filter(state="cancelled").retry().changed == 12


def test_awaiting_callers_see_the_same(app: Longshore) -> None:
    @app.job(kind="bill")
    async def bill(tenant: str) -> str:
        return tenant

    async def live() -> None:
        handles = await app.aenqueue_many(bill.bind(f"tenant-{number}") for number in range(6))
        handles.append(await bill.aenqueue("acme"))
        assert await app.query.acount() == 7
        with app.worker(threads=2).running():
            results = await asyncio.gather(*(one.aresult(timeout=20) for one in handles))
        assert results == [*(f"tenant-{number}" for number in range(6)), "acme"]

    asyncio.run(live())


def test_eight_prefixes_of_one_file(tmp_path: Path) -> None:
    app = Longshore(f"sqlite:///{tmp_path}/jobs.db", shards=8)

    @app.job(kind="a")
    def a(n: int) -> int:
        return n

    handles = [a.using(shard_key=str(n)).enqueue(n) for n in range(40)]
    assert len({named(handle.id, 8) for handle in handles}) == 8
    app.worker(threads=2).run(until_empty=True)
    assert [handle.result(timeout=5) for handle in handles] == list(range(40))
    store = app.store
    assert isinstance(store, ShardedStore)
    assert store.verify() == ()
    assert store.address == f"8 shards in {tmp_path}/jobs.db"
    app.close()


def test_an_error_in_the_middle_of_many_has_the_handles_of_the_stored(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    urls = [f"sqlite:///{tmp_path}/{name}/jobs.db" for name in ("a", "b", "missing")]
    app = Longshore(shards=urls)

    @app.job(kind="x")
    def x(n: int) -> int:
        return n

    key = {
        shard: next(str(n) for n in range(99) if shard_of(str(n), 3) == shard) for shard in range(3)
    }
    bound = [x.using(shard_key=key[shard]).bind(shard) for shard in range(3)]
    with pytest.raises(PartlyEnqueued, match=r"2 of 3 jobs.*shard 02 .*missing") as error:
        app.enqueue_many(bound)
    stored = error.value.handles
    assert [named(handle.id, 3) for handle in stored] == [0, 1]
    app.worker(threads=1).run(until_empty=True)
    assert [handle.result(timeout=5) for handle in stored] == [0, 1]
    app.close()


def test_relative_files_of_shards_lie_beside_the_application(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    source = tmp_path / "shop.py"
    source.write_text(
        "from longshore import Longshore\njobs = Longshore(shards=['sqlite:///a.db', 'sqlite:///b.db'])\n"
    )
    names: dict[str, Any] = {"__name__": "shop", "__file__": str(source)}
    exec(compile(source.read_text(), str(source), "exec"), names)
    paths = [part.path for part in names["jobs"].settings.store.parts]
    assert paths == [str(tmp_path / "a.db"), str(tmp_path / "b.db")]
    names["jobs"].close()


# --- workers ---


def sharded(folder: Path, count: int = 3, lease: float = 15) -> Harbour:
    urls = " ".join(f"sqlite:///{folder}/{n}.db?synchronous=normal" for n in range(count))
    return Harbour(folder, lease, LONGSHORE_STORE="", LONGSHORE_SHARDS=urls)


def keys(count: int) -> list[str]:
    """A key for each shard."""
    return [
        next(str(n) for n in range(999) if shard_of(str(n), count) == shard)
        for shard in range(count)
    ]


@pytest.fixture
def harbour(tmp_path: Path) -> Iterator[Harbour]:
    made = sharded(tmp_path, lease=3)
    yield made
    made.stop()


@pytest.mark.slow
def test_one_worker_reads_all_shards(harbour: Harbour) -> None:
    count = harbour.app.count
    handles = [count.using(shard_key=key).enqueue(n) for key in keys(3) for n in range(20)]
    worker = harbour.worker(processes=2)
    assert sorted(handle.result(timeout=40) for handle in handles) == sorted([*range(20)] * 3)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert "3 shards: " in harbour.logs()
    runs = [line[3] for line in harbour.lines()]
    assert len(runs) == 60, "each ran once"
    assert harbour.jobs.store.run(harbour.jobs.store.processes()) == ()


@pytest.mark.slow
def test_jobs_of_a_killed_child_run_again_in_every_shard(harbour: Harbour) -> None:
    nap = harbour.app.nap
    worker = harbour.worker(processes=1, threads=6)
    harbour.await_ready()
    handles = [nap.using(shard_key=key).enqueue(1.5) for key in keys(3)]
    eventually(lambda: started(harbour) == {handle.id for handle in handles}, what="all starting")
    (child,) = harbour.children(worker)
    os.kill(child.pid, signal.SIGKILL)
    assert [handle.result(timeout=40) for handle in handles] == ["rested"] * 3
    for handle in handles:
        assert [line.why for line in handle.refresh().runs] == ["interrupted"]


@pytest.mark.slow
def test_jobs_of_a_worker_that_is_killed_whole_run_again_in_every_shard(harbour: Harbour) -> None:
    nap = harbour.app.nap
    worker = harbour.worker(processes=2, threads=3)
    harbour.await_ready(2)
    handles = [nap.using(shard_key=key).enqueue(0.7) for key in keys(3)]
    eventually(lambda: started(harbour) == {handle.id for handle in handles}, what="all starting")
    for process in [*psutil.Process(worker.pid).children(recursive=True), worker]:
        os.kill(process.pid, signal.SIGKILL)
    worker.wait(10)
    harbour.worker(threads=6)
    assert [handle.result(timeout=40) for handle in handles] == ["rested"] * 3
    ends = [line[3] for line in harbour.lines() if line[2] == "end"]
    assert sorted(ends) == sorted(handle.id for handle in handles), "and ended once"


def started(harbour: Harbour) -> set[str]:
    return {line[3] for line in harbour.lines() if line[2] == "start"}


@pytest.mark.slow
def test_a_worker_starts_while_a_shard_is_away_and_serves_it_when_it_comes(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    urls = f"sqlite:///{tmp_path}/here/a.db sqlite:///{tmp_path}/later/b.db"
    harbour = Harbour(tmp_path, LONGSHORE_STORE="", LONGSHORE_SHARDS=urls)
    try:
        count, (here, later) = harbour.app.count, keys(2)
        harbour.worker()
        assert count.using(shard_key=here).enqueue(1).result(timeout=40) == 1
        assert "shard 01" in harbour.logs()
        assert "the other shards go on" in harbour.logs()
        (tmp_path / "later").mkdir()
        eventually(lambda: harbour.jobs.store.run(harbour.jobs.store.identity()) is not None)
        assert count.using(shard_key=later).enqueue(2).result(timeout=40) == 2
        eventually(lambda: "answers again after" in harbour.logs(), what="being told")
    finally:
        harbour.stop()


@pytest.mark.slow
def test_health_and_status_say_that_a_shard_is_away(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    harbour = Harbour(
        tmp_path,
        LONGSHORE_STORE="",
        LONGSHORE_SHARDS=f"sqlite:///{tmp_path}/here/a.db redis://127.0.0.1:1/0",
    )
    try:
        harbour.worker()
        count = harbour.app.count.using(shard_key=keys(2)[0])
        assert count.enqueue(1).result(timeout=40) == 1
        for command in ("status", "health"):
            said = longshore(harbour, command, "-o", "json")
            assert said.returncode == 1, said.stderr
            assert "shard 01 (redis://127.0.0.1:1" in said.stderr
            assert b'"healthy": false' in said.stdout.encode()
    finally:
        harbour.stop()


def longshore(harbour: Harbour, *arguments: str) -> Any:
    import subprocess
    import tempfile

    from tests.harbour_tools import APPS

    with tempfile.TemporaryDirectory(prefix="longshore-") as runtime:
        return subprocess.run(
            [sys.executable, "-m", "longshore", "-A", "harbour:jobs", *arguments],
            cwd=APPS,
            env={**harbour.env, "XDG_RUNTIME_DIR": runtime},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )


@pytest.mark.slow
@pytest.mark.servers
@pytest.mark.private
@pytest.mark.timeout(180)
def test_servers_of_several_kinds_are_one_store_and_one_may_crash(tmp_path: Path) -> None:
    with (
        place("postgres18", tmp_path) as postgres,
        place("mariadb", tmp_path) as mariadb,
        private("redis", durable=True) as redis,
    ):
        urls = [postgres.url, mariadb.url, redis.url, f"sqlite:///{tmp_path}/jobs.db"]
        harbour = Harbour(tmp_path, 6, LONGSHORE_STORE="", LONGSHORE_SHARDS=" ".join(urls))
        try:
            count, spread = harbour.app.count, keys(4)
            harbour.worker(processes=2)
            handles = [count.using(shard_key=key).enqueue(n) for n in range(25) for key in spread]
            assert sorted(handle.result(timeout=60) for handle in handles) == sorted(
                [*range(25)] * 4
            )
            redis.kill()
            others = [
                count.using(shard_key=key).enqueue(n)
                for n in range(100, 110)
                for number, key in enumerate(spread)
                if number != 2
            ]
            assert {handle.result(timeout=60) for handle in others} == {*range(100, 110)}
            # Longer than its leases last: the worker is registered there again.
            eventually(lambda: "the other shards go on" in harbour.logs(), 30)
            redis.start()
            eventually(lambda: answers(harbour), 40, what="the shard's return")
            late = count.using(shard_key=spread[2]).enqueue(1000)
            assert late.result(timeout=60) == 1000
            ran = [line[3] for line in harbour.lines()]
            assert sorted(map(int, ran)) == sorted(
                [*[*range(25)] * 4, *[*range(100, 110)] * 3, 1000]
            )
            store = harbour.jobs.store
            counted = store.run(store.count(Filter()))
            assert {one.state: one.jobs for one in counted} == {JobState.SUCCEEDED: 131}
        finally:
            harbour.stop()


def answers(harbour: Harbour) -> bool:
    store = harbour.jobs.store
    try:
        store.run(store.count(Filter()))
    except Exception:  # noqa: BLE001 - it is what is waited for to end
        return False
    return True


def test_tables_of_all_shards_are_told_by_shard(tmp_path: Path) -> None:
    shards = [SQLiteStore(str(tmp_path / f"{number}.db")) for number in range(2)]
    store = ShardedStore(shards)
    first, second = (tuple(f"{shard}/{name}" for name in migrations()) for shard in ("00", "01"))
    assert store.schema().pending == first + second
    assert tuple(one.name for one in store.script()) == first + second
    shards[0].migrate()
    assert (store.schema().applied, store.schema().pending) == (first, second)
    assert store.migrate() == second
    assert store.verify() == ()
    connection = shards[1]._pool.take()
    connection.execute("drop index longshore_job_due")
    shards[1]._pool.give_back(connection, healthy=True)
    (difference,) = store.verify()
    assert (difference.table, difference.problem) == ("01/longshore_job", "missing")
    assert store.address == f"2 shards: {shards[0].address}, {shards[1].address}"
    store.close()
