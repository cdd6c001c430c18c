"""A worker arrives at its store: it waits for one that is not there yet, and refuses an unfit one.

A server that cannot be reached may only be slow to start, so that is waited out. One that answers
and lets nobody in, takes no writes or would lose jobs will not change by itself: that ends the
start at once, before anything was claimed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from random import uniform

from longshore.core.fitness import store_findings
from longshore.core.store import Store
from longshore.errors import StoreDenied, StoreError, StoreUnavailable, StoreUnfit

FIRST_WAIT, LONGEST_WAIT = 0.1, 2.0

Waits = Callable[[str], None]


def arrive(store: Store, *, processes: int = 1, waits: Waits | None = None) -> tuple[str, ...]:
    """Look at a store before the first claim; gives what to warn of once.

    Parameters: ``processes`` of the worker; ``waits`` is told why, each time that a store cannot
    be reached; without it there is no waiting.

    Raises:
        StoreUnfit: it is too old, takes no writes or would lose jobs.
        StoreError: it lets nobody in, its tables are not those of this release, or it is away.
    """
    pause, wait = threading.Event(), FIRST_WAIT
    while True:
        try:
            return _looked_at(store, processes)
        except StoreUnavailable as error:
            # A file that cannot be opened is not away: its folder is missing, or a right.
            if waits is None or isinstance(error, StoreDenied) or store.name == "sqlite":
                raise
            waits(str(error))
        pause.wait(uniform(wait / 2, wait))  # noqa: S311 - spreads workers
        wait = min(wait * 2, LONGEST_WAIT)


def _looked_at(store: Store, processes: int) -> tuple[str, ...]:
    warnings: list[str] = []
    try:
        found = [
            (facts.address, finding)
            for facts in store.facts()
            for finding in store_findings(facts, processes=processes)
        ]
    except (StoreUnavailable, StoreUnfit):
        raise
    except StoreError as error:
        # What cannot be asked is no reason not to work.
        found, warnings = [], [f"could not look at the store: {error}"]
    refused = [f"{address}: {one.sentence}" for address, one in found if one.refuses]
    if refused:
        raise StoreUnfit(" ".join(refused))
    # Asked for once here: what is wrong with the tables or the way to them stops the start.
    store.run(store.processes())
    return (
        *warnings,
        *(one.sentence for _, one in found if one.result != "ok" and one.at_start),
    )
