"""Old and new releases on one store while an application is being upgraded.

A later release is played by this one with a migration more; what it adds must harm nobody who does
not know of it, and what would harm him must stop him before he writes.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from longshore import Longshore
from longshore.core.model import JobState
from longshore.core.store import Filter
from longshore.errors import SchemaMismatch
from longshore.stores.sql import schema
from longshore.stores.sql.schema import Known
from longshore.stores.sqlite.store import SQLiteStore
from longshore.testing.conformance import OpenStore, StoreConformance
from tests.store_tools import claim, driven, job, register
from tests.stores import open_sqlite

ADDED = """
-- Additive: notes beside jobs.
create table longshore_note (id text primary key, note text not null) strict, without rowid;
alter table longshore_job add column note text;
alter table longshore_ended add column note text;
create index longshore_ended_reason on longshore_ended (reason) where reason is not null;
"""
BREAKING = "alter table longshore_job rename column payload to body;"


class Later(SQLiteStore):
    """The store of a release that has a migration more."""

    def __init__(self, path: str, text: str, *, additive: bool, name: str = "900_later") -> None:
        super().__init__(path, synchronous="normal")
        self._migrations = {**self._migrations, name: Known(name, text, additive)}


def opened(path: str) -> SQLiteStore:
    return SQLiteStore(path, synchronous="normal")


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "jobs.db")


class TestStoreThatANewerReleaseHasMigrated(StoreConformance):
    """This release passes the whole suite on tables that a newer one has added to."""

    bench = driven("blocking")

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        make = open_sqlite(tmp_path)

        def open_store(**given) -> SQLiteStore:
            store = make(**given)
            later = Later(store.address, ADDED, additive=True)
            assert later.migrate() == ("900_later",)
            later.close()
            return store

        return open_store

    def test_tables_are_up_to_date_and_stay_so(self, bench) -> None:
        status = bench.store.schema()
        assert (status.pending, status.unknown, status.breaking) == ((), ("900_later",), ())
        assert bench.store.migrate() == ()

    def test_tables_are_as_their_migrations_make_them(self, bench) -> None:
        assert bench.store.verify() == ()


def test_an_additive_migration_during_work_harms_nobody(path: str) -> None:
    old = opened(path)
    register(old)
    new = [job() for _ in range(4)]
    old.run(old.insert(new))
    assert len(claim(old, 1, wanted=2)) == 2
    later = Later(path, ADDED, additive=True)
    with pytest.raises(SchemaMismatch, match=r"missing: 900_later.*longshore db up"):
        later.run(later.insert([job()]))
    assert later.migrate() == ("900_later",)
    old._look_again = 0.0
    assert len(claim(old, 2, wanted=9)) == 2
    later.run(later.insert([job()]))
    assert len(claim(old, 3, wanted=9)) == 1
    counted = {one.state: one.jobs for one in later.run(later.count(Filter()))}
    assert counted == {JobState.RUNNING: 5}
    old.close()
    later.close()


def test_who_cannot_live_with_a_migration_writes_no_more(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = opened(path)
    old.run(old.insert([job()]))
    later = Later(path, BREAKING, additive=False)
    later.migrate()
    before = Path(path).read_bytes()
    monkeypatch.setattr(old, "_look_again", 0.0)  # some seconds later
    for op in (old.insert([job()]), old.count(Filter())):
        with pytest.raises(SchemaMismatch, match=r"900_later.*cannot live with.*Use that release"):
            old.run(op)
    fresh = opened(path)
    with pytest.raises(SchemaMismatch, match="900_later"):
        fresh.run(fresh.insert([job()]))
    with pytest.raises(SchemaMismatch, match="900_later"):
        fresh.run(fresh.count(Filter()))
    assert Path(path).read_bytes() == before
    for store in (old, later, fresh):
        store.close()


def test_a_look_at_the_tables_is_taken_again_every_few_seconds(path: str) -> None:
    store = opened(path)
    store.run(store.insert([job()]))
    first = store._look_again
    store.run(store.insert([job()]))
    assert store._look_again == first, "not at every operation"
    store._look_again -= schema.FRESH
    store.run(store.insert([job()]))
    assert store._look_again > first
    store.close()


WORKER = """
from longshore import Longshore
jobs = Longshore("sqlite:///{path}", durability="normal")

@jobs.job(kind="add")
def add(a: int, b: int) -> int:
    return a + b
"""


@pytest.mark.slow
def test_a_worker_goes_on_through_an_additive_migration(path: str, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(WORKER.format(path=path))
    app = Longshore(f"sqlite:///{path}", durability="normal")
    app.push({"kind": "add", "args": [1, 1]})
    command = [sys.executable, "-m", "longshore", "-A", "shop:jobs", "worker"]
    worker = subprocess.Popen([*command, "--shutdown-timeout", "5"], cwd=tmp_path)
    try:
        first = app.push({"kind": "add", "args": [2, 2]})
        assert first.result(timeout=30) == 4
        later = Later(path, ADDED, additive=True)
        later.migrate()
        later.close()
        for number in range(20):
            handle = app.push({"kind": "add", "args": [number, 1]})
            assert handle.result(timeout=30) == number + 1
    finally:
        worker.terminate()
        worker.wait(30)
        app.close()
    assert worker.returncode == 0


def test_the_mark_of_an_additive_migration_is_read_from_its_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "migrations" / "sqlite"
    folder.mkdir(parents=True)
    (folder / "001_one.sql").write_text("-- Tables.\ncreate table longshore_a (x);\n")
    (folder / "002_two.sql").write_text("-- Two.\n-- Additive: a column.\nselect 1;\n")
    (folder / "notes.sql").write_text("select 1;")
    monkeypatch.setattr(schema, "_HERE", tmp_path)
    known = schema.read.__wrapped__("sqlite", "mine_")  # it remembers what was there before
    assert [(one.name, one.additive) for one in known.values()] == [
        ("001_one", False),
        ("002_two", True),
    ]
    assert "mine_a" in known["001_one"].text


def test_a_migration_that_has_run_in_part_is_named() -> None:
    known = {"001_jobs": Known("001_jobs", "select 1;", additive=False)}
    status = schema.status_of([("001_jobs", False, False)], known)
    assert (status.applied, status.pending, status.half) == ((), ("001_jobs",), ("001_jobs",))
    with pytest.raises(SchemaMismatch, match=r"001_jobs has run in part.*longshore db up"):
        schema.checked(status, "db")


def test_statements_of_a_migration_end_at_the_end_of_a_line() -> None:
    text = "-- one; two\ncreate table a (\n  b text default ';'\n);\n\ninsert into a values (1);"
    assert schema.split(text) == [
        "create table a (\n  b text default ';'\n)",
        "insert into a values (1)",
    ]
