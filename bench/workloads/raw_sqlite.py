"""What plain ``sqlite3`` can do on this disk: the limits of W1, W1b and W2 on SQLite.

All of them: one connection, WAL, ``synchronous=FULL``, a statement prepared once, a page cache of
16 MiB and a checkpoint every 4 000 pages (a smaller interval is slower).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from bench.sample import Sample, Stopwatch, exactly_once, same

HUNDRED = 100
THOUSAND = 1_000

# The columns that a plain enqueue writes, with one index that a claim would read.
_ROW = """
    create table job (
        id text primary key, state text, queue text, priority integer, due integer,
        max_attempts integer, created_at integer, keep_result integer, kind text, payload blob
    ) without rowid
"""
_INSERT = "insert into job values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

_QUEUE = """
    create table job (
        id integer primary key, queue text, kind text, payload blob, priority integer, state text,
        due integer
    )
"""
_READY = "create index ready on job (priority, due) where state = 'available'"
_TAKE = """
    update job set state = 'running' where id in (
        select id from job where state = 'available' order by priority, due limit 100
    ) returning id, kind, payload
"""
_NOW = 1_800_000_000_000_000
_DAY = 86_400_000_000


def one_by_one(home: Path, *, jobs: int, synchronous: str = "full") -> Sample:
    """`BEGIN IMMEDIATE`, one prepared `INSERT`, `COMMIT`, for each row.

    The row has the columns and the width of a plain job of Longshore, its id as text for a key and
    one index beside it. Rows are made before the clock starts.
    """
    connection = _opened(home, _ROW, synchronous)
    rows = _rows(jobs)
    execute = connection.execute
    with Stopwatch() as watch:
        for row in rows:
            execute("begin immediate")
            execute(_INSERT, row)
            execute("commit")
    same("rows", connection.execute("select count(*) from job").fetchone()[0], jobs)
    return watch.rate(jobs)


def in_bulk(home: Path, *, jobs: int) -> Sample:
    """The same rows by `executemany`, a thousand in each transaction, made before the clock."""
    connection = _opened(home, _ROW)
    rows = _rows(jobs)
    with Stopwatch() as watch:
        for start in range(0, jobs, THOUSAND):
            connection.execute("begin immediate")
            connection.executemany(_INSERT, rows[start : start + THOUSAND])
            connection.execute("commit")
    same("rows", connection.execute("select count(*) from job").fetchone()[0], jobs)
    return watch.rate(jobs)


def drain(home: Path, *, jobs: int) -> Sample:
    """Claim and delete by hundreds in one thread, two transactions for each hundred.

    `UPDATE ... RETURNING` of the first hundred available rows by priority and due time, commit;
    `DELETE` of these by their integer keys, commit. Nothing is decoded, called or kept.
    """
    connection = _opened(home, _QUEUE)
    connection.execute("begin immediate")
    connection.executemany(
        "insert into job values (?, ?, ?, ?, ?, ?, ?)",
        (
            (number, "default", "note", _payload(number), 0, "available", _NOW + number)
            for number in range(jobs)
        ),
    )
    connection.execute("commit")
    taken: list[int] = []
    with Stopwatch() as watch:
        while ids := _claimed(connection):
            marks = ",".join("?" * len(ids))
            connection.execute("begin immediate")
            connection.execute(f"delete from job where id in ({marks})", ids)
            connection.execute("commit")
            taken += ids
    same("rows", connection.execute("select count(*) from job").fetchone()[0], 0)
    exactly_once(taken, jobs)
    return watch.rate(jobs)


def _claimed(connection: sqlite3.Connection) -> list[int]:
    connection.execute("begin immediate")
    ids = [row[0] for row in connection.execute(_TAKE).fetchall()]
    connection.execute("commit")
    return ids


def _opened(home: Path, table: str, synchronous: str = "full") -> sqlite3.Connection:
    connection = sqlite3.connect(home / "raw.db", isolation_level=None)
    for statement in (
        "pragma journal_mode = wal",
        f"pragma synchronous = {synchronous}",
        "pragma cache_size = -16384",
        "pragma wal_autocheckpoint = 4000",
        table,
        _READY,
    ):
        connection.execute(statement)
    return connection


def _rows(jobs: int) -> list[tuple[object, ...]]:
    return [
        (
            f"0197f1c0-6a00-7000-8000-{number:012x}",
            "available",
            "default",
            0,
            _NOW + number,
            25,
            _NOW + number,
            _DAY,
            "note",
            _payload(number),
        )
        for number in range(jobs)
    ]


def _payload(number: int) -> bytes:
    return b'{"v":1,"args":[],"kwargs":{"number":%d}}' % number
