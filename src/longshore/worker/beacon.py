"""Shared memory between a child and its supervisor: what a dead child cannot say any more.

A table of started (job id, run) and whether the body is over, and a few numbers for the heart and
for people. The child writes, the supervisor reads, and the other way round when the lease was
renewed; each field is written whole, so no lock is needed. A place is used again only
after the end of its run was stored, so a started job that has not been finished is in the table
however long it runs: there are more places than jobs that a process may hold.
"""

from __future__ import annotations

import mmap
import struct
from collections import deque
from collections.abc import Iterable
from itertools import chain, count
from typing import TYPE_CHECKING

from longshore.worker import shared

if TYPE_CHECKING:
    from longshore.running import RunState

_HEAD = struct.Struct("qqqq")  # oldest claim, bodies running, jobs ended, turns of the store thread
_NUMBER = struct.Struct("q")
_TIME = struct.Struct("d")
# Behind the head, each written by itself.
_FENCED, _RENEWED, _EXCLUSIVE, _TICKS, _PLACE = 32, 40, 48, 56, 64
_ENTRY = struct.Struct("=36sIB")  # job id, run, whether the body is over
_OVER = 40
_OFFSET = 72
_ENTRIES = 4096
_SIZE = _OFFSET + _ENTRIES * _ENTRY.size


class Beacon:
    """One child's page of shared memory; both sides open it from the same descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, _SIZE)
        self._free = deque[int]()
        # Fresh places first. They are not listed beforehand: a supervisor, which takes none, has
        # one of these for each child.
        self._places = chain(range(_ENTRIES), iter(self._free.popleft, None))
        self._turns = count(1)
        self._ticks = count(1)

    @staticmethod
    def create() -> int:
        """A descriptor of fresh shared memory; the caller closes it."""
        return shared.create(_SIZE)

    def started(self, job_id: str, run: int) -> int:
        """A body is about to start; called in its slot, so it must be quick.

        Returns its place, for :meth:`settled`.
        """
        try:
            # Atomic: two slots never share a place.
            place = next(self._places)
        except IndexError:
            return -1
        _ENTRY.pack_into(self._memory, _OFFSET + place * _ENTRY.size, job_id.encode(), run, 0)
        return place

    def ended(self, place: int) -> None:
        """The body of the run at this place is over, and how it ended is known here."""
        self._memory[_OFFSET + place * _ENTRY.size + _OVER] = 1

    def settled(self, runs: Iterable[RunState]) -> None:
        """The ends of these runs are stored, or others have their jobs."""
        for run in runs:
            if run.place >= 0:
                self._free.append(run.place)
                run.place = -1

    def tend(self, oldest_claim: int, busy: int, ended: int, fenced: int = 0) -> None:
        """The store thread's sign of progress; ``fenced`` writes have come back refused."""
        _HEAD.pack_into(self._memory, 0, oldest_claim, busy, ended, next(self._turns))
        _NUMBER.pack_into(self._memory, _FENCED, fenced)

    def tick(self) -> None:
        """A sign of life of the thread beside the store thread."""
        _NUMBER.pack_into(self._memory, _TICKS, next(self._ticks))

    def hold(self, exclusive: int) -> None:
        """So many bodies run that must have ended before the lease does."""
        _NUMBER.pack_into(self._memory, _EXCLUSIVE, exclusive)

    def stand(self, place: int) -> None:
        """It stands there in the line of those who claim."""
        _NUMBER.pack_into(self._memory, _PLACE, place)

    def renew(self, at: float) -> None:
        """The supervisor has renewed the lease, asked for at this time since boot, in seconds.

        Of a child that was buried meanwhile nobody has to know.
        """
        if not self._memory.closed:
            _TIME.pack_into(self._memory, _RENEWED, at)

    def renewed(self) -> float:
        """When the lease was renewed; 0 if not yet."""
        at: float = _TIME.unpack_from(self._memory, _RENEWED)[0]
        return at

    def read_place(self) -> int:
        """Where it stands in the line of those who claim."""
        return self._number(_PLACE)

    def read_started(self) -> frozenset[tuple[str, int]]:
        """Every (job id, run) in the table."""
        return frozenset((job_id, run) for job_id, run, _ in self._entries())

    def read_over(self) -> frozenset[tuple[str, int]]:
        """Of them those whose bodies were over; of what is stored since, nothing follows."""
        return frozenset((job_id, run) for job_id, run, over in self._entries() if over)

    def read_head(self) -> tuple[int, int, int, int]:
        """Oldest claim, bodies running, jobs ended, turns."""
        head: tuple[int, int, int, int] = _HEAD.unpack_from(self._memory, 0)
        return head

    def read_signs(self) -> tuple[int, int]:
        """Turns of the store thread, and ticks of the one beside it."""
        return self.read_head()[3], self._number(_TICKS)

    def read_exclusive(self) -> int:
        """Bodies that must have ended before the lease does."""
        return self._number(_EXCLUSIVE)

    def read_fenced(self) -> int:
        """Writes that came back refused, since others have the job."""
        return self._number(_FENCED)

    def _entries(self) -> Iterable[tuple[str, int, int]]:
        for job_id, run, over in _ENTRY.iter_unpack(self._memory[_OFFSET:_SIZE]):
            if job_id[0]:
                yield job_id.decode(), run, over

    def _number(self, place: int) -> int:
        number: int = _NUMBER.unpack_from(self._memory, place)[0]
        return number

    def close(self) -> None:
        """Unmap it."""
        self._memory.close()
