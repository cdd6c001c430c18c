"""The application of the fault programme: bodies that note in a ledger what they do.

The store comes from LONGSHORE_STORE. Each job carries the number that its producer gave it and
returns it together with its run, so that a result tells whose it is.
"""

import asyncio
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from longshore import CONTEXT, Concurrency, JobContext, Longshore, Unique, constant
from tests.ledger_tools import Ledger, Word

match os.environ.get("LEDGERED_BOOT"):
    case "raise":
        raise ImportError("no module named left_out")
    case "exit":
        os._exit(1)

jobs = Longshore(lease=float(os.environ.get("LEDGERED_LEASE", "3")))
LEDGER = Ledger(Path(os.environ["LEDGERED_LEDGER"]))
AGAIN = constant("50ms", jitter=0)


@contextmanager
def noted(n: int, ctx: JobContext) -> Iterator[None]:
    LEDGER.write(Word.STARTED, n, ctx.id, ctx.run)
    try:
        yield
    except BaseException:
        LEDGER.write(Word.RAISED, n, ctx.id, ctx.run)
        raise
    LEDGER.write(Word.FINISHED, n, ctx.id, ctx.run)


def effect(n: int, ctx: JobContext) -> None:
    LEDGER.write(Word.EFFECT, n, ctx.id, ctx.run)


def rest(seconds: float) -> None:
    """Sleep in small steps, so that an exception raised into the thread arrives."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while (left := deadline - time.monotonic()) > 0:
        pause.wait(min(left, 0.02))


@jobs.job(kind="work", backoff=AGAIN)
def work(n: int, ms: int = 0, ctx: JobContext = CONTEXT) -> list[int]:
    with noted(n, ctx):
        rest(ms / 1000)
        effect(n, ctx)
    return [n, ctx.run]


@jobs.job(kind="awork", backoff=AGAIN)
async def awork(n: int, ms: int = 0, ctx: JobContext = CONTEXT) -> list[int]:
    with noted(n, ctx):
        await asyncio.sleep(ms / 1000)
        effect(n, ctx)
    return [n, ctx.run]


@jobs.job(kind="hold", backoff=AGAIN)
def hold(n: int, ms: int = 0, ctx: JobContext = CONTEXT) -> list[int]:
    """Keeps the interpreter's lock, as an extension in C may: no other thread runs meanwhile."""
    with noted(n, ctx):
        ctypes.PyDLL(None).usleep(ms * 1000)
        effect(n, ctx)
    return [n, ctx.run]


@jobs.job(kind="block", backoff=AGAIN)
async def block(n: int, ms: int = 0, ctx: JobContext = CONTEXT) -> list[int]:
    """Blocks the event loop, which all coroutines of its process share."""
    with noted(n, ctx):
        time.sleep(ms / 1000)  # noqa: ASYNC251 - what this job is for
        effect(n, ctx)
    return [n, ctx.run]


@jobs.job(kind="greedy", max_attempts=1)
def greedy(n: int, ctx: JobContext = CONTEXT) -> list[int]:
    """Wants more memory than there is."""
    with noted(n, ctx):
        bytearray(1 << 44)
    return [n, ctx.run]


HOARD: list[bytes] = []


@jobs.job(kind="hoard")
def hoard(n: int, ms: int = 0, ctx: JobContext = CONTEXT) -> list[int]:
    """Keeps four megabytes for ever."""
    with noted(n, ctx):
        HOARD.append(os.urandom(4_000_000))
        rest(ms / 1000)
    return [n, ctx.run]


@jobs.job(kind="once_killed")
def once_killed(n: int, how: str = "SIGKILL", ctx: JobContext = CONTEXT) -> list[int]:
    """Takes its process with it in its first run: as the kernel, a wild pointer or a call does."""
    with noted(n, ctx):
        if ctx.run == 1 and how == "pointer":
            ctypes.string_at(0)
        elif ctx.run == 1 and how == "exit":
            os._exit(0)
        elif ctx.run == 1:
            os.kill(os.getpid(), signal.SIGKILL)
    return [n, ctx.run]


@jobs.job(kind="raising", max_attempts=1)
def raising(n: int, what: str, ctx: JobContext = CONTEXT) -> list[int]:
    """Raises something that is no `Exception`, or not of its own."""
    with noted(n, ctx):
        raised: dict[str, BaseException] = {
            "SystemExit": SystemExit(0),
            "KeyboardInterrupt": KeyboardInterrupt(),
            "GeneratorExit": GeneratorExit(),
            "BaseException": BaseException("mine"),
        }
        raise raised[what]
    return [n, ctx.run]


@jobs.job(kind="forking")
def forking(n: int, ctx: JobContext = CONTEXT) -> list[int]:
    """Forks, and both copies return."""
    LEDGER.write(Word.STARTED, n, ctx.id, ctx.run)
    if os.fork():
        LEDGER.write(Word.FINISHED, n, ctx.id, ctx.run)
    return [n, ctx.run]


@jobs.job(kind="leaving")
def leaving(n: int, ctx: JobContext = CONTEXT) -> list[int]:
    """Leaves a thread and a process behind."""
    with noted(n, ctx):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        subprocess.Popen(["sleep", "5"], stdin=subprocess.DEVNULL)
    return [n, ctx.run]


@jobs.job(kind="orphaning")
def orphaning(n: int, ctx: JobContext = CONTEXT) -> list[int]:
    """Starts a process whose parent ends first, so that it is left to the first of all."""
    with noted(n, ctx):
        script = 'sh -c "sleep 0.2" & exit 0'
        subprocess.run(["sh", "-c", script], check=True, stdin=subprocess.DEVNULL)
    return [n, ctx.run]


@jobs.job(kind="carry", backoff=AGAIN)
def carry(n: int, cargo: str = "", ctx: JobContext = CONTEXT) -> list[int]:
    """Takes much room in its store."""
    with noted(n, ctx):
        effect(n, ctx)
    return [n, ctx.run]


@jobs.job(kind="tick", backoff=AGAIN)
def tick(ctx: JobContext = CONTEXT) -> int:
    """What schedules enqueue: no producer gave it a number."""
    return ctx.run


@jobs.job(kind="poison")
def poison(n: int, ctx: JobContext = CONTEXT) -> list[int]:
    """Takes its process with it in every run."""
    with noted(n, ctx):
        os.kill(os.getpid(), signal.SIGKILL)
    return [n, ctx.run]


@jobs.job(kind="failing", max_attempts=3, backoff=constant("200ms"))
def failing(n: int, ms: int = 0, ctx: JobContext = CONTEXT) -> list[int]:
    """Fails in each of its three runs."""
    with noted(n, ctx):
        rest(ms / 1000)
        raise ValueError(n)
    return [n, ctx.run]


class Hostile(Exception):
    """Cannot be told."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def terrible(what: str) -> BaseException:
    """Exceptions that are hard to write down."""
    match what:
        case "silent":
            return Hostile()
        case "group":
            return ExceptionGroup("many", [ValueError(number) for number in range(10_000)])
        case "circle":
            one, other = ValueError("one"), ValueError("other")
            one.__cause__, other.__cause__ = other, one
            return one
        case "surrogates":
            return ValueError("\udcff\ud800")
        case _:
            return ValueError("x" * 10_000_000)


@jobs.job(kind="hostile", max_attempts=1)
def hostile(n: int, what: str, ctx: JobContext = CONTEXT) -> list[int]:
    with noted(n, ctx):
        raise terrible(what)
    return [n, ctx.run]


@jobs.job(kind="huge", max_attempts=1)
def huge(n: int, what: str, ctx: JobContext = CONTEXT) -> object:
    """Returns or logs too much, or too deep."""
    with noted(n, ctx):
        effect(n, ctx)
    if what == "log":
        ctx.log.info("x" * 10_000_000)
    deep: list[object] = []
    if what == "deep":
        for _ in range(100_000):
            deep = [deep]
    return {"result": "x" * 10_000_000, "deep": deep}.get(what)


@jobs.job(kind="sole", concurrency=Concurrency(to=1, key="key"), backoff=AGAIN)
def sole(n: int, key: int, ms: int = 0, ctx: JobContext = CONTEXT) -> list[int]:
    with noted(n, ctx):
        rest(ms / 1000)
        effect(n, ctx)
    return [n, ctx.run]


@jobs.job(kind="once", identity="key", unique=Unique(), backoff=AGAIN)
def once(n: int, key: str, ms: int = 0, ctx: JobContext = CONTEXT) -> list[int]:
    with noted(n, ctx):
        rest(ms / 1000)
        effect(n, ctx)
    return [n, ctx.run]


@jobs.job(kind="told")
def told(what: str) -> str:
    """The callback of a batch: no producer gave it a number."""
    return what


# What only a later release of the application has.
if os.environ.get("LEDGERED_RELEASE") == "later":

    @jobs.job(kind="later", backoff=AGAIN)
    def later(n: int, ctx: JobContext = CONTEXT) -> list[int]:
        with noted(n, ctx):
            effect(n, ctx)
        return [n, ctx.run]

    @jobs.job(kind="changed", backoff=AGAIN)
    def changed(n: int, added: int, ctx: JobContext = CONTEXT) -> list[int]:
        with noted(n, ctx):
            effect(n, ctx)
        return [n, ctx.run, added][:2]

else:

    @jobs.job(kind="changed", backoff=AGAIN)
    def changed(n: int, ctx: JobContext = CONTEXT) -> list[int]:
        with noted(n, ctx):
            effect(n, ctx)
        return [n, ctx.run]
