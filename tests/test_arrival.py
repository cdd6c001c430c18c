"""A worker comes to its store: what it waits out, what it refuses, what it warns of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore.core.facts import Facts
from longshore.core.fitness import store_findings
from longshore.core.store import Retention, Store
from longshore.core.store_url import parse_url
from longshore.errors import (
    SchemaMismatch,
    StoreDenied,
    StoreError,
    StoreUnavailable,
    StoreUnfit,
)
from longshore.stores import connect
from longshore.stores.memory.store import MemoryStore
from longshore.stores.redis.meeting import FILELESS
from longshore.stores.sqlite import facts as sqlite_facts
from longshore.stores.sqlite import file as sqlite_file
from longshore.worker import arrival
from longshore.worker.arrival import arrive
from tests.places import mysql, place, postgres, redis_client
from tests.servers import private


class Harbour(MemoryStore):
    """A store of which each look is told what comes of it."""

    name = "redis"

    def __init__(self, *looks: Exception | dict[str, str]) -> None:
        super().__init__()
        self.looks = list(looks)

    def facts(self) -> tuple[Facts, ...]:
        look = self.looks.pop(0) if self.looks else {}
        if isinstance(look, Exception):
            raise look
        values = {"maxmemory": "9", "aof_enabled": "1", "appendfsync": "always", **look}
        return (Facts(store="redis", address="there", product="Redis", version="7", values=values),)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(arrival, "LONGEST_WAIT", 0.002)


@pytest.mark.usefixtures("at_once")
def test_a_store_that_is_away_is_waited_for_and_why_is_told() -> None:
    away = [StoreUnavailable("no route"), StoreUnavailable("no such host"), {}]
    told: list[str] = []
    assert arrive(Harbour(*away), waits=told.append) == ()
    assert told == ["no route", "no such host"]


def test_who_does_not_want_to_wait_hears_it_at_once() -> None:
    with pytest.raises(StoreUnavailable, match="no route"):
        arrive(Harbour(StoreUnavailable("no route")))


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("error", [StoreDenied("password"), StoreUnfit("old"), SchemaMismatch("x")])
def test_what_will_not_change_by_itself_is_not_waited_for(error: StoreError) -> None:
    store = Harbour({}, error) if isinstance(error, SchemaMismatch) else Harbour(error)
    if isinstance(error, SchemaMismatch):
        vars(store)["processes"] = lambda: _raises(error)
    told: list[str] = []
    with pytest.raises(type(error)):
        arrive(store, waits=told.append)
    assert told == []


def _raises(error: Exception) -> Any:
    raise error


def test_a_store_that_would_lose_jobs_is_refused_with_the_repair() -> None:
    with pytest.raises(StoreUnfit, match=r"there: .*allkeys-lru.*noeviction.*\?evicting=yes"):
        arrive(Harbour({"maxmemory_policy": "allkeys-lru"}), waits=_raises)


def test_the_rest_is_warned_of_once() -> None:
    (warning,) = arrive(Harbour({"aof_enabled": "0", "maxmemory": "0"}))
    assert "appendonly is no" in warning
    assert "Set appendonly yes" in warning


def test_what_cannot_be_asked_is_no_reason_not_to_work() -> None:
    (warning,) = arrive(Harbour(StoreError("no such view")))
    assert "no such view" in warning


def test_a_file_that_cannot_be_opened_is_not_waited_for(tmp_path: Path) -> None:
    store = opened(f"sqlite:///{tmp_path}/none/jobs.db")
    with pytest.raises(StoreUnavailable, match="folder must exist"):
        arrive(store, waits=_raises)


def test_a_file_on_a_network_is_refused_unless_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (sqlite_file, sqlite_facts):
        monkeypatch.setattr(module, "file_system", lambda _: "nfs4")
    with pytest.raises(StoreUnfit, match=r"network file system \(nfs4\).*\?network=yes"):
        arrive(opened(f"sqlite:///{tmp_path}/jobs.db"))
    (warning,) = arrive(opened(f"sqlite:///{tmp_path}/jobs.db?network=yes"))
    assert "nfs4" in warning


def opened(url: str, prefix: str = "longshore_") -> Store:
    return connect(url, retention=Retention(), prefix=prefix, durability="full")


# --- what servers say of themselves ---


PRODUCTS = {
    **dict.fromkeys(("postgres16", "postgres18", "pgbouncer"), ("PostgreSQL",)),
    "mariadb": ("MariaDB", "MySQL"),
    **dict.fromkeys(("redis", "valkey", "redis-cluster"), ("Redis", "Valkey")),
}


@pytest.mark.servers
@pytest.mark.parametrize("kind", PRODUCTS)
def test_each_server_says_what_it_is_and_what_time(kind: str, tmp_path: Path) -> None:
    with place(kind, tmp_path) as where:
        store = opened(where.url, where.prefix)
        (facts,) = store.facts()
        assert facts.version
        assert facts.product in PRODUCTS[kind]
        assert facts.clock is not None
        assert abs(facts.clock.ahead) <= facts.clock.error + 2_000_000
        assert facts.unseen == ()
        assert "password" not in repr(facts)
        if kind == "pgbouncer":
            assert (facts.on("pooled"), facts.room) == (True, None)
        else:
            assert facts.room is not None
            assert 1 <= facts.room.used < facts.room.most
        assert not [one for one in store_findings(facts) if one.refuses]
        store.close()


@pytest.mark.servers
def test_a_postgres_database_that_is_set_up_badly(tmp_path: Path) -> None:
    with place("postgres16", tmp_path) as where:
        address = parse_url(where.url)
        other = postgres(address)
        for setting in ("synchronous_commit = off", "default_transaction_isolation = serializable"):
            other.execute(f"alter database {address.path} set {setting}")
        other.execute(f"alter database {address.path} connection limit 7")
        other.execute("begin isolation level repeatable read")
        other.execute("select count(*) from pg_class")
        store = opened(where.url)
        (facts,) = store.facts()
        assert facts.values["synchronous_commit"] == "off"
        assert facts.values["default_transaction_isolation"] == "serializable"
        assert facts.number("oldest_transaction") is not None
        assert facts.room is not None
        assert facts.room.most == 7
        with pytest.raises(StoreUnfit, match="needs up to 10; the server takes 7"):
            arrive(store)
        other.execute("rollback")
        assert "oldest_transaction" not in store.facts()[0].values
        other.execute(f"alter database {address.path} connection limit -1")
        found = store_findings(store.facts()[0])
        assert [one for one in found if "synchronous_commit is off" in one.found]
        other.execute(f"alter database {address.path} set default_transaction_read_only = on")
        store.close()
        store = opened(where.url)
        with pytest.raises(StoreUnfit, match=r"read_only is on.*Name the primary"):
            arrive(store)
        store.close()
        other.close()


@pytest.mark.servers
def test_a_mariadb_that_may_forget(tmp_path: Path) -> None:
    with place("mariadb", tmp_path) as where:
        store, other = opened(where.url), mysql(parse_url(where.url))
        cursor = other.cursor()
        cursor.execute("select @@global.innodb_flush_log_at_trx_commit")
        before = cursor.fetchall()[0][0]
        try:
            cursor.execute("set global innodb_flush_log_at_trx_commit = 2")
            found = store_findings(store.facts()[0])
        finally:
            cursor.execute("set global innodb_flush_log_at_trx_commit = %s", (before,))
        assert [one for one in found if "trx_commit is 2" in one.found]
        values = store.facts()[0].values
        for name in ("read_only", "max_allowed_packet", "wait_timeout", "oldest_transaction"):
            assert name in values
        store.close()
        other.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A Redis of our own, whose settings are changed while it runs."""
    with private("redis") as server:
        yield server


@pytest.fixture
def client(server: Any) -> Iterator[Any]:
    with redis_client(server.url) as client:
        yield client
        client.replicaof("no", "one")
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("requirepass", "")


@pytest.mark.private
@pytest.mark.servers
def test_a_redis_that_would_lose_jobs_is_refused(server: Any, client: Any) -> None:
    client.config_set("maxmemory-policy", "allkeys-random")
    with pytest.raises(StoreUnfit, match=r"allkeys-random.*noeviction"):
        arrive(opened(server.url))
    store = opened(f"{server.url}?evicting=yes")
    warnings = arrive(store)
    assert [text for text in warnings if "accepted by ?evicting=yes" in text]
    assert [text for text in warnings if "appendonly is no" in text]
    store.close()


def _said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [text for text in caplog.messages if "append-only" in text]


@pytest.mark.private
@pytest.mark.servers
def test_a_process_is_told_once_that_redis_keeps_no_file(
    server: Any, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    FILELESS.clear()
    for _ in range(2):
        store = opened(server.url)
        store.run(store.processes())
        store.close()
    assert len(_said(caplog)) == 1
    # A worker asks, and says it in its banner.
    caplog.clear()
    FILELESS.clear()
    for _ in range(2):
        store = opened(server.url)
        assert [text for text in arrive(store) if "appendonly is no" in text]
        store.close()
    assert not _said(caplog)


@pytest.mark.private
@pytest.mark.servers
def test_a_replica_is_refused(server: Any, client: Any) -> None:
    client.replicaof("127.0.0.1", "1")
    with pytest.raises(StoreUnfit, match=r"replica of 127\.0\.0\.1.*Name the primary"):
        arrive(opened(server.url))


@pytest.mark.private
@pytest.mark.servers
def test_a_wrong_password_is_told_at_once_and_never_shown(server: Any, client: Any) -> None:
    client.config_set("requirepass", "right")
    wrong = server.url.replace("redis://", "redis://:very-secret@")
    with pytest.raises(StoreDenied) as raised:
        arrive(opened(wrong), waits=_raises)
    assert "secret" not in str(raised.value)


@pytest.mark.servers
@pytest.mark.parametrize("kind", ["postgres16", "mariadb"])
def test_a_wrong_password_or_database_is_told_at_once(kind: str, tmp_path: Path) -> None:
    with place(kind, tmp_path) as where:
        address = parse_url(where.url)
        there = f"{address.host}:{address.port}"
        for url in (
            f"{address.scheme}://nobody_here:very-secret@{there}/{address.path}",
            where.url.replace(f"/{address.path}", "/nowhere_at_all"),
        ):
            store = opened(url)
            with pytest.raises(StoreDenied) as raised:
                arrive(store, waits=_raises)
            assert "secret" not in str(raised.value)
            store.close()
