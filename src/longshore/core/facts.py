"""What a store says of itself, in its server's words: for `doctor` and for workers that start.

Nothing is judged here; :mod:`longshore.core.fitness` does that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

#: File systems on which locks do not hold between machines, or shared memory does not work.
NETWORK: Final = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "9p", "afs", "ncpfs", "ceph", "lustre"),
        *("glusterfs", "beegfs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs"),
    }
)


class Clock(msgspec.Struct, frozen=True, gc=False):
    """A store's clock beside this machine's, microseconds.

    ``ahead``: by how much the store's is in front of ours. The answer was on its way for a time
    of which only the sum is known, so that it may be off by ``error`` in either direction.
    """

    ahead: int
    error: int

    @classmethod
    def read(cls, before: int, theirs: int, after: int) -> Clock:
        """From the time there, asked for between these two times here."""
        return cls(theirs - (before + after) // 2, (after - before + 1) // 2)


class Room(msgspec.Struct, frozen=True, gc=False):
    """Connections: how many a server takes from this user and how many it has now.

    ``each`` is how many one process of a worker may hold, and so may its supervisor.
    """

    most: int
    used: int
    each: int

    @property
    def free(self) -> int:
        """How many more it takes now."""
        return max(0, self.most - self.used)

    def needed(self, processes: int) -> int:
        """How many a worker of so many processes may come to hold."""
        return (processes + 1) * self.each


class Facts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One store as it was found.

    ``store`` is its name as in an address, ``product`` the server's own, ``version`` as it says
    it. ``values`` are settings and states under the names that the server gives them, as text;
    what it did not tell is left out, and ``unseen`` says of what matters what right shows it.
    ``keeps``: the application wants what is acknowledged to be on disk. ``forced``: the address
    accepts a server that would otherwise be refused.
    """

    store: str
    address: str
    product: str
    version: str
    values: Mapping[str, str] = {}
    unseen: tuple[str, ...] = ()
    clock: Clock | None = None
    room: Room | None = None
    keeps: bool = True
    forced: bool = False

    def number(self, name: str) -> int | None:
        """A value as a whole number; ``None`` where it was not told or is none."""
        text = self.values.get(name, "")
        return int(text) if text.removeprefix("-").isdecimal() else None

    def on(self, name: str) -> bool | None:
        """A value as yes or no, however the server writes it; ``None`` where it was not told."""
        text = self.values.get(name)
        return None if text is None else text.lower() in _YES


_YES = frozenset({"on", "1", "yes", "true", "t"})


def numbers_of(version: str) -> tuple[int, ...]:
    """The numbers with which a version begins: ``16.3 (Debian)`` gives 16 and 3."""
    # A MariaDB may introduce itself as 5.5.5-10.6.4-MariaDB, for clients that knew no 10.
    first = version.removeprefix("5.5.5-").partition("-")[0].partition(" ")[0]
    numbers: list[int] = []
    for part in first.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)
