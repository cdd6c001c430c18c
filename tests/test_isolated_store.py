"""What a job of a process of its own asks of its store: through its parent, on every store."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore.core.model import JobState
from longshore.ids import new_id
from tests.harbour_tools import APPS, Harbour
from tests.places import each
from tests.storm_tools import settings_on

pytestmark = [pytest.mark.timeout(120), pytest.mark.slow]

KINDS = [
    *each("sqlite", "postgres18", "mariadb", "redis"),
    "sqlite-shards",
    pytest.param("redis-shards", marks=pytest.mark.servers),
]


@pytest.fixture
def harbour(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harbour]:
    with settings_on(request.param, tmp_path) as settings:
        made = Harbour(tmp_path, name="apart", **settings)
        made.jobs.migrate()
        yield made
        made.stop()


@pytest.mark.parametrize("harbour", KINDS, indirect=True)
def test_members_steps_and_whole_batches_from_a_process_of_its_own(harbour: Harbour) -> None:
    app, jobs = harbour.app, harbour.jobs
    callbacks = {f"on_{what}": app.told.bind(what) for what in ("success", "complete", "death")}
    with jobs.batch("b", **callbacks) as batch:
        splits = [batch.add(app.split.bind(4)), batch.add(app.asplit.bind(4))]
    composed = app.compose.enqueue()
    harbour.worker(threads=3)
    added = [one for handle in splits for one in handle.result(timeout=60)]
    assert len(added) == len(set(added)) == 8
    there = composed.result(timeout=60)
    jobs.get(there["last"]).wait(timeout=20)
    jobs.get(there["chained"]).wait(timeout=20)
    harbour.jobs.query.filter(kind="told").first().wait(timeout=20)
    batch.refresh()
    assert (batch.total, batch.succeeded) == (10, 10)
    assert {one.id for one in batch.jobs()} == {*added, *(one.id for one in splits)}
    first = splits[0].refresh()
    assert first.progress is not None
    assert first.progress.message == "split"
    assert [line.message for line in first.logs()] == ["splitting"]
    assert jobs.batches.get(there["batch"]).succeeded == 1
    assert jobs.workflows.get(there["flow"]).succeeded == 2
    assert jobs.get(there["last"]).result(timeout=5) == 20
    assert jobs.get(there["chained"]).result(timeout=5) == 7


@pytest.mark.parametrize("harbour", ["sqlite"], indirect=True)
def test_what_is_refused_is_raised_there_as_what_it_is(harbour: Harbour) -> None:
    with harbour.jobs.batch("over") as over:
        pass
    handle = harbour.app.refused.enqueue(over.id, new_id())
    many = harbour.app.many.enqueue(1500, 8000)
    harbour.worker(threads=2)
    assert handle.result(timeout=60) == ["UniqueHeld True", "IdConflict", "BatchFinished"]
    ids = many.result(timeout=60)
    assert len(set(ids)) == 1500
    stored = harbour.jobs.store.run(harbour.jobs.store.get(ids))
    assert len(stored) == 1500
    assert all(record.state is not JobState.DEAD for record in stored.values())


def test_a_store_in_memory_is_reached_through_the_parent(tmp_path: Path) -> None:
    """What cannot be asked there says so."""
    harbour = Harbour(tmp_path, name="apart", LONGSHORE_STORE="memory://")
    done = subprocess.run(
        [sys.executable, "apart.py"],
        cwd=APPS,
        env={**harbour.env, "LONGSHORE_APP": "apart:jobs"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    harbour.stop()
    assert done.stdout == "['UniqueHeld True', 'IdConflict', 'StoreUnavailable']\n", done.stderr
    assert (tmp_path / "ledger").read_text().split()[2::4] == ["told", "told"], done.stderr
