"""How the tests open each store of this repository."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

from longshore.core.store import Retention, Store
from longshore.stores.clock import ManualClock
from longshore.stores.memory.store import MemoryStore
from longshore.stores.sqlite.store import SQLiteStore
from longshore.testing.conformance import OnStatement, OpenStore


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


OPEN: dict[str, Callable[[Path], OpenStore]] = {"memory": open_memory, "sqlite": open_sqlite}
