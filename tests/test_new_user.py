"""What somebody new does by mistake: scripts without a guard, one text for a list, odd ids."""

import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

import longshore
from longshore import Job, Longshore
from longshore.discovery import importing
from longshore.errors import (
    ConfigurationError,
    InvalidOption,
    JobCancelled,
    JobDead,
    NotAJobFunction,
    ResultTimeout,
)

SOURCE = str(Path(longshore.__file__).parents[1])

UNGUARDED = """
from longshore import Longshore

jobs = Longshore("sqlite:///jobs.db")

@jobs.job
def greet(name: str) -> str:
    return name

print("imported", flush=True)
jobs.worker(PROCESSES).run(until_empty=True)
"""


@pytest.fixture
def app() -> Longshore:
    return Longshore("memory://")


def script(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "work.py").write_text(text)
    return subprocess.run(
        [sys.executable, "work.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_a_script_without_a_guard_does_not_multiply(tmp_path: Path) -> None:
    ran = script(tmp_path, UNGUARDED.replace("PROCESSES", "processes=2"))
    assert ran.returncode == 1
    assert 'if __name__ == "__main__":' in ran.stderr
    # The script itself and its two children: none of these had children of their own.
    assert 2 <= ran.stdout.count("imported") <= 3


def test_a_script_without_a_guard_may_work_in_its_own_process(tmp_path: Path) -> None:
    assert script(tmp_path, UNGUARDED.replace("PROCESSES", "")).returncode == 0


@pytest.mark.parametrize("start", ["run(until_empty=True)", "running().__enter__()"])
def test_no_command_starts_the_worker_of_what_it_imports(tmp_path: Path, start: str) -> None:
    text = UNGUARDED.replace("PROCESSES", "").replace("run(until_empty=True)", start)
    (tmp_path / "work.py").write_text(text)
    ran = subprocess.run(
        [sys.executable, "-m", "longshore", "-A", "work", "check"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert ran.returncode == 5
    assert "importing work starts a worker" in ran.stderr
    assert not (tmp_path / "jobs.db").exists()


def test_outside_of_an_import_a_worker_may_start(app: Longshore) -> None:
    assert importing() is None
    app.worker(threads=1).run(until_empty=True)


def test_queues_of_a_worker_are_a_list(app: Longshore) -> None:
    with pytest.raises(ConfigurationError, match=r"queues='mail' is one text"):
        app.worker(queues="mail")
    with pytest.raises(ConfigurationError, match="queues=5 is no list"):
        app.worker(queues=5)
    with pytest.raises(ConfigurationError, match=r"threads .* not '10'"):
        app.worker(threads="10")


@pytest.mark.parametrize("limit", ["5", -1, 1.5, True, None])
def test_how_many_to_read_is_a_number(app: Longshore, limit: Any) -> None:
    handle = app.push({"kind": "elsewhere"})
    for read in (app.batches.list, app.workflows.list, handle.logs, app.limits.list):
        with pytest.raises(InvalidOption, match="limit="):
            read(limit=limit)
    with pytest.raises(InvalidOption, match="after="):
        handle.logs(after=limit)


def test_an_id_in_capitals_or_as_a_uuid_is_the_same_job(app: Longshore) -> None:
    job_id = app.push({"kind": "a"}).id
    assert app.get(job_id.upper()).id == job_id
    assert app.get(uuid.UUID(job_id)).id == job_id  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [[1], "mail.send", {"knd": "mail.send"}])
def test_a_push_that_names_no_job(app: Longshore, wrong: object) -> None:
    with pytest.raises(InvalidOption, match=r"names no job: push\(\) takes a dictionary"):
        app.push(wrong)  # type: ignore[arg-type]
    assert app.query.count() == 0


def test_a_job_is_declared_once(app: Longshore) -> None:
    send = app.job(kind="send")(lambda: None)
    with pytest.raises(NotAJobFunction, match=r"send is a job already"):
        app.job(send)


def test_a_job_class_below_a_declared_one_says_its_own_application(app: Longshore) -> None:
    class Base(Job, app=app):
        kind = "base"

        def perform(self) -> None: ...

    class Below(Base): ...

    with pytest.raises(NotAJobFunction, match=r"Below.* belongs to no application"):
        Below.enqueue()


def test_what_a_handle_says_of_a_job_that_did_not_succeed(app: Longshore) -> None:
    @app.job(kind="boom", max_attempts=1)
    def boom() -> None:
        raise OSError("no route")

    handle = boom.enqueue()
    with pytest.raises(ResultTimeout, match=r"it goes on\. Does a worker serve its queue\?"):
        handle.result(timeout=0)
    app.worker(threads=1).run(until_empty=True)
    with pytest.raises(JobDead, match=r"is dead after 1 attempt: "):
        handle.result(timeout=0)
    later = boom.using(delay="1h").enqueue()
    later.cancel()
    with pytest.raises(JobCancelled, match=r"was cancelled$"):
        later.result(timeout=0)


@pytest.mark.parametrize(("word", "state"), [("queued", "available"), ("FAILED", "dead")])
def test_states_by_the_names_of_other_systems(app: Longshore, word: str, state: str) -> None:
    with pytest.raises(InvalidOption, match=rf"Did you mean {state}\?"):
        app.query.filter(state=word)  # type: ignore[arg-type]


def test_handles_on_one_job_are_equal() -> None:
    jobs = Longshore("memory://")

    @jobs.job(kind="same")
    def same() -> None: ...

    one, other = same.enqueue(), same.enqueue()
    assert jobs.get(one.id) == one
    assert one != other
    assert len({one, jobs.get(one.id), other}) == 2
    jobs.close()
