"""Jobs with unique keys in the caller's transaction, and through the outbox."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any, cast

import pytest
import sqlalchemy
from sqlalchemy.orm import Session

from longshore import Longshore, Unique, UniqueHeld
from longshore.core.outbox import Outbox
from tests import transaction_tools
from tests.transaction_tools import Way, cases

pytestmark = pytest.mark.timeout(60)

case, jobs, way = transaction_tools.case, transaction_tools.stored_jobs, transaction_tools.way
database = transaction_tools.database


def add(number: int, add: int = 0) -> int:
    return number + add


@pytest.fixture
def unique(jobs: Longshore) -> Any:
    return jobs.job(kind="unique", identity=["number"], unique=Unique())(add)


@pytest.mark.parametrize("case", cases(), indirect=True)
class TestEveryWay:
    def test_a_key_that_is_held_gives_its_holder(
        self, way: Way, jobs: Longshore, unique: Any
    ) -> None:
        stored = unique.enqueue(1)

        async def body() -> None:
            async with way.begin() as opened:
                await opened.work(7)
                job = way.using(unique, opened.given)
                again = await way.enqueue(job, 1, 5)
                assert (again.id, again.is_duplicate) == (stored.id, True)
                new = await way.enqueue(job, 2)
                same = await way.enqueue(job, 2, 5)
                assert (new.is_duplicate, same.id, same.is_duplicate) == (False, new.id, True)
                await opened.commit()

        way.run(body())
        assert jobs.query.count() == 2
        jobs.worker(threads=1).run(until_empty=True)
        assert stored.result(timeout=5) == 1

    def test_a_key_is_free_again_with_a_rollback(
        self, way: Way, jobs: Longshore, unique: Any
    ) -> None:
        async def body() -> None:
            async with way.begin() as opened:
                await way.enqueue(way.using(unique, opened.given), 1)
                await opened.rollback()

        way.run(body())
        assert not unique.enqueue(1).is_duplicate
        assert jobs.query.count() == 1

    def test_many_at_once_are_answered_one_by_one(
        self, way: Way, jobs: Longshore, unique: Any
    ) -> None:
        stored = unique.enqueue(1)

        async def body() -> None:
            async with way.begin() as opened:
                job = way.using(unique, opened.given)
                bound = [job.bind(number, at) for at, number in enumerate([0, 1, 2, 1, 0])]
                made.extend(await way.enqueue_many(jobs, bound))
                await opened.commit()

        made: list[Any] = []
        way.run(body())
        assert [one.is_duplicate for one in made] == [False, True, False, True, True]
        assert [one.id for one in made] == [
            made[0].id,
            stored.id,
            made[2].id,
            stored.id,
            made[0].id,
        ]
        assert jobs.query.count() == 3

    def test_what_is_replaced_stays_replaced_only_with_the_commit(
        self, way: Way, jobs: Longshore, unique: Any
    ) -> None:
        replacing = unique.using(unique=Unique(on_conflict="replace"))
        stored = replacing.using(delay="1h").enqueue(1, 1)

        async def body() -> None:
            for number, commit in ((2, False), (3, True)):
                async with way.begin() as opened:
                    made = await way.enqueue(way.using(replacing, opened.given), 1, number)
                    assert (made.id, made.is_duplicate) == (stored.id, True)
                    await (opened.commit() if commit else opened.rollback())
                if not commit:
                    assert (await way.refresh(stored)).state == "scheduled"

        way.run(body())
        assert stored.refresh().state == "available"
        jobs.worker(threads=1).run(until_empty=True)
        assert stored.result(timeout=5) == 4

    def test_what_is_refused_has_written_nothing(
        self, way: Way, jobs: Longshore, unique: Any
    ) -> None:
        refusing = unique.using(unique=Unique(on_conflict="raise"))
        stored = unique.enqueue(3)

        async def body() -> None:
            async with way.begin() as opened:
                await opened.work(7)
                job, other = (way.using(one, opened.given) for one in (refusing, unique))
                with pytest.raises(UniqueHeld) as refused:
                    await way.enqueue(job, 3)
                assert refused.value.holder == stored.id
                with pytest.raises(UniqueHeld):
                    await way.enqueue_many(
                        jobs, [other.bind(0), job.bind(1), job.bind(2), job.bind(3)]
                    )
                # The transaction goes on; what it does after that counts.
                assert not (await way.enqueue(job, 4)).is_duplicate
                await opened.commit()

        way.run(body())
        assert [found.id for found in jobs.query] != [stored.id]
        assert jobs.query.count() == 2
        assert not refusing.enqueue(1).is_duplicate


class TestOutbox:
    @pytest.fixture
    def jobs(self, database: str) -> Iterator[Longshore]:
        app = Longshore("memory://", outbox=f"sqlite:///{database}", poll_interval=0.05)
        yield app
        app.close()

    def test_a_job_whose_key_is_held_when_it_arrives_has_arrived(
        self, database: str, jobs: Longshore, unique: Any
    ) -> None:
        with closing(sqlite3.connect(database)) as connection:
            for number in (1, 2, 1):
                unique.using(connection=connection).enqueue(number)
            connection.commit()
            stored = unique.enqueue(2)
            jobs.worker(threads=1).run(until_empty=True)
            assert connection.execute("select * from longshore_outbox").fetchall() == []
        assert jobs.query.filter(state="succeeded").count() == 2
        assert stored.result(timeout=5) == 2

    def test_one_that_is_to_be_refused_is_parked_there_and_holds_back_no_other(
        self, database: str, jobs: Longshore, unique: Any
    ) -> None:
        refusing = unique.using(unique=Unique(on_conflict="raise"))
        stored = unique.using(delay="1h").enqueue(2)
        with closing(sqlite3.connect(database)) as connection:
            for number in (1, 2, 3):
                refusing.using(connection=connection).enqueue(number)
            connection.commit()
        jobs.worker(threads=1).run(until_empty=True)
        assert jobs.query.filter(state="succeeded").count() == 2
        assert jobs.outbox is not None
        outbox = cast("Outbox", jobs.outbox.store)
        store = jobs.store.run(jobs.store.identity())
        waiting = jobs.outbox.run(outbox.outbox_waiting(store or ""))
        assert (waiting.rows, waiting.parked) == (0, 1)
        assert f"job {stored.id} holds its unique key" in str(waiting.why)


def test_a_job_that_is_stored_after_the_commit_may_find_its_key_held(database: str) -> None:
    jobs = Longshore("memory://")
    unique = jobs.job(kind="unique", identity=["number"], unique=Unique())(add)
    refusing = unique.using(unique=Unique(on_conflict="raise"))
    engine = sqlalchemy.create_engine(f"sqlite:///{database}")
    with Session(engine) as session:
        unique.using(session=session).enqueue(1)
        stored = unique.enqueue(1)
        session.commit()
        assert [found.id for found in jobs.query] == [stored.id]
        refusing.using(session=session).enqueue(1)
        with pytest.raises(UniqueHeld) as refused:
            session.commit()
    assert "was committed before this" in "".join(refused.value.__notes__)
    engine.dispose()
    jobs.close()
