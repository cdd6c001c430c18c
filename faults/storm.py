"""One of the producers of a storm: `python -m faults.storm URL PREFIX`.

It says that it is ready, and then, for each line `HINTS SECONDS` that it is told, how many jobs it
has stored in that time. HINTS is when its transactions tell who listens: as the store does, never,
or always.
"""

from __future__ import annotations

import sys
import time

from longshore import Longshore
from longshore.stores.postgres.core import PostgresCore

HINTS = ("coalesced", "never", "always")


class Hints:
    """When to tell, instead of the store's own rule."""

    def __init__(self) -> None:
        self.now = HINTS[0]
        self._own = PostgresCore.hint

    def install(self) -> None:
        def hint(core: PostgresCore, *, end: bool = False) -> bool:
            # As if somebody waited all the time.
            ear = None if self.now == "always" else -1 - core.first_lock
            setattr(core, "ear", ear)  # noqa: B010
            return self._own(core, end=end) if self.now == HINTS[0] else self.now == "always"

        setattr(PostgresCore, "hint", hint)  # noqa: B010 - a method is no variable for checkers


def main(url: str, prefix: str) -> None:
    hints = Hints()
    hints.install()
    jobs = Longshore(store=url, prefix=prefix)

    @jobs.job(kind="work")
    def work(n: int) -> int:
        return n

    jobs.store.run(jobs.store.queues())
    print("ready", flush=True)
    for line in sys.stdin:
        hints.now, seconds = line.split()
        stored, until = 0, time.monotonic() + float(seconds)
        while time.monotonic() < until:
            work.enqueue(stored)
            stored += 1
        print(stored, flush=True)
    jobs.close()


if __name__ == "__main__":
    main(*sys.argv[1:3])
