"""From facts to findings: a table of servers, each with what must be said of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from longshore.core.facts import Clock, Facts, Room, numbers_of
from longshore.core.findings import Finding
from longshore.core.fitness import store_findings, table_findings
from longshore.core.schema import SchemaStatus

POSTGRES = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "autovacuum": "on",
    "in_recovery": "false",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "oldest_transaction": "2",
    "hidden": "0",
    "pooled": "no",
}
MARIADB = {
    "read_only": "OFF",
    "wsrep_on": "OFF",
    "log_bin": "ON",
    "binlog_format": "MIXED",
    "innodb_flush_log_at_trx_commit": "1",
    "max_allowed_packet": "16777216",
    "wait_timeout": "28800",
    "innodb_lock_wait_timeout": "50",
    "tx_isolation": "REPEATABLE-READ",
    "oldest_transaction": "0",
}
REDIS = {
    "role": "master",
    "maxmemory": "1000000",
    "used_memory": "1000",
    "maxmemory_policy": "noeviction",
    "aof_enabled": "1",
    "aof_last_write_status": "ok",
    "appendfsync": "everysec",
    "rdb_last_bgsave_status": "ok",
}
SQLITE = {
    "synchronous": "full",
    "file_system": "ext4",
    "exists": "yes",
    "folder_writable": "yes",
    "file_writable": "yes",
    "journal_mode": "wal",
    "free": str(2**34),
}
#: Servers with nothing to say of, as each store tells them.
FINE: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "postgres": ("PostgreSQL", "16.3 (Debian 16.3-1)", POSTGRES),
    "mysql": ("MariaDB", "10.11.6-MariaDB-0+deb12u1", MARIADB),
    "redis": ("Redis", "7.0.15", REDIS),
    "sqlite": ("SQLite", "3.40.1", SQLITE),
}


def facts(store: str, values: Mapping[str, str] | None = None, **fields: Any) -> Facts:
    product, version, fine = FINE[store]
    given = {"product": product, "version": version, **fields}
    return Facts(store=store, address="there", values={**fine, **(values or {})}, **given)


def said(found: Facts, processes: int = 1) -> list[Finding]:
    return [one for one in store_findings(found, processes=processes) if one.result != "ok"]


@pytest.mark.parametrize("store", FINE)
def test_of_a_fit_store_nothing_is_said_but_what_it_is(store: str) -> None:
    assert said(facts(store)) == []
    product, version, _ = FINE[store]
    assert store_findings(facts(store))[0].found == f"{product} {version}"


#: What is set, then what is said: the result, whether a worker refuses, of what, with which words.
UNFIT = [
    ("postgres", {"in_recovery": "true"}, "refused", "writes", "standby"),
    (
        "postgres",
        {"default_transaction_read_only": "on"},
        "refused",
        "writes",
        "read_only is on",
    ),
    ("postgres", {"fsync": "off"}, "fail", "durability", "fsync is off"),
    ("postgres", {"synchronous_commit": "off"}, "warn", "durability", "synchronous_commit"),
    ("postgres", {"autovacuum": "off"}, "warn", "vacuum", "autovacuum"),
    ("postgres", {"oldest_transaction": "1200"}, "warn", "old rows", "20 minutes"),
    ("postgres", {"oldest_prepared": "1200"}, "warn", "old rows", "prepared"),
    ("postgres", {"missing_rights": "delete on j"}, "fail", "rights", "delete on j"),
    (
        *("postgres", {"default_transaction_isolation": "serializable"}, "warn"),
        *("isolation", "serializable"),
    ),
    ("postgres", {"schema": "", "search_path": "shop"}, "refused", "schema", "is shop"),
    ("mysql", {"read_only": "ON"}, "refused", "writes", "read_only is on"),
    ("mysql", {"read_only": "NO_LOCK_NO_ADMIN"}, "refused", "writes", "read_only is on"),
    ("mysql", {"super_read_only": "ON"}, "refused", "writes", "super_read_only"),
    ("mysql", {"wsrep_on": "ON"}, "refused", "cluster", "Galera"),
    ("mysql", {"binlog_format": "STATEMENT"}, "refused", "binary log", "STATEMENT"),
    ("mysql", {"innodb_flush_log_at_trx_commit": "2"}, "warn", "durability", "is 2"),
    ("mysql", {"innodb_flush_log_at_trx_commit": "0"}, "warn", "durability", "is 0"),
    ("mysql", {"max_allowed_packet": "1048576"}, "warn", "packets", "1048576"),
    ("mysql", {"wait_timeout": "5"}, "warn", "idle connections", "is 5"),
    ("mysql", {"oldest_transaction": "601"}, "warn", "old rows", "10 minutes"),
    ("redis", {"role": "slave", "master_host": "a"}, "refused", "writes", "replica of a"),
    ("redis", {"maxmemory_policy": "allkeys-lru"}, "refused", "eviction", "allkeys-lru"),
    ("redis", {"maxmemory_policy": "volatile-ttl"}, "warn", "eviction", "volatile-ttl"),
    ("redis", {"aof_enabled": "0"}, "fail", "durability", "appendonly is no"),
    ("redis", {"appendfsync": "no"}, "warn", "durability", "appendfsync no"),
    ("redis", {"maxmemory": "0"}, "warn", "memory", "not set"),
    ("redis", {"used_memory": "950000"}, "warn", "memory", "95 %"),
    ("redis", {"aof_last_write_status": "err"}, "fail", "disk", "append-only"),
    ("redis", {"rdb_last_bgsave_status": "err"}, "fail", "disk", "snapshot"),
    ("redis", {"cluster_state": "fail"}, "fail", "cluster", "cluster_state is fail"),
    ("sqlite", {"file_system": "nfs4"}, "refused", "file system", "network file system (nfs4"),
    ("sqlite", {"file_system": "cifs"}, "refused", "file system", "cifs"),
    ("sqlite", {"file_system": "fuse.grpcfuse"}, "warn", "file system", "fuse.grpcfuse"),
    ("sqlite", {"file_system": "tmpfs"}, "warn", "file system", "in memory"),
    ("sqlite", {"folder_missing": "/srv/shop"}, "fail", "folder", "no folder /srv/shop"),
    ("sqlite", {"folder_writable": "no"}, "refused", "writes", "the folder"),
    ("sqlite", {"file_writable": "no"}, "refused", "writes", "the file"),
    ("sqlite", {"journal_mode": "delete"}, "warn", "journal", "delete"),
    ("sqlite", {"synchronous": "normal"}, "warn", "durability", "normal"),
    ("sqlite", {"free": "1048576"}, "warn", "disk", "1 MiB"),
]


@pytest.mark.parametrize(("store", "values", "result", "about", "words"), UNFIT)
def test_what_is_wrong_is_said_with_why_and_what_to_do(
    store: str, values: dict[str, str], result: str, about: str, words: str
) -> None:
    (one,) = said(facts(store, values))
    assert ("refused" if one.refuses else one.result, one.about) == (result, about)
    assert one.result == "fail" or not one.refuses
    assert words in one.found
    assert one.why
    assert one.do


@pytest.mark.parametrize(
    ("store", "version", "fields", "needed"),
    [
        ("postgres", "13.14", {}, "14"),
        ("mysql", "5.5.5-10.5.23-MariaDB-log", {}, "10.6"),
        ("mysql", "8.0.4-rc-log", {"product": "MySQL"}, "8.0.11"),
        ("redis", "6.0.16", {}, "6.2"),
        ("sqlite", "3.37.2", {}, "3.38.0"),
    ],
)
def test_an_old_server_is_refused_with_what_it_takes(
    store: str, version: str, fields: dict[str, str], needed: str
) -> None:
    (one,) = said(facts(store, version=version, **fields))
    assert one.refuses
    assert version in one.found
    assert f"{needed} or newer" in one.why


@pytest.mark.parametrize(
    ("version", "numbers"),
    [
        ("16.3 (Debian 16.3-1)", (16, 3)),
        ("18beta1", (18,)),
        ("5.5.5-10.6.4-MariaDB", (10, 6, 4)),
        ("8.0.4-rc-log", (8, 0, 4)),
        ("7.0.15", (7, 0, 15)),
        ("", ()),
    ],
)
def test_versions_are_read_as_servers_write_them(version: str, numbers: tuple[int, ...]) -> None:
    assert numbers_of(version) == numbers


def test_a_cluster_that_is_none_is_refused() -> None:
    alone = facts("redis", {"cluster_enabled": "0"})
    assert said(alone) == []
    named = msgspec.structs.replace(alone, address="redis+cluster://there:6379")
    (one,) = said(named)
    assert (one.about, one.refuses) == ("cluster", True)
    assert "Write redis://" in one.do
    assert said(msgspec.structs.replace(named, values={**REDIS, "cluster_enabled": "1"})) == []


def test_what_was_accepted_is_no_refusal() -> None:
    (evicting,) = said(facts("redis", {"maxmemory_policy": "allkeys-lfu"}, forced=True))
    assert (evicting.result, evicting.refuses) == ("warn", False)
    (network,) = said(facts("sqlite", {"file_system": "nfs"}, forced=True))
    assert (network.result, network.refuses) == ("warn", False)
    assert said(facts("redis", {"aof_enabled": "0"}, keeps=False)) == []
    assert said(facts("postgres", {"synchronous_commit": "off"}, keeps=False)) == []


@pytest.mark.parametrize(
    ("most", "used", "processes", "result"),
    [(100, 20, 1, "ok"), (100, 95, 1, "warn"), (17, 0, 4, "fail"), (25, 0, 4, "ok")],
)
def test_connections_are_needed_and_there(
    most: int, used: int, processes: int, result: str
) -> None:
    room = Room(most, used, 5)
    (one,) = [
        one
        for one in store_findings(facts("postgres", room=room), processes=processes)
        if one.about == "connections"
    ]
    assert one.result == result
    assert one.refuses == (result == "fail")
    assert f"needs up to {5 * (processes + 1)}" in one.found


@pytest.mark.parametrize(
    ("ahead", "error", "result"),
    [
        (0, 10, "ok"),
        (4_900_000, 10, "ok"),
        (6_000_000, 10, "warn"),
        (-6_000_000, 10, "warn"),
        (6_000_000, 2_000_000, "ok"),  # the answer may have been on its way for that long
    ],
)
def test_a_clock_may_be_off_by_what_is_measured(ahead: int, error: int, result: str) -> None:
    clock = store_findings(facts("redis", clock=Clock(ahead, error)))[-1]
    assert (clock.about, clock.result) == ("clock", result)


def test_the_way_of_the_answer_counts_as_doubt() -> None:
    assert Clock.read(1_000_000, 3_500_000, 2_000_000) == Clock(2_000_000, 500_000)


@pytest.mark.parametrize(
    ("status", "result", "words"),
    [
        (SchemaStatus(("a",), (), ()), "ok", "up to date"),
        (SchemaStatus(("a",), (), ("b",)), "ok", "a newer release has added b"),
        (SchemaStatus((), ("a",), ()), "warn", "none yet"),
        (SchemaStatus(("a",), ("b",), ()), "fail", "older than this release: b"),
        (SchemaStatus(("a",), (), ("b",), ("b",)), "fail", "changed by a newer release: b"),
        (SchemaStatus(("a",), ("b",), (), (), ("b",)), "fail", "migrated in part: b"),
    ],
)
def test_tables(status: SchemaStatus, result: str, words: str) -> None:
    (one,) = table_findings(status)
    assert (one.result, words in one.found) == (result, True)
    assert one.refuses == (result == "fail")
    assert (result == "ok") or "longshore db up" in one.do or "Upgrade" in one.do
