"""What a figure depends on besides the code: processor, versions, file system, commit."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sqlite3
import subprocess
from pathlib import Path

import msgspec

import longshore

ROOT = Path(__file__).resolve().parent.parent
UNKNOWN = "unknown"


class Machine(msgspec.Struct, frozen=True):
    """Facts about it, none of which names it."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    sqlite: str
    longshore: str
    msgspec: str
    file_system: str  # of the folder in which stores are made
    load: float  # the average over the minute before


def facts(folder: Path) -> Machine:
    """About this machine, with stores made in ``folder``."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _cores(),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        sqlite=sqlite3.sqlite_version,
        longshore=longshore.__version__,
        msgspec=importlib.metadata.version("msgspec"),
        file_system=_file_system(folder),
        load=round(os.getloadavg()[0], 2),
    )


def commit() -> tuple[str, bool]:
    """The commit, shortened, and whether the tree holds changes that it does not."""
    head = _git("rev-parse", "--short=10", "HEAD")
    # The results of earlier runs change no figure.
    changes = _git("status", "--porcelain", "--", ".", ":!docs/benchmarks", ":!docs/benchmarks.md")
    return head or UNKNOWN, bool(changes)


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or UNKNOWN
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _cores() -> int:
    return os.cpu_count() or 1


def _file_system(folder: Path) -> str:
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return UNKNOWN
    path = str(folder.resolve())
    above = [m for m in mounts if path == m[1] or path.startswith(m[1].rstrip("/") + "/")]
    return max(above, key=lambda mount: len(mount[1]))[2] if above else UNKNOWN
