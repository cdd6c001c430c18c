"""What one process of a worker is to do, and how far it is with stopping."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import msgspec

from longshore.core.store import Line

if TYPE_CHECKING:
    from longshore.running import RunState

_ENDLESS = 1 << 62


class Page(Protocol):
    """Where a process and who beats for it tell each other of its lease."""

    def renewed(self) -> float:
        """When the lease was last renewed, by seconds since boot; 0 if not yet."""
        ...

    def renew(self, at: float) -> None: ...
    def tick(self) -> None: ...
    def hold(self, exclusive: int) -> None:
        """So many bodies run that must have ended before the lease does."""
        ...


class Beacon(Page, Protocol):
    """Where a process writes down that a body is about to start, for whoever outlives it."""

    def started(self, job_id: str, run: int) -> int: ...
    def ended(self, place: int) -> None: ...
    def settled(self, runs: Iterable[RunState]) -> None: ...
    def tend(self, oldest_claim: int, busy: int, ended: int, fenced: int = 0) -> None: ...


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What one process is to do; durations in seconds."""

    lines: tuple[Line, ...]
    weights: tuple[int | None, ...] = ()  # of the lines, if any has one
    slots: int
    poll_interval: float
    lease: float
    kinds_digest: str
    until_empty: bool = False
    max_jobs: int | None = None
    idle_timeout: float | None = None

    @property
    def ends(self) -> bool:
        """Whether the process ends by itself when nothing is left to do."""
        return self.until_empty or self.idle_timeout is not None

    def left(self, claimed: int) -> int:
        """How many more jobs a process that has claimed so many may claim in its life."""
        return _ENDLESS if self.max_jobs is None else max(0, self.max_jobs - claimed)


class Mode(Enum):
    """How far a process is with stopping."""

    CLAIMING = "claiming"
    QUIET = "quiet"
    DRAINING = "draining"
    STOPPED = "stopped"
