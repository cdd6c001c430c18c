"""What plain drivers can do with these servers: the limits of W3, between two processes.

The least that a queue which loses nothing can do: a job is kept, the other process is told, has
the job as its own where a crash would find it, and begins. As a program this is that process.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from redis import Redis

from bench.ledger import Ledger, begun
from bench.sample import Sample
from bench.workloads.fleet import paced

READY = "ready"
_TABLE = """
    create table job (id bigint primary key, state text not null, payload bytea not null);
    create index ready on job (id) where state = 'available';
"""
_INSERT = """
    with new as (insert into job values (%s, 'available', %s) returning id)
    select pg_notify('ready', '') from new
"""
_CLAIM = """
    update job set state = 'running' where id = (
        select id from job where state = 'available' order by id limit 1 for update skip locked
    )
    returning id
"""


def redis(home: Path, *, jobs: int, per_second: int) -> Sample:
    """`LPUSH` in one process, `BLMOVE` to a list of running jobs in the other, which has waited."""
    with Redis.from_url(os.environ["BENCH_URL"]) as redis:
        return _paced(home, "redis", jobs, per_second, lambda number: redis.lpush(READY, number))


def postgres(home: Path, *, jobs: int, per_second: int) -> Sample:
    """An `INSERT` that notifies in one process, an `UPDATE` with `SKIP LOCKED` in the other.

    That one listens on a second connection. Both commit, so both wait for the disk.
    """
    with psycopg.connect(os.environ["BENCH_URL"], autocommit=True, prepare_threshold=0) as client:
        client.execute(_TABLE, prepare=False)
        store = client.cursor(binary=True)
        return _paced(
            home, "postgres", jobs, per_second, lambda number: store.execute(_INSERT, (number, b""))
        )


def _paced(
    home: Path, store: str, jobs: int, per_second: int, enqueue: Callable[[int], object]
) -> Sample:
    other = _other(home, store, jobs + 1)
    return paced(home, other, enqueue, lambda: begun(home), jobs=jobs, per_second=per_second)


@contextmanager
def _other(home: Path, store: str, jobs: int) -> Iterator[None]:
    command = [sys.executable, "-m", __name__, store, str(home), str(jobs)]
    other = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        other.kill()
        other.wait()


def _take_from_redis() -> Iterator[int]:
    with Redis.from_url(os.environ["BENCH_URL"]) as redis:
        while True:
            job = redis.blmove(READY, "running", 0, "RIGHT", "LEFT")
            yield int(job)
            redis.lrem("running", 1, job)


def _take_from_postgres() -> Iterator[int]:
    url = os.environ["BENCH_URL"]
    with (
        psycopg.connect(url, autocommit=True) as ear,
        psycopg.connect(url, autocommit=True, prepare_threshold=0) as client,
    ):
        ear.execute("listen ready")
        store = client.cursor(binary=True)
        while True:
            while (row := store.execute(_CLAIM).fetchone()) is not None:
                yield row[0]
                store.execute("delete from job where id = %s", row)
            select.select([ear], [], [], 1)
            ear.pgconn.consume_input()
            while ear.pgconn.notifies() is not None:
                pass


def _main(store: str, home: str, jobs: str) -> None:
    ledger = Ledger(Path(home), int(jobs))
    take = {"redis": _take_from_redis, "postgres": _take_from_postgres}[store]
    for number in take():
        ledger.write(number)


if __name__ == "__main__":
    _main(*sys.argv[1:])
