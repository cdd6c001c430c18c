"""Where jobs are declared, and when an application is closed: modules, scripts, workers in them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import Event, JobState, Longshore
from longshore.errors import ClientClosed, ConfigurationError, StoreUnavailable


@pytest.fixture
def jobs() -> Iterator[Longshore]:
    app = Longshore("memory://")
    yield app
    app.close()


@pytest.mark.timeout(60)
def test_closing_the_application_drains_its_worker_first(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    app, begun = Longshore(url), threading.Event()

    @app.job(kind="slow")
    def slow() -> None:
        begun.set()
        time.sleep(0.5)

    with app.worker(threads=2).running():
        handle = slow.enqueue()
        assert begun.wait(10)
        app.close()
    other = Longshore(url)
    assert other.get(handle.id).state is JobState.SUCCEEDED
    other.close()


@pytest.mark.timeout(60)
def test_closing_waits_until_a_worker_elsewhere_has_left(tmp_path: Path) -> None:
    told: list[str] = []
    for number in range(5):
        app = Longshore(f"sqlite:///{tmp_path}/{number}.db")
        app.migrate()
        begun = threading.Event()
        app.on("worker.started")(lambda _event, begun=begun: begun.set())
        app.on("worker.stopped")(lambda event: told.append(event.name))
        failed: list[BaseException] = []

        def work(app: Longshore = app, failed: list[BaseException] = failed) -> None:
            try:
                app.worker(threads=1).run()
            except BaseException as error:  # noqa: BLE001 - none is expected
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        assert begun.wait(10)
        app.close()
        thread.join(10)
        assert not thread.is_alive()
        assert failed == []
    assert told == ["worker.stopped"] * 5


def test_closing_from_inside_the_worker_is_refused(jobs: Longshore) -> None:
    refused: list[str] = []

    def close() -> None:
        try:
            jobs.close()
        except ConfigurationError as error:
            refused.append(str(error))

    @jobs.job(kind="closes")
    def closes() -> None:
        close()

    @jobs.job(kind="acloses")
    async def acloses() -> None:
        with contextlib.suppress(ConfigurationError):
            await jobs.aclose()
            return
        refused.append("awaited")

    @jobs.on("job.succeeded")
    def told(_event: Event) -> None:
        close()

    handles = [closes.enqueue(), acloses.enqueue()]
    jobs.worker(threads=1).run(until_empty=True)
    assert [handle.refresh().state for handle in handles] == [JobState.SUCCEEDED] * 2
    assert len(refused) == 4


def test_a_store_that_is_away_keeps_nobody_from_closing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Longshore(f"sqlite:///{tmp_path}/jobs.db")
    app.migrate()

    def away(*_given: object) -> Any:
        raise StoreUnavailable("away")

    with app.worker(threads=1).running():
        monkeypatch.setattr(app.store, "rescue", away)
        app.close()
    with pytest.raises(ClientClosed):
        app.query.count()


MODULES = {
    "shop/__init__.py": "",
    "shop/core.py": "from longshore import Longshore\njobs = Longshore('sqlite:///jobs.db')\n",
    "shop/tasks.py": """
import os
from shop.core import jobs

@jobs.job(isolation="process", max_attempts=1)
def apart() -> int:
    return os.getpid()
""",
    "main.py": """
import os
from shop.core import jobs
from shop.tasks import apart

if __name__ == "__main__":
    jobs.migrate()
    with jobs.worker(threads=1).running():
        print(apart.enqueue().result(timeout=40) != os.getpid())
""",
    "nested.py": """
from shop.core import jobs

if __name__ == "__main__":
    @jobs.job(isolation="process", max_attempts=1, kind="hidden")
    def hidden() -> None: ...

    jobs.migrate()
    handle = hidden.enqueue()
    jobs.worker(threads=1).run(until_empty=True)
    print(handle.refresh().state, handle.runs[0].message)
""",
}


@pytest.mark.slow
@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    ("script", "said"),
    [("main.py", "True"), ("nested.py", "Declare it at the top of a module")],
)
def test_a_process_for_one_job_knows_what_its_worker_has_imported(
    tmp_path: Path, script: str, said: str
) -> None:
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert said in run(tmp_path, script).stdout


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_a_worker_that_looks_for_its_application_has_processes_for_one_job(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(MODULES["shop/core.py"] + MODULES["shop/tasks.py"])
    text = (tmp_path / "jobs.py").read_text().replace("from shop.core import jobs\n", "")
    (tmp_path / "jobs.py").write_text(text)
    run(tmp_path, "-m", "longshore", "enqueue", "apart")
    ended = run(tmp_path, "-m", "longshore", "worker", "--until-empty")
    assert "succeeded" in run(tmp_path, "-m", "longshore", "jobs", "list").stdout, ended.stderr


@pytest.mark.slow
@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    "how", [("-m", "shop.tasks"), ("shop/tasks.py",), ("-m", "multiprocessing_main")]
)
def test_a_script_gives_its_jobs_the_names_that_others_import(
    tmp_path: Path, how: tuple[str, ...]
) -> None:
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with (tmp_path / "shop/tasks.py").open("a") as file:
        file.write("\nprint(apart.kind)\n")
    (tmp_path / "multiprocessing_main.py").write_text(
        "import multiprocessing\nfrom longshore import Longshore\njobs = Longshore('memory://')\n"
        "@jobs.job\ndef apart() -> None: ...\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('spawn')\n"
        "    process = context.Process(target=print, args=('begun',))\n"
        "    process.start()\n"
        "    process.join()\n"
        "print(apart.kind, flush=True)\n"
    )
    said = run(tmp_path, *how, PYTHONPATH=str(tmp_path)).stdout.splitlines()
    module = "multiprocessing_main" if "multi" in how[-1] else "shop.tasks"
    assert [line for line in said if line != "begun"] == [f"{module}.apart"] * len(
        [line for line in said if line != "begun"]
    )


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_a_body_that_closes_the_application_ends_its_process_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(
        MODULES["shop/core.py"]
        + "@jobs.job\ndef closes() -> None:\n    jobs.close()\n"
        + "@jobs.job\ndef plain() -> None: ...\n"
    )
    for kind in ("closes", "plain"):
        run(tmp_path, "-m", "longshore", "enqueue", kind)
    ended = run(tmp_path, "-m", "longshore", "worker", "--until-empty")
    listed = run(tmp_path, "-m", "longshore", "jobs", "list", "-o", "json").stdout
    states = {job["kind"]: job["state"] for job in json.loads(listed)["jobs"]}
    assert states["jobs.plain"] == "succeeded", ended.stderr
    assert states["jobs.closes"] != "running", ended.stderr


def run(folder: Path, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A Python program in a folder, to its end."""
    ran = subprocess.run(
        [sys.executable, *command],
        check=False,
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=80,
    )
    assert ran.returncode == 0, ran.stderr
    return ran
