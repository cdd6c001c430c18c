"""Under which name a process is registered in each shard.

A process registers in every shard. Where its lease ran out while the shard was down, its supervisor
registers it there again under another name, ``ID~1``, then ``ID~2``: a name that was given up is
never used again, so that what its jobs still write is refused. The child, which is another process
of the machine, finds the new name among the shard's records.
"""

from __future__ import annotations

from collections.abc import Iterable

from longshore.core.store import NewProcess, ProcessRecord

_MARK = "~"


def base(name: str) -> str:
    """The id of the process that has this name in some shard."""
    return name.partition(_MARK)[0]


class Lives:
    """What one program knows of names: of its own processes as it registers or uses them."""

    def __init__(self) -> None:
        self._lives: dict[tuple[str, int], int] = {}
        #: Processes that were registered here, to be registered again.
        self.registered: dict[str, NewProcess] = {}

    def name(self, process_id: str, shard: int) -> str:
        """The present name of a process in a shard."""
        life = self._lives.get((process_id, shard), 0)
        return f"{process_id}{_MARK}{life}" if life else process_id

    def names(self, process_id: str, shard: int) -> list[str]:
        """Every name that a process has had in a shard."""
        lives = range(1, self._lives.get((process_id, shard), 0) + 1)
        return [process_id, *(f"{process_id}{_MARK}{life}" for life in lives)]

    def again(self, process_id: str, shard: int) -> str:
        """A name that was not used before."""
        key = (process_id, shard)
        self._lives[key] = self._lives.get(key, 0) + 1
        return self.name(process_id, shard)

    def follow(self, process_id: str, shard: int, records: Iterable[ProcessRecord]) -> bool:
        """Take over the name under which a process lives in a shard now; whether it is another."""
        before = self.name(process_id, shard)
        for record in records:
            if base(record.id) == process_id and record.lease_left > 0:
                life = record.id.partition(_MARK)[2]
                self._lives[process_id, shard] = int(life) if life.isdecimal() else 0
        return self.name(process_id, shard) != before

    def forget(self, process_id: str) -> None:
        """The process is gone."""
        self.registered.pop(process_id, None)
        for key in [key for key in self._lives if key[0] == process_id]:
            del self._lives[key]
