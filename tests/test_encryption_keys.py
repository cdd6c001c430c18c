"""Encrypted jobs whose key is not there, keys that are rotated, and what people and files see."""

from __future__ import annotations

import itertools
import json
import logging
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from longshore import JobState, Longshore, ResultUnavailable, Unique, cli
from longshore.core.model import Why
from longshore.core.sealing import is_box
from tests.cli.tools import forget
from tests.encryption_tools import MARKER, NEW, OLD, application, key
from tests.harbour_tools import eventually


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db?synchronous=normal"


def work(jobs: Longshore) -> None:
    jobs.worker(threads=2).run(until_empty=True)


# --- keys that are not there --------------------------------------------------------------------


def test_without_its_key_a_job_waits_and_is_not_lost(url: str) -> None:
    producer: Any = application(url, [NEW, OLD])
    handle = producer.vault.enqueue("ada", MARKER)
    for number, keys in enumerate(([OLD], [key("k2", 9), OLD]), 1):
        worker: Any = application(url, keys)
        with worker.worker(threads=1).running():
            eventually(lambda: len(handle.refresh().runs) >= number)  # noqa: B023 - ends here
        record = handle.refresh().record
        assert (handle.state, record.failures, handle.attempt) == (JobState.AVAILABLE, 0, 1)
        assert record.parked.startswith("Undecryptable: ")
        assert "'k2'" in record.parked
        worker.close()
    assert [run.why.value for run in handle.runs] == ["parked", "parked"]
    # Who has the key takes it up, although it knows the same kinds.
    with producer.worker(threads=1).running():
        assert handle.result(timeout=20) == f"ada {MARKER}"
    producer.close()


def test_a_release_without_any_key_parks_it_too(url: str) -> None:
    producer: Any = application(url)
    handle = producer.vault.enqueue("ada", MARKER)
    older: Any = Longshore(url)
    ran: list[str] = []

    @older.job(kind="vault")
    def vault(name: str = "", secret: str = "") -> None:
        ran.append(name)

    work(older)
    assert (ran, handle.refresh().state) == ([], JobState.AVAILABLE)
    assert handle.record.parked.startswith("Undecryptable: the arguments are encrypted")
    with producer.worker(threads=1).running():
        assert handle.result(timeout=20) == f"ada {MARKER}"
    with pytest.raises(ResultUnavailable, match="this process has no keys"):
        older.get(handle.id).result(timeout=5)
    other: Any = application(url, [NEW])
    with pytest.raises(ResultUnavailable, match="the key 'k1', which is not among those"):
        other.get(handle.id).result(timeout=5)
    for one in (older, other, producer):
        one.close()


def test_a_box_that_was_moved_to_another_job_never_runs(url: str) -> None:
    jobs: Any = application(url)
    ran: list[str] = []

    @jobs.job(kind="other", encrypt=True)
    def other(name: str, secret: str) -> None:
        ran.append(secret)

    source = jobs.vault.enqueue("ada", MARKER)
    targets = [other.enqueue("x", "y"), jobs.vault.enqueue("x", "y")]
    path = jobs.settings.store.path
    with sqlite3.connect(path) as connection:
        for target in targets:
            changed = connection.execute(
                "update longshore_job set payload = ? where id = ?",
                (source.record.payload, target.id),
            )
            assert changed.rowcount == 1
    connection.close()
    work(jobs)
    assert ran == []
    assert source.result(timeout=5) == f"ada {MARKER}"
    for target in targets:
        assert "does not open what is stored" in target.refresh().record.parked
    jobs.close()


def test_keys_are_rotated_under_load(url: str) -> None:
    """Three deployments as the page tells, while jobs are enqueued and performed: none waits."""
    deployments = [[OLD], [OLD, NEW], [NEW, OLD], [NEW]]
    handles: list[Any] = []
    apps = [application(url, keys) for keys in deployments]
    apps[0].migrate()
    for before, after in itertools.pairwise(apps):
        # Half of the programs run the one, half the other, until all are done.
        with before.worker(threads=2).running(), after.worker(threads=2).running():
            made = [app.vault.enqueue(f"n{n}", "x") for n in range(50) for app in (before, after)]
            assert [one.result(timeout=30) for one in made] == [
                f"n{n} x" for n in range(50) for _ in range(2)
            ]
        handles += made
    kids = {json.loads(one.record.payload)["kid"] for one in handles}
    assert (len(handles), kids) == (300, {"k1", "k2"})
    # On a slow machine a job that was claimed ahead goes back; nothing else may have happened.
    assert {run.why for one in handles for run in one.runs} <= {Why.RELEASED}
    assert {one.record.failures for one in handles} == {0}
    # What the first deployment has left is read as long as its key is there.
    assert apps[2].get(handles[0].id).result(timeout=5) == "n0 x"
    for app in apps:
        app.close()


# --- what is shown ------------------------------------------------------------------------------


def test_the_plain_text_is_in_no_file_and_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    jobs: Any = application(f"sqlite:///{tmp_path}/jobs.db")
    plain = jobs.vault.using(encrypt=False).enqueue("control", "seen-in-the-file")
    unique = jobs.vault.using(unique=Unique(on_conflict="replace"))
    unique.using(delay="1h").enqueue(MARKER, MARKER)
    unique.enqueue(MARKER, f"2 {MARKER}")
    jobs.schedules.add("nightly", jobs.vault.bind(MARKER, MARKER), "0 5 * * *")
    with jobs.workflow("flow") as flow:
        first = flow.add(jobs.vault.bind("ada", MARKER))
        flow.add(jobs.vault.bind("bob", first.output))
    with jobs.worker(threads=2).running():
        for handle in (plain, first.handle):
            handle.result(timeout=10)
    files = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert any(name.endswith("-wal") for name in files)
    everything = b"".join(files.values())
    assert b"seen-in-the-file" in everything
    assert MARKER.encode() not in everything
    assert MARKER not in caplog.text
    jobs.close()


def test_queries_do_not_look_into_encrypted_arguments() -> None:
    jobs: Any = application()
    jobs.vault.enqueue("ada", MARKER)
    jobs.vault.using(encrypt=False).enqueue("ada", "x")
    found = [one.record.payload for one in jobs.query.filter(args={"name": "ada"})]
    assert [is_box(payload) for payload in found] == [False]


def test_the_command_line_shows_that_it_is_encrypted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "safe.py").write_text(
        "from tests.encryption_tools import application\n"
        f"jobs = application('sqlite:///{tmp_path}/jobs.db')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def said(*words: str) -> str:
        forget(tmp_path)
        assert cli.main(["-A", "safe:jobs", *words]) == 0
        return capsys.readouterr().out

    said("enqueue", "vault", "name=ada", f"secret={MARKER}", "--unique-key", MARKER)
    jobs: Any = application(f"sqlite:///{tmp_path}/jobs.db")
    jobs.schedules.add("nightly", jobs.vault.bind("bob", MARKER), "0 5 * * *")
    work(jobs)
    (handle,) = list(jobs.query)
    assert handle.result(timeout=5) == f"ada {MARKER}"
    texts = [said("jobs", "show", handle.id), said("jobs", "list"), said("schedules", "list")]
    for words in (("jobs", "show", handle.id), ("jobs", "list"), ("schedules", "show", "nightly")):
        texts += [said("-o", "json", *words)]
    said("schedules", "run", "nightly", "name=eve")
    assert MARKER not in "".join(texts)
    assert texts[0].count("[encrypted]") == 2
    assert json.loads(texts[3])["job"]["args"] == "[encrypted]"
    assert json.loads(texts[3])["job"]["result"] == "[encrypted]"
    work(jobs)
    assert next(one.result(timeout=5) for one in jobs.query) == f"eve {MARKER}"
    jobs.close()
