"""Patience after an outage: who could not beat does not believe at once that others are gone.

While the store is away nobody's lease is renewed. When it answers again everybody renews within one
renewal interval, also leases that ran out; who takes jobs away before that takes them from the
living. Having been away oneself (stopped, suspended, without processor time) looks the same.
"""

from __future__ import annotations

import threading


class Guard:
    """For one process that rescues. ``interval`` is how often leases are renewed, in seconds.

    Times are those of one clock that only goes forward. Any thread may ask and tell.
    """

    def __init__(self, interval: float, gap: float) -> None:
        self._interval = interval
        self._gap = max(interval, gap)
        self._lock = threading.Lock()
        self._heard: float | None = None
        self._well_since = float("-inf")

    def begin(self, now: float) -> None:
        """The store answers, as far as is known."""
        with self._lock:
            self._heard = now

    def heard(self, now: float) -> None:
        """The store has answered a beat."""
        with self._lock:
            if self._heard is not None and now - self._heard > self._gap:
                self._well_since = now
            self._heard = now

    def failed(self, now: float) -> None:
        """The store has not answered."""
        with self._lock:
            self._well_since = now

    def ready_in(self, now: float) -> float:
        """In how many seconds the jobs of others may be given back, 0 for now."""
        with self._lock:
            if self._heard is not None and now - self._heard > self._gap:
                return self._interval  # perhaps it is away just now
            return max(0.0, self._well_since + self._interval - now)
