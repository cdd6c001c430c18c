"""What tests of limits, turns and unique jobs share: the least of a worker, and how to judge."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from longshore import JobHandle, Longshore
from longshore.core.model import Claimed, JobRecord
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


# --- rates --------------------------------------------------------------------------------------


def most_within(starts: Iterable[float], seconds: float) -> int:
    """How many of these moments lie in the fullest window of this length."""
    ordered = sorted(starts)
    most, first = 0, 0
    for last, at in enumerate(ordered):
        while at - ordered[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


class Pace(NamedTuple):
    """What was seen of jobs with a rate: seconds, and starts of bodies in the fullest windows."""

    took: float
    late: float
    latest: float
    within_095: int
    within_1: int
    within_105: int


def check_rate(
    records: Sequence[JobRecord], started: Mapping[int, float], *, to: int = 100
) -> Pace:
    """Hold jobs of ``to`` a second to it; ``started`` tells when the body of each job began.

    Bodies are held to windows shorter by what may lie between a claim and its body: 50 ms, or what
    it was here at most.
    """
    claimed = [(record.attempted_at or 0) / 1e6 for record in records]
    # The store's word: never more than that in any second, and hardly a second wasted; what a
    # machine wastes that has other things to do is its own.
    fullest = most_within(claimed, 0.999999)
    assert fullest <= to, fullest
    took, least = max(claimed) - min(claimed), len(records) / to - 1
    assert least <= took <= least + max(0.5, 0.025 * least), took
    # Where nothing runs for a quarter of a second a job goes back, and no attempt is used for it.
    assert {record.failures + record.interruptions for record in records} == {0}
    # The bodies' word: each starts when it is claimed, give or take what this machine does.
    late = [started[n] - claimed[n] for n in range(len(records))]
    assert statistics.median(late) < 0.1, late
    assert most_within(started.values(), 1 - max(0.05, *late)) <= to
    held = [most_within(started.values(), seconds) for seconds in (0.95, 1.0, 1.05)]
    return Pace(took, statistics.median(late), max(late), *held)


# --- turns --------------------------------------------------------------------------------------


def one_turn(hand: Hand, late: Callable[[], JobHandle[Any]]) -> None:
    """``late`` enqueues the only job of a tenant while many of another wait: it is among the next
    two, whether they are claimed together or one by one."""
    assert len(hand.claim(3)) == 3
    together = late()
    assert together.id in [job.id for job in hand.claim(2)]
    alone = late()
    assert alone.id in [job.id for _ in range(2) for job in hand.claim(1)]


def shares(hand: Hand, total: int, chunk: int) -> list[str]:
    """The tenants of so many claimed jobs in order, half of them claimed one at a time."""
    claimed: list[Claimed] = []
    while len(claimed) < total // 2:
        claimed += hand.claim(chunk)
    while len(claimed) < total:
        claimed += hand.claim(1)
    return [tenant_of(job) for job in claimed]


def check_shares(order: Sequence[str], weights: Mapping[str, int]) -> dict[str, float]:
    """Each tenant gets its weight, within a twentieth, and none waits for three rounds of turns.

    Returns by how much each was off.
    """
    whole, taken = sum(weights.values()), Counter(order)
    off = {
        tenant: taken[tenant] * whole / (len(order) * weight) - 1
        for tenant, weight in weights.items()
    }
    assert max(map(abs, off.values())) <= 0.05, off
    for tenant, weight in weights.items():
        places = [-1, *(n for n, one in enumerate(order) if one == tenant), len(order)]
        longest = max(after - before for before, after in pairwise(places))
        assert longest <= 3 * whole / weight, (tenant, longest)
    return off


def tenant_of(job: Claimed) -> str:
    """The argument `tenant` of a claimed job."""
    return str(json.loads(job.payload)["kwargs"]["tenant"])
