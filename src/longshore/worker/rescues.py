"""All that a process which is known to be dead still holds goes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from longshore.core.store import Rescue, Store
from longshore.middleware import Event
from longshore.worker.journal import log, tell_dead

#: For so long jobs are waited for on which somebody reports just now, and looked at so often, s.
MOMENT = 1.0
PAUSE = 0.02


def rescue_all(
    store: Store, request: Rescue, publish: Callable[[Event], None] = lambda _event: None
) -> tuple[int, int]:
    """Give back what ``request.dead`` holds; how many jobs, and how many count as interrupted.

    PostgreSQL may still be carrying out the last words of a process that was killed, and the rows
    that those hold are passed over. Its server ends them in a moment, with success or without;
    what is held longer is left to whoever looks for jobs without a lease.
    """
    given = interrupted = 0
    end, pause = time.monotonic() + MOMENT, threading.Event()
    while True:
        rescued = store.run(store.rescue(request))
        tell_dead(store, rescued, publish)
        given += len(rescued.leases)
        interrupted += sum(rescued.interrupted)
        if len(rescued.leases) >= request.limit:
            continue
        if not rescued.withheld:
            break
        if time.monotonic() >= end:
            log.info(
                "%d jobs of a process that is gone are held by somebody in the store; they go back"
                " when that has ended",
                rescued.withheld,
            )
            break
        pause.wait(PAUSE)
    return given, interrupted
