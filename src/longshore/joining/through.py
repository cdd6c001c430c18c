"""A connection of the caller, as far as Longshore uses it: to execute statements."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any, ClassVar, Protocol
from weakref import WeakKeyDictionary

from longshore.core.store import Store
from longshore.joining.styles import columns, takes_columns


class Query(Protocol):
    """The text of a statement."""

    @property
    def text(self) -> str: ...
    @property
    def name(self) -> str: ...


class Statement(Protocol):
    """What operations of SQL stores yield; ``many``: once for each row of ``params``."""

    @property
    def query(self) -> Query: ...
    @property
    def params(self) -> Any: ...
    @property
    def many(self) -> bool: ...


class Through:
    """One connection or session of the caller.

    Nothing here begins, commits or rolls back, and nothing is tried again: what the driver raises
    is the caller's. It keeps nothing but the connection, and lives as long as the caller needs it.
    """

    #: What the caller gave.
    given: Any = None
    #: The store that it leads to, where that is known beforehand.
    store: Store | None = None
    #: What it is, for people: ``a psycopg connection``.
    noun: ClassVar[str]
    #: Whether its statements must be awaited.
    awaits: ClassVar[bool] = False
    #: Whether it can tell when its transaction was committed.
    tells: ClassVar[bool] = False

    @property
    def database(self) -> str:
        """What it leads to: ``sqlite``, ``postgres``, ``mysql`` or another name."""
        raise NotImplementedError

    def open(self) -> None:
        """Get hold of the connection itself, where it is somebody else's to give."""

    async def aopen(self) -> None:
        """The awaiting twin of :meth:`open`."""
        self.open()

    def execute(self, statement: Statement) -> Any:
        """Run one statement: its rows, or where it has none how many it wrote."""
        raise NotImplementedError

    async def aexecute(self, statement: Statement) -> Any:
        """The awaiting twin of :meth:`execute`."""
        return self.execute(statement)

    def commits_at_once(self) -> bool:
        """Whether each statement is committed by itself; asked once it is open."""
        raise NotImplementedError

    def memory(self) -> MutableMapping[Any, Any] | None:
        """A place for what stays true as long as the driver's connection; ``None``: there is none.

        Asked once it is open.
        """
        return None

    def after_commit(self, hook: Callable[[], None], ahook: Callable[[], Awaitable[None]]) -> None:
        """Call one of the two when the transaction was committed, none when it was rolled back."""
        raise NotImplementedError


_memories: WeakKeyDictionary[object, dict[Any, Any]] = WeakKeyDictionary()


def memory_of(connection: object) -> MutableMapping[Any, Any] | None:
    """A memory beside a driver's connection that is forgotten with it."""
    try:
        return _memories.setdefault(connection, {})
    except TypeError:  # it takes no weak reference
        return None


def ran(cursor: Any, statement: Statement, written: Callable[[str], str] = str) -> Any:
    """Run a statement on a cursor of the common kind; ``written``: its text for that cursor."""
    rows = 0
    for text, params, many in pieces(statement):
        (cursor.executemany if many else cursor.execute)(written(text), params)
        if cursor.description is not None:
            return cursor.fetchall()
        rows += cursor.rowcount
    return rows


def pieces(statement: Statement) -> Iterator[tuple[str, Any, bool]]:
    """Text, values and whether these are rows, of each of the statements to send."""
    texts: Callable[[], Iterable[tuple[str, Any]]] | None = getattr(statement, "texts", None)
    if texts is not None:  # a store that puts many rows into one statement
        for text, params in texts():
            yield text, params, False
    elif statement.many and takes_columns(statement.query.text):
        yield statement.query.text, columns(statement.params), False
    else:
        yield statement.query.text, statement.params, statement.many
