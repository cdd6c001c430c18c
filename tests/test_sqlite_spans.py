"""Jobs of a SQLite file that lie together are written as one span, and nothing else with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore.core.model import Claimed, Ending, JobState, Lease, NewJob
from longshore.core.store import ClaimRequest, Line
from longshore.stores.sqlite.claim import REST, SPAN
from longshore.stores.sqlite.store import SQLiteStore
from tests.store_tools import job, register

SPANNED = {"take_span", "remove_span"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    opened = SQLiteStore(str(tmp_path / "jobs.db"), synchronous="normal")
    opened.migrate()
    register(opened)
    yield opened
    opened.close()


@pytest.fixture
def used(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the queries that were asked for."""
    names: list[str] = []
    queries = store.sql

    class Noted:
        def __getitem__(self, name: str) -> object:
            names.append(name)
            return queries[name]

    monkeypatch.setattr(store, "sql", Noted())
    return names


def insert(store: SQLiteStore, jobs: list[NewJob]) -> None:
    store.run(store.insert(jobs))


def ended(jobs: tuple[Claimed, ...]) -> list[Ending]:
    return [Ending(Lease(one.id, "p", one.run), JobState.SUCCEEDED) for one in jobs]


def states(store: SQLiteStore, jobs: list[NewJob]) -> dict[str, JobState]:
    records = store.run(store.get([one.id for one in jobs]))
    return {job_id: record.state for job_id, record in records.items()}


def claimed(store: SQLiteStore, number: int, wanted: int, queue: str = "*") -> tuple[Claimed, ...]:
    request = ClaimRequest("p", number, wanted, (Line((queue,)),))
    return store.run(store.claim(request)).jobs


def test_jobs_that_lie_together_are_claimed_and_removed_as_a_span(
    store: SQLiteStore, used: list[str]
) -> None:
    jobs = [job() for _ in range(3 * SPAN)]
    insert(store, jobs)
    used.clear()
    taken = claimed(store, 1, 2 * SPAN)
    assert [one.id for one in taken] == [one.id for one in jobs[: 2 * SPAN]]
    assert store.run(store.finish(ended(taken[:SPAN]))) == {e.lease for e in ended(taken[:SPAN])}
    assert set(used) >= SPANNED
    assert not {"take", "remove"} & set(used)
    expected = [JobState.SUCCEEDED, JobState.RUNNING, JobState.AVAILABLE]
    now = states(store, jobs)
    assert [now[one.id] for one in jobs] == [state for state in expected for _ in range(SPAN)]


def test_a_job_between_them_is_left_alone(store: SQLiteStore, used: list[str]) -> None:
    jobs = [job(queue="b" if number == SPAN else "a") for number in range(2 * SPAN)]
    insert(store, jobs)
    used.clear()
    taken = claimed(store, 1, 4 * SPAN, queue="a")
    assert len(taken) == 2 * SPAN - 1
    assert states(store, jobs)[jobs[SPAN].id] is JobState.AVAILABLE
    store.run(store.finish(ended(taken)))
    assert not SPANNED & set(used)
    assert states(store, jobs)[jobs[SPAN].id] is JobState.AVAILABLE


def test_as_many_jobs_are_not_yet_the_same_jobs(store: SQLiteStore, used: list[str]) -> None:
    jobs = [job() for _ in range(2 * SPAN)]
    insert(store, jobs)
    taken = claimed(store, 1, 2 * SPAN)
    used.clear()
    reports = ended(taken)
    # One report is of a job that is not there: as many rows lie between the first and the last.
    lost = Lease(f"{jobs[SPAN].id}x", "p", 1)
    reports[SPAN] = Ending(lost, JobState.SUCCEEDED)
    assert store.run(store.finish(reports)) == {e.lease for e in reports} - {lost}
    assert "remove_span" not in used
    assert states(store, jobs)[jobs[SPAN].id] is JobState.RUNNING


def test_who_met_no_span_does_not_look_each_time(store: SQLiteStore, used: list[str]) -> None:
    insert(store, [job(queue="b" if number % 2 else "a") for number in range(80 * SPAN)])
    used.clear()
    for number in range(REST + 2):
        assert len(claimed(store, number + 1, SPAN, queue="a")) == SPAN
    assert 0 < used.count("span") <= 4
