"""What errors of PostgreSQL and its driver mean: try again, connect anew, or tell people."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Final

import psycopg

from longshore.errors import (
    SchemaMismatch,
    StoreBusy,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnavailable,
    StoreUnwritable,
)
from longshore.stores.deadlines import is_late

LONGEST_PAUSE: Final = 0.25

#: The transaction was ended because of others: begin it again.
_AGAIN: Final = frozenset({"40001", "40P01", "55P03", "40003"})
#: The connection is of no use any more, or there is none to be had just now: connect anew. The
#: last three: something between us and the server shares its connections, and statements that were
#: prepared there or planned for other tables are gone.
_LOST: Final = frozenset(
    {"57P01", "57P02", "57P03", "57P05", "25P03", "25P04", "53300", "25006"}
    | {"26000", "42P05", "0A000"}
)
_UNPREPARED: Final = frozenset({"26000", "42P05"})

_KNOWN: Final[Mapping[str, tuple[type[StoreError], str]]] = {
    "53100": (StoreFull, "there is no room left on its disk; nothing was written."),
    "53200": (StoreFull, "it has no memory left for this; nothing was written."),
    "54000": (StoreError, "this is more than it can take in one statement; nothing was written."),
    "25006": (
        StoreUnwritable,
        "it only reads: it is a standby, or was set so. Name the primary server.",
    ),
    "42501": (
        StoreUnwritable,
        (
            "this user lacks a right; nothing was written. docs/how-to/least-privilege.md lists the"
            " rights of each role; where tables are missing, run `longshore db up` with the address"
            " of their owner."
        ),
    ),
    "42P01": (SchemaMismatch, "a table is missing. Run `longshore db up`."),
    "42703": (SchemaMismatch, "a column is missing. Run `longshore db up`."),
    "57014": (StoreBusy, "a statement took longer than the server allows; nothing was written."),
    "53300": (StoreUnavailable, "it has no connection left. Raise max_connections, or use a pool."),
    "57P03": (StoreUnavailable, "it is starting or stopping."),
    "3D000": (StoreDenied, "this database does not exist. Create it, or name another."),
    "28P01": (StoreDenied, "it refuses this user and password."),
    "28000": (StoreDenied, "it refuses this user."),
}
#: Found in the text of a connection that failed: another try would fail too.
_HOPELESS: Final[Mapping[str, str]] = {
    "password authentication failed": "28P01",
    "no password supplied": "28P01",
    "no pg_hba.conf entry": "28000",
    "role ": "28000",
    "no such database": "3D000",  # a pooler says so
    "database ": "3D000",
}
#: Of a role or database only with these: either may also have too many connections just now.
_FOR_GOOD: Final = ("does not exist", "not permitted to log in", "not currently accepting")


class Patience:
    """How long one call goes on trying, and what it says in the end.

    ``began`` is when the call did: one whose server is out of reach ends ``seconds`` later.
    """

    def __init__(self, address: str, seconds: float, began: float) -> None:
        self._address = address
        self._seconds = seconds
        self._give_up = 0.0
        self._began = self._tried = began
        self._pause = 0.001
        #: An earlier try may have been committed, its reply lost.
        self.repeated = False

    def after(self, error: psycopg.Error) -> float:
        """How many seconds to wait before the next try.

        Raises:
            StoreError: there is no point in another.
        """
        lost = is_lost(error)
        if not (lost or error.sqlstate in _AGAIN) or hopeless(error):
            raise explained(error, self._address) from error
        now = time.monotonic()
        self._give_up = self._give_up or now + self._seconds
        late = lost and is_late(now, self._tried, self._began, self._seconds)
        if late or now >= self._give_up:
            raise explained(error, self._address) from error
        self.repeated = self.repeated or lost
        # Random, so that many who wait do not come back at the same moment for ever.
        pause = random.uniform(self._pause / 4, self._pause)  # noqa: S311
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        self._tried = now + pause
        return pause


def is_lost(error: psycopg.Error) -> bool:
    """Whether the connection is of no use after this."""
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state in _LOST or state.startswith("08")


def is_unprepared(error: psycopg.Error) -> bool:
    """Whether a prepared statement was not found where it had been prepared."""
    return error.sqlstate in _UNPREPARED


def hopeless(error: psycopg.Error) -> bool:
    """Whether connecting again cannot help."""
    return error.sqlstate is None and _refused(error) is not None


def explained(error: psycopg.Error, address: str) -> StoreError:
    """The error to raise for one of the driver's."""
    state = error.sqlstate or _refused(error) or ""
    if state in _AGAIN:
        return StoreBusy(
            f"{address}: others held it for too long; nothing was written. Try again. ({error})"
        )
    if state not in _KNOWN and is_lost(error):
        return StoreUnavailable(
            f"{address}: it cannot be reached. Is the server running, and does it listen there?"
            f" ({_first_line(error)})"
        )
    kind, meaning = _KNOWN.get(state, (StoreError, "PostgreSQL refused it."))
    return kind(f"{address}: {meaning} ({_first_line(error)})")


def _refused(error: psycopg.Error) -> str | None:
    text = str(error)
    if "FATAL" not in text:
        return None
    for words, state in _HOPELESS.items():
        told = words not in ("role ", "database ") or any(last in text for last in _FOR_GOOD)
        if words in text and told:
            return state
    return None


def _first_line(error: psycopg.Error) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
