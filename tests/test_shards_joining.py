"""Transactions of the caller and of jobs, where the jobs are spread over shards."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore import JobContext, Longshore
from longshore.core.shards import named, shard_of
from longshore.errors import CrossShard


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Longshore]:
    urls = [f"sqlite:///{tmp_path}/{name}.db?synchronous=normal" for name in "abc"]
    made = Longshore(shards=urls, shard_by="args.tenant")
    yield made
    made.close()


def keys(count: int) -> list[str]:
    """A key for each shard."""
    found = {shard_of(str(number), count): str(number) for number in range(999)}
    return [found[shard] for shard in range(count)]


def test_a_job_commits_with_work_in_the_shard_that_a_connection_leads_to(
    app: Longshore, tmp_path: Path
) -> None:
    @app.job(kind="bill")
    def bill(tenant: str) -> str:
        return tenant

    app.migrate()
    one, two, _ = keys(3)
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        connection.execute("create table orders (id integer)")
        connection.execute("insert into orders values (1)")
        joined = bill.using(connection=connection, shard_key=one).enqueue("acme")
        with pytest.raises(CrossShard, match=r"belongs to shard 01.*leads to shard 00.*shard_key"):
            bill.using(connection=connection, shard_key=two).enqueue("acme")
        assert app.query.count() == 0
        connection.commit()
        assert [job.id for job in app.query] == [joined.id]
        assert named(joined.id, 3) == 0
        connection.execute("insert into orders values (2)")
        with app.transaction(connection):
            bill.using(shard_key=one).enqueue("bluth")
        connection.rollback()
    assert app.query.count() == 1
    app.worker(threads=1).run(until_empty=True)
    assert joined.result(timeout=5) == "acme"


def test_work_and_success_commit_together_in_the_shard_of_a_job(app: Longshore) -> None:
    @app.job(kind="bill", context=True)
    def bill(ctx: JobContext, tenant: str) -> str:
        with ctx.transaction() as connection:
            connection.execute("create table if not exists paid (tenant text)")
            connection.execute("insert into paid values (?)", (tenant,))
            follow.using(shard_key=tenant).enqueue(tenant)
            ctx.succeed(f"{tenant} paid")
        raise RuntimeError("too late")

    @app.job(kind="follow")
    def follow(tenant: str) -> str:
        return tenant

    handles = [bill.enqueue(tenant) for tenant in keys(3)]
    app.worker(threads=2).run(until_empty=True)
    assert [handle.result(timeout=5) for handle in handles] == [f"{key} paid" for key in keys(3)]
    assert app.query.filter(kind="follow", state="succeeded").count() == 3
    assert "too late" in (handles[0].refresh().record.error_after_success or "")
    for number, part in enumerate(app.settings.store.parts):
        with contextlib.closing(sqlite3.connect(part.path)) as other:
            assert other.execute("select tenant from paid").fetchall() == [(keys(3)[number],)]
