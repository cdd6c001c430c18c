"""What there is to know of a SQLite file and where it lies."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from urllib.parse import quote

from longshore.core.facts import Facts
from longshore.stores.sqlite.file import file_system, other_names


def facts_of(path: str, *, synchronous: str, forced: bool) -> Facts:
    """Look at a file and its folder, and change neither: a file that is not there stays away."""
    folder = os.path.dirname(os.path.realpath(path))  # noqa: PTH120 - a string
    values = {
        "synchronous": synchronous,
        "file_system": file_system(os.path.realpath(path)),
        "other_names": other_names(path),
        "exists": _yes(os.path.exists(path)),  # noqa: PTH110
        "folder_writable": _yes(os.access(folder, os.W_OK | os.X_OK)),
    }
    if values["exists"] == "yes":
        values["file_writable"] = _yes(os.access(path, os.W_OK))
        values["journal_mode"] = _journal_mode(path)
    if os.path.isdir(folder):  # noqa: PTH112 - a string
        disk = os.statvfs(folder)
        values["free"] = str(disk.f_bavail * disk.f_frsize)
    else:
        values |= {"folder_writable": "", "folder_missing": folder}
    return Facts(
        store="sqlite",
        address=path,
        product="SQLite",
        version=sqlite3.sqlite_version,
        values={name: value for name, value in values.items() if value},
        keeps=synchronous == "full",
        forced=forced,
    )


def _journal_mode(path: str) -> str:
    """How the file is written now; empty where that cannot be seen.

    Asked of SQLite: who opens the file itself and closes it again gives up every lock that this
    process holds on it, and the next to leave would take the log away under all others here.
    """
    address = f"file:{quote(path)}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=0)) as connection:
            mode = connection.execute("pragma journal_mode").fetchone()[0]
    except sqlite3.Error:
        return ""
    return "wal" if mode == "wal" else "a rollback journal"


def _yes(value: bool) -> str:  # noqa: FBT001 - one thing only
    return "yes" if value else "no"
