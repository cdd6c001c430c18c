"""Runs cells round by round: every sample in a fresh process, ours and the raw loop in turn."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from bench.cells import Call, Cell
from bench.child import RESULT
from bench.machine import ROOT
from bench.pinning import cores
from bench.results import Measured
from bench.sample import Sample
from bench.servers import SERVERS, Servers

LIMIT = 1800.0  # seconds for one sample, most for W8's: one that hangs is a fault, not a wait
LAST_WORDS = 400

Progress = Callable[[int, Cell, str], None]


def measure(
    cells: Sequence[Cell], rounds: int, folder: Path, servers: Servers, progress: Progress
) -> list[Measured]:
    """Every cell once in every round, so that a slow minute of the machine hits all alike.

    Ours, the raw loop and the peers of a cell follow each other; each round another begins.
    """
    measured = [Measured(cell, [], [], {name: [] for name in cell.peers}) for cell in cells]
    for turn in range(rounds):
        for entry in measured:
            cell, line = entry.cell, entry.contenders
            first = turn % len(line)
            for name, call, samples in (*line[first:], *line[:first]):
                progress(turn, cell, name)
                pinned = cell.pinned
                url = servers.fresh(cell.store, pinned=pinned) if cell.store in SERVERS else None
                samples.append(sampled(call, folder, url, pinned=pinned))
    return measured


def sampled(call: Call, folder: Path, url: str | None = None, *, pinned: bool = True) -> Sample:
    """Run one workload in a process and a folder of its own; ``url``: of its server's database."""
    params = msgspec.json.encode(call.params).decode()
    with _home(folder) as home:
        command = [sys.executable, "-m", "bench.child", call.name, params, str(home)]
        code, said = _run(command, home, _environment(url, pinned=pinned))
        try:
            return msgspec.json.decode((home / RESULT).read_bytes(), type=Sample)
        except (OSError, msgspec.DecodeError):
            return Sample(invalid=f"{call.name} ended with {code}: {said[-LAST_WORDS:]}")


def _run(command: Sequence[str], home: Path, environment: Mapping[str, str]) -> tuple[str, str]:
    """How a process ended, and what it said."""
    log = home / "child.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = f"exit code {child.wait(timeout=LIMIT)}"
        except subprocess.TimeoutExpired:
            code = f"nothing within {LIMIT:.0f} s"
        finally:
            _end(child)
    # Results are published: where somebody keeps this repository is not part of them.
    return code, log.read_text(errors="replace").strip().replace(f"{ROOT}/", "")


def _end(child: subprocess.Popen[bytes]) -> None:
    """Nothing of a sample may be left to disturb the next, least of all its workers."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _environment(url: str | None, *, pinned: bool) -> dict[str, str]:
    """Ours without the settings of somebody's own application."""
    foreign = ("LONGSHORE_", "BENCH_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    # Its own package first: an environment may have that of another checkout.
    kept["PYTHONPATH"] = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    if url is not None:
        kept["BENCH_URL"] = url
        if pinned and (chosen := cores()) is not None:
            kept["BENCH_CORE"] = str(chosen[1])
    return kept


@contextmanager
def _home(folder: Path) -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="longshore-bench-", dir=folder))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)
