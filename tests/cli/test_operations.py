"""``status``, ``health``, ``check``, ``db``, ``config``, and one real worker."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from longshore import Longshore
from longshore.worker import door
from longshore.worker.door import ChildReport, Report
from tests.cli.tools import Call, claim, fresh, push

# --- status, health, check, db, config ---------------------------------------------------------


def test_status_tells_whether_jobs_are_looked_after(run: Call, shop: Longshore) -> None:
    assert run("status").code == 0
    push(shop, 2)
    said = run("status", "-o", "json")
    assert (said.code, said.number) == (1, 103)
    assert said.json["states"]["available"] == 2
    assert not said.json["healthy"]
    leases = claim(shop)
    push(shop, 1)
    healthy = run("status", "-o", "json")
    assert healthy.code == 0
    assert healthy.json["workers"][0]["running"] == len(leases) == 2
    push(shop, 1, queue="nobody")
    assert "queue nobody has 1 job waiting and no worker" in run("status").err
    assert run("queues", "pause", "nobody").code == 0
    table = run("status", "-o", "table")
    assert table.code == 0
    assert "one" in table.out


def test_status_and_doctor_say_the_same_of_parked_jobs(run: Call, shop: Longshore) -> None:
    push(shop, 2)
    shop.worker().run(until_empty=True)  # it knows no kind and parks both
    alone = run("status", "-o", "table")
    assert (alone.code, "\nparked 2: " in alone.out) == (0, True)
    assert run("status", "-o", "json").json["parked"] == 2
    assert "parked\t2\n" in run("status", "-o", "plain").out
    told = run("doctor", "-o", "table")
    assert (told.code, "no job waits, parked jobs aside" in told.out) == (0, True)
    push(shop, 1)
    assert "queue mail has jobs waiting and no worker" in run("status").err
    assert "jobs wait in mail and no worker serves it" in run("doctor", "-o", "table").out


def test_status_tells_of_writes_that_were_refused(
    run: Call, shop: Longshore, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(shop)
    assert claim(shop)
    (process,) = shop.client.run(shop.store.processes())
    monkeypatch.setattr(socket, "gethostname", lambda: process.host)

    def answer(name: str, what: str) -> Report | None:
        assert what == "health"
        pids = {"one": process.pid, "elsewhere": process.pid + 1}
        if name not in pids:
            return None
        children = (ChildReport(pids[name], "working", 1, 0),)
        return Report(name, 1, "working", True, children, True, 3)

    monkeypatch.setattr(door, "names", lambda: ["dead", "elsewhere", "one"])
    monkeypatch.setattr(door, "ask", answer)
    assert run("status", "-o", "json").json["fenced_writes"] == {"one": 3}
    assert "one: 3 writes refused since others had the job" in run("status", "-o", "table").out
    assert "fenced\tone\t3\n" in run("status", "-o", "plain").out
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    assert run("status", "-o", "json").json["fenced_writes"] == {}


def test_health_asks_the_store_and_imports_no_application(
    run: Call, shop: Longshore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGSHORE_STORE", f"sqlite:///{folder}/jobs.db")
    push(shop)
    none = run("health")
    assert (none.code, none.number) == (1, 103)
    claim(shop)
    said = run("health", "-o", "json")
    assert said.code == 0
    assert said.json["healthy"]
    assert "shop" not in sys.modules
    assert run("health", "--worker", "one").code == 0
    assert run("health", "--worker", "two").code == 8


def test_the_worker_of_another_application_does_not_make_this_one_healthy(
    run: Call, shop: Longshore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = {"ours": 1, "theirs": 2}  # as `claim` registers

    def answer(name: str, _: str) -> Report:
        return Report(name, 9, "working", True, (ChildReport(pid[name], "working", 1, 0),))

    monkeypatch.setattr(door, "ask", answer)
    monkeypatch.setattr(door, "names", lambda: ["theirs"])
    # The code alone names the store, and that is not imported: all workers count.
    assert run("health").code == 0
    monkeypatch.setenv("LONGSHORE_STORE", f"sqlite:///{folder}/jobs.db")
    shop.migrate()
    alone = run("health")
    assert (alone.code, alone.number) == (1, 103)
    alone = run("health", "--ready")
    assert (alone.code, alone.number) == (8, 803)
    assert "no worker for sqlite:///" in alone.err
    assert run("health", "--live").code == 0
    assert run("health", "--worker", "theirs").code == 0
    push(shop)
    claim(shop)
    monkeypatch.setattr(socket, "gethostname", lambda: "here")
    monkeypatch.setattr(door, "names", lambda: ["ours", "theirs"])
    both = run("health", "--ready", "-o", "json")
    assert both.code == 0
    assert [worker["name"] for worker in both.json["workers"]] == ["ours"]
    monkeypatch.setenv("LONGSHORE_STORE", "redis://127.0.0.1:1")
    assert run("health", "--ready").code == 0  # they know better than a store that is away


def test_health_without_a_store_makes_none(
    run: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGSHORE_STORE", f"sqlite:///{folder}/other.db")
    said = run("health")
    assert (said.code, said.number) == (4, 401)
    assert not (folder / "other.db").exists()


def test_check_lists_kinds_and_opens_no_store(run: Call, folder: Path) -> None:
    said = run("check", "-o", "json")
    assert said.code == 0
    assert [kind["kind"] for kind in said.json["kinds"]] == ["fail", "mail.send", "report.month"]
    assert said.json["ok"]
    assert not (folder / "jobs.db").exists()


def test_check_finds_what_cannot_work(run: Call, folder: Path) -> None:
    (folder / "bad.py").write_text(
        "from __future__ import annotations\n"
        "from longshore import Longshore\n"
        "jobs = Longshore('memory://')\n"
        "@jobs.job\n"
        "def f(x: Nowhere) -> None: ...\n"
        "@jobs.job\n"
        "def g(x: int) -> None: ...\n"
    )
    said = run("check", "-A", "bad", "-o", "json")
    assert (said.code, said.number) == (5, 514)
    assert [problem["kind"] for problem in said.json["problems"]] == ["bad.f"]
    assert "Nowhere" in said.err


@pytest.mark.parametrize(
    "declared",
    ["@jobs.job(queue='Bad!')", "@jobs.job(priority='x')", "@jobs.job(timeout='soon')"],
)
def test_an_option_of_a_declaration_is_no_wrong_call(
    run: Call, folder: Path, declared: str
) -> None:
    (folder / "bad.py").write_text(
        "from longshore import Longshore\n"
        "jobs = Longshore('sqlite:///jobs.db')\n"
        f"{declared}\n"
        "def f() -> None: ...\n"
    )
    said = run("check", "-A", "bad")
    assert (said.code, said.number) == (5, 510)
    assert "job bad.f: " in said.err
    worker = fresh("worker", "-A", "bad", "--until-empty", cwd=folder)
    assert (worker.returncode, "LONGSHORE-E510" in worker.stderr) == (5, True)
    # The same option on the command line is.
    assert run("queues", "pause", "Bad!").code == 2


def test_check_warns_of_an_application_without_jobs(run: Call, folder: Path) -> None:
    (folder / "bare.py").write_text(
        "from longshore import Longshore\njobs = Longshore('sqlite:///jobs.db')\n"
    )
    said = run("check", "-A", "bare")
    assert said.code == 0
    assert "warning: the application declares no job" in said.err
    assert "all right" not in said.err


def test_config_show(run: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGSHORE_LEASE", "30s")
    plain = dict(line.split("\t") for line in run("config", "show").out.splitlines())
    assert plain["lease"] == "30 s"
    resolved = run("config", "show", "--resolved", "-o", "json").json["settings"]
    assert resolved["lease"] == {"value": "30 s", "source": "LONGSHORE_LEASE"}
    assert resolved["store"]["source"] == "arguments"
    assert resolved["max_payload"]["source"] == "default"


def test_config_show_without_an_application(
    run: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LONGSHORE_APP")
    (folder / "shop.py").unlink()
    (folder / "pyproject.toml").write_text('[tool.longshore]\nlease = "20s"\n')
    monkeypatch.setenv("LONGSHORE_STORE", "postgresql://app:hunter2@db/shop")
    said = run("config", "show", "--resolved", "-o", "json")
    assert said.code == 0
    assert said.json["settings"]["lease"]["value"] == "20 s"
    assert "hunter2" not in said.out + said.err
    assert "***" in said.json["settings"]["store"]["value"]
    assert run("config", "show", "-A", "nowhere").code == 3


def test_a_wrong_setting_is_exit_5(run: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGSHORE_LEASE", "5 parsecs")
    said = run("jobs", "list")
    assert (said.code, said.number) == (5, 500)


def test_an_unknown_variable_is_a_warning(run: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGSHORE_LEESE", "5s")
    said = run("check")
    assert said.code == 0
    assert "warning: nobody reads the environment variable LONGSHORE_LEESE" in said.err


def test_a_memory_store_is_refused(run: Call, folder: Path) -> None:
    (folder / "mem.py").write_text("from longshore import Longshore\njobs = Longshore('memory://')")
    for arguments in (("jobs", "list"), ("status",), ("queues", "list"), ("db", "up")):
        said = run("-A", "mem", *arguments)
        assert (said.code, said.number) == (6, 603)
        assert "one process only" in said.err
    assert run("-A", "mem", "check").code == 0


# --- end to end --------------------------------------------------------------------------------


@pytest.mark.slow
def test_enqueue_and_wait_for_a_real_worker(folder: Path, shop: Longshore) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "longshore", "worker", "--threads", "2"],
        cwd=folder,
        stderr=subprocess.DEVNULL,
    )
    try:
        said = fresh(
            *("enqueue", "send", "user_id=7", "--wait", "--timeout", "40", "-o", "json"), cwd=folder
        )
        assert said.returncode == 0, said.stderr
        job = json.loads(said.stdout)["job"]
        assert (job["state"], job["result"]) == ("succeeded", "7 en")
        dead = fresh("enqueue", "fail", "--wait", "--timeout", "40", cwd=folder)
        assert dead.returncode == 1
        assert "no such host" in dead.stderr
        assert "LONGSHORE-E110" in dead.stderr
        status = fresh("status", "-o", "json", cwd=folder)
        assert status.returncode == 0
        assert list(json.loads(status.stdout)["fenced_writes"].values()) == [0]
    finally:
        worker.terminate()
        assert worker.wait(40) == 0


@pytest.mark.slow
def test_a_worker_that_cannot_import_its_application_ends_with_3(folder: Path) -> None:
    (folder / "shop.py").write_text("1 / 0\n")
    said = fresh("worker", cwd=folder)
    assert said.returncode == 3
    assert "ZeroDivisionError" in said.stderr


def test_who_looks_into_a_file_that_is_not_there_is_told(run: Call, folder: Path) -> None:
    said = run("jobs", "list", "-o", "json")
    path = str(folder / "jobs.db")
    assert (said.code, said.json["jobs"]) == (0, [])
    assert f"{path} was not there: an empty store is made" in said.err
    assert "given by: arguments" in said.err
    assert run("jobs", "list").err == ""
    (folder / "jobs.db").unlink()
    assert run("queues", "list", "-q").err == ""
    assert (folder / "jobs.db").exists()
