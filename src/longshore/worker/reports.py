"""What the running jobs of a process say before their end, and ends that are stored already.

Called in the threads of the bodies. Progress and log lines are saved by the store thread from time
to time; a step is saved by the body that has to wait for it, with all that its run has said before.
What ``ctx.transaction()`` has committed is left out of the process's reports.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from longshore.core.batches import Together
from longshore.core.model import (
    LOG_LINES,
    Ending,
    Inserted,
    Lease,
    LogLine,
    NewJob,
    Patch,
    Progress,
    Step,
)
from longshore.core.store import Store
from longshore.errors import LeaseLost, StoreError
from longshore.running import RunState
from longshore.worker.journal import log
from longshore.worker.transaction import JobTransaction, Success, keep_error

#: How often progress and log lines are saved, seconds: others see them within a quarter of one.
PROGRESS = 0.2


class _Said:
    """What one run has said and nobody has saved."""

    __slots__ = ("lines", "progress", "steps")

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self.lines: deque[LogLine] = deque(maxlen=LOG_LINES)
        self.steps: dict[str, Step] = {}


class Reports:
    """Shared by all runs of a process. It ends with them."""

    def __init__(self, store: Store, success: Success, wake: Callable[[], None]) -> None:
        self._store = store
        self._success = success
        self._wake = wake
        self._lock = threading.Lock()
        self._said: dict[Lease, _Said] = {}
        self._next = 0.0  # when to save again
        self.fenced = 0  # steps that were refused: the job was another process's by then
        self._settled = False  # whether any run ever was: nearly always none

    # --- called by bodies ---------------------------------------------------------------------

    def __call__(self, lease: Lease, progress: Progress) -> None:
        """A job says how far it is."""
        with self._lock:
            self._of(lease).progress = progress

    def log(self, lease: Lease, line: LogLine) -> None:
        """A job says something."""
        with self._lock:
            self._of(lease).lines.append(line)

    def leave(self, lease: Lease, steps: Sequence[Step]) -> None:
        """A body has ended and leaves this."""
        with self._lock:
            self._of(lease).steps.update((step.name, step) for step in steps)

    def steps(self, run: RunState) -> Sequence[Step]:
        """The steps that earlier runs of a job have saved."""
        job_id = run.claimed.id
        return self._store.run(self._store.steps([job_id])).get(job_id, ())

    async def asteps(self, run: RunState) -> Sequence[Step]:
        """The awaitable twin of :meth:`steps`."""
        job_id = run.claimed.id
        return (await self._store.arun(self._store.steps([job_id]))).get(job_id, ())

    def keep(self, run: RunState, steps: Sequence[Step]) -> None:
        """Save steps, and what the run has said, now."""
        patch = self._patch(run.lease, steps)
        if patch is not None:
            try:
                self._judged(run, self._store.run(self._store.save([patch])))
            except StoreError:
                self._put_back([patch])
                raise

    async def akeep(self, run: RunState, steps: Sequence[Step]) -> None:
        """The awaitable twin of :meth:`keep`."""
        patch = self._patch(run.lease, steps)
        if patch is not None:
            try:
                self._judged(run, await self._store.arun(self._store.save([patch])))
            except StoreError:
                self._put_back([patch])
                raise

    def insert(
        self, jobs: Sequence[NewJob], together: Together | None = None
    ) -> Sequence[Inserted]:
        """Store what a body in a process of its own enqueues."""
        return self._store.run(self._store.insert(jobs, together))

    def unsaved(self, run: RunState) -> Patch | None:
        """Take what a run has said and nobody has saved."""
        return self._patch(run.lease, ())

    def transaction(self, run: RunState) -> JobTransaction:
        """A block that commits the work of a run together with its success."""
        return JobTransaction(run, self._store, self._success)

    def settled(self, run: RunState, ending: Ending) -> None:
        """The end of a run is stored, though its body may go on."""
        self._settled = True
        run.ending = ending

    # --- called by the store thread -----------------------------------------------------------

    def asks(self, batch: Iterable[tuple[RunState, Ending]]) -> bool:
        """Whether the store has to be asked for more than it is told of these ends.

        Somebody has said something, or committed an end by himself; or one was interrupted, and
        what became of it is known there.
        """
        return bool(self._said or self._settled) or True in [
            ending.interrupted for _, ending in batch
        ]

    def due_in(self, now: float) -> float:
        """In how many seconds there is something to save; never where nobody has said anything."""
        return max(0.0, self._next - now) if self._said else math.inf

    def save(self, now: float, ending: Iterable[tuple[RunState, Ending]] = ()) -> None:
        """Save what was said, if it is time, or if one of those has said it whose end comes."""
        if not self._said:
            return
        said = self._said.keys()
        if now < self._next and not any(run.lease in said for run, _ in ending):
            return
        with self._lock:
            taken, self._said = self._said, {}
        self._next = now + PROGRESS
        patches = [_as_patch(lease, one, ()) for lease, one in taken.items()]
        try:
            self._store.run(self._store.save(patches))
        except StoreError as error:
            # It is worth less than the loop: endings do not wait for it.
            log.warning("what %d jobs have said was not saved: %s", len(patches), error)
            self._put_back(patches)

    def forget(self, leases: Iterable[Lease]) -> None:
        """The ends of these runs are stored: nothing more is saved of them."""
        if self._said:
            with self._lock:
                for lease in leases:
                    self._said.pop(lease, None)

    def untold(self, batch: Sequence[tuple[RunState, Ending]]) -> list[Ending]:
        """The endings that the store does not have yet."""
        if not self._settled:
            return [ending for _, ending in batch]
        return [ending for run, ending in batch if run.ending is None]

    def standing(
        self, batch: Sequence[tuple[RunState, Ending]], held: frozenset[Lease]
    ) -> frozenset[Lease]:
        """The leases that held, those of the runs included that were not told of."""
        if self._said:
            self.forget(run.lease for run, _ in batch)
        if not self._settled:
            return held
        runs = [run for run, _ in batch if run.ending is not None]
        for run in runs:
            try:
                keep_error(self._store, run)
            except StoreError as error:
                log.warning("what job %s raised was not stored: %s", run.claimed.id, error)
        return held.union(run.lease for run in runs)

    # --- helpers ------------------------------------------------------------------------------

    def _of(self, lease: Lease) -> _Said:
        """What a run has said; the caller holds the lock."""
        said = self._said.get(lease)
        if said is None:
            if not self._said:
                self._wake()
            said = self._said[lease] = _Said()
        return said

    def _patch(self, lease: Lease, steps: Sequence[Step]) -> Patch | None:
        with self._lock:
            said = self._said.pop(lease, None)
        if said is None and not steps:
            return None
        return _as_patch(lease, said or _Said(), steps)

    def _put_back(self, patches: Sequence[Patch]) -> None:
        """What was not saved is said again, behind what was said meanwhile."""
        with self._lock:
            for patch in patches:
                said = self._of(patch.lease)
                said.progress = said.progress or patch.progress
                said.lines = deque((*patch.lines, *said.lines), maxlen=LOG_LINES)
                cursors = {step.name: step for step in patch.steps if step.cursor}
                said.steps = {**cursors, **said.steps}

    def _judged(self, run: RunState, held: frozenset[Lease]) -> None:
        if run.lease not in held:
            run.lost = True
            self.fenced += 1
            job = run.claimed
            raise LeaseLost(
                f"job {job.id} ({job.kind}) belongs to another process by now: nothing of this run"
                " is saved any more, and it runs there"
            )


def _as_patch(lease: Lease, said: _Said, steps: Sequence[Step]) -> Patch:
    left = [step for name, step in said.steps.items() if all(name != one.name for one in steps)]
    return Patch(lease, said.progress, (*left, *steps), tuple(said.lines))
