"""The application of the fault programme: bodies that note in a ledger what they do.

The store comes from LONGSHORE_STORE. Each job carries the number that its producer gave it and
returns it together with its run, so that a result tells whose it is.
"""

import asyncio
import ctypes
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from longshore import CONTEXT, JobContext, Longshore, constant
from tests.ledger_tools import Ledger, Word

jobs = Longshore(lease=float(os.environ.get("LEDGERED_LEASE", "3")))
LEDGER = Ledger(Path(os.environ["LEDGERED_LEDGER"]))
AGAIN = constant("50ms", jitter=0)


@contextmanager
def noted(n: int, ctx: JobContext) -> Iterator[None]:
    LEDGER.write(Word.STARTED, n, ctx.id, ctx.run)
    yield
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
