"""Terminals of all kinds, readers that leave, and people who press Ctrl-C."""

import contextlib
import io
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from longshore import Longshore
from longshore.cli.output import Out
from longshore.cli.parts import Globals
from longshore.query import Changes, JobQuery
from tests.cli.tools import Call, fresh, push

# --- B58: streams and terminals ----------------------------------------------------------------


def test_quiet_leaves_data_and_errors(run: Call) -> None:
    said = run("-q", "check")
    assert said.err == ""
    assert said.out
    assert run("-q", "jobs", "list", "x").number == 208


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"COLUMNS": "0"},
        {"COLUMNS": "1"},
        {"TERM": "dumb"},
        {"NO_COLOR": "1", "FORCE_COLOR": "1"},
    ],
)
def test_b58_terminals_of_all_kinds(folder: Path, shop: Longshore, env: dict[str, str]) -> None:
    shop.push({"kind": "naïve.→", "args": ["é"], "tags": ["ü"]})
    said = fresh("-o", "table", "jobs", "list", "--columns", "id,kind,tags", cwd=folder, env=env)
    assert said.returncode == 0, said.stderr
    assert said.stderr == ""
    assert "\x1b" not in said.stdout
    as_json = fresh("jobs", "list", "-o", "json", cwd=folder, env=env, encoding=None)
    assert json.loads(as_json.stdout)["jobs"][0]["kind"] == "naïve.→"


def test_color_when_asked_for(folder: Path, shop: Longshore) -> None:
    push(shop)
    arguments = ("-o", "table", "jobs", "list")
    assert "\x1b" in fresh(*arguments, "--color", "always", cwd=folder).stdout
    assert "\x1b" in fresh(*arguments, cwd=folder, env={"FORCE_COLOR": "1"}).stdout
    assert "\x1b" not in fresh(*arguments, cwd=folder).stdout


@pytest.mark.parametrize("arguments", [("jobs", "list"), ("jobs", "list", "-o", "json")])
def test_b58_a_reader_that_has_seen_enough(
    folder: Path, shop: Longshore, arguments: Sequence[str]
) -> None:
    for i in range(300):
        shop.push({"kind": "mail.send", "args": [f"{i}{'x' * 500}"]})
    process = subprocess.Popen(
        [sys.executable, "-m", "longshore", *arguments, "--limit", "1000"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        said = process.stderr.read()
    assert process.wait(30) == 0
    assert b"Traceback" not in said
    assert b"Exception" not in said


def test_b58_a_full_disk_is_told(folder: Path) -> None:
    full_device = Path("/dev/full")
    if not full_device.exists():
        pytest.skip("this system has no /dev/full")
    with full_device.open("w") as full:
        said = subprocess.run(
            [sys.executable, "-m", "longshore", "check"],
            cwd=folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=50,
            check=False,
        )
    assert said.returncode == 1
    assert "No space left" in said.stderr
    assert "Traceback" not in said.stderr


def test_ctrl_c_ends_waiting_with_130(folder: Path, shop: Longshore) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "longshore", "enqueue", "send", "user_id=1", "--wait"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    assert "stored; waiting" in first
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert shop.query.filter(state="available").count() == 1


def on_a_terminal(folder: Path, typed: bytes, *arguments: str) -> tuple[int, str]:
    """Run a command on a terminal of its own where somebody types this."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "longshore", *arguments],
            cwd=folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        )
    finally:
        os.close(theirs)
    os.write(ours, typed)
    said = b""
    # Linux says with an error that the other side is gone.
    with open(ours, "rb", buffering=0) as terminal, contextlib.suppress(OSError):  # noqa: PTH123
        while part := terminal.read(4096):
            said += part
    return process.wait(30), said.decode()


def test_on_a_terminal_a_person_is_asked(folder: Path, shop: Longshore) -> None:
    push(shop, 3)
    command = ("jobs", "cancel", "--query", "queue:mail")
    code, said = on_a_terminal(folder, b"n\n", *command)
    assert code == 6
    assert "3 jobs" in said
    assert "LONGSHORE-E606" in said
    assert shop.query.filter(state="cancelled").count() == 0
    code, said = on_a_terminal(folder, b"y\n", *command)
    assert code == 0
    assert "cancelled" in said
    assert "3/3" in said  # the progress bar
    assert shop.query.filter(state="cancelled").count() == 3


def test_b58_no_standard_output_at_all(folder: Path) -> None:
    command = f"exec {sys.executable} -m longshore check >&-"
    said = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert "Traceback" not in said.stderr


def test_ctrl_c_during_a_bulk_verb_tells_how_far_it_came(
    run: Call, shop: Longshore, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(shop, 3)

    def stopped(query: JobQuery, reason: str | None, *, progress: Any) -> Any:
        progress(Changes(changed=2, examined=2))
        raise KeyboardInterrupt

    monkeypatch.setattr(JobQuery, "cancel", stopped)
    said = run("jobs", "cancel", "--all", "--yes")
    assert said.code == 130
    assert "cancel: 2 of 3 jobs done; repeat the command to go on" in said.err


def test_a_traceback_stays_readable_in_a_pipe() -> None:
    out = Out(Globals(output="plain"))
    with contextlib.redirect_stdout(io.StringIO()) as written:
        out.fields({}, [("id", "1"), ("traceback", "Traceback:\n  File x\nOSError"), ("none", "")])
    assert written.getvalue() == (
        "id\t1\ntraceback\tTraceback:\ntraceback\t  File x\ntraceback\tOSError\nnone\t\n"
    )
