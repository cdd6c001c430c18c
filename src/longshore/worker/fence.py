"""How near a process is to the end of its lease, seen by itself.

A process that has not been renewed for :data:`CLOSES` of its lease stops claiming and writing,
since others may soon have its jobs; ends of runs wait. Bodies are told by ``ctx.lost`` and go on,
but for those that must not overlap with the next run: who holds a slot of a limit or runs at most
once is interrupted, and where that does not help, :data:`ENDS` of the lease is when the supervisor
kills the process. A renewal opens the fence again.

Time counts as a lease does, while the machine is suspended too. The thread also ticks, so that from
outside a process whose store thread is stuck can be told from one whose interpreter is held, and
looks after the event loop. It ends with :meth:`Fence.stop`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from longshore.errors import Interrupted, LongshoreError
from longshore.worker.journal import log

if TYPE_CHECKING:  # a supervisor has the clock from here, and runs nothing
    from longshore.running import RunState
    from longshore.worker.plan import Page

#: Parts of a lease after its last renewal.
CLOSES, ENDS = 0.8, 0.95
#: How often the thread looks, seconds, and at least how often in a lease.
TICK, TICKS = 0.5, 20

# CLOCK_BOOTTIME is Linux's; elsewhere the monotonic clock is the nearest there is.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_seconds() -> float:
    """Seconds since this machine started, sleep included."""
    return time.clock_gettime(_CLOCK)


class OwnPage:
    """The same for a process without a supervisor."""

    def __init__(self) -> None:
        self._renewed = 0.0

    def renewed(self) -> float:
        return self._renewed

    def renew(self, at: float) -> None:
        self._renewed = at

    def tick(self) -> None:
        """Nobody looks."""

    def hold(self, exclusive: int) -> None:
        """Nobody looks."""


class Kinds(Protocol):
    """What is declared of kinds."""

    def exclusive_kinds(self) -> frozenset[str]: ...
    def once_kinds(self) -> frozenset[str]: ...


class Fence:
    """One process's own. ``lease`` in seconds; ``changed`` is called when it closes or opens."""

    def __init__(
        self,
        lease: float,
        page: Page,
        kinds: Kinds,
        changed: Callable[[], None],
    ) -> None:
        self._lease = lease
        self.page = page
        #: The kinds whose bodies :meth:`enter` has to know of; few have any.
        self.exclusive = kinds.exclusive_kinds()
        self.once = kinds.once_kinds()
        self._changed = changed
        #: Whether nothing may be claimed or written now.
        self.closed = False
        #: The jobs that this process has, and what stops the body of one.
        self.runs: Callable[[], Sequence[RunState]] = lambda: ()
        self.interrupt: Callable[[RunState, LongshoreError], object] = lambda _run, _why: None
        #: Called at each tick.
        self.also: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._held: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="longshore-fence", daemon=True)

    def start(self) -> None:
        """Look after the lease until :meth:`stop`."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=1)

    def left(self, part: float = 1.0) -> float:
        """Seconds until so much of the lease has passed since it was renewed."""
        renewed = self.page.renewed()
        return renewed + part * self._lease - boot_seconds() if renewed else self._lease

    @property
    def due(self) -> bool:
        """Whether it is time to be closed, by the clock alone."""
        return self.left(CLOSES) <= 0

    def wait_for_the_end(self) -> None:
        """Return once the lease has ended: for who has nobody left that could renew it."""
        over = threading.Event()
        while (left := self.left()) > 0:
            over.wait(min(left, TICK))

    # --- called by slots ----------------------------------------------------------------------

    def enter(self, run: RunState) -> None:
        """A body is about to start; one that must not overlap with the next run does not now."""
        with self._lock:
            self._held.add(run.claimed.id)
            self.page.hold(len(self._held))
        # The time itself too: after a suspension the thread that closes it may be late.
        if self.closed or self.due:
            raise _interrupted(run)

    def leave(self, run: RunState) -> None:
        """Its body is over."""
        if self._held and run.claimed.id in self._held:
            with self._lock:
                self._held.discard(run.claimed.id)
                self.page.hold(len(self._held))

    # --- its thread ---------------------------------------------------------------------------

    def _watch(self) -> None:
        most = min(TICK, self._lease / TICKS)
        wait = most
        while not self._stop.wait(wait):
            self.page.tick()
            try:
                self.look()
                self.also()
            except Exception:  # noqa: BLE001 - see below
                # Without this thread nothing would end before the lease does.
                log.exception("looking after the lease failed")
            left = self.left(CLOSES)
            wait = min(most, left) if left > 0.001 else most

    def look(self) -> None:
        """Close or open, if it is time."""
        closed = self.due
        if closed == self.closed:
            return
        self.closed = closed
        runs = list(self.runs())
        for run in runs:
            run.doubted = closed
        if closed:
            log.warning(
                "the lease was not renewed for %.1f s: nothing is claimed or written until it is;"
                " %d jobs go on",
                CLOSES * self._lease,
                len(runs),
            )
            for run in runs:
                if run.claimed.kind in self.exclusive and not run.ended_at:
                    run.once = run.once or run.claimed.kind in self.once
                    self.interrupt(run, _interrupted(run))
        else:
            log.info("the lease was renewed: %d jobs are still ours", len(runs))
        self._changed()


def _interrupted(run: RunState) -> Interrupted:
    return Interrupted(
        f"the lease of job {run.claimed.id} ({run.claimed.kind}) was not renewed in time, and it"
        " must not run here and elsewhere at once"
    )
