"""What plain ``PyMySQL`` can do with this server: the limits of W1, W1b and W2 on MariaDB.

One connection, READ COMMITTED, durability as the server has it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pymysql

from bench.sample import Sample, Stopwatch, exactly_once, same
from bench.workloads.stores import CHUNK

# The columns that a plain enqueue writes, with one index that a claim would read.
_TABLE = """
    create table job (
        id binary(16) primary key, state varchar(16) not null, queue varchar(64) not null,
        priority smallint not null, due bigint not null, max_attempts integer not null,
        created_at bigint not null, keep_result bigint not null, kind varchar(200) not null,
        payload longblob not null, index ready (state, priority, due)
    ) engine = innodb character set ascii
"""
_INSERT = "insert into job values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"

_QUEUE = """
    create table job (
        id bigint primary key, queue varchar(64) not null, kind varchar(200) not null,
        payload longblob not null, priority smallint not null, state varchar(16) not null,
        due bigint not null, index ready (state, priority, due)
    ) engine = innodb character set ascii
"""
_FILL = "insert into job values (%s, %s, %s, %s, %s, %s, %s)"
_TAKE = """
    select id, due, kind, payload from job force index (ready)
    where state = 'available' and priority = 0 and due > %s
    order by priority, due limit 100 for update skip locked
"""
_NOW = 1_800_000_000_000_000
_DAY = 86_400_000_000


def one_by_one(home: Path, *, jobs: int) -> Sample:  # noqa: ARG001 - called as all are
    """One `INSERT` that commits, for each row.

    The row has the columns and the width of a plain job of Longshore, a key and one index beside
    it. Rows are made before the clock starts.
    """
    with opened(_TABLE, autocommit=True) as cursor:
        rows = [_row(number) for number in range(jobs)]
        with Stopwatch() as watch:
            for row in rows:
                cursor.execute(_INSERT, row)
        same("rows", _count(cursor), jobs)
    return watch.rate(jobs)


def in_bulk(home: Path, *, jobs: int) -> Sample:  # noqa: ARG001 - called as all are
    """The same rows by `INSERT` of a thousand, a transaction each, made before the clock."""
    with opened(_TABLE, autocommit=True) as cursor:
        rows = [_row(number) for number in range(jobs)]
        with Stopwatch() as watch:
            for start in range(0, jobs, CHUNK):
                cursor.executemany(_INSERT, rows[start : start + CHUNK])
        same("rows", _count(cursor), jobs)
    return watch.rate(jobs)


def drain(home: Path, *, jobs: int) -> Sample:  # noqa: ARG001 - called as all are
    """Delete a hundred and claim the next hundred in one transaction, in one thread.

    The claim is `SELECT ... FOR UPDATE SKIP LOCKED` of the first hundred available rows by priority
    and due time, begun where the last one ended, as else it would read all that was deleted there;
    then `UPDATE` of these by their keys. Nothing is decoded, called or kept.
    """
    taken: list[int] = []
    with opened(_QUEUE, autocommit=False) as cursor:
        for start in range(0, jobs, CHUNK):
            numbers = range(start, min(start + CHUNK, jobs))
            cursor.executemany(_FILL, [_waiting(number) for number in numbers])
        cursor.connection.commit()
        ids: list[int] = []
        last = 0
        with Stopwatch() as watch:
            while True:
                if ids:
                    cursor.execute("delete from job where id in %s", [ids])
                cursor.execute(_TAKE, [last])
                rows = cursor.fetchall()
                ids = [row[0] for row in rows]
                if ids:
                    last = max(row[1] for row in rows)
                    cursor.execute("update job set state = 'running' where id in %s", [ids])
                cursor.connection.commit()
                if not ids:
                    break
                taken += ids
        same("rows", _count(cursor), 0)
    exactly_once(taken, jobs)
    return watch.rate(jobs)


@contextmanager
def opened(table: str, *, autocommit: bool) -> Iterator[Any]:
    with connected(autocommit=autocommit) as cursor:
        cursor.execute("set session transaction isolation level read committed")
        cursor.execute(table)
        yield cursor


@contextmanager
def connected(*, autocommit: bool) -> Iterator[Any]:
    place = urlsplit(os.environ["BENCH_URL"])
    connection = pymysql.connect(
        host=place.hostname or "",
        port=place.port or 0,
        user=place.username,
        password=place.password or "",
        database=place.path.strip("/"),
        autocommit=autocommit,
    )
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def _count(cursor: Any) -> int:
    cursor.execute("select count(*) from job")
    return int(cursor.fetchone()[0])


def _row(number: int) -> tuple[object, ...]:
    key = b"\x01\x97\xf1\xc0\x6a\x00\x70\x00\x80\x00" + number.to_bytes(6)
    fields = ("available", "default", 0, _NOW + number, 25, _NOW + number, _DAY, "note")
    return (key, *fields, _payload(number))


def _waiting(number: int) -> tuple[object, ...]:
    return (number, "default", "note", _payload(number), 0, "available", _NOW + number)


def _payload(number: int) -> bytes:
    return b'{"v":1,"args":[],"kwargs":{"number":%d}}' % number
