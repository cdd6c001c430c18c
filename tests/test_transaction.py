"""Jobs enqueued in the caller's transaction: there when it commits, and only then."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from longshore import Longshore
from longshore.declare import Options
from longshore.errors import (
    ConflictingOptions,
    EnqueueError,
    IdConflict,
    InvalidOption,
    JobNotFound,
    LongshoreWarning,
    ResultGone,
)
from longshore.ids import new_id
from longshore.job import JobFunction
from tests import transaction_tools
from tests.places import place
from tests.transaction_tools import KIND, Table, Way, add_one, cases

#: Nothing here takes long; only two transactions that wait for each other would.
pytestmark = pytest.mark.timeout(60)


case, jobs, way = transaction_tools.case, transaction_tools.stored_jobs, transaction_tools.way


@pytest.fixture
def job(jobs: Longshore) -> Any:
    declaration = jobs.registry.by_kind()[KIND]
    return JobFunction(jobs, declaration, add_one, Options.of(declaration), add_one)


def count(jobs: Longshore) -> int:
    return jobs.query.count()


def worked(jobs: Longshore) -> list[int]:
    return Table.rows(jobs.settings.store.reveal())


@pytest.mark.parametrize("case", cases(), indirect=True)
class TestEveryWay:
    def test_a_job_is_there_when_its_transaction_commits(
        self, way: Way, jobs: Longshore, job: Any
    ) -> None:
        async def body() -> None:
            async with way.begin() as opened:
                await opened.work(7)
                handle = await way.enqueue(way.using(job, opened.given), 41)
                with pytest.raises(JobNotFound, match="not committed yet"):
                    await way.refresh(handle)
                await opened.commit()
                assert (await way.refresh(handle)).state == "available"
                handles.append(handle)

        handles: list[Any] = []
        way.run(body())
        assert worked(jobs) == [7]
        assert count(jobs) == 1
        jobs.worker(threads=1).run(until_empty=True)
        assert handles[0].result(timeout=5) == 42

    def test_a_job_is_gone_with_its_transaction(self, way: Way, jobs: Longshore, job: Any) -> None:
        async def body() -> None:
            async with way.begin() as opened:
                await opened.work(7)
                handles.append(await way.enqueue(way.using(job, opened.given), 1))
                await opened.rollback()

        handles: list[Any] = []
        way.run(body())
        assert worked(jobs) == []
        assert count(jobs) == 0
        with pytest.raises(JobNotFound, match="was rolled back"):
            handles[0].refresh()
        with pytest.raises(ResultGone, match="was rolled back"):
            handles[0].result(timeout=5)

    def test_everything_in_a_block_joins_bulk_and_pushed_included(
        self, way: Way, jobs: Longshore, job: Any
    ) -> None:
        async def body() -> None:
            for commit in (False, True):
                async with way.begin() as opened:
                    with jobs.transaction(opened.given) as given:
                        assert given is opened.given
                        await way.enqueue(job, 0)
                        await way.enqueue_many(jobs, [job.bind(i) for i in range(1, 251)])
                        await way.push(jobs, {"kind": KIND, "args": [251], "tags": ["a"]})
                    assert await _seen(way, jobs) == 0
                    await (opened.commit() if commit else opened.rollback())
                    assert await _seen(way, jobs) == (252 if commit else 0)
            # Outside the block nothing joins.
            await way.enqueue(job, 9)
            assert await _seen(way, jobs) == 253

        way.run(body())

    def test_ids_that_are_there_are_answered_and_nothing_is_taken_back(
        self, way: Way, jobs: Longshore, job: Any
    ) -> None:
        here, ended = new_id(), new_id()
        job.using(id=ended).enqueue(1)
        jobs.worker(threads=1).run(until_empty=True)
        job.using(id=here).enqueue(1)

        async def body() -> None:
            async with way.begin() as opened:
                await opened.work(7)
                for there in (here, ended):
                    bound = way.using(job, opened.given, id=there)
                    assert (await way.enqueue(bound, 1)).is_duplicate
                    with pytest.raises(IdConflict):
                        await way.enqueue(bound, 2)
                with pytest.raises(IdConflict):
                    await way.enqueue_many(
                        jobs,
                        [
                            way.using(job, opened.given).bind(5),
                            way.using(job, opened.given, id=here).bind(2),
                        ],
                    )
                own = new_id()
                bound = way.using(job, opened.given, id=own)
                assert not (await way.enqueue(bound, 3)).is_duplicate
                assert (await way.enqueue(bound, 3)).is_duplicate
                made = await way.enqueue_many(jobs, [bound.bind(3), job_with(bound, 4)])
                assert [one.is_duplicate for one in made] == [True, False]
                await opened.commit()

        def job_with(bound: Any, number: int) -> Any:
            return bound.using(id=new_id()).bind(number)

        way.run(body())
        assert worked(jobs) == [7]
        assert count(jobs) == 4

    def test_what_the_connection_raises_is_raised_unchanged_with_advice(
        self, way: Way, job: Any
    ) -> None:
        if way.closed is None:
            # A session or Django connection opens itself again: it is broken another way.
            return

        async def body() -> None:
            async with way.begin() as opened:
                await way.enqueue(way.using(job, opened.given), 1)
                answer = opened.close()
                if answer is not None:
                    await answer
                with pytest.raises(way.closed) as caught:
                    await way.enqueue(way.using(job, opened.given), 2)
                assert "was not enqueued" in "".join(caught.value.__notes__)
                opened._open = False

        way.run(body())

    def test_a_connection_that_commits_by_itself_is_told_of(
        self, way: Way, jobs: Longshore, job: Any
    ) -> None:
        async def body() -> None:
            async with way.begin(at_once=True) as opened:
                with pytest.warns(LongshoreWarning, match="stored at once"):
                    handle = await way.enqueue(way.using(job, opened.given), 1)
                assert (await way.refresh(handle)).state == "available"

        way.run(body())
        assert count(jobs) == 1

    def test_listeners_hear_of_a_job_once_it_is_committed(
        self, way: Way, jobs: Longshore, job: Any
    ) -> None:
        heard: list[str | None] = []
        jobs.on("job.enqueued")(lambda event: heard.append(event.job_id))

        async def body() -> None:
            async with way.begin() as opened:
                await way.enqueue(way.using(job, opened.given), 1)
                await opened.rollback()
            async with way.begin() as opened:
                handle = await way.enqueue(way.using(job, opened.given), 1)
                assert heard == []
                await opened.commit()
                # A plain connection tells nobody that it was committed.
                assert heard == ([handle.id] if way.tells else [])

        way.run(body())


async def _seen(way: Way, jobs: Longshore) -> int:
    return await jobs.query.acount() if way.awaits else jobs.query.count()


@pytest.mark.parametrize("case", cases(lambda _: True, "postgres18", "mariadb"), indirect=True)
def test_two_open_transactions_do_not_wait_for_each_other(
    way: Way, jobs: Longshore, job: Any
) -> None:
    async def body() -> None:
        async with way.begin() as first, way.begin() as second:
            for number in range(3):
                await way.enqueue(way.using(job, first.given), number)
                await way.enqueue(way.using(job, second.given), number)
            await second.commit()
            assert await _seen(way, jobs) == 3
            await first.commit()

    way.run(body())
    assert count(jobs) == 6


@pytest.mark.parametrize("case", cases(lambda _: True, "postgres18"), indirect=True)
def test_a_transaction_that_has_failed_is_not_made_whole(
    way: Way, jobs: Longshore, job: Any
) -> None:
    async def body() -> None:
        async with way.begin() as opened:
            await way.enqueue(way.using(job, opened.given), 1)
            with pytest.raises(Exception, match="division"):
                await opened._run("select 1/0") if way.awaits else opened._run("select 1/0")
            with pytest.raises(Exception, match="aborted") as caught:
                await way.enqueue(way.using(job, opened.given), 2)
            assert "roll back" in "".join(caught.value.__notes__)
            await opened.rollback()

    way.run(body())
    assert count(jobs) == 0


SQLITE = pytest.mark.parametrize(
    "case", cases(lambda way: way.__name__ == "SQLite", "sqlite"), indirect=True
)


@SQLITE
class TestOptions:
    @pytest.mark.parametrize("given", [5, None, "postgresql://", object(), sqlite3])
    @pytest.mark.parametrize("option", ["connection", "session"])
    def test_what_is_no_connection_is_refused(self, job: Any, option: str, given: object) -> None:
        with pytest.raises(InvalidOption, match="no connection or session"):
            job.using(**{option: given})

    def test_factories_are_refused_with_the_way_out(self, jobs: Longshore, job: Any) -> None:
        engine = sqlalchemy.create_engine("sqlite://")
        with pytest.raises(InvalidOption, match=r"engine\.begin\(\) as connection"):
            job.using(connection=engine)
        with pytest.raises(InvalidOption, match="attach"):
            jobs.transaction(sessionmaker(engine))  # type: ignore[type-var]

    def test_each_goes_into_its_own_option(self, way: Way, job: Any) -> None:
        connection = sqlite3.connect(":memory:")
        with pytest.raises(InvalidOption, match="give it as connection="):
            job.using(session=connection)
        with pytest.raises(InvalidOption, match="give it as session="):
            job.using(connection=Session())
        with pytest.raises(ConflictingOptions, match="both"):
            job.using(connection=connection, session=Session())
        connection.close()

    def test_what_is_pushed_is_plain_data(self, jobs: Longshore) -> None:
        connection = sqlite3.connect(":memory:")
        with pytest.raises(InvalidOption, match=r"jobs\.transaction"):
            jobs.push({"kind": KIND, "args": [1], "connection": connection})
        connection.close()

    def test_a_bulk_goes_one_way(self, way: Way, jobs: Longshore, job: Any) -> None:
        path = way.address.path
        one, two = sqlite3.connect(path), sqlite3.connect(path)
        bound = [job.using(connection=one).bind(1), job.using(connection=two).bind(2)]
        for items in (bound, [bound[0], job.bind(3)], [job.bind(3), bound[0]]):
            with pytest.raises(EnqueueError, match=r"item 1: .* another connection"):
                jobs.enqueue_many(items)
        one.close()
        two.close()
        assert count(jobs) == 0

    def test_an_awaiting_connection_is_awaited(self, jobs: Longshore, job: Any) -> None:
        async def body() -> None:
            engine = create_async_engine("sqlite+aiosqlite://")
            async with engine.connect() as connection:
                with pytest.raises(EnqueueError, match="aenqueue"):
                    job.using(connection=connection).enqueue(1)
            await engine.dispose()

        asyncio.run(body())

    def test_rows_in_another_form_do_no_harm(self, way: Way, jobs: Longshore, job: Any) -> None:
        connection = sqlite3.connect(way.address.path)
        connection.text_factory = bytes
        connection.row_factory = lambda *_: None
        there = new_id()
        job.using(id=there).enqueue(1)
        assert job.using(connection=connection, id=there).enqueue(1).is_duplicate
        with pytest.raises(IdConflict):
            job.using(connection=connection, id=there).enqueue(2)
        connection.close()

    def test_the_block_is_of_its_thread_and_its_application(
        self, way: Way, jobs: Longshore, job: Any
    ) -> None:
        other = Longshore("memory://")
        elsewhere = other.job(kind=KIND)(add_one)
        connection = sqlite3.connect(way.address.path)
        with jobs.transaction(connection) as _, jobs.transaction(connection):
            thread = threading.Thread(target=lambda: threaded.append(job.enqueue(1)))
            threaded: list[Any] = []
            thread.start()
            thread.join()
            assert threaded[0].refresh().state == "available"
            assert elsewhere.enqueue(1).refresh().state == "available"
        connection.close()
        other.close()

    def test_a_block_may_be_entered_once(self, way: Way, jobs: Longshore) -> None:
        connection = sqlite3.connect(way.address.path)
        block = jobs.transaction(connection)
        with block, pytest.raises(EnqueueError, match="entered before"), block:
            pass
        connection.close()

    def test_a_task_that_outlives_the_block_joins_nothing(
        self, way: Way, jobs: Longshore, job: Any
    ) -> None:
        connection = sqlite3.connect(way.address.path)

        async def body() -> None:
            left = asyncio.Event()

            async def later() -> None:
                await left.wait()
                await job.aenqueue(2)

            async with jobs.transaction(connection):
                task = asyncio.create_task(later())
                await job.aenqueue(1)
            connection.rollback()
            left.set()
            await task
            assert not connection.in_transaction

        asyncio.run(body())
        connection.close()
        assert count(jobs) == 1

    def test_a_block_awaits_too(self, way: Way, jobs: Longshore, job: Any) -> None:
        connection = sqlite3.connect(way.address.path)

        async def body() -> None:
            async with jobs.transaction(connection):
                await job.aenqueue(1)

        asyncio.run(body())
        connection.rollback()
        connection.close()
        assert count(jobs) == 0


@SQLITE
class TestAttached:
    @pytest.fixture
    def engine(self, way: Way) -> Iterator[Any]:
        engine = sqlalchemy.create_engine(f"sqlite:///{way.address.path}")
        yield engine
        engine.dispose()

    def test_plain_enqueues_join_the_session_in_a_transaction(
        self, jobs: Longshore, job: Any, engine: Any
    ) -> None:
        factory = jobs.attach(sessionmaker(engine))
        with factory.begin() as session:
            dropped = job.enqueue(1)
            session.rollback()
        with factory.begin():
            kept = job.enqueue(2)
            with pytest.raises(JobNotFound):
                kept.refresh()
        plain = job.enqueue(3)
        assert kept.refresh().state == plain.refresh().state == "available"
        with pytest.raises(JobNotFound):
            dropped.refresh()

    def test_a_session_that_is_not_begun_or_not_attached_is_left_alone(
        self, jobs: Longshore, job: Any, engine: Any
    ) -> None:
        factory = jobs.attach(sessionmaker(engine))
        with factory(), Session(engine) as session:
            session.execute(sqlalchemy.text("select 1"))
            assert job.enqueue(1).refresh().state == "available"

    def test_two_sessions_at_once_are_not_guessed_at(
        self, jobs: Longshore, job: Any, engine: Any
    ) -> None:
        factory = jobs.attach(sessionmaker(engine))
        with factory.begin() as one, factory.begin():
            with pytest.raises(EnqueueError, match="2 attached sessions"):
                job.enqueue(1)
            job.using(session=one).enqueue(1)
        assert count(jobs) == 1

    def test_scoped_sessions_and_classes(self, jobs: Longshore, job: Any, engine: Any) -> None:
        scoped = jobs.attach(scoped_session(sessionmaker(engine)))

        class Mine(Session):
            pass

        jobs.attach(Mine)
        scoped.execute(sqlalchemy.text("select 1"))
        job.enqueue(1)
        assert count(jobs) == 0
        scoped.commit()
        with Mine(engine) as session, session.begin():
            job.enqueue(2)
            assert count(jobs) == 1
        job.using(session=scoped).enqueue(3)
        scoped.commit()
        scoped.remove()
        assert count(jobs) == 3

    def test_async_sessions(self, way: Way, jobs: Longshore, job: Any) -> None:
        async def body() -> None:
            engine = create_async_engine(f"sqlite+aiosqlite:///{way.address.path}")
            factory = jobs.attach(async_sessionmaker(engine))
            async with factory.begin() as session:
                handle = await job.aenqueue(1)
                # Blocking code inside joins as well.
                await session.run_sync(lambda _: job.enqueue(2))
                with pytest.raises(JobNotFound):
                    await handle.arefresh()
            assert await jobs.query.acount() == 2
            scoped = async_scoped_session(factory, asyncio.current_task)
            async with scoped() as session:
                await job.using(session=scoped).aenqueue(3)
                await session.commit()
            assert await jobs.query.acount() == 3
            await engine.dispose()

        asyncio.run(body())

    def test_what_is_no_factory_is_refused(self, jobs: Longshore, engine: Any) -> None:
        for given in (engine, Session(engine), sqlite3.connect):
            with pytest.raises(InvalidOption, match="sessionmaker"):
                jobs.attach(given)


def test_the_first_use_of_a_new_file_makes_its_tables(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    jobs = Longshore(f"sqlite:///{path}")
    job = jobs.job(kind=KIND)(add_one)
    connection = sqlite3.connect(path)
    job.using(connection=connection).enqueue(1)
    connection.commit()
    connection.close()
    assert count(jobs) == 1
    jobs.close()


@pytest.mark.servers
def test_a_savepoint_takes_its_jobs_along() -> None:
    with place("postgres18", Path()) as where:
        jobs = Longshore(where.url)
        job = jobs.job(kind=KIND)(add_one)
        with psycopg.connect(where.url) as connection:
            job.using(connection=connection).enqueue(1)
            with connection.transaction() as savepoint:
                job.using(connection=connection).enqueue(2)
                raise psycopg.Rollback(savepoint)
        assert count(jobs) == 1
        jobs.close()
