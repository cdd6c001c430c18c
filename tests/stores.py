"""How the tests open each store of this repository, empty and quick."""

import functools
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from longshore.core.store import Retention, Store
from longshore.core.store_url import parse_url
from longshore.stores import connect
from longshore.stores.clock import ManualClock
from longshore.stores.memory.store import MemoryStore
from longshore.stores.postgres.execute import idle
from longshore.stores.postgres.pool import AsyncLink, Link, Loop, Pool
from longshore.stores.postgres.store import PostgresStore
from longshore.stores.sqlite.store import SQLiteStore
from longshore.testing.conformance import OnStatement, OpenStore
from tests.places import (
    KEPT,
    MYSQL,
    POSTGRES,
    REDIS,
    SERVERS,
    Place,
    forget,
    mysql,
    new_name,
    place,
    postgres,
)
from tests.servers import shared


def open_memory(_: Path) -> OpenStore:
    def open_store(
        *, clock: ManualClock, retention: Retention, on_statement: OnStatement | None = None
    ) -> Store:
        return MemoryStore(clock=clock, retention=retention, on_statement=on_statement)

    return open_store


def open_sqlite(folder: Path) -> OpenStore:
    numbers = itertools.count(1)
    template = migrated(folder.parent / "template.db")

    def open_store(
        *, clock: ManualClock, retention: Retention, on_statement: OnStatement | None = None
    ) -> Store:
        path = folder / f"{next(numbers)}.db"
        shutil.copy(template, path)
        # What a power cut may lose is tested elsewhere; without waiting for the disk this is quick.
        return SQLiteStore(
            str(path),
            clock=clock,
            retention=retention,
            on_statement=on_statement,
            synchronous="normal",
        )

    return open_store


def migrated(path: Path) -> Path:
    """A file with tables and nothing in it, made once: hundreds of tests begin with a copy."""
    if not path.exists():
        store = SQLiteStore(str(path))
        store.migrate()
        store.close()
    return path


def open_server(kind: str, _: Path) -> OpenStore:
    def open_store(
        *, clock: ManualClock, retention: Retention, on_statement: OnStatement | None = None
    ) -> Store:
        store = opened(empty_place(kind), retention=retention, clock=clock)
        # Addresses have no word for what only tests ask for.
        vars(store)["_on_statement"] = on_statement
        if isinstance(store, PostgresStore):
            store._pool = Lent(store._pool)
        return store

    return open_store


class Lent(Pool):
    """Connections that the next store of the same database goes on with.

    A server knows no table and has planned nothing on a new connection: that took most of the time
    of a test.
    """

    kept: ClassVar[dict[str, list[Link]]] = {}
    akept: ClassVar[dict[str, list[AsyncLink]]] = {}

    def __init__(self, pool: Pool) -> None:
        super().__init__(
            pool.parameters,
            limit=pool.limit,
            pooled=pool.pooled,
            relaxed=pool._relaxed,
            answer=pool.answer,
        )
        self.place = str(pool.parameters)
        self._idle = self.kept.pop(self.place, [])

    def _mine(self) -> Loop:
        mine = super()._mine()
        # No connection is bound to an event loop before two tasks wait for it at once.
        mine.idle += self.akept.pop(self.place, [])
        return mine

    def close(self) -> None:
        kept, akept = self.kept.setdefault(self.place, []), self.akept.setdefault(self.place, [])
        with self._lock:
            kept += [link for link in self._idle if idle(link.connection)]
            self._idle = []
            for loop in self._loops.values():
                akept += [link for link in loop.idle if idle(link.connection)]
                loop.idle = []
        super().close()

    @classmethod
    def close_kept(cls) -> None:
        for links in (*cls.kept.values(), *cls.akept.values()):
            while links:
                link = links.pop()  # held: a connection that nobody holds complains of being open
                link.connection.pgconn.finish()


KEPT.callback(Lent.close_kept)


def opened(where: Place, retention: Retention | None = None, clock: Any = None) -> Store:
    """The store in a place, as an application opens it."""
    return connect(
        where.url,
        retention=retention or Retention(),
        prefix=where.prefix,
        durability="full",
        clock=clock,
    )


OPEN: dict[str, Callable[[Path], OpenStore]] = {
    "memory": open_memory,
    "sqlite": open_sqlite,
    **{kind: functools.partial(open_server, kind) for kind in SERVERS},
}


# --- emptied, not made anew: tables are made once in each process that tests ---


def empty_place(kind: str) -> Place:
    """Where jobs of the next store may go; what the last one had there is gone."""
    if kind in REDIS:
        where = Place(shared(kind).url, new_name() + "_")
        if not shared(kind).ours:
            KEPT.callback(forget, where)
        return where
    database = database_of(kind)
    database.empty()
    return database.where


@functools.cache
def database_of(kind: str) -> "Database":
    """The one database of this process on a server, with tables."""
    return (PostgresDatabase if kind in POSTGRES else MySQLDatabase)(kind)


class Database:
    """A database with the tables of a store; :meth:`empty` brings it back to what it was then."""

    def __init__(self, kind: str) -> None:
        assert kind in (*POSTGRES, *MYSQL)
        self.where = KEPT.enter_context(place(kind, Path()))
        store = opened(self.where)
        store.migrate()
        store.close()
        self.connection = self._connect()
        KEPT.callback(self.connection.close)
        self.begin()

    def _connect(self) -> Any:
        raise NotImplementedError

    def begin(self) -> None:
        """Note how it is after its migrations."""
        raise NotImplementedError

    def empty(self) -> None:
        raise NotImplementedError


class PostgresDatabase(Database):
    """Deleted from, not truncated: that is ten times as quick for tables with few rows."""

    def _connect(self) -> Any:
        return postgres(parse_url(self.where.url))

    def begin(self) -> None:
        # Days of this machine's clock: the first test that prunes by another would drop them, and
        # the same work would then not take the same steps twice.
        for day in self._tables("c.relispartition and c.relname ~ '_ended_d[0-9]+$'"):
            self.connection.execute(f"drop table {day}")
        self.tables = self._tables("not c.relispartition and c.relkind in ('r', 'p')")
        self.partitions = set(self._tables("c.relispartition"))
        self.rows = {
            table: rows
            for table in self.tables
            if (rows := self.connection.execute(f"select * from {table}").fetchall())
        }
        self.delete = "; ".join(
            ["set lock_timeout = '20s'", *(f"delete from {table}" for table in self.tables)]
        )

    def empty(self) -> None:
        with self.connection.transaction(), self.connection.cursor() as cursor:
            for table in set(self._tables("c.relispartition")) - self.partitions:
                cursor.execute(f"drop table {table}")
            cursor.execute(self.delete)
            for table, rows in self.rows.items():
                values = ", ".join(["%s"] * len(rows[0]))
                cursor.executemany(f"insert into {table} values ({values})", rows)

    def _tables(self, which: str) -> list[str]:
        found = self.connection.execute(
            "select c.oid::regclass::text from pg_class c join pg_namespace n"
            f" on n.oid = c.relnamespace where n.nspname = 'public' and c.relkind in ('r', 'p')"
            f" and {which} order by 1"
        )
        return [name for (name,) in found.fetchall()]


class MySQLDatabase(Database):
    """Deleted from: `truncate` makes each table anew."""

    def _connect(self) -> Any:
        return mysql(parse_url(self.where.url))

    def begin(self) -> None:
        tables = [
            name for (name, *_) in self._ask("show full tables where table_type like 'BASE%'")
        ]
        self.rows = {
            table: rows for table in tables if (rows := self._ask(f"select * from {table}"))
        }
        self.delete = "; ".join(f"delete from {table}" for table in tables)

    def empty(self) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(self.delete)
            while cursor.nextset():
                pass
            for table, rows in self.rows.items():
                values = ", ".join(["%s"] * len(rows[0]))
                cursor.executemany(f"insert into {table} values ({values})", rows)

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())
