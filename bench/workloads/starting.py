"""W6: what ``from longshore import Longshore`` costs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from bench.sample import Sample, Stopwatch


def importing(home: Path, *, tries: int) -> Sample:
    """A fresh interpreter that imports `Longshore`, less one that imports nothing; best of each.

    The tries alternate; the first pair, which compiles and reads from disk, does not count. It is
    the import of an ordinary install: bytecode is kept, and `typing_extensions`, which msgspec
    loads where the tools of development have brought it along, is not there.
    """
    bare: list[float] = []
    full: list[float] = []
    with Stopwatch() as watch:
        for _ in range(tries + 1):
            bare.append(_run(home, "pass"))
            full.append(_run(home, "from longshore import Longshore"))
    figures = {"ms": 1000 * (min(full[1:]) - min(bare[1:]))}
    return Sample(figures, watch.seconds)


def _run(home: Path, code: str) -> float:
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(home / "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    without = "import sys; sys.modules['typing_extensions'] = None; "
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", without + code], check=True, env=environment)
    return time.perf_counter() - start
