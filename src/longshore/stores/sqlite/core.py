"""What a SQLite file does otherwise than other SQL stores: whose clock it is, and what leases mean.

There is no server whose clock could decide: it is this machine's. A lease counts in the time since
the machine started, together with the boot that this time counts from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from longshore.core.store import Retention
from longshore.stores.clock import Clock, SystemClock
from longshore.stores.sql.core import Core


class SQLiteCore(Core):
    """The hooks of :class:`longshore.stores.sql.core.Core` for SQLite."""

    database: ClassVar[str] = "sqlite"
    remote: ClassVar[bool] = False

    def __init__(self, retention: Retention, clock: Clock | None, prefix: str) -> None:
        self.machine = clock or SystemClock()
        super().__init__(retention, self.machine, prefix)

    def lease_time(self, now: int) -> Mapping[str, Any]:  # noqa: ARG002 - the wall may jump
        """Which boot this is and how long ago it was."""
        return {"boot_id": self.machine.boot_id(), "boot_now": self.machine.boot_us()}

    def lease_end(self, now: int, lease: int) -> int:  # noqa: ARG002 - the wall may jump
        """When a lease given now ends, in the time since boot."""
        return self.machine.boot_us() + lease
