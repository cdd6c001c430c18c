"""Migrations on the databases themselves: made once, by hand too, compared, and half-done ones."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore.core.store import Filter, Retention, Store
from longshore.core.store_url import parse_url
from longshore.errors import SchemaMismatch, StoreError
from longshore.stores import connect
from longshore.stores.sql.schema import Known
from tests.places import SQL_SERVERS, Place, each, mysql, place, postgres
from tests.store_tools import claim, job, register

pytestmark = pytest.mark.timeout(120)

KINDS = each("sqlite", *SQL_SERVERS)


class Base:
    """An empty database: stores on it, and statements of somebody else."""

    def __init__(self, kind: str, where: Place) -> None:
        self.kind = kind
        self.where = where
        self._open: list[Store] = []

    def store(self, *later: Known, prefix: str = "longshore_") -> Any:
        """A store of this release, or of one with more migrations."""
        made: Any = connect(self.where.url, retention=Retention(), prefix=prefix, durability="full")
        made._migrations = {**made._migrations, **{one.name: one for one in later}}
        self._open.append(made)
        return made

    def run(self, *statements: str) -> None:
        """Let somebody else change the database."""
        address = parse_url(self.where.url)
        if self.kind == "sqlite":
            import sqlite3

            connection: Any = sqlite3.connect(address.path, isolation_level=None)
        else:
            connection = mysql(address) if self.kind == "mariadb" else postgres(address)
        with contextlib.closing(connection):
            for statement in statements:
                if self.kind == "sqlite":
                    connection.executescript(statement)
                else:
                    cursor = connection.cursor()
                    cursor.execute(statement)
                    cursor.close()

    def close(self) -> None:
        for store in self._open:
            store.close()


@pytest.fixture(params=KINDS)
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Base]:
    with place(request.param, tmp_path) as where:
        made = Base(request.param, where)
        try:
            yield made
        finally:
            made.close()


def later(text: str, *, additive: bool = False, name: str = "900_later") -> Known:
    return Known(name, text, additive)


ADDED = """create table longshore_note (id varchar(36) primary key, note text);
alter table longshore_job add column note text;
create index longshore_job_note on longshore_job (priority, run);"""


def test_what_is_printed_for_a_person_makes_the_same_tables(base: Base) -> None:
    store = base.store()
    script = store.script()
    assert [one.name for one in script] == ["001_jobs", "002_schedules"]
    base.run(*(one.sql for one in script))
    assert store.schema().applied == ("001_jobs", "002_schedules")
    assert store.migrate() == ()
    assert store.verify() == ()
    register(store)
    store.run(store.insert([job()]))
    assert len(claim(store)) == 1
    assert store.run(store.identity())


@pytest.mark.slow
def test_many_who_migrate_at_once_run_each_migration_once(base: Base, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "from longshore import Longshore\n"
        f"jobs = Longshore({base.where.url!r}, prefix={base.where.prefix!r})\n"
    )
    command = [sys.executable, "-m", "longshore", "-A", "shop:jobs", "db", "up", "-o", "json"]
    running = [
        subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    said = [one.communicate(timeout=90) for one in running]
    assert [one.returncode for one in running] == [0] * 4, said
    assert sum('"001_jobs"' in out for out, _ in said) == 1
    assert base.store().verify() == ()


def test_releases_with_and_without_an_additive_migration_work_side_by_side(base: Base) -> None:
    old = base.store()
    register(old)
    old.run(old.insert([job() for _ in range(4)]))
    assert len(claim(old, 1, wanted=2)) == 2
    new = base.store(later(ADDED, additive=True))
    with pytest.raises(SchemaMismatch, match=r"missing: 900_later.*longshore db up"):
        new.run(new.insert([job()]))
    assert new.migrate() == ("900_later",)
    old._look_again = 0.0
    assert len(claim(old, 2, wanted=9)) == 2
    new.run(new.insert([job()]))
    old.run(old.insert([job()]))
    assert len(claim(old, 3, wanted=9)) == 2
    assert sum(one.jobs for one in new.run(new.count(Filter()))) == 6
    assert (old.schema().unknown, old.schema().breaking) == (("900_later",), ())
    assert old.verify() == new.verify() == ()


def test_a_release_that_cannot_live_with_a_migration_stops_within_seconds(base: Base) -> None:
    old = base.store()
    old.run(old.insert([job()]))
    new = base.store(later("alter table longshore_job add column must text;"))
    new.migrate()
    old._look_again = 0.0
    with pytest.raises(SchemaMismatch, match=r"900_later.*cannot live with"):
        old.run(old.insert([job()]))
    assert sum(one.jobs for one in new.run(new.count(Filter()))) == 1


def test_each_difference_is_named(base: Base) -> None:
    store = base.store()
    store.migrate()
    drop: Callable[[str, str], str] = (
        (lambda index, table: f"drop index {index} on {table}")
        if base.kind == "mariadb"
        else (lambda index, _: f"drop index {index}")
    )
    base.run(
        drop("longshore_job_line", "longshore_job"),
        "create index longshore_mine on longshore_job (max_attempts)",
        "alter table longshore_job add column mine text",
        "alter table longshore_process drop column host",
        "drop table longshore_leader",
        "create table longshore_extra (id integer)",
    )
    found = {(one.table, one.what): one.problem for one in store.verify()}
    assert found.pop(("longshore_leader", "table")) == "missing"
    assert found.pop(("longshore_extra", "table")) == "extra"
    assert found.pop(("longshore_job", "index longshore_job_line")) == "missing"
    assert found.pop(("longshore_job", "index longshore_mine")) == "extra"
    assert found.pop(("longshore_job", "column mine")) == "extra"
    assert found.pop(("longshore_process", "column host")) == "missing"
    assert found == {}


@pytest.mark.parametrize("kind", each("postgres16", "postgres18", "mariadb"))
def test_a_column_of_another_type_is_named(kind: str, tmp_path: Path) -> None:
    with place(kind, tmp_path) as where:
        base = Base(kind, where)
        store = base.store()
        store.migrate()
        base.run(
            "alter table longshore_job modify column priority int not null"
            if kind == "mariadb"
            else "alter table longshore_job alter column priority type integer"
        )
        (found,) = store.verify()
        assert (found.table, found.what, found.problem) == (
            "longshore_job",
            "column priority",
            "altered",
        )
        assert "smallint" in found.detail
        base.close()


def test_tables_of_another_prefix_are_left_alone(base: Base) -> None:
    one, two = base.store(), base.store(prefix="longshore_00_")
    one.migrate()
    two.migrate()
    assert one.verify() == two.verify() == ()
    two.run(two.insert([job()]))
    assert sum(counted.jobs for counted in one.run(one.count(Filter()))) == 0


def test_a_migration_that_fails_can_be_run_again(base: Base) -> None:
    store = base.store()
    store.migrate()
    broken = base.store(later(f"{ADDED}\ninsert into longshore_nowhere values (1);"))
    with pytest.raises(StoreError, match="longshore_nowhere"):
        broken.migrate()
    status = broken.schema()
    assert status.pending == ("900_later",)
    assert status.half == (("900_later",) if base.kind == "mariadb" else ())
    with pytest.raises(SchemaMismatch, match="longshore db up"):
        broken.run(broken.insert([job()]))
    mended = base.store(later(f"{ADDED}\ninsert into longshore_note values ('1', 'x');"))
    assert mended.migrate() == ("900_later",)
    assert mended.verify() == ()
    mended.run(mended.insert([job()]))


@pytest.mark.parametrize("kind", each("mariadb"))
def test_a_half_done_migration_is_named_and_gone_on_with(kind: str, tmp_path: Path) -> None:
    """This server ends a transaction at every change of a table."""
    with place(kind, tmp_path) as where:
        base = Base(kind, where)
        store = base.store()
        store.migrate()
        # Killed behind the first statement's end and before the note of it.
        base.run(
            "insert into longshore_migration (name, additive, steps) values ('900_later', 1, 0)",
            ADDED.partition(";")[0],
        )
        new = base.store(later(ADDED, additive=True))
        assert (new.schema().half, new.schema().pending) == (("900_later",), ("900_later",))
        with pytest.raises(SchemaMismatch, match=r"900_later has run in part.*db verify"):
            new.run(new.insert([job()]))
        found = {(one.table, one.what): one.problem for one in new.verify()}
        assert found == {
            ("longshore_job", "column note"): "missing",
            ("longshore_job", "index longshore_job_note"): "missing",
        }
        # Who does not know it goes on meanwhile.
        store._look_again = 0.0
        store.run(store.insert([job()]))
        assert new.migrate() == ("900_later",)
        assert (new.schema().half, new.verify()) == ((), ())
        base.close()
