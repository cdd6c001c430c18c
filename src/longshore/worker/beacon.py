"""Shared memory between a child and its supervisor: what a dead child cannot say any more.

A ring of the last started (job id, run), and a few numbers for the heart and for people. The
child writes, the supervisor reads; each field is written whole, so no lock is needed. The ring is
longer than the most jobs a process may hold, so a started job that has not been finished is in it.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from itertools import count

_HEAD = struct.Struct("qqqq")  # oldest claim, bodies running, jobs ended, turns of the store thread
_ENTRY = struct.Struct("36sI")
_OFFSET = 64
_ENTRIES = 4096
_SIZE = _OFFSET + _ENTRIES * _ENTRY.size


class Beacon:
    """One child's page of shared memory; both sides open it from the same descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, _SIZE)
        self._next = count()
        self._turns = count(1)

    @staticmethod
    def create() -> int:
        """A descriptor of fresh shared memory; the caller closes it."""
        with tempfile.TemporaryFile() as file:
            file.truncate(_SIZE)
            return os.dup(file.fileno())

    def started(self, job_id: str, run: int) -> None:
        """A body is about to start; called in its slot, so it must be quick."""
        # next() of a count is atomic: two slots never share an entry.
        place = _OFFSET + next(self._next) % _ENTRIES * _ENTRY.size
        _ENTRY.pack_into(self._memory, place, job_id.encode(), run)

    def tend(self, oldest_claim: int, busy: int, ended: int) -> None:
        """The store thread's sign of progress."""
        _HEAD.pack_into(self._memory, 0, oldest_claim, busy, ended, next(self._turns))

    def read_started(self) -> frozenset[tuple[str, int]]:
        """Every (job id, run) in the ring."""
        entries = _ENTRY.iter_unpack(self._memory[_OFFSET:_SIZE])
        return frozenset((job_id.decode(), run) for job_id, run in entries if job_id[0])

    def read_head(self) -> tuple[int, int, int, int]:
        """Oldest claim, bodies running, jobs ended, turns."""
        head: tuple[int, int, int, int] = _HEAD.unpack_from(self._memory, 0)
        return head

    def close(self) -> None:
        """Unmap it."""
        self._memory.close()
