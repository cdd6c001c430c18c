"""The two clocks a store decides by: the wall for what is due, time since boot for leases.

Wall time may jump (an administrator, a time server, a resumed laptop); a lease judged by it
would be lost or live for ever. Time since boot only goes forward, sleep included, and means
something only together with the boot it counts from.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Protocol

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """What a store asks for the time; whole microseconds."""

    def wall_us(self) -> int:
        """Microseconds since 1970 UTC."""
        ...

    def boot_us(self) -> int:
        """Microseconds since this machine started, sleep included."""
        ...

    def boot_id(self) -> str:
        """Which start of which machine :meth:`boot_us` counts from."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def __init__(self) -> None:
        # CLOCK_BOOTTIME is Linux's; elsewhere the monotonic clock is the nearest there is.
        self._clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        try:
            self._boot_id = _BOOT_ID.read_text("ascii").strip()
        except OSError:
            # One id for the machine: processes that share a file must agree on it.
            self._boot_id = f"{uuid.getnode():012x}"

    def wall_us(self) -> int:
        return time.time_ns() // 1000

    def boot_us(self) -> int:
        return time.clock_gettime_ns(self._clock) // 1000

    def boot_id(self) -> str:
        return self._boot_id


class ManualClock:
    """A clock that moves when it is told to, for tests.

    Example:
        >>> clock = ManualClock(wall=1_000)
        >>> clock.advance(500)
        >>> clock.now()
        1500
    """

    def __init__(self, *, wall: int = 1_893_456_000_000_000, boot: int = 1_000_000_000) -> None:
        self._wall = wall
        self._boot = boot
        self._boots = 1

    def now(self) -> int:
        """The wall, microseconds."""
        return self._wall

    def wall_us(self) -> int:
        return self._wall

    def boot_us(self) -> int:
        return self._boot

    def boot_id(self) -> str:
        return f"boot-{self._boots}"

    def advance(self, duration: int) -> None:
        """Let microseconds pass on both clocks."""
        self._wall += duration
        self._boot += duration

    def set_wall(self, wall: int) -> None:
        """Set the wall alone, as an administrator may."""
        self._wall = wall

    def reboot(self) -> None:
        """Start the machine anew: time since boot begins at nothing under another id."""
        self._boot = 0
        self._boots += 1
