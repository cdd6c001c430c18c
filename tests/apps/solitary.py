"""Jobs in processes of their own that crash, linger, clean up and come up slowly."""

import atexit
import os
import signal
import sys
import threading
import time
from pathlib import Path

from longshore import Longshore

jobs = Longshore()
LEDGER = Path(os.environ["HARBOUR_LEDGER"])
#: So long this application takes to be imported where a job runs, seconds.
BOOT = float(os.environ.get("SOLITARY_BOOT", "0"))
if BOOT and "isolated_child" in " ".join(Path("/proc/self/cmdline").read_text().split("\0")):
    time.sleep(BOOT)


def note(*words: object) -> None:
    with LEDGER.open("a") as file:
        file.write(" ".join(map(str, (time.time(), os.getpid(), *words))) + "\n")


@jobs.on("job.started")
def started(event: object) -> None:
    note("started", getattr(event, "job_id", ""))


@jobs.job(kind="leaves", isolation="process", max_attempts=3)
def leaves() -> str:
    """Dies under its first run, and what it has forked off lives."""
    if LEDGER.with_name("left").exists():
        return "again"
    LEDGER.with_name("left").touch()
    if os.fork() == 0:
        threading.Event().wait(30)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


@jobs.job(kind="cleans", isolation="process", max_attempts=1)
def cleans() -> None:
    note("cleans")
    try:
        threading.Event().wait(60)
    finally:
        time.sleep(0.3)
        note("cleaned")


@jobs.job(kind="short", isolation="process", max_attempts=1, timeout="700ms")
def short() -> str:
    return "in time"


@jobs.job(kind="prints", isolation="process", max_attempts=1)
def prints() -> None:
    atexit.register(note, "over")
    sys.stdout.write(f"printed by {os.getpid()}\n")


@jobs.job(kind="once", isolation="process", at_most_once=True)
def once() -> int:
    return os.getpid()
