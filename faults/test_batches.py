"""A batch of ten thousand and a workflow of five hundred whose workers are killed all the time.

``STORM_SEED`` gives the seed of a run again, which is printed.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from tests.places import each
from tests.storm_tools import Storming, graph, members, stormy

pytestmark = [pytest.mark.timeout(900)]
STORES = each("sqlite", "postgres16", "postgres18", "mariadb", "redis", "valkey")
# Their names are not those of servers, so that they are marked here.
SHARDS = ["sqlite-shards", pytest.param("redis-shards", marks=pytest.mark.servers)]
SAMPLES = 100


def _seed() -> int:
    given = os.environ.get("STORM_SEED")
    return int(given) if given else random.SystemRandom().randrange(1_000_000)


def _tell(kind: str, storm: Storming, seed: int, began: float) -> None:
    told = ", ".join(f"{count} {what}" for what, count in sorted(storm.met.items()))
    print(f"{kind}: {told} in {time.monotonic() - began:.0f} s; seed {seed}")


@pytest.mark.parametrize("kind", [*STORES, *SHARDS])
def test_ten_thousand_members_are_counted_whatever_is_killed(kind: str, tmp_path: Path) -> None:
    seed, began = _seed(), time.monotonic()
    print(f"{kind}: seed {seed}")
    with stormy(kind, tmp_path, seed) as storm:
        members(storm, 10_000, inside=1_000, kills=16, apart=10)
        _tell(kind, storm, seed, began)
        assert storm.met["samples"] >= SAMPLES
        assert min(storm.met[what] for what in ("retried", "cancelled", "late", "interrupted")) > 0


@pytest.mark.parametrize("kind", [*STORES, *SHARDS])
def test_five_hundred_nodes_run_in_order_whatever_is_killed(kind: str, tmp_path: Path) -> None:
    seed, began = _seed(), time.monotonic()
    print(f"{kind}: seed {seed}")
    with stormy(kind, tmp_path, seed, pace=0.03) as storm:
        graph(storm, 500, kills=10)
        _tell(kind, storm, seed, began)
        assert min(storm.met[what] for what in ("retried", "interrupted")) > 0
