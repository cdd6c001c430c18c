"""An application whose jobs end their own process, among others that do no harm.

Bodies write to a ledger as those of ``harbour.py`` do.
"""

import asyncio
import ctypes
import os
import signal
import time

from longshore import CONTEXT, JobContext, Longshore

jobs = Longshore(lease=float(os.environ.get("HARBOUR_LEASE", "15")))

LEDGER = os.open(os.environ["HARBOUR_LEDGER"], os.O_RDWR | os.O_APPEND | os.O_CREAT)
DEATHS = 3


def note(*words: object) -> None:
    os.write(LEDGER, (" ".join(map(str, (time.monotonic(), os.getpid(), *words))) + "\n").encode())


def starts(kind: str) -> list[tuple[str, str]]:
    """Of each start of a job of this kind its process and its id."""
    text = os.pread(LEDGER, os.fstat(LEDGER).st_size, 0).decode()
    lines = [line.split() for line in text.splitlines()]
    return [(line[1], line[4]) for line in lines if line[2:4] == ["start", kind]]


def are_up(others: int) -> bool:
    """Whether all run, or all again that were with it when it died the last time."""
    mine, theirs = starts("poison"), starts("innocent")
    if len(mine) == 1:
        return len(theirs) == others
    with_it = {job for process, job in theirs if process == mine[-2][0]}
    return {job for process, job in theirs if process == mine[-1][0]} >= with_it


@jobs.job(kind="poison")
def poison(others: int, ctx: JobContext = CONTEXT) -> None:
    """Kills its process, twice among as many others as it can, then wherever it is."""
    note("start", "poison", ctx.id)
    deadline = time.monotonic() + 60
    while len(starts("poison")) < DEATHS and not are_up(others) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGKILL)


@jobs.job(kind="innocent")
def innocent(ctx: JobContext = CONTEXT) -> int:
    """Runs until the other has begun for the last time."""
    note("start", "innocent", ctx.id)
    while len(starts("poison")) < DEATHS:
        time.sleep(0.05)
    return os.getpid()


@jobs.job(kind="awaited")
async def awaited(ctx: JobContext = CONTEXT) -> int:
    note("start", "innocent", ctx.id)
    while len(starts("poison")) < DEATHS:  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.05)
    return os.getpid()


def fault(ctx: JobContext) -> int:
    note("start", "fault", ctx.id)
    if ctx.run == 1:
        ctypes.string_at(0)
    return os.getpid()


@jobs.job(kind="fault_here")
def fault_here(ctx: JobContext = CONTEXT) -> int:
    return fault(ctx)


@jobs.job(kind="fault_apart", isolation="process")
def fault_apart(ctx: JobContext = CONTEXT) -> int:
    return fault(ctx)


@jobs.job(kind="hold_apart", isolation="process")
def hold_apart(ctx: JobContext = CONTEXT) -> int:
    """In its first run it keeps the interpreter's lock: no thread hears of anything."""
    note("start", "hold", ctx.id)
    if ctx.run == 1:
        ctypes.PyDLL(None).usleep(60_000_000)
    return ctx.run


@jobs.job(kind="where")
def where() -> int:
    return os.getpid()


@jobs.job(kind="awhere")
async def awhere() -> int:
    return os.getpid()


HOARD: list[bytes] = []


@jobs.job(kind="hoard")
def hoard(mebibytes: int) -> int:
    HOARD.append(b"x" * (mebibytes << 20))
    return os.getpid()


@jobs.job(kind="tend")
def tend(ctx: JobContext = CONTEXT) -> tuple[int, int]:
    """Goes on until the ledger says that it may end."""
    note("start", "tend", ctx.id)
    while not starts("end"):
        time.sleep(0.05)
    return os.getpid(), ctx.run


@jobs.job(kind="end")
def end(ctx: JobContext = CONTEXT) -> int:
    note("start", "end", ctx.id)
    return os.getpid()


@jobs.job(kind="deadly")
def deadly() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
