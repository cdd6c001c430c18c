"""What tests of limits, turns and unique jobs share: the least of a worker."""

from __future__ import annotations

from collections.abc import Sequence

from longshore import Longshore
from longshore.core.model import Claimed
from longshore.core.store import ClaimRequest, Line, NewProcess, Rescue


class Hand:
    """A process that claims when told to and runs nothing."""

    def __init__(self, jobs: Longshore, name: str = "hand") -> None:
        self.store = jobs.store
        self.name = name
        self.claims = 0
        self.store.run(
            self.store.register(
                NewProcess(
                    id=name,
                    app="test",
                    name=name,
                    host="here",
                    pid=1,
                    lease=3_600_000_000,
                    queues=("*",),
                    kinds=jobs.registry.names(),
                    slots=10,
                    embedded=True,
                )
            )
        )

    def claim(self, wanted: int = 10, queues: Sequence[str] = ("*",)) -> list[Claimed]:
        self.claims += 1
        lines = tuple(Line((queue,)) for queue in queues)
        claim = self.store.run(
            self.store.claim(ClaimRequest(self.name, self.claims, wanted, lines))
        )
        return list(claim.jobs)

    def die(self, *started: Claimed) -> None:
        """Its jobs are given back; those that had started were interrupted."""
        begun = frozenset((job.id, job.run) for job in started)
        self.store.run(self.store.rescue(Rescue(self.name, begun)))
