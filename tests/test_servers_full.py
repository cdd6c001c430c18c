"""A Redis without room refuses new jobs, goes on with those it has and comes back by itself."""

import contextlib
from pathlib import Path

import pytest

from longshore import JobState, StoreFull
from longshore.core.store import Filter
from tests.harbour_tools import Harbour
from tests.places import each, place
from tests.servers import private

pytestmark = [pytest.mark.slow, pytest.mark.private, pytest.mark.timeout(120)]
ROOM = "12mb"
CARGO = "x" * 2_000


def fill(harbour: Harbour, kept: str) -> list[str]:
    """Enqueue until there is no room; the ids of what was acknowledged."""
    carry = harbour.app.carry.using(keep_result=kept)
    acked: list[str] = []
    with contextlib.suppress(StoreFull):
        acked.extend(carry.enqueue(n, CARGO).id for n in range(100_000))
    # And not only once; a refusal leaves nothing behind.
    with pytest.raises(StoreFull):
        carry.enqueue(-1, CARGO)
    with pytest.raises(StoreFull):
        harbour.jobs.enqueue_many([carry.bind(-2, CARGO) for _ in range(50)])
    return acked


@pytest.mark.parametrize("kept", ["0s", "1h"])
@pytest.mark.parametrize("kind", each("redis", "valkey"))
def test_a_full_store_drains(kind: str, kept: str, tmp_path: Path) -> None:
    """Also where the ended stay: a claim and an ending need no room that is not there."""
    with private(kind, "--maxmemory", ROOM) as server, place(kind, tmp_path, server) as where:
        harbour = Harbour(tmp_path, **where.environment, LONGSHORE_KEEP_SUCCEEDED=kept)
        try:
            acked = fill(harbour, kept)
            assert len(acked) > 500
            worker = harbour.worker("--until-empty", processes=2)
            assert worker.wait(60) == 0, harbour.logs()
            ran = [int(line[3]) for line in harbour.lines() if line[2] == "carry"]
            assert sorted(ran) == list(range(len(acked)))
            store = harbour.jobs.store
            states = {counted.state for counted in store.run(store.count(Filter())) if counted.jobs}
            assert states <= {JobState.SUCCEEDED}
            assert len(store.run(store.get(acked))) == (0 if kept == "0s" else len(acked))
            assert "Traceback" not in harbour.logs()
            if kept == "0s":
                harbour.app.carry.enqueue(1, CARGO)
        finally:
            harbour.stop()
