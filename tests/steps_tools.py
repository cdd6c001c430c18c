"""What a SQL store really holds of steps and logs once their jobs are gone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from longshore.core.model import RUN_LINES, Ending, JobState, Lease, LogLine, Patch, Step
from longshore.core.store import Retention, Store
from longshore.core.store_url import parse_url
from longshore.stores import connect
from tests.places import Place
from tests.store_tools import claim, job, register

TABLES = ("noted", "step", "log")

#: Opens a connection of the driver to an address.
Connect = Callable[[Any], Any]


def opened(where: Place) -> Store:
    """A store that keeps nothing of jobs that have ended."""
    nothing = Retention(succeeded=0, cancelled=0, dead=0)
    store = connect(where.url, retention=nothing, prefix=where.prefix, durability="full")
    store.migrate()
    return store


def assert_nothing_is_left(where: Place, raw: Connect) -> None:
    """Delete removes at once, pruning what jobs have left of which nothing is kept."""
    store = opened(where)
    with contextlib.closing(store), contextlib.closing(raw(parse_url(where.url))) as connection:

        def left() -> list[int]:
            cursor = connection.cursor()
            counts: list[int] = []
            for table in TABLES:
                cursor.execute(f"select count(*) from {where.prefix}{table}")
                counts.append(cursor.fetchone()[0])
            connection.commit()
            return counts

        register(store)
        store.run(store.insert([job(keep_result=0) for _ in range(3)]))
        leases = [Lease(job_id, "p", 1) for job_id in claim(store)]
        line = LogLine(RUN_LINES + 1, 1, "info", "said")
        step = Step("a", b"1", 1, 1)
        store.run(store.save([Patch(one, steps=(step,), lines=(line,)) for one in leases]))
        assert left() == [3, 3, 3]
        ended, given_back, _ = leases
        store.run(
            store.finish(
                [Ending(ended, JobState.SUCCEEDED), Ending(given_back, JobState.AVAILABLE)]
            )
        )
        store.run(store.delete([given_back.job_id]))
        assert left() == [2, 2, 2], "a person who deletes a job deletes what it has left"
        store.run(store.prune(10))
        assert left() == [1, 1, 1], "what runs keeps its own"
