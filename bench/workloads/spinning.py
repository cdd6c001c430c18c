"""A known amount of the interpreter's time, and two bare processes that spend it: W7's ideal."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench.sample import Sample

TURNS = 20_000


def spin_for(turns: int) -> None:
    """Count."""
    for _ in range(turns):
        pass


def turns_per_millisecond() -> int:
    """How far this machine counts in a millisecond, the best of some tries."""
    best = min(_timed(TURNS) for _ in range(50))
    return max(1, int(TURNS * 0.001 / best))


def bare(home: Path, *, jobs: int, processes: int, turns: int) -> Sample:  # noqa: ARG001 - called as all are
    """As many bare processes as workers, each with its share of the same loops, run side by side.

    From the first start of a loop to the last end, by the machine's monotonic clock.
    """
    share = [sys.executable, "-m", __name__, str(jobs // processes), str(turns)]
    running = [subprocess.Popen(share, stdout=subprocess.PIPE) for _ in range(processes)]
    times = [[int(text) for text in child.communicate()[0].split()] for child in running]
    seconds = (max(end for _, end in times) - min(start for start, _ in times)) / 1e9
    return Sample({"jobs/s": jobs // processes * processes / seconds}, seconds)


def _timed(turns: int) -> float:
    start = time.perf_counter()
    spin_for(turns)
    return time.perf_counter() - start


def _share(jobs: str, turns: str) -> None:
    start = time.monotonic_ns()
    for _ in range(int(jobs)):
        spin_for(int(turns))
    print(start, time.monotonic_ns())


if __name__ == "__main__":
    _share(*sys.argv[1:])
