"""SQLAlchemy: connections of an engine and sessions, blocking and awaiting.

Statements go as driver SQL, past SQLAlchemy's own compiler. A session gives its connection when
the first statement needs it, and tells when its transaction was committed.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, ClassVar

from longshore.errors import EnqueueError
from longshore.joining.styles import numbered, rows_of
from longshore.joining.through import Statement, Through, pieces

_DATABASES = {"sqlite": "sqlite", "postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql"}
_PENDING = "longshore.pending"


class ThroughConnection(Through):
    """A ``Connection`` of an engine."""

    noun: ClassVar[str] = "an SQLAlchemy connection"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @property
    def database(self) -> str:
        name: str = self._connection.dialect.name
        return _DATABASES.get(name, name)

    def execute(self, statement: Statement) -> Any:
        connection, rows = self._connection, 0
        for text, params in _written(connection, statement):
            result = connection.exec_driver_sql(text, params)
            if result.returns_rows:
                return [tuple(row) for row in result]
            rows += result.rowcount
        return rows

    def commits_at_once(self) -> bool:
        connection = self._connection
        try:
            driver = connection.connection.dbapi_connection
            at_once = bool(connection.dialect.detect_autocommit_setting(driver))
            # Of sqlite3 the mode says nothing where the caller sends BEGIN himself.
            return at_once and not getattr(driver, "in_transaction", False)
        except (NotImplementedError, AttributeError):  # a dialect that cannot tell
            return False

    def memory(self) -> MutableMapping[Any, Any] | None:
        memory: MutableMapping[Any, Any] = self._connection.info
        return memory


class ThroughAsyncConnection(ThroughConnection):
    """An ``AsyncConnection`` of an engine."""

    noun: ClassVar[str] = "an async SQLAlchemy connection"
    awaits: ClassVar[bool] = True

    async def aexecute(self, statement: Statement) -> Any:
        connection, rows = self._connection, 0
        for text, params in _written(connection, statement):
            result = await connection.exec_driver_sql(text, params)
            if result.returns_rows:
                return [tuple(row) for row in result]
            rows += result.rowcount
        return rows

    def commits_at_once(self) -> bool:
        return ThroughConnection(self._connection.sync_connection).commits_at_once()

    def memory(self) -> MutableMapping[Any, Any] | None:
        return ThroughConnection(self._connection.sync_connection).memory()


class ThroughSession(Through):
    """A ``Session``."""

    noun: ClassVar[str] = "an SQLAlchemy session"
    tells: ClassVar[bool] = True

    def __init__(self, session: Any) -> None:
        self._session = session
        self._opened: ThroughConnection | None = None

    @property
    def database(self) -> str:
        name: str = self._session.get_bind().dialect.name
        return _DATABASES.get(name, name)

    def open(self) -> None:
        self._opened = ThroughConnection(self._session.connection())

    @property
    def _through(self) -> ThroughConnection:
        if self._opened is None:
            self.open()
        assert self._opened is not None  # noqa: S101 - opened one line above
        return self._opened

    def execute(self, statement: Statement) -> Any:
        return self._through.execute(statement)

    def commits_at_once(self) -> bool:
        return self._through.commits_at_once()

    def memory(self) -> MutableMapping[Any, Any] | None:
        return self._through.memory()

    def after_commit(self, hook: Callable[[], None], ahook: Callable[[], Awaitable[None]]) -> None:  # noqa: ARG002 - the session blocks
        _when_committed(self._session, hook)


class ThroughAsyncSession(ThroughSession):
    """An ``AsyncSession``."""

    noun: ClassVar[str] = "an async SQLAlchemy session"
    awaits: ClassVar[bool] = True

    async def aopen(self) -> None:
        self._opened = ThroughAsyncConnection(await self._session.connection())

    async def aexecute(self, statement: Statement) -> Any:
        if self._opened is None:
            await self.aopen()
        return await self._through.aexecute(statement)

    def after_commit(self, hook: Callable[[], None], ahook: Callable[[], Awaitable[None]]) -> None:  # noqa: ARG002 - the session awaits
        # Its commit runs where SQLAlchemy lets blocking code await.
        await_only: Callable[[Awaitable[None]], None] = sys.modules["sqlalchemy.util"].await_only
        _when_committed(self._session.sync_session, lambda: await_only(ahook()))


class _Pending:
    """What is to be done once a session's transaction was committed, in order.

    A savepoint hands what was added inside it to its parent when it is released, and takes it along
    when it is rolled back.
    """

    def __init__(self) -> None:
        self._hooks: list[tuple[object, Callable[[], None]]] = []
        self._due: list[Callable[[], None]] = []

    def listen(self, session: Any) -> None:
        """Begin to hear of the ends of this session's transactions."""
        listen = sys.modules["sqlalchemy.event"].listen
        listen(session, "after_commit", self._committed)
        listen(session, "after_transaction_end", self._ended)

    def add(self, session: Any, hook: Callable[[], None]) -> None:
        self._hooks.append((session.get_nested_transaction(), hook))

    def _committed(self, session: Any) -> None:
        nested = session.get_nested_transaction()
        if nested is None:
            self._due, self._hooks = [hook for _, hook in self._hooks], []
            return
        parent = _savepoint(nested.parent)
        self._hooks = [(parent if at is nested else at, hook) for at, hook in self._hooks]

    def _ended(self, _session: Any, transaction: Any) -> None:
        if transaction.nested:
            self._hooks = [(at, hook) for at, hook in self._hooks if at is not transaction]
        elif transaction.parent is None:
            # Only now may the session be used again, by what is called here too.
            due, self._due, self._hooks = self._due, [], []
            _all(due)


def _when_committed(session: Any, hook: Callable[[], None]) -> None:
    if not session.in_transaction():
        if not session.autobegin:
            raise EnqueueError(
                "the session has no transaction, and was told to begin none by itself; nothing was"
                " enqueued. Call its begin() first."
            )
        # As any statement of his would: only what has begun can be told from what was rolled back.
        session.begin()
    pending: _Pending | None = session.info.get(_PENDING)
    if pending is None:
        pending = session.info[_PENDING] = _Pending()
        pending.listen(session)
    pending.add(session, hook)


def _all(hooks: list[Callable[[], None]]) -> None:
    """Call every one of them, whatever the others raise; then raise the first error."""
    first: Exception | None = None
    for hook in hooks:
        try:
            hook()
        except Exception as error:  # noqa: BLE001 - raised below
            first = first or error
    if first is not None:
        raise first


def _savepoint(transaction: Any) -> Any:
    """The savepoint that a transaction is or lies in; ``None`` for that of the session."""
    while transaction is not None and not transaction.nested:
        transaction = transaction.parent
    return transaction


def _as_tuple(values: Any) -> tuple[Any, ...]:
    return tuple(values)


def _written(connection: Any, statement: Statement) -> Iterator[tuple[str, Any]]:
    """The statements to send, as this connection's driver takes them."""
    for text, params, many in pieces(statement):
        if connection.dialect.driver == "asyncpg":
            text, params = numbered(text, params)  # noqa: PLW2901 - the same in another style
        if many:
            params = rows_of(params)  # noqa: PLW2901 - likewise
        elif isinstance(params, list):  # which SQLAlchemy takes for rows
            params = _as_tuple(params)  # noqa: PLW2901 - likewise
        yield text, params
