"""W14: how much room jobs take in a store, waiting and ended."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg
from redis import Redis

from bench.sample import Sample, Stopwatch, same
from bench.workloads.fleet import pss, succeeded
from bench.workloads.raw_mysql import connected
from bench.workloads.stores import FILE, fill, opened


def room(home: Path, *, store: str, jobs: int) -> Sample:
    """Bytes that a store grows by for each of so many jobs of W10, waiting; and ended and kept.

    Of files what they take on the disk, with what a store leaves behind for later; of a server in
    memory what it says that it uses, of the memory store what its process has.
    """
    app = opened(home, store)
    ran: list[int] = []

    @app.job(kind="load")
    def count(text: str, number: int, names: dict[str, str]) -> None:  # noqa: ARG001
        ran.append(number)

    size = _SIZES[store]
    with Stopwatch() as watch:
        before = size(home)
        fill(app, lambda number: count.bind("string", number, {"mike": "bob"}), range(jobs))
        waiting = size(home)
        app.worker().run(until_empty=True)
        ended = size(home)
    same("succeeded jobs", succeeded(app), jobs)
    same("runs", len(ran), jobs)
    return Sample(
        {"waiting": (waiting - before) / jobs, "ended": (ended - before) / jobs}, watch.seconds
    )


def _in_process(_: Path) -> float:
    return pss() * 1024 * 1024


def _of_files(home: Path) -> float:
    return sum(file.stat().st_size for file in home.glob(f"{FILE}*"))


def _of_postgres(_: Path) -> float:
    with psycopg.connect(os.environ["BENCH_URL"]) as connection:
        row = connection.execute("select pg_database_size(current_database())").fetchone()
    return row[0] if row is not None else 0


def _of_mariadb(_: Path) -> float:
    with connected(autocommit=True) as cursor:
        cursor.execute(
            "select sum(file_size) from information_schema.innodb_sys_tablespaces"
            " where name like concat(database(), '/%')"
        )
        return float(cursor.fetchone()[0])


def _of_redis(_: Path) -> float:
    with Redis.from_url(os.environ["BENCH_URL"]) as redis:
        return float(redis.info("memory")["used_memory"])


_SIZES: Mapping[str, Callable[[Path], float]] = {
    "memory": _in_process,
    "sqlite": _of_files,
    "postgres": _of_postgres,
    "mariadb": _of_mariadb,
    "redis": _of_redis,
    "valkey": _of_redis,
}
