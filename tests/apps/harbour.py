"""An application for tests with real worker processes. The store comes from LONGSHORE_STORE.

Bodies write to a ledger, a file that is only ever appended to by single writes: it survives any
kill and shows the order in which things really happened.
"""

import asyncio
import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from longshore import CONTEXT, Concurrency, JobContext, Longshore, StoreUnavailable, constant

# Some applications take seconds to import.
threading.Event().wait(float(os.environ.get("HARBOUR_BOOT", "0")))
jobs = Longshore(lease=float(os.environ.get("HARBOUR_LEASE", "15")))


def note(*words: object) -> None:
    line = " ".join(map(str, (time.monotonic(), os.getpid(), *words))) + "\n"
    file = os.open(os.environ["HARBOUR_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)


def rest(seconds: float) -> None:
    """Sleep in small steps, so that an exception raised into the thread arrives."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while (left := deadline - time.monotonic()) > 0:
        pause.wait(min(left, 0.02))


@jobs.job(kind="count")
def count(n: int, ctx: JobContext = CONTEXT) -> int:
    note("count", n, ctx.run)
    return n


@jobs.job(kind="carry")
def carry(n: int, cargo: str, ctx: JobContext = CONTEXT) -> int:
    note("carry", n, ctx.run)
    return len(cargo)


@jobs.job(kind="nap", max_attempts=3, backoff=constant("10ms", jitter=0))
def nap(seconds: float, ctx: JobContext = CONTEXT) -> str:
    note("start", ctx.id, ctx.run)
    rest(seconds)
    note("end", ctx.id, ctx.run)
    return "rested"


@jobs.job(kind="anap")
async def anap(seconds: float, ctx: JobContext = CONTEXT) -> str:
    note("start", ctx.id, ctx.run)
    await asyncio.sleep(seconds)
    note("end", ctx.id, ctx.run)
    return "rested"


@jobs.job(kind="once", at_most_once=True, isolation="process")
def once(ctx: JobContext = CONTEXT) -> None:
    """Ends its own process with SIGKILL, always."""
    note("start", ctx.id, ctx.run)
    os.kill(os.getpid(), signal.SIGKILL)


@jobs.job(kind="stubborn", timeout="200ms", max_attempts=1)
def stubborn(ctx: JobContext = CONTEXT) -> None:
    """A body in one long call: no exception can be raised into it."""
    note("start", ctx.id, ctx.run)
    time.sleep(60)


@jobs.job(kind="kill", backoff=constant("10ms", jitter=0))
def kill(ctx: JobContext = CONTEXT) -> str:
    """Ends its own process with SIGKILL in its first run."""
    note("start", ctx.id, ctx.run)
    if ctx.run == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@jobs.job(kind="isolated", isolation="process")
def isolated(n: int, ctx: JobContext = CONTEXT) -> list[int]:
    ctx.progress(1, 2, "half")
    return [n + 1, os.getpid()]


@jobs.job(kind="isolated-slow", isolation="process", timeout="500ms", max_attempts=1)
def isolated_slow(ctx: JobContext = CONTEXT) -> None:
    note("start", ctx.id, os.getpid())
    time.sleep(60)


@jobs.job(kind="isolated-nap", isolation="process")
def isolated_nap(seconds: float, ctx: JobContext = CONTEXT) -> str:
    note("start", ctx.id, ctx.run)
    rest(seconds)
    return "rested"


@jobs.job(kind="isolated-kill", isolation="process")
def isolated_kill(ctx: JobContext = CONTEXT) -> str:
    note("start", ctx.id, ctx.run)
    if ctx.run == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@jobs.job(kind="where")
def where() -> int:
    return os.getpid()


@jobs.job(kind="fork")
def fork(ctx: JobContext = CONTEXT) -> int:
    """Forks and, as careless code does, lets both copies return."""
    pid = os.fork()
    note("forked" if pid else "copy", ctx.id, pid)
    return pid


@jobs.job(kind="always-kill")
def always_kill(ctx: JobContext = CONTEXT) -> None:
    """Kills the child that holds it, also when it runs in a process of its own."""
    note("start", ctx.id, ctx.run)
    apart = Path(sys.argv[0]).stem == "isolated_child"
    os.kill(os.getppid() if apart else os.getpid(), signal.SIGKILL)


@jobs.job(kind="hold")
def hold(seconds: float, ctx: JobContext = CONTEXT) -> None:
    """Keeps the interpreter's lock, as an extension in C may: no other thread runs meanwhile."""
    note("start", ctx.id, ctx.run)
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


@jobs.job(kind="spread")
def spread(seconds: float, number: int, ctx: JobContext = CONTEXT) -> None:
    """Enqueues so many naps when it has taken its time."""
    note("start", ctx.id, ctx.run)
    rest(seconds)
    for _ in range(number):
        nap.enqueue(0.2)


@jobs.job(kind="pool")
def pool() -> list[int]:
    """Has copies of its process work for it, and ends them."""
    with multiprocessing.get_context("fork").Pool(2) as copies:
        return copies.map(abs, [-1, -2])


@jobs.job(kind="leave-copy")
def leave_copy(ctx: JobContext = CONTEXT) -> int:
    """Leaves a copy of its process behind that would live for a minute."""
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    note("copied", ctx.id, process.pid)
    return process.pid or 0


@jobs.job(kind="program")
def program() -> int:
    """Starts a program and ends it as Ctrl-C does."""
    with subprocess.Popen(["sleep", "60"]) as sleeping:
        sleeping.send_signal(signal.SIGINT)
        return sleeping.wait(20)


@jobs.job(kind="alone", concurrency=Concurrency(to=1))
def alone(seconds: float, ctx: JobContext = CONTEXT) -> str:
    """Holds the only slot, in one long call in its first run: no exception arrives."""
    note("start", ctx.id, ctx.run)
    if ctx.run == 1:
        time.sleep(seconds)
    return "alone"


@jobs.job(kind="block")
async def block(seconds: float, ctx: JobContext = CONTEXT) -> None:
    """Blocks the event loop, as careless code does."""
    note("start", ctx.id, ctx.run)
    time.sleep(seconds)  # noqa: ASYNC251 - that is the point


@jobs.job(kind="jam")
def jam(ctx: JobContext = CONTEXT) -> str:
    """In its first run: whatever its process asks of the store from now on never returns."""
    note("start", ctx.id, ctx.run)
    if ctx.run == 1:
        jobs.store.run = lambda op: threading.Event().wait()
    return "free"


@jobs.job(kind="strand")
def strand(ctx: JobContext = CONTEXT) -> None:
    """In its first run: the store of its process is away from now on, and the body does not end."""
    note("start", ctx.id, ctx.run)

    def away(_op: object) -> None:
        raise StoreUnavailable("no route to host")

    if ctx.run == 1:
        jobs.store.run = away
        time.sleep(60)
