"""Places on the run's servers where one test, or the tests of one process, keep jobs.

A *place* is an address and a prefix that nobody else uses: a database of its own on PostgreSQL and
MariaDB, a prefix of its own on Redis and Valkey, a file. What is made here is removed again, so
that a server given by `TEST_…_URL` is left as it was found.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psycopg
import pymysql
import pytest
import redis
from psycopg import sql

from longshore.core.store_url import StoreURL, parse_url
from tests.servers import Server, shared

POSTGRES = ("postgres16", "postgres18", "pgbouncer")
MYSQL = ("mariadb",)
REDIS = ("redis", "valkey", "redis-cluster")
SERVERS = (*POSTGRES, *MYSQL, *REDIS)
SQL_SERVERS = ("postgres16", "postgres18", "mariadb")


def each(*kinds: str) -> list[Any]:
    """Parameters for tests, the servers among them marked."""
    return [
        pytest.param(kind, marks=pytest.mark.servers) if kind in SERVERS else kind for kind in kinds
    ]


class Place(NamedTuple):
    """Where an application keeps jobs."""

    url: str
    prefix: str = "longshore_"

    @property
    def settings(self) -> dict[str, str]:
        """For ``Longshore(...)``."""
        return {"store": self.url, "prefix": self.prefix}

    @property
    def environment(self) -> dict[str, str]:
        """For an application in another process."""
        return {"LONGSHORE_STORE": self.url, "LONGSHORE_PREFIX": self.prefix}


@contextmanager
def place(kind: str, folder: Path, server: Server | None = None) -> Iterator[Place]:
    """A new, empty place without tables, removed after the block.

    ``server`` is a private one; else the run's shared server of that kind.
    """
    if kind == "memory":
        yield Place("memory://")
        return
    if kind == "sqlite":
        yield Place(f"sqlite:///{folder}/jobs.db")
        return
    server = server or shared(kind)
    if kind in REDIS:
        made = Place(server.url, new_name() + "_")
        try:
            yield made
        finally:
            if not server.ours:
                forget(made)
        return
    url, name = parse_url(server.url), new_name()
    # Behind PgBouncer lies a server that is asked directly, where it is ours.
    admin = parse_url(shared("postgres16").url) if kind == "pgbouncer" and server.ours else url
    create, drop = (_create_mysql, _drop_mysql) if kind in MYSQL else (_create, _drop)
    create(admin, name)
    try:
        yield Place(msgspec.structs.replace(url, path=name).reveal())
    finally:
        # A server that a test has killed takes its databases with it.
        with contextlib.suppress(psycopg.OperationalError, pymysql.OperationalError):
            drop(admin, name)


_names = itertools.count(1)
_token = secrets.token_hex(3)


def new_name() -> str:
    """A name for a database or a prefix that no other run uses."""
    return f"test_{_token}_{next(_names)}"


#: What is kept as long as this process tests; `conftest.py` closes it.
KEPT = ExitStack()


# --- PostgreSQL ---


def postgres(address: StoreURL, name: str | None = None) -> psycopg.Connection[Any]:
    """A connection that commits each statement."""
    text = msgspec.structs.replace(address, path=name or address.path).reveal()
    return psycopg.connect(text, autocommit=True, connect_timeout=5, prepare_threshold=None)


def _create(address: StoreURL, name: str) -> None:
    with contextlib.closing(postgres(address)) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))


def _drop(address: StoreURL, name: str) -> None:
    with contextlib.closing(postgres(address)) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


# --- MariaDB and MySQL ---


def mysql(address: StoreURL, name: str | None = None) -> pymysql.Connection[Any]:
    """A connection that commits each statement and takes several at once."""
    return pymysql.connect(
        host=address.host,
        port=address.port or 3306,
        user=address.user or "root",
        password=address.password.reveal() if address.password else "",
        database=name or address.path or None,
        autocommit=True,
        connect_timeout=5,
        ssl_disabled=True,  # or PyMySQL reads every authority of the system first
        client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS,
    )


def _create_mysql(address: StoreURL, name: str) -> None:
    with contextlib.closing(mysql(address)) as connection, connection.cursor() as cursor:
        cursor.execute(f"create database `{name}` character set utf8mb4")


def _drop_mysql(address: StoreURL, name: str) -> None:
    with contextlib.closing(mysql(address)) as connection, connection.cursor() as cursor:
        cursor.execute(f"drop database `{name}`")


# --- Redis and Valkey ---


def redis_client(url: str) -> Any:
    """A client of one server or of a cluster; its caller closes it."""
    if url.startswith("redis+cluster"):
        return redis.RedisCluster.from_url(url.replace("redis+cluster", "redis", 1))
    return redis.Redis.from_url(url)


def forget(made: Place) -> None:
    """Remove the keys of a place."""
    with contextlib.closing(redis_client(made.url)) as client:
        for key in client.scan_iter(match=f"*{made.prefix}*", count=1000):
            client.unlink(key)
