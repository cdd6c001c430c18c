"""What a process keeps in mind of jobs that it has claimed: nothing once they have ended."""

from __future__ import annotations

import gc
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest

from longshore import Longshore
from longshore.core.model import Ending, JobState, Lease
from longshore.core.store import ClaimRequest, Store
from tests.places import each, place
from tests.store_tools import EVERYTHING, job, register

JOBS, AT_ONCE = 1_500, 50
#: Of each job; a twentieth of it may stay behind on average.
PAYLOAD = b'{"v":1,"args":["' + b"x" * 4_000 + b'"],"kwargs":{}}'


@pytest.mark.parametrize("kind", each("sqlite", "postgres18", "mariadb", "redis"))
@pytest.mark.parametrize("way", ["finish", "exchange"])
def test_a_process_forgets_the_jobs_that_have_ended(kind: str, way: str, tmp_path: Path) -> None:
    with place(kind, tmp_path) as where, closing(Longshore(where.url, prefix=where.prefix)) as app:
        register(app.store, lease=3_600_000_000)
        drain(app.store, way, 1)
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            drain(app.store, way, 2)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert after - before < JOBS * len(PAYLOAD) / 20


def drain(store: Store, way: str, time: int) -> None:
    """Store jobs, claim them some at a time and report their ends, alone or with the next claim."""
    store.run(store.insert([job(payload=PAYLOAD) for _ in range(JOBS)]))
    ended: list[Ending] = []
    for number in range(1, JOBS // AT_ONCE + 1):
        request = ClaimRequest("p", time * JOBS + number, AT_ONCE, EVERYTHING)
        if way == "finish":
            jobs = store.run(store.claim(request)).jobs
        else:
            jobs = store.run(store.exchange(ended, request)).claim.jobs
        assert len(jobs) == AT_ONCE
        ended = [Ending(Lease(one.id, "p", one.run), JobState.SUCCEEDED) for one in jobs]
        if way == "finish" or number == JOBS // AT_ONCE:
            assert len(store.run(store.finish(ended))) == AT_ONCE
