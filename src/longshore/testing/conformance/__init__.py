"""What every store must do: the suite that a store's author runs.

The protocol in :mod:`longshore.core.store` says which operations there are; this suite says what
they mean. Subclass :class:`StoreConformance` in a test module and give the ``open_store`` fixture;
pytest then runs every behaviour over your store, driven blocking and awaiting. It needs pytest and
nothing else; no test sleeps, since the store takes its time from the clock that it is given.

Example::

    from longshore.testing.conformance import OpenStore, StoreConformance

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def open_store(self, tmp_path: Path) -> OpenStore:
            number = itertools.count()

            def open_store(*, clock, retention, on_statement=None):
                path = tmp_path / f"{next(number)}.db"
                store = MyStore(path, clock=clock, retention=retention, on_statement=on_statement)
                store.migrate()
                return store

            return open_store

Three things are asked of the store beside the protocol: it takes leases and due times from
``clock``, keeps ended jobs by ``retention``, and calls ``on_statement(operation, number)`` before
each statement (from 1) and before the commit of a write (0), so that the suite can fail each.
"""

from __future__ import annotations

import pytest

# Before the suite is imported: a failing assertion of it then shows the values, as in a test file.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{theme}"
        for theme in (
            *("bench", "producing", "claiming", "many_queues", "finishing", "leasing"),
            "maintaining",
            *("inspecting", "ordering", "living", "faults", "ruled", "scripts"),
            *(
                "trace",
                "lockstep",
                "answers",
                "making",
                "restraint",
                "holding",
                "replacing",
                "once",
            ),
            *("limiting", "slots", "rating", "turning", "kinds"),
        )
    )
)

from longshore.testing.conformance.bench import (  # noqa: E402
    Bench,
    Facade,
    OnStatement,
    OpenStore,
)
from longshore.testing.conformance.suite import StoreConformance  # noqa: E402

__all__ = ["Bench", "Facade", "OnStatement", "OpenStore", "StoreConformance"]
