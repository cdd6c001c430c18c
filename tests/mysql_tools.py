"""What the tests of the MariaDB and MySQL store share: stores on one database, ways to hurt them.

A test module names the fixtures that it takes in a tuple, so that imports of them are used.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from longshore.core.model import JobState, NewJob
from longshore.core.store import Line, NewProcess, Operation, Retention, drive
from longshore.core.store_url import parse_url
from longshore.ids import new_id
from longshore.stores.mysql.execute import execute_on
from longshore.stores.mysql.store import MySQLStore, open_mysql
from tests.places import Place, mysql, place

EVERY = (Line(("*",)),)


@pytest.fixture(name="where")
def a_place(tmp_path: Path) -> Iterator[Place]:
    with place("mariadb", tmp_path) as made:
        yield made


@pytest.fixture(name="opened")
def a_way_to_open(where: Place) -> Iterator[Callable[[], MySQLStore]]:
    """Opens stores on one database, each with connections of its own; closes them."""
    stores: list[MySQLStore] = []

    def open_one(**options: Any) -> MySQLStore:
        store = open_mysql(
            parse_url(where.url),
            retention=options.pop("retention", Retention()),
            prefix=where.prefix,
            durability="full",
        )
        vars(store).update({f"_{name}": value for name, value in options.items()})
        stores.append(store)
        return store

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture(name="store")
def a_store(opened: Callable[..., MySQLStore]) -> MySQLStore:
    made = opened()
    made.migrate()
    return made


@pytest.fixture(name="ask")
def a_way_to_ask(where: Place) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """Asks the server directly."""
    connection = mysql(parse_url(where.url))

    def ask_it(text: str, *values: Any) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(text, values)
            return list(cursor.fetchall())

    yield ask_it
    connection.close()


def new(**fields: Any) -> NewJob:
    given: dict[str, Any] = {
        "id": new_id(),
        "kind": "app.job",
        "queue": "default",
        "payload": b'{"v":1}',
        "state": JobState.AVAILABLE,
        "priority": 0,
        "scheduled_at": 1_000_000,
        "created_at": 1_000_000,
        "fresh": True,
    }
    return NewJob(**{**given, **fields})


def register(store: MySQLStore, name: str) -> None:
    store.run(
        store.register(
            NewProcess(
                id=name, app="app", name=name, host="host", pid=1, lease=600_000_000,
                queues=("*",), kinds=("app.job",), slots=5, embedded=False,
            )
        )
    )  # fmt: skip


def drive_over(connection: Any, op: Operation[Any]) -> Any:
    return drive(op, lambda statement: statement.query.text and execute_on(connection, statement))


@contextlib.contextmanager
def user(ask: Callable[..., Any], database: str, rights: str) -> Iterator[tuple[str, str]]:
    """A user of the server with these rights on one database."""
    name, password = f"u{new_id()[-12:]}", "geheim"
    ask(f"create user '{name}'@'%%' identified by '{password}'")
    try:
        ask(f"grant {rights} on `{database}`.* to '{name}'@'%%'")
        yield name, password
    finally:
        ask(f"drop user '{name}'@'%%'")


class LosesReplies:
    """Lets a store's next write be committed, and its connection end before the answer."""

    def __init__(self, store: MySQLStore) -> None:
        self._store = store
        self._meanwhile: Callable[[], None] | None = None
        open_one = store._pool._connect

        def connect() -> Any:
            connection = open_one()
            commit = connection.commit
            query = connection.query

            def commit_and_lose() -> None:
                commit()
                self._lose(connection)

            def query_and_lose(text: str, *args: Any) -> int:
                rows = query(text, *args)
                if text.startswith("insert into longshore_job") and connection.get_autocommit():
                    in_one = not connection.server_status & 1  # no transaction is open
                    if in_one:
                        self._lose(connection)
                return rows

            connection.commit = commit_and_lose
            connection.query = query_and_lose
            return connection

        store._pool.close_idle()
        store._pool._connect = connect

    def next_reply(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self._meanwhile = meanwhile

    def _lose(self, connection: Any) -> None:
        if self._meanwhile is not None:
            meanwhile, self._meanwhile = self._meanwhile, None
            meanwhile()
            connection._force_close()
            raise pymysql.OperationalError(2013, "Lost connection to server during query")
