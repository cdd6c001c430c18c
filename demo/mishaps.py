"""The accident of the demo: a job dies with its process, as when a machine runs out of memory.

It is arranged beforehand with a file, so that it happens in the first run and in no later one.
"""

import os
import signal
import time
from pathlib import Path


def arrange(victim: Path) -> None:
    """The next job that works on this file will not survive it."""
    armed(victim).touch()


def strike(victim: Path) -> None:
    """Kill this process with SIGKILL if that was arranged: no handler runs, nothing is tidied."""
    try:
        # One rename succeeds, whoever else tries: the process is killed once.
        armed(victim).rename(struck(victim))
    except FileNotFoundError:
        return
    struck(victim).write_text(str(time.time_ns() // 1000))
    os.kill(os.getpid(), signal.SIGKILL)


def struck_at(victim: Path) -> int | None:
    """When it happened, in microseconds since 1970; `None` if it did not."""
    try:
        return int(struck(victim).read_text())
    except (FileNotFoundError, ValueError):
        return None


def armed(victim: Path) -> Path:
    return victim.with_name(f"{victim.name}.to-be-killed")


def struck(victim: Path) -> Path:
    return victim.with_name(f"{victim.name}.killed")
