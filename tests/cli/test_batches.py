"""``batches`` and ``workflows``: listed, shown, drawn and cancelled."""

import re
from pathlib import Path

import pytest

from longshore import Longshore
from tests.cli.tools import Call

APP = """
from longshore import Longshore

jobs = Longshore("sqlite:///jobs.db")

@jobs.job(kind="app.load", max_attempts=1)
def load(part: int) -> int: ...

@jobs.job(kind="app.add")
def add(one: int, other: int) -> int: ...
"""


@pytest.fixture(autouse=True)
def app(folder: Path) -> None:
    (folder / "shop.py").write_text(APP)


@pytest.fixture
def made(folder: Path) -> tuple[str, str]:
    """A batch of two jobs and a workflow of three, whose ids are given."""
    jobs = Longshore(f"sqlite:///{folder / 'jobs.db'}")

    @jobs.job(kind="app.load", max_attempts=1)
    def load(part: int) -> int:
        return part

    @jobs.job(kind="app.add")
    def add(one: int, other: int) -> int:
        return one + other

    with jobs.batch("import", on_complete=load.bind(9)) as batch:
        batch.add(load.bind(1))
        batch.add(load.bind(2))
    with jobs.workflow("order") as flow:
        one, other = flow.add(load.bind(1)), flow.add(load.bind(2))
        flow.add(add.bind(one.output, other.output))
    jobs.close()
    return batch.id, flow.id


def test_a_batch_is_listed_shown_and_cancelled(run: Call, made: tuple[str, str]) -> None:
    (one,) = run("batches", "list", "-o", "json").json["batches"]
    assert (one["id"], one["name"], one["total"], one["pending"]) == (made[0], "import", 2, 2)
    shown = run("batches", "show", made[0])
    assert "2: 2 pending, 0 succeeded, 0 cancelled, 0 dead" in shown.out
    assert shown.out.count("app.load") == 3  # its callback and its jobs
    assert run("batches", "cancel", made[0], "--reason", "wrong file").code == 0
    after = run("batches", "show", made[0], "-o", "json").json
    assert [job["reason"] for job in after["jobs"]] == ["wrong file"] * 2
    assert after["finished_at"] is not None


def test_a_workflow_is_drawn(run: Call, made: tuple[str, str]) -> None:
    (one,) = run("workflows", "list", "-o", "json").json["workflows"]
    assert one["id"] == made[1]
    drawn = run("workflows", "show", made[1]).out
    assert drawn.count("app.load") == 2
    assert "└─ (app.add" in drawn
    assert "└─ app.add" in drawn
    assert "waiting" in drawn
    assert run("workflows", "cancel", made[1]).code == 0
    assert run("workflows", "show", made[1], "-o", "json").json["cancelled"] == 3


def work(folder: Path, *, broken: bool = True) -> None:
    jobs = Longshore(f"sqlite:///{folder / 'jobs.db'}")

    @jobs.job(kind="app.load", max_attempts=1)
    def load(part: int) -> int:
        if part == 2 and broken:
            raise ValueError(part)
        return part

    @jobs.job(kind="app.add")
    def add(one: int, other: int) -> int:
        return one + other

    jobs.worker(threads=1).run(until_empty=True)
    jobs.close()


def test_dead_jobs_are_retried(run: Call, made: tuple[str, str], folder: Path) -> None:
    shown = run("batches", "show", made[0], "-o", "json").json
    assert shown["callbacks"]["on_complete"]["state"] == "not yet"
    work(folder)
    shown = run("batches", "show", made[0])
    assert re.search(r"on_complete\s+app\.load \S+ succeeded", shown.out)
    for group, one in zip(("batches", "workflows"), made, strict=True):
        assert run(group, "retry", one, "-o", "json").json["changed"] == 1
    work(folder, broken=False)
    assert run("batches", "show", made[0], "-o", "json").json["succeeded"] == 2
    assert run("workflows", "show", made[1], "-o", "json").json["succeeded"] == 3


def test_of_a_long_chain_the_beginning_is_drawn(run: Call, folder: Path) -> None:
    jobs = Longshore(f"sqlite:///{folder / 'jobs.db'}")

    @jobs.job(kind="app.load")
    def load(part: int) -> int:
        return part

    chain = jobs.chain(load.bind(0))
    for _ in range(300):
        chain = chain.then(load)
    chain.enqueue()
    jobs.close()
    drawn = run("workflows", "show", chain.workflow.id).out
    assert drawn.count("app.load") == 200 + 1  # the chain has the name of its first
    assert "and more: 301 jobs in all" in drawn


def test_what_is_not_there_is_told(run: Call, made: tuple[str, str]) -> None:
    missing = run("batches", "show", made[1])
    assert missing.code == 8
    assert "E806" in missing.err
