"""Keeps leases alive and the store tidy: beats, rescue, and, where elected, pruning.

It runs in threads of its own, in the supervisor for all children or in an embedded worker for
itself, so that no job can delay it. It ends with :meth:`Heart.stop`; leases that it leaves behind
run out by themselves.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from random import uniform

from longshore.core.store import Beat, Orders, ProcessBeat, Rescue, Rescued, Store
from longshore.errors import StoreError, StoreGone
from longshore.worker.journal import log, tell_dead

BEAT = 1.0
RESCUE = 2.0
TIDY = 10.0
BATCH = 1000


class Heart:
    """Beats for some processes.

    Parameters: ``lease``, seconds; ``members``, asked at every beat; ``obey``, told what each
    beat brought; ``rescued``, told of jobs that were given back, else the log is.
    """

    def __init__(
        self,
        store: Store,
        lease: float,
        members: Callable[[], Sequence[ProcessBeat]],
        obey: Callable[[Orders], None],
        rescued: Callable[[Rescued], None] | None = None,
    ) -> None:
        self._store = store
        self._lease = lease
        self._members = members
        self._obey = obey
        self._rescued = rescued
        #: Why there is nothing to work on any more, once that is so.
        self.gone: StoreGone | None = None
        self._stop = threading.Event()
        # Two threads: no slow rescue and no long pruning may cost the leases.
        self._threads = [
            threading.Thread(target=self._live, args=(work, what), name=name, daemon=True)
            for work, what, name in (
                (self.beat, "a beat", "longshore-heart"),
                (self._maintain, "looking after the store", "longshore-tidy"),
            )
        ]
        self._renewed = 0.0
        self._heard = 0.0
        self._next_rescue = 0.0
        self._next_tidy = time.monotonic() + uniform(0, TIDY)  # noqa: S311 - spreads workers

    def start(self) -> None:
        """Begin to beat; the processes were just registered, so their leases are fresh."""
        self._renewed = self._heard = time.monotonic()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop beating and wait for what is under way."""
        self._stop.set()
        end = time.monotonic() + 6
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout=max(0.0, end - time.monotonic()))

    @property
    def healthy(self) -> bool:
        """Whether the store answered within a third of the lease."""
        return time.monotonic() - self._heard < max(self._lease / 3, 3 * BEAT)

    def _live(self, work: Callable[[], None], what: str) -> None:
        while not self._stop.wait(BEAT * uniform(0.9, 1.0)):  # noqa: S311 - spreads workers
            try:
                work()
            except StoreGone as error:
                self.gone = error
            except StoreError as error:
                log.warning("%s failed: %s", what, error)
            except Exception:  # noqa: BLE001 - see below
                # A heart that stops over a fault of ours would cost every lease it keeps.
                log.exception("%s failed", what)

    def beat(self) -> None:
        """One beat: always listens, and renews when a third of the lease has passed."""
        members = tuple(self._members())
        if not members:
            return
        now = time.monotonic()
        renew = now - self._renewed >= self._lease / 3
        lease = int(self._lease * 1_000_000) if renew else None
        orders = self._store.run(self._store.beat(Beat(members, lease)))
        self._heard = time.monotonic()
        if renew:
            self._renewed = now
        self._obey(orders)

    def _maintain(self) -> None:
        if self._members() and not self.healthy:
            return  # after an outage: renew what is ours before taking what seems nobody's
        now = time.monotonic()
        if now >= self._next_rescue:
            self._next_rescue = now + RESCUE
            self._rescue()
        if now >= self._next_tidy:
            self._next_tidy = now + TIDY
            self._tidy()

    def _rescue(self) -> None:
        given = self._store.run(self._store.rescue(Rescue(limit=BATCH)))
        if given.leases:
            log.warning("rescued %d jobs of processes that are gone", len(given.leases))
            if self._rescued is None:
                tell_dead(self._store, given)
            else:
                self._rescued(given)

    def _tidy(self) -> None:
        members = self._members()
        if not members:
            return
        lease = int(3 * TIDY * 1_000_000)
        if self._store.run(self._store.elect(members[0].id, lease)):
            # Claims promote and admit by themselves; this is a net under them.
            self._store.run(self._store.promote(BATCH))
            while not self._stop.is_set() and self._store.run(self._store.prune(BATCH)) >= BATCH:
                # Each call is a transaction of its own: others get their turn in between.
                pass
