"""W6: what ``import longshore`` costs."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench.sample import Sample, Stopwatch


def importing(home: Path, *, tries: int) -> Sample:  # noqa: ARG001 - called as all are
    """A fresh interpreter that imports `longshore`, less one that imports nothing; best of each.

    The tries alternate; the first pair, which may compile and read from disk, does not count.
    """
    bare: list[float] = []
    full: list[float] = []
    with Stopwatch() as watch:
        for _ in range(tries + 1):
            bare.append(_run("pass"))
            full.append(_run("import longshore"))
    figures = {"ms": 1000 * (min(full[1:]) - min(bare[1:]))}
    return Sample(figures, watch.seconds)


def _run(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start
