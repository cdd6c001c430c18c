"""What the running jobs of a process say before their end: progress, and ends stored already.

Called in the threads of the bodies; the store thread saves progress from time to time, and leaves
out of its reports what ``ctx.transaction()`` has committed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from longshore.context import RunState
from longshore.core.model import Ending, Lease, Patch, Progress
from longshore.core.store import Store
from longshore.errors import StoreError
from longshore.worker.journal import log
from longshore.worker.transaction import JobTransaction, Success, keep_error

#: How often progress is saved, seconds.
PROGRESS = 0.25


class Reports:
    """Shared by all runs of a process. It ends with them."""

    def __init__(self, store: Store, success: Success, wake: Callable[[], None]) -> None:
        self._store = store
        self._success = success
        self._wake = wake
        self._progress: dict[Lease, Progress] = {}
        self._since = 0.0
        self._settled = False  # whether any run ever was: nearly always none

    # --- called by bodies ---------------------------------------------------------------------

    def __call__(self, lease: Lease, progress: Progress) -> None:
        """A job says how far it is."""
        if not self._progress:
            self._since = time.monotonic()
            self._wake()
        self._progress[lease] = progress

    def transaction(self, run: RunState) -> JobTransaction:
        """A block that commits the work of a run together with its success."""
        return JobTransaction(run, self._store, self._success)

    def settled(self, run: RunState, ending: Ending) -> None:
        """The end of a run is stored, though its body may go on."""
        self._settled = True
        run.ending = ending

    # --- called by the store thread -----------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """Whether there is progress to save."""
        return bool(self._progress)

    def save(self, now: float, *, force: bool) -> None:
        """Save progress, if it is time."""
        if not self._progress or not (force or now - self._since >= PROGRESS):
            return
        said, self._progress = self._progress, {}
        self._since = now
        try:
            self._store.run(
                self._store.save([Patch(lease, progress) for lease, progress in said.items()])
            )
        except StoreError as error:
            # Progress is worth less than the loop: the next word replaces it.
            log.warning("progress of %d jobs was not saved: %s", len(said), error)

    def untold(self, batch: Sequence[tuple[RunState, Ending]]) -> list[Ending]:
        """The endings that the store does not have yet."""
        if not self._settled:
            return [ending for _, ending in batch]
        return [ending for run, ending in batch if run.ending is None]

    def standing(
        self, batch: Sequence[tuple[RunState, Ending]], held: frozenset[Lease]
    ) -> frozenset[Lease]:
        """The leases that held, those of the runs included that were not told of."""
        if not self._settled:
            return held
        runs = [run for run, _ in batch if run.ending is not None]
        for run in runs:
            try:
                keep_error(self._store, run)
            except StoreError as error:
                log.warning("what job %s raised was not stored: %s", run.claimed.id, error)
        return held.union(run.lease for run in runs)
