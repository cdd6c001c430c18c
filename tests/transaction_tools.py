"""Every kind of connection that a caller may have, behind one face for the tests.

A *way* opens transactions of one kind of connection to one database. Bodies of tests are coroutines
for all of them; those of blocking ways never wait, and run without an event loop.
"""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import django
import psycopg
import pymysql
import pytest
import sqlalchemy
from django.conf import settings as django_settings
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from longshore import JobHandle, Longshore
from longshore.core.store_url import parse_url
from tests.places import SERVERS
from tests.stores import empty_place

if not django_settings.configured:
    django_settings.configure(USE_TZ=True, DATABASES={})
    django.setup()

import django.db
import django.db.transaction
from django.db.utils import ConnectionHandler

KIND = "transaction.add"


class Open:
    """One transaction of the caller."""

    #: What is given to ``using``, and to ``jobs.transaction``.
    option = "connection"

    def __init__(self, given: Any, end: Callable[[bool], Any], run: Callable[[str], Any]) -> None:
        self.given = given
        self._end = end
        self._run = run
        self._open = True

    async def work(self, number: int) -> None:
        """Do what the caller does beside enqueueing."""
        answer = self._run(f"insert into work values ({number})")
        if isinstance(answer, Coroutine):
            await answer

    async def commit(self) -> None:
        await self._over(commit=True)

    async def rollback(self) -> None:
        if self._open:
            await self._over(commit=False)

    async def _over(self, *, commit: bool) -> None:
        self._open = False
        answer = self._end(commit)
        if isinstance(answer, Coroutine):
            await answer

    def close(self) -> Any:
        """Close the connection under the transaction."""
        return self.given.close()


class Way:
    """One kind of connection. ``awaits``: jobs are enqueued with the awaitable twins."""

    option: ClassVar[str] = "connection"
    awaits: ClassVar[bool] = False
    #: Whether it tells when it was committed.
    tells: ClassVar[bool] = False
    #: What a closed connection raises; None where the kind opens itself again.
    closed: ClassVar[type[Exception] | None] = None

    def __init__(self, url: str) -> None:
        self.address = parse_url(url)

    @asynccontextmanager
    async def begin(self, *, at_once: bool = False) -> AsyncIterator[Open]:
        """A transaction; ``at_once``: a connection that commits each statement by itself."""
        given, end, run, close = await self._begin(at_once=at_once)
        opened = Open(given, end, run)
        try:
            yield opened
            await opened.rollback()
        finally:
            answer = close()
            if isinstance(answer, Coroutine):
                await answer

    async def _begin(self, *, at_once: bool) -> tuple[Any, Any, Any, Any]:
        raise NotImplementedError

    def using(self, job: Any, given: Any, **options: Any) -> Any:
        return job.using(**{self.option: given}, **options)

    async def enqueue(self, job: Any, *args: Any) -> JobHandle[Any]:
        """Enqueue in the way that fits."""
        return await job.aenqueue(*args) if self.awaits else job.enqueue(*args)

    async def refresh(self, handle: JobHandle[Any]) -> JobHandle[Any]:
        return await handle.arefresh() if self.awaits else handle.refresh()

    async def enqueue_many(self, jobs: Longshore, bound: Any) -> list[JobHandle[Any]]:
        return await jobs.aenqueue_many(bound) if self.awaits else jobs.enqueue_many(bound)

    async def push(self, jobs: Longshore, job: dict[str, Any]) -> JobHandle[Any]:
        return await jobs.apush(job) if self.awaits else jobs.push(job)

    def run(self, body: Coroutine[Any, Any, None]) -> None:
        """Run the body of a test."""
        if self.awaits:
            asyncio.run(body)
            return
        try:
            body.send(None)
        except StopIteration:
            return
        raise AssertionError("a blocking way has awaited something")


class Plain(Way):
    """A driver's own connection."""

    async def _begin(self, *, at_once: bool) -> tuple[Any, Any, Any, Any]:
        connection = self.connect(at_once=at_once)

        def end(commit: bool) -> None:
            connection.commit() if commit else connection.rollback()

        return connection, end, self.runner(connection), connection.close

    def connect(self, *, at_once: bool) -> Any:
        raise NotImplementedError

    def runner(self, connection: Any) -> Callable[[str], Any]:
        def run(text: str) -> None:
            cursor = connection.cursor()
            cursor.execute(text)
            cursor.close()

        return run


class SQLite(Plain):
    closed = sqlite3.ProgrammingError

    def connect(self, *, at_once: bool) -> Any:
        connection = sqlite3.connect(self.address.path, isolation_level=None if at_once else "")
        connection.row_factory = sqlite3.Row
        return connection


class Psycopg(Plain):
    closed = psycopg.OperationalError

    def connect(self, *, at_once: bool) -> Any:
        return psycopg.connect(
            self.address.reveal(), autocommit=at_once, row_factory=psycopg.rows.dict_row
        )


class PyMySQL(Plain):
    closed = pymysql.InterfaceError

    def connect(self, *, at_once: bool) -> Any:
        return mysql_connection(self.address, autocommit=at_once)

    async def _begin(self, *, at_once: bool) -> tuple[Any, Any, Any, Any]:
        connection, end, run, _ = await super()._begin(at_once=at_once)
        return connection, end, run, lambda: connection.open and connection.close()


def mysql_connection(address: Any, **options: Any) -> pymysql.Connection[Any]:
    return pymysql.connect(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password.reveal() if address.password else "",
        database=address.path,
        cursorclass=pymysql.cursors.DictCursor,
        **options,
    )


class AsyncPsycopg(Way):
    awaits = True
    closed = psycopg.OperationalError

    async def _begin(self, *, at_once: bool) -> tuple[Any, Any, Any, Any]:
        connection = await psycopg.AsyncConnection.connect(
            self.address.reveal(), autocommit=at_once
        )

        async def end(commit: bool) -> None:
            await (connection.commit() if commit else connection.rollback())

        async def run(text: str) -> None:
            await connection.execute(text)

        return connection, end, run, connection.close


class Engine(Way):
    """A connection of an SQLAlchemy engine."""

    closed = sqlalchemy.exc.ResourceClosedError
    driver: ClassVar[dict[str, str]] = {
        "sqlite": "sqlite",
        "postgresql": "postgresql+psycopg",
        "mysql": "mysql+pymysql",
    }

    def url(self) -> str:
        address = self.address
        scheme = self.driver[address.scheme]
        text = address.reveal().partition("://")[2]
        # SQLAlchemy counts the slashes of a file's path as we do.
        return f"{scheme}://{text}"

    async def _begin(self, *, at_once: bool) -> tuple[Any, Any, Any, Any]:
        engine = sqlalchemy.create_engine(self.url(), poolclass=sqlalchemy.NullPool)
        level = {"isolation_level": "AUTOCOMMIT"} if at_once else {}
        connection = engine.connect().execution_options(**level)

        def end(commit: bool) -> None:
            connection.commit() if commit else connection.rollback()

        def run(text: str) -> None:
            connection.execute(sqlalchemy.text(text))

        def close() -> None:
            connection.close()
            engine.dispose()

        return connection, end, run, close


class SessionWay(Engine):
    option = "session"
    tells = True
    closed = None

    async def _begin(self, *, at_once: bool) -> tuple[Any, Any, Any, Any]:
        level = {"isolation_level": "AUTOCOMMIT"} if at_once else {}
        engine = sqlalchemy.create_engine(self.url(), poolclass=sqlalchemy.NullPool, **level)
        session = Session(engine)

        def end(commit: bool) -> None:
            session.commit() if commit else session.rollback()

        def run(text: str) -> None:
            session.execute(sqlalchemy.text(text))

        def close() -> None:
            session.close()
            engine.dispose()

        return session, end, run, close


class AsyncEngine(Engine):
    awaits = True
    closed = sqlalchemy.exc.ResourceClosedError
    driver: ClassVar[dict[str, str]] = {
        "sqlite": "sqlite+aiosqlite",
        "postgresql": "postgresql+asyncpg",
    }

    async def _begin(self, *, at_once: bool) -> tuple[Any, Any, Any, Any]:
        engine = create_async_engine(self.url(), poolclass=sqlalchemy.NullPool)
        connection = await engine.connect()
        if at_once:
            await connection.execution_options(isolation_level="AUTOCOMMIT")

        async def end(commit: bool) -> None:
            await (connection.commit() if commit else connection.rollback())

        async def run(text: str) -> None:
            await connection.execute(sqlalchemy.text(text))

        async def close() -> None:
            await connection.close()
            await engine.dispose()

        return connection, end, run, close


class AsyncSessionWay(AsyncEngine):
    option = "session"
    tells = True
    closed = None

    async def _begin(self, *, at_once: bool) -> tuple[Any, Any, Any, Any]:
        level = {"isolation_level": "AUTOCOMMIT"} if at_once else {}
        engine = create_async_engine(self.url(), poolclass=sqlalchemy.NullPool, **level)
        session = AsyncSession(engine)

        async def end(commit: bool) -> None:
            await (session.commit() if commit else session.rollback())

        async def run(text: str) -> None:
            await session.execute(sqlalchemy.text(text))

        async def close() -> None:
            await session.close()
            await engine.dispose()

        return session, end, run, close


class AsyncPsycopgSession(AsyncSessionWay):
    driver: ClassVar[dict[str, str]] = {"postgresql": "postgresql+psycopg_async"}


_numbers = itertools.count(1)


class Django(Way):
    """A Django connection, in a block of ``atomic``."""

    tells = True

    async def _begin(self, *, at_once: bool) -> tuple[Any, Any, Any, Any]:
        address = self.address
        if address.store == "sqlite":
            database = {"ENGINE": "django.db.backends.sqlite3", "NAME": address.path}
        else:
            database = {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": address.path,
                "HOST": address.host,
                "PORT": address.port,
                "USER": address.user or "",
                "PASSWORD": address.password.reveal() if address.password else "",
            }
        alias = f"way{next(_numbers)}"
        django.db.connections.settings[alias] = ConnectionHandler({"default": database}).settings[
            "default"
        ]
        connection = django.db.connections[alias]
        atomic = django.db.transaction.atomic(using=alias)
        if not at_once:
            atomic.__enter__()

        def end(commit: bool) -> None:
            if at_once:
                return
            if not commit:
                django.db.transaction.set_rollback(rollback=True, using=alias)
            atomic.__exit__(None, None, None)

        def run(text: str) -> None:
            with connection.cursor() as cursor:
                cursor.execute(text)

        def close() -> None:
            connection.close()
            del django.db.connections[alias]
            del django.db.connections.settings[alias]

        return connection, end, run, close


class Case(NamedTuple):
    """A way to a kind of database."""

    kind: str
    way: type[Way]


_WAYS: dict[str, tuple[type[Way], ...]] = {
    "sqlite": (SQLite, Engine, SessionWay, AsyncEngine, AsyncSessionWay, Django),
    "postgres18": (
        Psycopg,
        AsyncPsycopg,
        Engine,
        SessionWay,
        AsyncEngine,
        AsyncSessionWay,
        AsyncPsycopgSession,
        Django,
    ),
    "mariadb": (PyMySQL, Engine, SessionWay),
}


def cases(wanted: Callable[[type[Way]], bool] = lambda _: True, *kinds: str) -> list[Any]:
    """Every way to every kind of database, or those wanted, as parameters of a test."""
    return [
        pytest.param(
            Case(kind, way),
            id=f"{kind}-{way.__name__}",
            marks=[pytest.mark.servers] if kind in SERVERS else [],
        )
        for kind, ways in _WAYS.items()
        for way in ways
        if wanted(way) and (not kinds or kind in kinds)
    ]


class Table:
    """The caller's own table ``work``, beside the jobs for as long as the block lasts."""

    def __init__(self, url: str) -> None:
        self._engine = sqlalchemy.create_engine(Engine(url).url())

    def __enter__(self) -> None:
        self._run("drop table if exists work", "create table work (number integer)")

    def __exit__(self, *_: object) -> None:
        self._run("drop table work")
        self._engine.dispose()

    def _run(self, *texts: str) -> None:
        with self._engine.begin() as connection:
            for text in texts:
                connection.execute(sqlalchemy.text(text))

    @staticmethod
    def rows(url: str) -> list[int]:
        """What is committed there."""
        engine = sqlalchemy.create_engine(Engine(url).url())
        try:
            with engine.connect() as connection:
                rows = connection.execute(sqlalchemy.text("select number from work order by 1"))
                return [number for (number,) in rows]
        finally:
            engine.dispose()


def add_one(number: int) -> int:
    return number + 1


@pytest.fixture
def database(tmp_path: Path) -> str:
    """The caller's own database, which is not the store."""
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table work (number integer)")
    return str(path)


@pytest.fixture
def jobs() -> Iterator[Longshore]:
    app = Longshore("memory://")
    yield app
    app.close()


@pytest.fixture
def job(jobs: Longshore) -> Any:
    return jobs.job(kind=KIND)(add_one)


# --- an application on each store, with a table of the caller's beside it ---


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture(name="jobs")
def stored_jobs(case: Case, tmp_path: Path) -> Iterator[Longshore]:
    file = f"sqlite:///{tmp_path}/jobs.db"
    url = file if case.kind == "sqlite" else empty_place(case.kind).url
    app = Longshore(url)
    app.migrate()
    app.job(kind=KIND)(add_one)
    with Table(url):
        yield app
    app.close()


@pytest.fixture
def way(case: Case, jobs: Longshore) -> Way:
    return case.way(jobs.settings.store.reveal())
