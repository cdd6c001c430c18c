"""``jobs.attach(Session)``: sessions of a factory tell when they are in a transaction."""

from __future__ import annotations

import sys
from typing import Any

from longshore.errors import InvalidOption
from longshore.joining import here
from longshore.joining.sqlalchemy import ThroughAsyncSession, ThroughSession
from longshore.joining.through import Through


def attach(owner: object, factory: Any) -> None:
    """Let plain enqueues join the session of this factory that is in a transaction here.

    Raises:
        InvalidOption: it is neither a factory of sessions nor a class of them.
    """

    def begun(session: Any, transaction: Any) -> None:
        if transaction.parent is None:
            here.enter(owner, session, _through)

    sys.modules["sqlalchemy.event"].listen(_target(factory), "after_transaction_create", begun)


def _through(session: Any, awaits: bool) -> Through:  # noqa: FBT001 - called in one place
    """How to execute statements in an attached session, which is a blocking one always."""
    if awaits:
        asynchronous = sys.modules.get("sqlalchemy.ext.asyncio")
        outer = None if asynchronous is None else asynchronous.async_session(session)
        if outer is not None:
            return ThroughAsyncSession(outer)
    return ThroughSession(session)


def _target(factory: Any) -> Any:
    """What listens for the sessions of a factory."""
    orm: Any = sys.modules.get("sqlalchemy.orm")
    asynchronous: Any = sys.modules.get("sqlalchemy.ext.asyncio")
    if orm and (
        isinstance(factory, (orm.sessionmaker, orm.scoped_session))
        or _is_kind(factory, orm.Session)
    ):
        return factory
    if orm and asynchronous:
        scoped = isinstance(factory, asynchronous.async_scoped_session)
        makers: Any = factory.session_factory if scoped else factory
        if isinstance(makers, asynchronous.async_sessionmaker):
            return _blocking_half(makers, orm.Session)
    raise InvalidOption(
        f"attach() was given a {type(factory).__module__}.{type(factory).__qualname__}. Give a"
        " sessionmaker, async_sessionmaker or scoped_session of SQLAlchemy, or a class of sessions."
    )


def _is_kind(factory: object, base: type[Any]) -> bool:
    return isinstance(factory, type) and issubclass(factory, base)


def _blocking_half(factory: Any, base: type[Any]) -> type[Any]:
    """The class of the blocking sessions inside a factory's awaiting ones."""
    given: type[Any] | None = factory.kw.get("sync_session_class")
    if given is None:
        # One of its own, or other factories of the program would be attached with it.
        given = type(base.__name__, (base,), {})
        factory.configure(sync_session_class=given)
    return given
