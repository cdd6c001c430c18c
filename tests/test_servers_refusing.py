"""A server that has no connection left for those who have some."""

from typing import Any

import psycopg
import pymysql
import pytest

from longshore.stores.mysql.store import MySQLStore
from longshore.stores.postgres.store import PostgresStore
from tests.places import each
from tests.store_tools import job
from tests.stores import empty_place, opened

#: By the kind of server: how its pool connects, and what it is told then.
REFUSALS = {
    "postgres18": ("connect", psycopg.OperationalError("FATAL:  sorry, too many clients already")),
    "mariadb": ("_connect", pymysql.err.OperationalError(1040, "Too many connections")),
}


@pytest.mark.parametrize("kind", each(*REFUSALS))
def test_a_connection_that_is_refused_costs_none_of_those_there_are(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others would take what is closed, and the beat of a process might get none in time."""
    store = opened(empty_place(kind))
    assert isinstance(store, PostgresStore | MySQLStore)
    store.run(store.insert([job()]))
    pool: Any = store._pool
    held, refused = pool.take(), list[int]()
    connect, error = REFUSALS[kind]

    def refuse() -> None:
        refused.append(1)
        pool.give_back(held, healthy=True)
        raise error

    monkeypatch.setattr(pool, connect, refuse)
    assert len(store.run(store.insert([job()]))) == 1
    assert refused == [1]
    assert pool.take() is held
    pool.give_back(held, healthy=True)
    store.close()
