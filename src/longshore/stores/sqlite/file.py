"""Opening a SQLite file for jobs, and what its errors mean."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Mapping

from longshore.core.facts import NETWORK
from longshore.errors import (
    StoreBusy,
    StoreError,
    StoreFull,
    StoreUnavailable,
    StoreUnfit,
    StoreUnwritable,
)
from longshore.stores.sqlite.wal import MOST

OLDEST = (3, 38, 0)

_SYNCHRONOUS: Mapping[str, str] = {
    "full": "pragma synchronous = full",
    "normal": "pragma synchronous = normal",
}

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_KNOWN: Mapping[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_FULL: (
        StoreFull,
        "there is no room left on its disk; nothing was written. Make room and try again.",
    ),
    sqlite3.SQLITE_READONLY: (
        StoreUnwritable,
        "it is read-only or was removed. This user must be able to write to it and its folder.",
    ),
    sqlite3.SQLITE_IOERR: (
        StoreUnwritable,
        "reading or writing it failed; nothing was written. Look at the disk and its limits.",
    ),
    sqlite3.SQLITE_PERM: (StoreUnwritable, "access to it was denied."),
    sqlite3.SQLITE_CANTOPEN: (
        StoreUnavailable,
        "it cannot be opened. Its folder must exist, and this user must be able to write to it.",
    ),
    sqlite3.SQLITE_NOTADB: (
        StoreError,
        "it is not a SQLite database. Name another file; this one was left as it is.",
    ),
    sqlite3.SQLITE_CORRUPT: (
        StoreError,
        "it is damaged. Restore it, or recover what can be read with the sqlite3 shell.",
    ),
}


#: Where the system tells what is mounted.
MOUNTS = "/proc/self/mounts"


def open_file(path: str, *, synchronous: str) -> sqlite3.Connection:
    """Open a file, made if it is not there, readable by its owner alone.

    Raises:
        StoreUnfit: SQLite is too old, or the file refuses WAL.
        sqlite3.Error: see :func:`explained`.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise StoreUnfit(
            f"SQLite {sqlite3.sqlite_version} is too old: Longshore needs {needed} or newer. Use"
            " a Python that is built with it."
        )
    _create(path)
    connection = sqlite3.connect(
        path, timeout=0, isolation_level=None, cached_statements=256, check_same_thread=False
    )
    try:
        _use_wal(connection, path)
        connection.execute(_SYNCHRONOUS[synchronous])
        connection.execute("pragma cache_size = -16384")
        connection.execute("pragma wal_autocheckpoint = 4000")
        # After a reader of an old snapshot has gone a log of any length begins anew: made short.
        connection.execute(f"pragma journal_size_limit = {MOST}")
        # Deleted pages are zeroed only where they are written anyway.
        connection.execute("pragma secure_delete = fast")
    except BaseException:
        connection.close()
        raise
    return connection


def is_busy(error: sqlite3.Error) -> bool:
    """Whether somebody else holds the file just now."""
    return _primary(error) in _BUSY


def explained(error: sqlite3.Error, path: str) -> StoreError:
    """The error to raise for one of SQLite's."""
    if is_busy(error):
        return StoreBusy(
            f"{path}: other processes held it for too long; nothing was written. Try again."
        )
    kind, meaning = _KNOWN.get(_primary(error), (StoreError, "SQLite refused it."))
    if _primary(error) == sqlite3.SQLITE_CANTOPEN and _read_only(path):
        kind, meaning = _KNOWN[sqlite3.SQLITE_READONLY]
    return kind(f"{path}: {meaning} ({error})")


def _read_only(path: str) -> bool:
    """Whether the file is there, and its folder takes no new ones, as a log beside it would be."""
    return os.path.exists(path) and not os.access(os.path.dirname(path) or ".", os.W_OK)  # noqa: PTH110, PTH120


def _use_wal(connection: sqlite3.Connection, path: str) -> None:
    mode = connection.execute("pragma journal_mode = wal").fetchone()[0]
    if mode != "wal":
        raise StoreUnfit(
            f"{path}: this file system cannot keep a SQLite database for several processes"
            f" (journal mode {mode}). Put the file on a local disk."
        )


def _primary(error: sqlite3.Error) -> int:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return 0 if code is None else code & 0xFF


def _create(path: str) -> None:
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        kind = StoreUnwritable if isinstance(error, PermissionError) else StoreUnavailable
        raise kind(
            f"{path}: it cannot be created ({error.strerror}). Its folder must exist, and this"
            " user must be able to write to it."
        ) from error
    try:
        # Whatever the umask says: payloads are nobody else's business.
        os.fchmod(handle, 0o600)
    finally:
        os.close(handle)


def refuse_network(path: str) -> None:
    """Refuse a file whose locks would not hold.

    Raises:
        StoreUnfit: the file is on a network file system.
    """
    kind = file_system(os.path.realpath(path))
    if kind in NETWORK:
        raise StoreUnfit(
            f"{path}: it is on a network file system ({kind}), on which SQLite loses data. Put"
            " the file on a local disk, or use a database server. To accept it all the same:"
            " ?network=yes."
        )


def refuse_names(path: str) -> None:
    """Refuse a file that others may know by another name.

    The log lies beside the file under its name: who writes by another one has another log, and each
    overwrites what the other was told is stored.

    Raises:
        StoreUnfit: the file has a second name, or it alone is mounted.
    """
    why = other_names(path)
    if why:
        raise StoreUnfit(
            f"{path}: {why}. SQLite keeps its log beside the file, by its name: under two names"
            " jobs are lost. Give the file one name; for a container, mount its folder."
        )


def other_names(path: str) -> str:
    """What says that the file has names besides this one; empty where nothing does."""
    real = os.path.realpath(path)
    try:
        found = os.stat(real)  # noqa: PTH116 - a string
    except OSError:
        return ""  # not there yet
    if not stat.S_ISREG(found.st_mode):
        return ""  # a folder has as many names as folders in it, and is refused for what it is
    if found.st_nlink > 1:
        return f"the file has {found.st_nlink} names (hard links)"
    return "the file is mounted by itself" if _mount(real)[0] == real else ""


def file_system(path: str) -> str:
    """The type of the file system of a path; empty where the system does not tell."""
    return _mount(path)[1]


def _mount(path: str) -> tuple[str, str]:
    """Where the file system of a path is mounted, and of what type it is."""
    best, kind = "", ""
    try:
        with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as mounts:  # noqa: PTH123
            for line in mounts:
                place, found = line.split(" ", 3)[1:3]
                place = place.replace("\\040", " ")
                below = path == place or path.startswith(place.rstrip("/") + "/")
                if below and len(place) >= len(best):
                    best, kind = place, found
    except OSError:
        return "", ""
    return best, kind
