"""W8: what W2 drains, in a store that holds much else or has been through much."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from bench.sample import Sample, Stopwatch, exactly_once, same
from bench.workloads import raw_mysql
from bench.workloads.fleet import succeeded
from bench.workloads.settling import settle
from bench.workloads.stores import fill, opened
from longshore import BoundJob, Longshore

SEEDS = 1_000  # ended jobs that have really run, where the rest are their copies
AT_ONCE = 500_000  # rows that one transaction copies

# Copies have ids one after the other, as jobs have, that begin as the first's: they tell its day.
PREFIX = 24


def kept(home: Path, *, store: str, jobs: int, ended: int) -> Sample:
    """As ``drain.drain`` with everything kept, in a store that keeps so many that ended before.

    Those ran here too; of PostgreSQL's and MariaDB's a thousand did and the others are their
    copies, made in the table with what counts them.
    """
    app, note, ran = _application(home, store)
    copied = _COPYING.get(store)
    ran_before = min(SEEDS, ended) if copied else ended
    fill(app, note, range(ran_before))
    app.worker().run(until_empty=True)
    exactly_once(ran, ran_before)
    if copied:
        copied(ended)
    same("jobs that ended before", succeeded(app), ended)
    return _drained(app, store, note, ran, jobs)


def churned(home: Path, *, store: str, jobs: int, before: int) -> Sample:
    """As ``drain.drain`` while a transaction is held that began before so many others were drained.

    Nothing that these left behind in the tables can be cleared away meanwhile.
    """
    app, note, ran = _application(home, store)
    with psycopg.connect(os.environ["BENCH_URL"]) as holds:
        holds.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        holds.execute("select pg_current_xact_id()")
        fill(app, note, range(before))
        app.worker().run(until_empty=True)
        exactly_once(ran, before)
        return _drained(app, store, note, ran, jobs)


def queues(home: Path, *, store: str, jobs: int, queues: int) -> Sample:
    """As ``drain.drain`` with the jobs spread over so many queues, which `*` matches."""
    app, note, ran = _application(home, store, queues)
    return _drained(app, store, note, ran, jobs)


def _application(
    home: Path, store: str, queues: int = 1
) -> tuple[Longshore, Callable[[int], BoundJob[Any]], list[int]]:
    """An application on a fresh store, how it binds its job, and where bodies note themselves."""
    app = opened(home, store)
    ran: list[int] = []

    @app.job(kind="note", keep_result="1d")
    def note(number: int) -> None:
        ran.append(number)

    lines = [note.using(queue=f"line-{number}") for number in range(queues)]
    return app, lambda number: lines[number % queues].bind(number), ran


def _drained(
    app: Longshore, store: str, bind: Callable[[int], BoundJob[Any]], ran: list[int], jobs: int
) -> Sample:
    ran.clear()
    before = succeeded(app)
    fill(app, bind, range(jobs))
    same("available jobs", app.query.filter(state="available").count(), jobs)
    settle(store)
    worker = app.worker()
    with Stopwatch() as watch:
        worker.run(until_empty=True)
        after = succeeded(app)
    same("succeeded jobs", after - before, jobs)
    exactly_once(ran, jobs)
    return watch.rate(jobs)


def _turns(ended: int) -> Iterator[tuple[int, int]]:
    """How many there are before each turn, and how many it copies, until there are so many."""
    there = min(SEEDS, ended)
    while there < ended:
        rows = min(there, ended - there, AT_ONCE)
        yield there, rows
        there += rows


def _copied_in_postgres(ended: int) -> None:
    with psycopg.connect(os.environ["BENCH_URL"], autocommit=True) as connection:
        found = connection.execute(
            "select column_name from information_schema.columns"
            " where table_name = 'longshore_ended' and column_name <> 'id'"
        ).fetchall()
        ((first,),) = connection.execute("select min(id::text) from longshore_ended").fetchall()
        copy = sql.SQL(
            "insert into longshore_ended (id, {names})"
            " select ({prefix} || lpad(to_hex({there} + row_number() over ()), 12, '0'))::uuid,"
            " {names} from (select * from longshore_ended limit {rows}) as copied"
        )
        names = sql.SQL(", ").join(sql.Identifier(name) for (name,) in found)
        for there, rows in _turns(ended):
            asked = copy.format(names=names, prefix=first[:PREFIX], there=there, rows=rows)
            connection.execute(asked)
        connection.execute("delete from longshore_count")
        connection.execute(
            "insert into longshore_count (jobs, day, queue, kind, state)"
            " select count(*), day, queue, kind, state from longshore_ended"
            " group by day, queue, kind, state"
        )
        connection.execute("vacuum analyze longshore_ended")
        connection.execute("checkpoint")


def _copied_in_mariadb(ended: int) -> None:
    with raw_mysql.opened("select 1", autocommit=True) as cursor:
        cursor.execute(
            "select column_name from information_schema.columns where table_schema = database()"
            " and table_name = 'longshore_ended' and column_name <> 'id'"
        )
        names = ", ".join(name for (name,) in cursor.fetchall())
        cursor.execute("select min(id) from longshore_ended")
        ((first,),) = cursor.fetchall()
        for there, rows in _turns(ended):
            cursor.execute(
                f"insert into longshore_ended (id, {names}) select"
                f" concat(%s, lpad(lower(hex(%s + row_number() over ())), 12, '0')), {names}"
                " from (select * from longshore_ended limit %s) as copied",
                (first[:PREFIX], there, rows),
            )
        cursor.execute("delete from longshore_count")
        cursor.execute(
            "insert into longshore_count (jobs, queue, kind, state)"
            " select count(*), queue, kind, state from longshore_ended group by queue, kind, state"
        )
        cursor.execute("analyze table longshore_ended")


_COPYING: dict[str, Callable[[int], None]] = {
    "postgres": _copied_in_postgres,
    "mariadb": _copied_in_mariadb,
}
