"""The outbox: jobs wait in the caller's own database and are relayed, whatever is killed."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy
from sqlalchemy.orm import Session

from longshore import Longshore
from longshore.core.outbox import Outbox, encode
from longshore.core.store import Filter
from longshore.declare import Options, new_job
from longshore.errors import (
    EnqueueUncertain,
    JobNotFound,
    ResultTimeout,
    StoreError,
    StoreFull,
)
from longshore.ids import new_id
from longshore.stores.memory.store import MemoryStore
from longshore.stores.sqlite.store import SQLiteStore
from longshore.worker.relay import BATCH, Relay, started
from tests import transaction_tools
from tests.places import place
from tests.transaction_tools import KIND
from tests.worker_tools import eventually

database, jobs, job = transaction_tools.database, transaction_tools.jobs, transaction_tools.job


class TestOutbox:
    @pytest.fixture
    def jobs(self, database: str) -> Iterator[Longshore]:
        app = Longshore("memory://", outbox=f"sqlite:///{database}", poll_interval=0.05)
        yield app
        app.close()

    def test_a_job_goes_through_it_with_the_commit(
        self, database: str, jobs: Longshore, job: Any
    ) -> None:
        with closing(sqlite3.connect(database)) as connection:
            dropped = job.using(connection=connection).enqueue(1)
            connection.rollback()
            connection.execute("insert into work values (1)")
            handle = job.using(connection=connection).enqueue(2)
            connection.commit()
            with pytest.raises(JobNotFound, match="no worker has relayed it"):
                handle.refresh()
            with pytest.raises(JobNotFound, match="no worker has relayed it"):
                handle.cancel()
            with pytest.raises(ResultTimeout, match="no worker has relayed it"):
                dropped.result(timeout=0.01)
            with jobs.worker(threads=1).running():
                assert handle.result(timeout=20) == 3
                later = job.using(connection=connection).enqueue(3)
                connection.commit()
                assert later.result(timeout=20) == 4
            assert connection.execute("select * from longshore_outbox").fetchall() == []
        assert jobs.query.count() == 2

    def test_sessions_use_it_too(self, database: str, jobs: Longshore, job: Any) -> None:
        engine = sqlalchemy.create_engine(f"sqlite:///{database}")
        with Session(engine) as session:
            job.using(session=session).enqueue(1)
            session.commit()
        assert jobs.query.count() == 0
        engine.dispose()
        jobs.worker(threads=1).run(until_empty=True)
        assert jobs.query.filter(state="succeeded").count() == 1

    def test_order_and_options_stay(self, database: str, jobs: Longshore, job: Any) -> None:
        many = 2 * BATCH + 10
        with closing(sqlite3.connect(database)) as connection:
            with jobs.transaction(connection):
                handles = jobs.enqueue_many(job.bind(n) for n in range(many))
                odd = job.using(
                    queue="odd", priority=-3, delay="1h", tags=["a"], timeout="5s", expires="2h"
                ).enqueue(7)
            connection.commit()
        ran: list[int] = []
        relay(jobs).drain()
        expected = odd.record
        found = jobs.get(odd.id).record
        for field in ("queue", "priority", "scheduled_at", "created_at", "tags", "timeout"):
            assert getattr(found, field) == getattr(expected, field), field
        assert found.expires_at == expected.expires_at
        assert found.payload == expected.payload
        records = list(jobs.query.filter(queue="default"))
        assert len(records) == many
        assert [one.id for one in handles] == sorted(one.id for one in records)
        assert ran == []

    def test_what_cannot_go_is_parked_and_holds_nobody_back(
        self,
        database: str,
        jobs: Longshore,
        job: Any,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        taken, twice = new_id(), new_id()
        job.using(id=taken).enqueue(1)
        with closing(sqlite3.connect(database)) as connection:
            first = job.using(connection=connection).enqueue(1)
            job.using(connection=connection, id=taken).enqueue(2)
            job.using(connection=connection, id=twice).enqueue(3)
            job.using(connection=connection, id=twice).enqueue(3)
            job.using(connection=connection, id=twice).enqueue(4)
            store = jobs.store.run(jobs.store.identity())
            for row in (b"not json", b'{"v":99,"job":{}}'):
                connection.execute(
                    "insert into longshore_outbox (store, job, made_at) values (?, ?, 0)",
                    (store, row),
                )
            last = job.using(connection=connection).enqueue(5)
            connection.commit()
            relay(jobs).drain()
            assert first.refresh().state == last.refresh().state == "available"
            assert jobs.query.count() == 4
            parked = [
                why
                for (why,) in connection.execute("select parked from longshore_outbox").fetchall()
            ]
            assert len(parked) == 4
            assert all(why for why in parked[:3])
            assert taken in parked[0]
            assert twice in parked[1]
            assert caplog.text.count("cannot be relayed") == 3
            # That of a newer release is for its workers, once they are there.
            assert parked[3] is None
            assert caplog.text.count("newer release") == 1
            # Looked at again, they stay where they are, and keep nobody waiting who comes later.
            assert relay(jobs).once() == 0
            later = job.using(connection=connection).enqueue(6)
            connection.commit()
            assert relay(jobs).once() == 1
            assert later.refresh().state == "available"
            outbox = jobs.outbox
            assert outbox is not None
            waiting = outbox.run(cast("Outbox", outbox.store).outbox_waiting(str(store)))
            assert (waiting.rows, waiting.parked, waiting.why) == (1, 3, parked[0])
            monkeypatch.setattr("longshore.core.outbox.VERSION", 99)
            connection.execute(
                "update longshore_outbox set job = ? where parked is null",
                (encode(new_job(KIND, Options.of(job.declaration), b'{"v":1}')),),
            )
            connection.commit()
            assert relay(jobs).once() == 1

    def test_an_answer_that_is_lost_keeps_no_worker_from_its_start(
        self, database: str, jobs: Longshore, job: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("longshore.worker.relay.HOLD", 100_000)

        class Uncertain(MemoryStore):
            times = 0

            def run(self, op: Any, /) -> Any:
                if op.name == "insert" and self.times < 2:
                    self.times += 1
                    raise EnqueueUncertain("perhaps", new_id())
                return super().run(op)

        with closing(sqlite3.connect(database)) as connection:
            job.using(connection=connection).enqueue(1)
            connection.execute(
                "update longshore_outbox set store = ?",
                (str((store := Uncertain()).run(store.identity())),),
            )
            connection.commit()
        assert jobs.outbox is not None
        begun = started(store, jobs.outbox.store)
        assert begun is not None
        eventually(lambda: len(store.run(store.find(Filter(), limit=9)).records) == 1)
        begun.stop()

    def test_rows_of_another_store_are_left_to_it(
        self, database: str, jobs: Longshore, job: Any
    ) -> None:
        other = Longshore("memory://", outbox=f"sqlite:///{database}")
        elsewhere = other.job(kind=KIND)(transaction_tools.add_one)
        with closing(sqlite3.connect(database)) as connection:
            elsewhere.using(connection=connection).enqueue(1)
            connection.commit()
        relay(jobs).drain()
        assert jobs.query.count() == 0
        relay(other).drain()
        assert other.query.count() == 1
        other.close()

    def test_only_one_relay_works_at_a_time(self, database: str, jobs: Longshore, job: Any) -> None:
        with closing(sqlite3.connect(database)) as connection:
            job.using(connection=connection).enqueue(1)
            connection.commit()
        outbox = jobs.outbox
        assert outbox is not None
        rows = cast("Outbox", outbox.store)
        store = str(jobs.store.run(jobs.store.identity()))
        assert len(outbox.run(rows.outbox_take(store, 10, 60_000_000))) == 1
        assert outbox.run(rows.outbox_take(store, 10, 60_000_000)) == ()
        # What was held for too long, or from a clock that ran ahead, is taken all the same.
        assert len(outbox.run(rows.outbox_take(store, 10, 1_000))) == 1

    def test_a_relay_that_dies_at_any_statement_loses_and_doubles_nothing(
        self, tmp_path: Path, database: str
    ) -> None:
        at = 0
        died = True
        while died:
            at += 1
            store, outbox = MemoryStore(), SQLiteStore(database)
            identity = str(store.run(store.identity()))
            made = [encode(_new(n)) for n in range(3)]
            outbox.run(outbox.outbox_add(identity, made))
            seen = 0

            def die(_operation: str, _number: int, at: int = at) -> None:
                nonlocal seen
                seen += 1
                if seen == at:
                    raise _Killed

            store._on_statement = outbox._on_statement = die
            try:
                Relay(store, outbox).once()
                died = False
            except _Killed:
                died = True
            store._on_statement = outbox._on_statement = None
            # The next one takes over when the first has held the rows for too long.
            outbox.run(outbox.outbox_take(identity, 10, 1))
            _wait_for_hold(outbox)
            Relay(store, outbox).drain()
            (counted,) = store.run(store.count(_everything()))
            assert counted.jobs == 3
            assert outbox.run(outbox.outbox_waiting(identity)).rows == 0
            outbox.close()
        assert at > 6

    def test_a_store_that_is_away_delays_and_loses_nothing(
        self, database: str, jobs: Longshore, job: Any
    ) -> None:
        with closing(sqlite3.connect(database)) as connection:
            handle = job.using(connection=connection).enqueue(1)
            connection.commit()
        store = cast("MemoryStore", jobs.store)
        tried = threading.Event()

        def away(operation: str, _number: int) -> None:
            if operation == "insert":
                tried.set()
                raise StoreFull("no room")

        store._on_statement = away
        with pytest.raises(StoreError):
            relay(jobs).drain()
        assert tried.is_set()
        store._on_statement = None
        _wait_for_hold(cast("SQLiteStore", jobs.outbox and jobs.outbox.store))
        relay(jobs).drain()
        assert handle.refresh().state == "available"


class _Killed(BaseException):
    pass


def _new(number: int) -> Any:
    from longshore.declare import Options

    options = Options("default", 0, 25, None, None, None, ())
    return new_job(KIND, options, b'{"v":1,"args":[%d],"kwargs":{}}' % number)


def _everything() -> Any:
    from longshore.core.store import Filter

    return Filter()


def _wait_for_hold(outbox: SQLiteStore) -> None:
    """As if the time had passed for which a relay that died holds its rows."""
    with closing(sqlite3.connect(outbox.address)) as connection:
        connection.execute("update longshore_outbox set held_until = null")
        connection.commit()


def relay(jobs: Longshore) -> Relay:
    assert jobs.outbox is not None
    return Relay(jobs.store, jobs.outbox.store)


SHOP = """
import os, signal, sys
import sqlalchemy
from sqlalchemy.orm import Session
from longshore import Longshore
from longshore.stores.memory.store import MemoryStore

folder, outbox = sys.argv[1:3]
jobs = Longshore(f"sqlite:///{folder}/jobs.db", outbox=outbox or None)

@jobs.job(kind="transaction.add")
def add(number: int) -> int:
    return number + 1

if __name__ == "__main__":
    jobs.migrate()
    engine = sqlalchemy.create_engine(f"sqlite:///{folder}/shop.db")
    with Session(engine) as session:
        # Called first after the commit, before anything of Longshore's.
        @sqlalchemy.event.listens_for(session, "after_commit")
        def die(_session):
            os.kill(os.getpid(), signal.SIGKILL)
        session.execute(sqlalchemy.text("insert into work values (1)"))
        add.using(session=session).enqueue(41)
        session.commit()
"""


@pytest.mark.slow
@pytest.mark.parametrize("with_outbox", [True, False])
def test_a_client_killed_right_after_its_commit(
    tmp_path: Path, database: str, with_outbox: bool
) -> None:
    """With the outbox nothing is lost; without it the job is, which shows that this can fail."""
    outbox = f"sqlite:///{database}" if with_outbox else ""
    (tmp_path / "shop.py").write_text(textwrap.dedent(SHOP))
    done = subprocess.run(
        [sys.executable, str(tmp_path / "shop.py"), str(tmp_path), outbox],
        timeout=50,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent / "src")},
    )
    assert done.returncode == -signal.SIGKILL
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("select number from work").fetchall() == [(1,)]
    jobs = Longshore(f"sqlite:///{tmp_path}/jobs.db", outbox=outbox or None)
    jobs.job(kind=KIND)(transaction_tools.add_one)
    jobs.worker(threads=1).run(until_empty=True)
    records = list(jobs.query)
    assert [one.result(timeout=1) for one in records] == ([42] if with_outbox else [])
    jobs.close()


@pytest.mark.servers
@pytest.mark.parametrize("kind", ["postgres18", "mariadb"])
def test_the_outbox_on_a_server(kind: str, tmp_path: Path) -> None:
    import psycopg

    from longshore.core.store_url import parse_url
    from tests.transaction_tools import mysql_connection

    with place(kind, tmp_path) as where:
        jobs = Longshore("memory://", outbox=where.url)
        job = jobs.job(kind=KIND)(transaction_tools.add_one)
        connection: Any
        if kind == "mariadb":
            connection = mysql_connection(parse_url(where.url))
        else:
            connection = psycopg.connect(where.url)
        with closing(connection):
            job.using(connection=connection).enqueue(0)
            connection.rollback()
            with jobs.transaction(connection):
                handles = jobs.enqueue_many(job.bind(n) for n in range(1200))
            connection.commit()
        relay(jobs).drain()
        assert [one.refresh().state for one in handles] == ["available"] * 1200
        assert jobs.query.count() == 1200
        assert relay(jobs).once() == 0
        _parked_and_looked_after(jobs)
        jobs.close()


@pytest.mark.servers
@pytest.mark.parametrize("kind", ["postgres18", "mariadb"])
def test_of_two_relays_that_look_at_the_same_moment_one_takes(kind: str, tmp_path: Path) -> None:
    with place(kind, tmp_path) as where:
        jobs = Longshore("memory://", outbox=where.url)
        other = Longshore("memory://", outbox=where.url)
        assert jobs.outbox is not None
        assert other.outbox is not None
        outbox = cast("Outbox", jobs.outbox.store)
        jobs.outbox.run(outbox.outbox_add("store", [b"1", b"2"]))
        taken: list[int] = []

        def meanwhile(operation: str, _number: int) -> None:
            if operation == "outbox_take" and not taken:
                taken.append(0)
                assert other.outbox is not None
                rows = cast("Outbox", other.outbox.store)
                taken.append(len(other.outbox.run(rows.outbox_take("store", 10, 60_000_000))))

        # Once it has read the rows, and before it holds them, another relay takes them.
        vars(jobs.outbox.store)["_on_statement"] = _at(2, meanwhile)
        taken.append(len(jobs.outbox.run(outbox.outbox_take("store", 10, 60_000_000))))
        assert sorted(taken) == [0, 0, 2]
        other.close()
        jobs.close()


def _parked_and_looked_after(jobs: Longshore) -> None:
    """Three rows, of which the first two cannot go: one is sent on again, the other dropped."""
    assert jobs.outbox is not None
    rows = cast("Outbox", (outbox := jobs.outbox).store)
    outbox.run(rows.outbox_add("shop", [b'{"n":1}', b'{"n":2}', b'{"n":3}']))
    one, two, three = (row.position for row in outbox.run(rows.outbox_rows("shop", 0, 10)))
    outbox.run(rows.outbox_take("shop", 10, 60_000_000))
    outbox.run(rows.outbox_settle([], [(one, "why"), (two, "why")], [one]))
    found = outbox.run(rows.outbox_rows("shop", 0, 2))
    assert [(row.position, row.job, row.parked) for row in found] == [
        (one, b'{"n":1}', "why"),
        (two, b'{"n":2}', "why"),
    ]
    assert [row.position for row in outbox.run(rows.outbox_rows("shop", two, 10))] == [three]
    assert outbox.run(rows.outbox_elsewhere("another")) == {"shop": 1}
    assert outbox.run(rows.outbox_elsewhere("shop")) == {}
    assert outbox.run(rows.outbox_retry([one, three])) == 1
    assert outbox.run(rows.outbox_drop([one, two, three])) == 1
    assert outbox.run(rows.outbox_retry([])) == outbox.run(rows.outbox_drop([])) == 0
    taken = outbox.run(rows.outbox_take("shop", 10, 60_000_000))
    assert [row.position for row in taken] == [one, three]
    assert outbox.run(rows.outbox_adopt("here", "shop")) == 2
    assert len(outbox.run(rows.outbox_take("here", 10, 60_000_000))) == 2


def _at(number: int, tell: Any) -> Any:
    return lambda operation, at: tell(operation, at) if at == number else None


@pytest.mark.slow
def test_a_supervised_worker_relays(tmp_path: Path, database: str) -> None:
    outbox = f"sqlite:///{database}"
    (tmp_path / "shop.py").write_text(
        textwrap.dedent(f"""
        from longshore import Longshore
        jobs = Longshore("sqlite:///{tmp_path}/jobs.db", outbox={outbox!r})

        @jobs.job(kind={KIND!r})
        def add(number: int) -> int:
            return number + 1
        """)
    )
    jobs = Longshore(f"sqlite:///{tmp_path}/jobs.db", outbox=outbox, poll_interval=0.05)
    job = jobs.job(kind=KIND)(transaction_tools.add_one)
    worker = subprocess.Popen(
        [sys.executable, "-m", "longshore", "worker", "-A", "shop:jobs", "--threads", "1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent / "src")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with closing(sqlite3.connect(database, timeout=20)) as connection:
            handle = job.using(connection=connection).enqueue(1)
            connection.commit()
        assert handle.result(timeout=40) == 2
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(20)
        jobs.close()
