"""A driver that begins nothing: its caller sends BEGIN."""

from pathlib import Path
from typing import Any

import sqlalchemy

from longshore import Longshore
from tests.transaction_tools import KIND, add_one


def test_a_driver_whose_transactions_the_caller_begins_is_joined(tmp_path: Path) -> None:
    """The way that SQLAlchemy describes for savepoints in SQLite."""
    jobs = Longshore(f"sqlite:///{tmp_path / 'jobs.db'}")
    jobs.migrate()
    job = jobs.job(kind=KIND)(add_one)
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'jobs.db'}")

    @sqlalchemy.event.listens_for(engine, "connect")
    def by_hand(driver: Any, _record: Any) -> None:
        driver.isolation_level = None

    @sqlalchemy.event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    with engine.connect() as connection:
        for kept in (False, True):
            with connection.begin() as transaction:
                job.using(connection=connection).enqueue(1)
                if not kept:
                    transaction.rollback()
            assert jobs.query.count() == kept
    engine.dispose()
    jobs.close()
