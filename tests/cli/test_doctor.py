"""`longshore doctor`: what it says, what it leaves alone, and how it ends."""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path

import pytest

from longshore import Longshore
from tests.cli.tools import Call, claim, push


def results(run: Call, *arguments: str) -> dict[str, str]:
    """What each thing came to."""
    return {
        one["about"]: one["result"]
        for one in run("doctor", "-o", "json", *arguments).json["findings"]
    }


def test_a_store_that_is_not_there_yet_is_not_made(run: Call, folder: Path) -> None:
    said = run("doctor", "-o", "table")
    assert said.code == 0
    assert "no file yet" in said.out
    assert not (folder / "jobs.db").exists()


def test_all_is_well_with_a_worker(run: Call, shop: Longshore) -> None:
    push(shop)
    claim(shop)
    said = run("doctor", "-o", "json")
    assert (said.code, said.json["fit"], said.json["attended"]) == (0, True, True)
    found = {one["about"]: one for one in said.json["findings"]}
    assert {"version", "file system", "durability", "disk", "tables"} <= set(found)
    assert found["queues"]["result"] == "ok"
    # The process of this test says nothing of its release, as one of long ago would.
    assert found["releases"]["result"] == "warn"


def test_every_line_is_whole_and_says_what_to_do(run: Call, shop: Longshore) -> None:
    push(shop)
    said = run("doctor", "-o", "table")
    assert (said.code, said.number) == (1, 103)
    assert re.search(r"^  ok    version +SQLite 3", said.out, re.MULTILINE)
    assert re.search(
        r"^  fail  queues +jobs wait in mail and no worker serves it", said.out, re.MULTILINE
    )
    assert "-> Start one: `longshore worker -Q mail`" in said.out
    plain = run("doctor", "-o", "plain")
    assert [line.count("\t") for line in plain.out.splitlines()].count(5) >= 6


def test_tables_that_are_old_are_told_and_brought_up_to_date(run: Call, shop: Longshore) -> None:
    shop.migrate()
    with sqlite3.connect("jobs.db") as connection:
        connection.execute("delete from longshore_migration where name like '005%'")
        connection.execute("alter table longshore_process drop column version")
    said = run("doctor", "-o", "table")
    assert (said.code, said.number) == (5, 502)
    assert "older than this release: 005_versions" in said.out
    assert "longshore db up" in said.out
    assert results(run, "--fix")["tables"] == "ok"
    assert run("db", "verify").code == 0


def test_parked_jobs_and_schedules_are_seen(run: Call, shop: Longshore) -> None:
    push(shop)
    shop.worker().run(until_empty=True)  # it knows no kind and parks the job
    rest = shop.job(kind="rest")(_rest)
    shop.schedules.add("night", rest.bind(), "@daily")
    said = run("doctor", "-o", "table")
    assert "nobody fires night" in said.out
    assert "no live worker knows: mail.send" in said.out
    assert said.code == 0  # warnings only: nobody waits who could run


def _rest() -> None: ...


def test_a_store_out_of_reach_ends_with_4(
    run: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = (
        (folder / "shop.py").read_text().replace("sqlite:///jobs.db", "redis://:s3cret@127.0.0.1:1")
    )
    (folder / "shop.py").write_text(app)
    said = run("doctor", "-o", "table")
    assert (said.code, said.number) == (4, 401)
    assert "cannot be reached" in said.out
    assert "s3cret" not in said.out + said.err


def test_a_folder_that_is_not_there(run: Call, folder: Path) -> None:
    app = (folder / "shop.py").read_text().replace("///jobs.db", "///data/jobs.db")
    (folder / "shop.py").write_text(app)
    said = run("doctor", "-o", "table")
    assert (said.code, said.number) == (5, 502)
    assert f"there is no folder {folder}/data" in said.out
    assert f"`mkdir -p {folder}/data`" in said.out
    assert "makes it" not in said.out
    (folder / "data").write_text("a file")
    assert "there is no folder" in run("doctor", "-o", "table").out
    (folder / "data").unlink()
    (folder / "data").mkdir()
    assert run("doctor").code == 0


def test_a_folder_that_may_not_be_written(
    run: Call, shop: Longshore, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.migrate()
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    said = run("doctor", "-o", "table")
    assert (said.code, said.number) == (5, 502)
    assert "may not write to the folder" in said.out
