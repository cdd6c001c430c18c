"""A caller's transaction in another database than the store's: after the commit, or the outbox."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from longshore import Longshore
from longshore.errors import (
    ConfigurationError,
    EnqueueUncertain,
    JobNotFound,
    LongshoreError,
    PartlyEnqueued,
    StoreElsewhere,
    StoreFull,
)
from longshore.stores.memory.store import MemoryStore
from tests import transaction_tools
from tests.transaction_tools import KIND, Django, Way, cases

database, jobs, job = transaction_tools.database, transaction_tools.jobs, transaction_tools.job


class TestAfterCommit:
    @pytest.fixture
    def session(self, database: str) -> Iterator[Session]:
        engine = sqlalchemy.create_engine(f"sqlite:///{database}")
        with Session(engine) as session:
            yield session
        engine.dispose()

    def test_a_session_stores_its_jobs_after_its_commit(
        self, session: Session, jobs: Longshore, job: Any
    ) -> None:
        handle = job.using(session=session).enqueue(1)
        with jobs.transaction(session):
            jobs.enqueue_many([job.bind(2), job.bind(3)])
        with pytest.raises(JobNotFound, match="not committed yet"):
            handle.refresh()
        session.commit()
        assert handle.refresh().state == "available"
        assert jobs.query.count() == 3
        # Once: the next commit has nothing to do with it.
        session.execute(sqlalchemy.text("select 1"))
        session.commit()
        assert jobs.query.count() == 3

    @pytest.mark.parametrize("end", ["rollback", "close", "failure"])
    def test_and_drops_them_without_one(
        self, session: Session, jobs: Longshore, job: Any, end: str
    ) -> None:
        job.using(session=session).enqueue(1)
        match end:
            case "rollback":
                session.rollback()
            case "close":
                session.close()
            case _:
                session.execute(sqlalchemy.text("select 1"))
                with pytest.raises(RuntimeError), session.begin_nested():
                    raise RuntimeError
                session.rollback()
        session.execute(sqlalchemy.text("select 1"))
        session.commit()
        assert jobs.query.count() == 0

    def test_savepoints(self, session: Session, jobs: Longshore, job: Any) -> None:
        kept = [job.using(session=session).enqueue(1)]
        with session.begin_nested():
            kept.append(job.using(session=session).enqueue(2))
            with session.begin_nested() as inner:
                job.using(session=session).enqueue(3)
                inner.rollback()
            with session.begin_nested():
                kept.append(job.using(session=session).enqueue(4))
        with session.begin_nested() as outer:
            with session.begin_nested():
                job.using(session=session).enqueue(5)
            outer.rollback()
        assert jobs.query.count() == 0
        session.commit()
        assert [one.refresh().state for one in kept] == ["available"] * 3
        assert jobs.query.count() == 3

    @pytest.mark.parametrize(
        ("error", "fate"),
        [
            (StoreFull("no room"), "is not. Enqueue it again"),
            (EnqueueUncertain("no answer", "1"), "is not known. Enqueue again under the same id"),
            (PartlyEnqueued("of two one", ["1"]), "some of its jobs are not: .stored has"),
        ],
    )
    def test_a_store_that_fails_then_says_that_the_work_is_committed(
        self, session: Session, database: str, error: LongshoreError, fate: str
    ) -> None:
        app = Longshore("memory://")

        def fail(_operation: str, _number: int) -> None:
            raise error

        job = app.job(kind=KIND)(transaction_tools.add_one)
        cast("MemoryStore", app.store)._on_statement = fail
        session.execute(sqlalchemy.text("insert into work values (1)"))
        job.using(session=session).enqueue(1)
        job.using(session=session).enqueue(2)
        with pytest.raises(type(error)) as caught:
            session.commit()
        assert "was committed before this" in caught.value.__notes__[0]
        assert fate in caught.value.__notes__[0]
        # The session can be used on.
        rows = session.execute(sqlalchemy.text("select number from work")).all()
        assert [tuple(row) for row in rows] == [(1,)]
        app.close()

    def test_an_async_session(self, database: str, jobs: Longshore, job: Any) -> None:
        async def body() -> None:
            engine = create_async_engine(f"sqlite+aiosqlite:///{database}")
            async with AsyncSession(engine) as session:
                await job.using(session=session).aenqueue(1)
                await session.rollback()
                await job.using(session=session).aenqueue(2)
                assert await jobs.query.acount() == 0
                await session.commit()
                assert await jobs.query.acount() == 1
            await engine.dispose()

        asyncio.run(body())

    @pytest.mark.parametrize("case", cases(lambda way: way is Django, "sqlite"))
    def test_django(self, case: Any, database: str, jobs: Longshore, job: Any) -> None:
        way: Way = case.way(f"sqlite:///{database}")

        async def body() -> None:
            async with way.begin() as opened:
                job.using(connection=opened.given).enqueue(1)
                await opened.rollback()
            async with way.begin() as opened:
                job.using(connection=opened.given).enqueue(2)
                assert jobs.query.count() == 0
                await opened.commit()
                assert jobs.query.count() == 1

        way.run(body())

    def test_listeners_hear_of_it_when_it_is_stored(
        self, session: Session, jobs: Longshore, job: Any
    ) -> None:
        heard: list[str | None] = []
        jobs.on("job.enqueued")(lambda event: heard.append(event.job_id))
        handle = job.using(session=session).enqueue(1)
        assert heard == []
        session.commit()
        assert heard == [handle.id]


class TestElsewhere:
    @pytest.mark.parametrize("store", ["memory", "another file", "no tables", "another prefix"])
    def test_a_plain_connection_is_refused(self, store: str, database: str, tmp_path: Path) -> None:
        url, settings = f"sqlite:///{tmp_path}/jobs.db", dict[str, Any]()
        match store:
            case "memory":
                url = "memory://"
            case "another file":
                Longshore(f"sqlite:///{database}").migrate()
            case "another prefix":
                url, settings = f"sqlite:///{database}", {"prefix": "other_"}
                Longshore(url, **settings).migrate()
                settings = {"prefix": "mine_"}
                url = f"sqlite:///{tmp_path}/jobs.db"
            case _:
                pass
        app = Longshore(url, **settings)
        job = app.job(kind=KIND)(transaction_tools.add_one)
        connection = sqlite3.connect(database)
        with pytest.raises(StoreElsewhere, match="Set outbox="):
            job.using(connection=connection).enqueue(1)
        engine = sqlalchemy.create_engine(f"sqlite:///{database}")
        with engine.connect() as other, pytest.raises(StoreElsewhere):
            job.using(connection=other).enqueue(1)
        with Session(engine) as session:
            job.using(session=session).enqueue(1)
            session.commit()
        assert app.query.count() == 1
        engine.dispose()
        connection.close()
        app.close()

    def test_with_an_outbox_a_third_database_is_refused(
        self, database: str, tmp_path: Path
    ) -> None:
        app = Longshore("memory://", outbox=f"sqlite:///{tmp_path}/third.db")
        job = app.job(kind=KIND)(transaction_tools.add_one)
        connection = sqlite3.connect(database)
        with pytest.raises(StoreElsewhere, match=r"Nor does it lead to the outbox .*third\.db"):
            job.using(connection=connection).enqueue(1)
        connection.close()
        app.close()

    @pytest.mark.parametrize("address", ["memory://", "redis://localhost/0", "nonsense"])
    def test_an_outbox_is_a_sql_database(self, address: str) -> None:
        with pytest.raises(ConfigurationError, match="outbox"):
            Longshore("memory://", outbox=address)
