"""What plain ``psycopg`` can do with this server: the limits of W1, W1b and W2 on PostgreSQL.

One blocking connection, statements prepared once, durability as the server has it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psycopg

from bench.sample import Sample, Stopwatch, exactly_once, percentiles, same
from bench.workloads.stores import CHUNK

# The columns that a plain enqueue writes, with one index that a claim would read.
_TABLE = """
    create table job (
        id uuid primary key, state text not null, queue text not null, priority smallint not null,
        due bigint not null, max_attempts integer not null, created_at bigint not null,
        keep_result bigint not null, kind text not null, payload bytea not null
    );
    create index ready on job (priority, due) where state = 'available';
"""
_INSERT = "insert into job values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
_COPY = "copy job from stdin (format binary)"
_TYPES = ("uuid", "text", "text", "int2", "int8", "int4", "int8", "int8", "text", "bytea")

_QUEUE = """
    create table job (
        id bigint primary key, queue text not null, kind text not null, payload bytea not null,
        priority smallint not null, state text not null, due bigint not null
    ) with (fillfactor = 70);
    create index ready on job (priority, due) where state = 'available';
"""
_FILL = """
    insert into job
    select number, 'default', 'note',
        convert_to('{"v":1,"args":[],"kwargs":{"number":' || number || '}}', 'UTF8'),
        0, 'available', 1800000000000000 + number
    from generate_series(0, %s - 1) as number
"""
_STEP = """
    with gone as (delete from job where id = any(%s))
    update job set state = 'running' where id = any(array(
        select id from job where state = 'available' and priority = 0 and due > %s
        order by priority, due limit 100 for update skip locked
    ))
    returning id, due, kind, payload
"""
_END = """
    with ended as (update job set state = 'succeeded' where id = %s returning id)
    select pg_notify('ended', id::text) from ended
"""
_READ = "select state from job where id = %s"
_NOW = 1_800_000_000_000_000
_DAY = 86_400_000_000
_KEY = 0x0197F1C0_6A00_7000_8000_000000000000


def one_by_one(home: Path, *, jobs: int) -> Sample:  # noqa: ARG001 - called as all are
    """One prepared `INSERT` that commits, for each row.

    The row has the columns and the width of a plain job of Longshore, a key and one index beside
    it. Rows are made before the clock starts.
    """
    with _opened(_TABLE) as connection:
        rows = [_row(number) for number in range(jobs)]
        cursor = connection.cursor(binary=True)
        with Stopwatch() as watch:
            for row in rows:
                cursor.execute(_INSERT, row, prepare=True)
        same("rows", _count(connection), jobs)
    return watch.rate(jobs)


def in_bulk(home: Path, *, jobs: int) -> Sample:  # noqa: ARG001 - called as all are
    """The same rows by binary `COPY`, a thousand in each transaction, made before the clock."""
    with _opened(_TABLE) as connection:
        rows = [_row(number) for number in range(jobs)]
        cursor = connection.cursor()
        with Stopwatch() as watch:
            for start in range(0, jobs, CHUNK):
                with cursor.copy(_COPY) as copy:
                    copy.set_types(_TYPES)
                    for row in rows[start : start + CHUNK]:
                        copy.write_row(row)
        same("rows", _count(connection), jobs)
    return watch.rate(jobs)


def awaited(home: Path, *, jobs: int) -> Sample:  # noqa: ARG001 - called as all are
    """An `UPDATE` that commits and notifies; a second connection, which listens, reads the row.

    All in one thread, so that nobody has to be woken. It rests between rows as the bodies do.
    """
    waits: list[int] = []
    with _opened(_TABLE) as ends, psycopg.connect(os.environ["BENCH_URL"]) as waits_for:
        waits_for.autocommit = True
        waits_for.execute("listen ended")
        with ends.cursor() as cursor:
            cursor.executemany(_INSERT, (_row(number) for number in range(jobs)))
        with Stopwatch() as watch:
            for number in range(jobs):
                time.sleep(number % 3 / 100)
                start, row = time.monotonic_ns(), (UUID(int=_KEY + number),)
                ends.execute(_END, row)
                next(waits_for.notifies(timeout=60, stop_after=1))
                ((state,),) = waits_for.execute(_READ, row).fetchall()
                waits.append(time.monotonic_ns() - start)
                same("the state", state == "succeeded", 1)
    return Sample(percentiles(waits, (50, 95, 99)), watch.seconds)


def drain(home: Path, *, jobs: int) -> Sample:  # noqa: ARG001 - called as all are
    """Delete a hundred and claim the next hundred in one statement, so one commit, in one thread.

    The claim is `UPDATE ... RETURNING` of the first hundred available rows by priority and due
    time with `SKIP LOCKED`, begun where the last one ended: what was deleted there costs nothing.
    Nothing is decoded, called or kept.
    """
    taken: list[int] = []
    with _opened(_QUEUE) as connection:
        connection.execute(_FILL, [jobs])
        connection.execute("vacuum analyze job")
        cursor = connection.cursor(binary=True)
        ids: list[int] = []
        last = 0
        with Stopwatch() as watch:
            while rows := cursor.execute(_STEP, [ids, last], prepare=True).fetchall():
                ids = [row[0] for row in rows]
                last = max(row[1] for row in rows)
                taken += ids
        same("rows", _count(connection), 0)
    exactly_once(taken, jobs)
    return watch.rate(jobs)


@contextmanager
def _opened(table: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(os.environ["BENCH_URL"], autocommit=True) as connection:
        connection.execute(table)
        yield connection


def _count(connection: psycopg.Connection) -> int:
    row = connection.execute("select count(*) from job").fetchone()
    return 0 if row is None else int(row[0])


def _row(number: int) -> tuple[object, ...]:
    return (
        UUID(int=_KEY + number),
        *("available", "default", 0, _NOW + number, 25, _NOW + number, _DAY, "note"),
        b'{"v":1,"args":[],"kwargs":{"number":%d}}' % number,
    )
