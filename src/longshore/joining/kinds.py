"""Recognises a caller's connection by the names of its class, so that no driver is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Literal, Protocol

from longshore.errors import InvalidOption
from longshore.joining.through import Through


class DatabaseConnection(Protocol):
    """What connections of all drivers have in common."""

    def commit(self) -> Any: ...
    def rollback(self) -> Any: ...
    def close(self) -> Any: ...


class Proxy(Protocol):
    """An object that gives another one's attributes, such as ``django.db.connection``."""

    def __getattr__(self, name: str, /) -> Any: ...


class DatabaseSession(Protocol):
    """What sessions of SQLAlchemy have in common."""

    def commit(self) -> Any: ...
    def rollback(self) -> Any: ...
    def close(self) -> Any: ...
    def expunge_all(self) -> Any: ...


Field = Literal["connection", "session"]

_DRIVERS = "longshore.joining.drivers"
_SQLALCHEMY = "longshore.joining.sqlalchemy"
_DJANGO = "longshore.joining.django"

#: Module and class of a connection; where the class for it is, and which option it belongs to.
_KINDS: Mapping[tuple[str, str], tuple[str, str, Field]] = {
    ("sqlite3", "Connection"): (_DRIVERS, "ThroughSQLite", "connection"),
    ("psycopg", "Connection"): (_DRIVERS, "ThroughPsycopg", "connection"),
    ("psycopg", "AsyncConnection"): (_DRIVERS, "ThroughAsyncPsycopg", "connection"),
    ("pymysql.connections", "Connection"): (_DRIVERS, "ThroughMySQL", "connection"),
    ("MySQLdb.connections", "Connection"): (_DRIVERS, "ThroughMySQL", "connection"),
    ("sqlalchemy.engine.base", "Connection"): (_SQLALCHEMY, "ThroughConnection", "connection"),
    ("sqlalchemy.ext.asyncio.engine", "AsyncConnection"): (
        _SQLALCHEMY,
        "ThroughAsyncConnection",
        "connection",
    ),
    ("sqlalchemy.orm.session", "Session"): (_SQLALCHEMY, "ThroughSession", "session"),
    ("sqlalchemy.ext.asyncio.session", "AsyncSession"): (
        _SQLALCHEMY,
        "ThroughAsyncSession",
        "session",
    ),
    ("django.db.backends.base.base", "BaseDatabaseWrapper"): (
        _DJANGO,
        "ThroughDjango",
        "connection",
    ),
    ("django.utils.connection", "ConnectionProxy"): (_DJANGO, "ThroughDjango", "connection"),
}

#: What people give instead, and what they should.
_INSTEAD: Mapping[tuple[str, str], str] = {
    ("sqlalchemy.engine.base", "Engine"): (
        "Give a connection of it: `with engine.begin() as connection:`."
    ),
    ("sqlalchemy.ext.asyncio.engine", "AsyncEngine"): (
        "Give a connection of it: `async with engine.begin() as connection:`."
    ),
    ("sqlalchemy.orm.session", "sessionmaker"): (
        "Give a session that it made, or call jobs.attach() with it."
    ),
    ("sqlalchemy.ext.asyncio.session", "async_sessionmaker"): (
        "Give a session that it made, or call jobs.attach() with it."
    ),
}
#: Called, they give the session of this thread or task.
_SCOPED = {
    ("sqlalchemy.orm.scoping", "scoped_session"),
    ("sqlalchemy.ext.asyncio.scoping", "async_scoped_session"),
}


def recognise(given: Any, field: Field | None = None) -> Through:
    """What to execute statements through on a caller's connection or session.

    Raises:
        InvalidOption: it is none, or belongs to the other option than ``field``.
    """
    names = _names(given)
    if not _SCOPED.isdisjoint(names):
        given = given()
        names = _names(given)
    for name in names:
        if name in _KINDS:
            module, kind, belongs = _KINDS[name]
            if field not in (None, belongs):
                raise InvalidOption(
                    f"{field}= was given {_called(given)}: give it as {belongs}=. Nothing was"
                    " enqueued."
                )
            make: Callable[[Any], Through] = getattr(import_module(module), kind)
            through = make(given)
            through.given = given
            return through
    hint = next((_INSTEAD[name] for name in names if name in _INSTEAD), _ACCEPTED)
    raise InvalidOption(
        f"{field or 'connection'}= was given {_called(given)}, which is no connection or session"
        f" that Longshore knows. {hint} Nothing was enqueued."
    )


_ACCEPTED = (
    "Give a connection of sqlite3, psycopg, PyMySQL, an SQLAlchemy engine or Django as"
    " connection=, a session of SQLAlchemy as session=."
)


def _names(given: object) -> list[tuple[str, str]]:
    return [(kind.__module__, kind.__qualname__) for kind in type(given).__mro__]


def _called(given: object) -> str:
    kind = type(given)
    if given is None or kind.__module__ == "builtins":
        return repr(given)[:50] if given is None or kind in (int, bool) else f"a {kind.__name__}"
    return f"a {kind.__module__}.{kind.__qualname__}"
