"""The servers of one measurement: private, started when first asked for, and durable.

They are those of the tests (``tests/servers.py``) with other settings: what they acknowledge is on
disk, or with Redis and Valkey will be within a second. A server that is not durable is refused.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Self

import psycopg
import pymysql
from redis import Redis

from bench.pinning import on_server_core, place_server
from tests.servers import VARIABLE, ServerError, keeping, private

__all__ = ["GIVEN", "SERVERS", "ServerError", "Servers"]

NAME = "bench"  # of the database that each sample finds empty
PATIENCE = 60.0

#: The stores that have a server, and what the tests call it.
SERVERS: Mapping[str, str] = {
    "postgres": "postgres18",
    "mariadb": "mariadb",
    "redis": "redis",
    "valkey": "valkey",
}


#: The servers' own defaults, where the tests prefer others; Redis as most people keep it.
GIVEN: Mapping[str, tuple[str, ...]] = {
    "postgres": ("shared_buffers=128MB", "max_wal_size=1GB", "autovacuum_naptime=1min"),
    "mariadb": ("innodb-buffer-pool-size=128M", "innodb-log-file-size=96M"),
    "redis": ("--appendfsync", "everysec"),
    "valkey": ("--appendfsync", "everysec"),
}


class Servers:
    """Starts each server once; all end with the block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._urls: dict[str, str] = {}
        self._pids: dict[str, int] = {}
        self._open = ExitStack()
        self._kept = False
        #: What each says about itself, by its product's name.
        self.described: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def start(self, store: str) -> None:
        """Have it running.

        Raises:
            ServerError: its program is missing, it did not start, or it is not durable.
        """
        if store in self._urls:
            return
        with on_server_core(), _temporary(self._folder):
            if not self._kept and VARIABLE not in os.environ:
                self._open.enter_context(keeping())
                self._kept = True
            server = self._open.enter_context(private(SERVERS[store], *GIVEN[store], durable=True))
        name, about = _ABOUT[store](server.url)
        self.described[name] = about
        self._urls[store], self._pids[store] = server.url, server.pid

    def fresh(self, store: str, *, pinned: bool = True) -> str:
        """The address of an empty database on a server that has nothing left to do for others.

        ``pinned``: to its core.
        """
        place_server(self._pids[store], pinned=pinned)
        return _EMPTIED[store](self._urls[store])


@contextmanager
def _temporary(folder: Path) -> Iterator[None]:
    """Temporary folders are made there meanwhile: the usual place may be in memory."""
    before = tempfile.tempdir
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def _postgres(url: str) -> tuple[str, str]:
    with psycopg.connect(url) as connection:
        found = {
            name: str(connection.execute(f"show {name}").fetchone()[0])
            for name in ("server_version", "fsync", "synchronous_commit", "full_page_writes")
        }
    version = found.pop("server_version").split()[0]
    return _durable("PostgreSQL", version, found, dict.fromkeys(found, "on"))


def _emptied_postgres(url: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"drop database if exists {NAME} with (force)")
        connection.execute(f"create database {NAME}")
        connection.execute("checkpoint")
    return f"{url.rpartition('/')[0]}/{NAME}"


def _mariadb(url: str) -> tuple[str, str]:
    wanted = {"innodb_flush_log_at_trx_commit": "1", "innodb_doublewrite": "1"}
    with _mysql(url) as connection, connection.cursor() as cursor:
        cursor.execute("select @@version")
        version = cursor.fetchone()[0].split("-")[0]
        found = {}
        for name in wanted:
            cursor.execute(f"select @@{name}")
            found[name] = str(cursor.fetchone()[0])
    return _durable("MariaDB", version, found, wanted)


def _emptied_mariadb(url: str) -> str:
    with _mysql(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"drop database if exists {NAME}")
        cursor.execute(f"create database {NAME}")
    return f"mariadb://{url.partition('://')[2].rpartition('/')[0]}/{NAME}"


def _mysql(url: str) -> AbstractContextManager[Any]:
    who, _, where = url.partition("://")[2].rpartition("@")
    user, _, password = who.partition(":")
    host, _, port = where.partition("/")[0].partition(":")
    connection = pymysql.connect(
        host=host, port=int(port), user=user, password=password, autocommit=True
    )
    return closing(connection)


def _redis(url: str) -> tuple[str, str]:
    with Redis.from_url(url, decode_responses=True) as redis:
        found = {name: redis.config_get(name)[name] for name in ("appendonly", "appendfsync")}
        info = redis.info("server")
        # A rewrite that falls into a sample is somebody's bad luck: it is done between them.
        redis.config_set("auto-aof-rewrite-percentage", "0")
    name, key = ("Valkey", "valkey_version") if "valkey_version" in info else ("Redis", "")
    version = str(info[key or "redis_version"])
    return _durable(name, version, found, {"appendonly": "yes", "appendfsync": "everysec"})


def _emptied_redis(url: str) -> str:
    with Redis.from_url(url) as redis:
        redis.flushall()
        redis.bgrewriteaof()
        deadline = time.monotonic() + PATIENCE
        while any(
            redis.info("persistence")[f"aof_rewrite_{state}"]
            for state in ("scheduled", "in_progress")
        ):
            if time.monotonic() > deadline:
                raise ServerError(f"Redis did not rewrite an empty file within {PATIENCE:.0f} s")
            time.sleep(0.01)
    return url


def _durable(
    name: str, version: str, found: Mapping[str, str], wanted: Mapping[str, str]
) -> tuple[str, str]:
    wrong = [f"{key} = {value}" for key, value in found.items() if wanted[key] != value]
    if wrong:
        raise ServerError(f"{name} would not keep what it acknowledges: {', '.join(wrong)}")
    return name, f"{version}, " + ", ".join(f"{key}={value}" for key, value in found.items())


_ABOUT: Mapping[str, Callable[[str], tuple[str, str]]] = {
    "postgres": _postgres,
    "mariadb": _mariadb,
    "redis": _redis,
    "valkey": _redis,
}
_EMPTIED: Mapping[str, Callable[[str], str]] = {
    "postgres": _emptied_postgres,
    "mariadb": _emptied_mariadb,
    "redis": _emptied_redis,
    "valkey": _emptied_redis,
}
