"""A batch and a workflow whose workers are killed; ``faults/test_batches.py`` has the full size."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.places import each
from tests.storm_tools import graph, members, stormy

pytestmark = [pytest.mark.timeout(180), pytest.mark.slow]


@pytest.mark.parametrize("kind", [*each("sqlite", "redis"), "sqlite-shards"])
def test_members_are_counted_whatever_is_killed(kind: str, tmp_path: Path) -> None:
    with stormy(kind, tmp_path, seed=3, pace=0.02) as storm:
        members(storm, 400, inside=100, kills=2, apart=1)
        assert min(storm.met[what] for what in ("retried", "cancelled", "late")) > 0


@pytest.mark.parametrize("kind", each("sqlite", "redis"))
def test_nodes_run_in_order_whatever_is_killed(kind: str, tmp_path: Path) -> None:
    with stormy(kind, tmp_path, seed=3, pace=0.02) as storm:
        graph(storm, 60, kills=1)
        assert storm.met["retried"] > 0
