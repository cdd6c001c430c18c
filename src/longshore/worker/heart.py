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
from longshore.errors import StoreError, StoreGone, StoreUnavailable
from longshore.worker.fence import boot_seconds
from longshore.worker.journal import log, tell_dead
from longshore.worker.patience import Guard

BEAT = 1.0
RESCUE = 1.0
#: A lease is renewed so often while it lasts. Who rescues looks five times as often, and believes
#: that a process is gone when it was found without a lease for a little longer than one renewal
#: takes: with the looks that find it and that give its jobs back less than 1.5 leases in all.
RENEWALS = 3
LOOKS = 5
PATIENCE = 1.1
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
        #: Told of each renewal: when it was asked for, by :func:`boot_seconds`, and who is lost.
        self.renewed: Callable[[float, frozenset[str]], None] = lambda _at, _lost: None
        self._guard = Guard(lease / RENEWALS, 1.5 * BEAT)
        self._withheld = False
        #: Why there is nothing to work on any more, once that is so.
        self.gone: StoreGone | None = None
        self._stop = threading.Event()
        # Two threads: no slow rescue and no long pruning may cost the leases.
        self._threads = [
            threading.Thread(target=self._live, args=(work, pause, what), name=name, daemon=True)
            for work, pause, what, name in (
                (self.beat, self._to_next_beat, "a beat", "longshore-heart"),
                (self._maintain, self._to_next_look, "looking after the store", "longshore-tidy"),
            )
        ]
        self._renewed = 0.0
        self._heard = 0.0
        self._began = 0.0
        self._next_rescue = 0.0
        self._next_tidy = boot_seconds() + uniform(0, TIDY)  # noqa: S311 - spreads workers

    def start(self) -> None:
        """Begin to beat; the processes were just registered, so their leases are fresh."""
        self._renewed = self._heard = boot_seconds()
        self._guard.begin(self._heard)
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
        return boot_seconds() - self._heard < max(self._lease / RENEWALS, 3 * BEAT)

    def _live(self, work: Callable[[], None], pause: Callable[[], float], what: str) -> None:
        while not self._stop.wait(pause()):
            try:
                work()
            except StoreGone as error:
                self.gone = error
            except StoreError as error:
                if isinstance(error, StoreUnavailable):
                    self._guard.failed(boot_seconds())
                log.warning("%s failed: %s", what, error)
            except Exception:  # noqa: BLE001 - see below
                # A heart that stops over a fault of ours would cost every lease it keeps.
                log.exception("%s failed", what)

    def _to_next_beat(self) -> float:
        """To the moment of a renewal if that is near: who rescues counts on every living one."""
        due = self._renewed + self._lease / RENEWALS
        left = due - boot_seconds()
        if left <= 0 and self._began < due:
            return 0.0  # the last beat took so long that it was not to renew yet
        return left if 0 < left < 1.1 * BEAT else _spread(BEAT)

    def _to_next_look(self) -> float:
        """To the moment of a rescue if that is near: what this is late by, a lost job waits."""
        pause = _spread(min(BEAT, self._lease / 20))
        left = self._next_rescue - boot_seconds()
        return min(pause, left) if left > 0 else pause

    def beat(self) -> None:
        """One beat: always listens, and renews when a third of the lease has passed."""
        # Noted where there is nobody to beat for as well: else the next would follow at once.
        self._began = now = boot_seconds()
        members = tuple(self._members())
        if not members:
            return
        renew = now - self._renewed >= self._lease / RENEWALS
        lease = int(self._lease * 1_000_000) if renew else None
        orders = self._store.run(self._store.beat(Beat(members, lease)))
        self._heard = boot_seconds()
        self._guard.heard(self._heard)
        if renew:
            self._renewed = now
            self.renewed(now, orders.lost)
        self._obey(orders)

    def _maintain(self) -> None:
        if not self._members():
            self._guard.begin(boot_seconds())  # nobody beats here: only failures are known
        elif not self.healthy:
            return  # after an outage: renew what is ours before taking what seems nobody's
        now = boot_seconds()
        if now >= self._next_rescue:
            wait = self._guard.ready_in(now)
            if wait:
                self._next_rescue = now + wait
            else:
                self._next_rescue = now + _spread(min(RESCUE, self._lease / (RENEWALS * LOOKS)))
                self._rescue()
        if now >= self._next_tidy:
            self._next_tidy = now + TIDY
            self._tidy()

    def _rescue(self) -> None:
        patience = PATIENCE * self._lease / RENEWALS
        request = Rescue(limit=BATCH, patience=int(patience * 1_000_000))
        given = self._store.run(self._store.rescue(request))
        if given.withheld and not self._withheld:
            log.info(
                "%d running jobs belong to processes whose leases have run out: they are given back"
                " if those are not renewed within %.1f s",
                given.withheld,
                patience,
            )
        self._withheld = bool(given.withheld)
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


def _spread(seconds: float) -> float:
    """A little less, by chance, so that workers do not come together."""
    return seconds * uniform(0.9, 1.0)  # noqa: S311
