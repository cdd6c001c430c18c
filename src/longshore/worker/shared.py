"""Memory that processes share by its descriptor, and one number that siblings keep in it."""

from __future__ import annotations

import mmap
import os
import struct

_NUMBER = struct.Struct("d")


def create(size: int) -> int:
    """A descriptor of so many bytes of fresh shared memory, all 0; the caller closes it."""
    if hasattr(os, "memfd_create"):
        # Not a file: behind a full disk its first write would be a bus error.
        memory = os.memfd_create("longshore")
        os.truncate(memory, size)
        return memory
    import tempfile  # noqa: PLC0415 - heavy, and not needed on Linux

    with tempfile.TemporaryFile() as file:
        file.truncate(size)
        return os.dup(file.fileno())


class Pace:
    """How long the jobs of a worker take in the mean, microseconds, as the last child has said.

    A child that has run none yet would else ask for one to each slot, and each of sixty did that
    once. The number is written whole, so no lock is needed.
    """

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, _NUMBER.size)

    @staticmethod
    def create() -> int:
        """Where nobody has said anything yet; the caller closes it."""
        return create(_NUMBER.size)

    def say(self, mean: float) -> None:
        """My jobs take so long."""
        _NUMBER.pack_into(self._memory, 0, mean)

    def hear(self) -> float | None:
        """What was said last."""
        mean: float = _NUMBER.unpack_from(self._memory, 0)[0]
        return mean or None
