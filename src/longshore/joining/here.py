"""What plain enqueues of this thread or task join, if anything.

Every enqueue looks here, so it is one variable and nothing is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import ref

from longshore.errors import EnqueueError

if TYPE_CHECKING:
    from longshore.joining.through import Through

C = TypeVar("C")

#: How statements are executed in a session, and whether they must be awaited.
Join = Callable[[Any, bool], "Through"]


class Place:
    """One thing to join: a connection, or a session for as long as it is in a transaction."""

    __slots__ = ("join", "over", "owner", "session", "through")

    def __init__(
        self,
        owner: object,
        through: Through | None = None,
        session: Callable[[], Any] | None = None,
        join: Join | None = None,
    ) -> None:
        #: The application, or the store, whose jobs join.
        self.owner = owner
        self.through = through
        self.session = session
        self.join = join
        #: Its block was left. Tasks that were begun inside still have it in their context.
        self.over = False


#: The last one is the innermost. Empty nearly always: then nobody looks any further.
HERE: ContextVar[tuple[Place, ...]] = ContextVar("longshore_here", default=())


def joined(owners: tuple[object, ...], *, awaits: bool) -> Through | None:
    """What an enqueue joins here that belongs to one of ``owners``.

    Raises:
        EnqueueError: two sessions are in a transaction, and it could be either.
    """
    sessions: list[Any] = []
    through: Through | None = None
    for place in reversed(HERE.get()):
        if place.over or not any(place.owner is owner for owner in owners):
            continue
        if place.through is not None:
            return place.through
        session = _active(place)
        if session is not None and place.join is not None and session not in sessions:
            sessions.append(session)
            through = place.join(session, awaits)
    if len(sessions) > 1:
        raise EnqueueError(
            f"{len(sessions)} attached sessions are in a transaction here, and the job could belong"
            " to either; nothing was enqueued. Say which: using(session=...)."
        )
    return through


def enter(owner: object, session: Any, join: Join) -> None:
    """A session has begun a transaction here."""
    # Those that are over are left out: a thread may live for years.
    kept = tuple(at for at in HERE.get() if at.through is not None or _active(at) is not None)
    if not any(at.owner is owner and at.session and at.session() is session for at in kept):
        HERE.set((*kept, Place(owner, session=ref(session), join=join)))


def _active(place: Place) -> Any:
    session = None if place.session is None else place.session()
    return session if session is not None and session.in_transaction() else None


class Transaction(Generic[C]):
    """A block in which every enqueue of one application joins one connection.

    Leaving it neither commits nor rolls back: that is the caller's. It works for the thread or task
    that entered it, and for the tasks that are begun inside.
    """

    def __init__(self, owner: object, connection: C, through: Through) -> None:
        self._connection = connection
        self._place = Place(owner, through)
        self._token: Token[tuple[Place, ...]] | None = None

    def __enter__(self) -> C:
        if self._token is not None:
            raise EnqueueError("this transaction block was entered before; make another one.")
        self._token = HERE.set((*HERE.get(), self._place))
        return self._connection

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._place.over = True
        # Not by the token: sessions may have come and gone meanwhile.
        HERE.set(tuple(place for place in HERE.get() if place is not self._place))

    async def __aenter__(self) -> C:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)
