"""What tests of the stores say in one word: a job, a process, a claim."""

import time
from typing import Any

import msgspec
import pytest

from longshore.core.model import Claimed, JobState, NewJob
from longshore.core.store import ClaimRequest, Line, NewProcess, Store
from longshore.ids import new_id
from longshore.stores.sql.schema import read
from longshore.testing.conformance import Bench, OpenStore

EVERYTHING = (Line(("*",)),)
LEASE = 15_000_000


def job(**fields: object) -> NewJob:
    now = time.time_ns() // 1000
    given: dict[str, object] = {
        "id": new_id(),
        "kind": "app.job",
        "queue": "default",
        "payload": b"{}",
        "state": JobState.AVAILABLE,
        "priority": 0,
        "scheduled_at": now,
        "created_at": now,
    }
    return NewJob(**{**given, **fields})


def claimed(**fields: Any) -> Claimed:
    """A job in the hands of a worker, in its first run unless told otherwise."""
    job = Claimed(
        id="id-1",
        run=1,
        kind="app.work",
        queue="default",
        payload=b"{}",
        priority=0,
        failures=0,
        interruptions=0,
        max_attempts=25,
        scheduled_at=0,
        created_at=0,
        claimed_at=0,
        timeout=None,
        keep_result=None,
        budgets=None,
        tags=(),
        meta=None,
    )
    return msgspec.structs.replace(job, **fields)


def driven(way: str) -> Any:
    """A `bench` of one driver, for a class of tests of a store that has both elsewhere."""

    @pytest.fixture(name="bench", params=[way])
    def bench(self: object, open_store: OpenStore, request: pytest.FixtureRequest) -> Any:
        made = Bench(open_store, awaiting=request.param == "awaiting")
        yield made
        made.close()

    return bench


def register(store: Store, name: str = "p", lease: int = LEASE) -> None:
    store.run(
        store.register(
            NewProcess(
                id=name,
                app="app",
                name=name,
                host="host",
                pid=1,
                lease=lease,
                queues=("*",),
                kinds=("app.job",),
                slots=1,
                embedded=False,
            )
        )
    )


def claim(store: Store, claim_id: int = 1, wanted: int = 10, **fields: object) -> list[str]:
    request = ClaimRequest("p", claim_id, wanted, **{"lines": EVERYTHING, **fields})
    return [claimed.id for claimed in store.run(store.claim(request)).jobs]


def migrations(database: str = "sqlite") -> tuple[str, ...]:
    """The names of all migrations of a database, in order; every database has the same."""
    return tuple(read(database, "longshore_"))
