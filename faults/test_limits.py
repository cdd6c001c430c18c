"""Limits in full size on every store: workers stopped and killed, ten thousand jobs of ten keys."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import pytest

from tests.owners_tools import Lives, churn, limited, no_leak
from tests.places import each

pytestmark = [pytest.mark.timeout(900)]
SERVERS = ("postgres18", "mariadb", "redis", "valkey")
TOTAL = 10_000


@pytest.mark.parametrize("kind", each("sqlite", *SERVERS))
def test_a_limit_of_one_has_one_owner(kind: str, tmp_path: Path) -> None:
    with limited(kind, tmp_path) as harbour:
        lives = Lives(harbour)
        lives.live(rounds=3)
        took = {
            fault: f"{statistics.median(times):.2f} s, at most {max(times):.2f} s"
            for fault, times in lives.took.items()
        }
        print(f"{kind}: one owner; the key was free again after {took}")


@pytest.mark.parametrize("kind", each("sqlite", *SERVERS))
def test_ten_thousand_jobs_under_kills_leave_no_slot(kind: str, tmp_path: Path) -> None:
    with limited(kind, tmp_path) as harbour:
        began = time.monotonic()
        churn(harbour, TOTAL)
        took = time.monotonic() - began
        print(f"{kind}: {TOTAL} jobs of ten keys in {took:.0f} s, 5 kills, no slot left")


def test_ten_thousand_jobs_leave_no_slot_in_memory(tmp_path: Path) -> None:
    with limited("memory", tmp_path) as harbour:
        jobs = harbour.jobs
        handles = jobs.enqueue_many(harbour.app.sole.bind(n % 10) for n in range(TOTAL))
        jobs.worker(threads=8).run(until_empty=True)
        no_leak(harbour, [handle.id for handle in handles])
