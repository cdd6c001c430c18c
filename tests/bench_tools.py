"""Results of a benchmark that nobody has run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.cells import Skipped
from bench.machine import ROOT, facts
from bench.results import Measured, PeerFacts, Results


def results_of(
    *entries: Measured,
    rounds: int = 1,
    skipped: Sequence[Skipped] = (),
    peers: Mapping[str, PeerFacts] | None = None,
) -> Results:
    """A run of these cells."""
    return Results(
        commit="none",
        changed=False,
        started="2030-01-01T00:00:00+00:00",
        seconds=1.0,
        quick=True,
        rounds=rounds,
        machine=facts(ROOT),
        settings={},
        targets={},
        cells=list(entries),
        skipped=list(skipped),
        peers=dict(peers or {}),
    )
