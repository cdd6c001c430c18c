"""``db``: tables made, written out, compared, and shared with newer releases."""

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from longshore import Longshore
from tests.cli.tools import Call, push


def change(folder: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(folder / "jobs.db", isolation_level=None)) as other:
        for statement in statements:
            other.execute(statement)


def test_status_and_up(run: Call) -> None:
    before = run("db", "status", "-o", "json")
    assert (before.code, before.number) == (5, 501)
    assert before.json["pending"]
    up = run("db", "up", "-o", "json")
    assert up.code == 0
    assert up.json["ran"] == before.json["pending"]
    after = run("db", "status", "-o", "json")
    assert (after.code, after.json["pending"]) == (0, [])
    assert run("db", "up", "-o", "json").json["ran"] == []


NEWER = "insert into longshore_migration (name, additive, applied_at) values ('999_later', {}, 1)"


@pytest.mark.parametrize("command", ["up", "status", "sql", "verify"])
def test_tables_of_a_newer_release_are_not_called_up_to_date(
    run: Call, folder: Path, command: str
) -> None:
    run("db", "up")
    change(folder, NEWER.format(0))
    said = run("db", command)
    assert (said.code, said.number) == (5, 501)
    assert "newer release" in said.err


def test_what_a_newer_release_has_only_added_to_is_fine(
    run: Call, shop: Longshore, folder: Path
) -> None:
    run("db", "up")
    change(
        folder,
        NEWER.format(1),
        "create table longshore_later (id integer)",
        "alter table longshore_job add column later text",
    )
    status = run("db", "status", "-o", "json")
    assert status.code == 0
    assert (status.json["unknown"], status.json["breaking"]) == (["999_later"], [])
    assert "999_later" in run("db", "status").out
    assert run("db", "up", "-o", "json").json["ran"] == []
    assert run("db", "verify", "-o", "json").json["differences"] == []
    push(shop)
    assert run("jobs", "list").code == 0


def test_sql_prints_what_a_person_may_run_instead_of_up(
    run: Call, shop: Longshore, folder: Path
) -> None:
    script = run("db", "sql")
    assert script.code == 0
    assert "create table longshore_job" in script.out
    with contextlib.closing(sqlite3.connect(folder / "jobs.db")) as other:
        assert other.execute("select count(*) from sqlite_schema").fetchone() == (0,)
        other.executescript(script.out)
    assert run("db", "status").code == 0
    assert run("db", "up", "-o", "json").json["ran"] == []
    assert run("db", "verify").code == 0
    assert push(shop)
    after = run("db", "sql")
    assert (after.code, after.out) == (0, "")
    assert "nothing to run" in after.err


@pytest.mark.parametrize(
    "given", [(), ("--from", "1"), ("--from", "001_jobs", "--to", "001"), ("--to", "1")]
)
def test_sql_of_some_migrations(run: Call, given: tuple[str, ...]) -> None:
    said = run("db", "sql", *given, "-o", "json")
    assert said.code == 0
    assert said.json["migrations"][0]["name"] == "001_jobs"
    run("db", "up")
    again = run("db", "sql", *given, "-o", "json").json["migrations"]
    assert bool(again) is ("--from" in given), "what was asked for by name is always printed"


def test_sql_of_migrations_the_wrong_way_round(run: Call) -> None:
    said = run("db", "sql", "--from", "5", "--to", "1")
    assert (said.code, said.number) == (2, 200)
    assert "--from 5 comes after --to 1" in said.err


def test_a_file_that_is_not_there_is_looked_at_without_making_it(run: Call, folder: Path) -> None:
    told = run("db", "status", "-o", "json")
    assert (told.code, told.json["applied"]) == (5, [])
    assert told.json["pending"][0] == "001_jobs"
    assert run("db", "verify").code == 5
    assert "create table longshore_job" in run("db", "sql").out
    assert not list(folder.glob("jobs.db*"))


@pytest.mark.parametrize("given", ["2000", "001_job", "", "-1", "1.5", "'; drop"])
@pytest.mark.parametrize("flag", ["--from", "--to"])
def test_sql_of_an_unknown_migration(run: Call, flag: str, given: str) -> None:
    said = run("db", "sql", f"{flag}={given}")
    assert (said.code, said.number) == (2, 200)
    assert "there is no such migration" in said.err
    assert "Migrations: 001_jobs" in said.err


DAMAGE = {
    "drop index longshore_job_due": ("longshore_job", "index longshore_job_due", "missing"),
    "create index longshore_extra on longshore_job (kind)": (
        "longshore_job",
        "index longshore_extra",
        "extra",
    ),
    "alter table longshore_job add column mine text": ("longshore_job", "column mine", "extra"),
    "alter table longshore_job drop column parked_by": (
        "longshore_job",
        "column parked_by",
        "missing",
    ),
    "drop table longshore_leader": ("longshore_leader", "table", "missing"),
    "create table longshore_mine (id integer)": ("longshore_mine", "table", "extra"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_verify_names_what_is_different(run: Call, folder: Path, damage: str) -> None:
    run("db", "up")
    change(folder, damage)
    said = run("db", "verify", "-o", "json")
    assert (said.code, said.number) == (5, 501)
    (found,) = said.json["differences"]
    assert (found["table"], found["what"], found["problem"]) == DAMAGE[damage]
    shown = run("db", "verify", "-o", "plain").out
    assert DAMAGE[damage][0] in shown
    assert DAMAGE[damage][1] in shown


def test_verify_names_what_was_altered(run: Call, folder: Path) -> None:
    run("db", "up")
    change(
        folder,
        "drop table longshore_leader",
        "create table longshore_leader (one integer primary key, process_id text, boot_id text"
        " not null, expires_at integer not null) strict",
        "drop index longshore_job_due",
        "create index longshore_job_due on longshore_job (scheduled_at)",
    )
    found = run("db", "verify", "-o", "json").json["differences"]
    told = {(one["table"], one["what"]): (one["problem"], one["detail"]) for one in found}
    assert told[("longshore_job", "index longshore_job_due")][0] == "altered"
    problem, detail = told[("longshore_leader", "column process_id")]
    assert (problem, detail) == ("altered", "is text, should be text not null")


def test_verify_of_an_empty_file_says_what_is_due(run: Call) -> None:
    said = run("db", "verify")
    assert (said.code, said.number) == (5, 501)
    assert "to run. Run `longshore db up`" in said.err


def test_verify_leaves_the_tables_of_another_prefix_alone(run: Call, folder: Path) -> None:
    run("db", "up")
    other = Longshore(f"sqlite:///{folder}/jobs.db", prefix="longshore_too_")
    other.migrate()
    other.close()
    assert run("db", "verify").code == 0


def test_two_who_bring_tables_up_at_once_run_each_migration_once(run: Call, folder: Path) -> None:
    command = [sys.executable, "-m", "longshore", "db", "up", "-o", "json"]
    both = [
        subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    said = [one.communicate(timeout=50)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0, 0]
    assert sum('"001_jobs"' in out for out in said) == 1
    assert run("db", "verify").code == 0
