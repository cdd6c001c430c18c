"""An application whose batches and workflows are to survive everything that is done to its workers.

As in ``harbour.py`` bodies write to a ledger that survives any kill. What a body does is decided by
its number, its run and ``STORM_SEED``.
"""

import asyncio
import os
import random
import time
from pathlib import Path

from longshore import CONTEXT, JobContext, Longshore, constant, current

jobs = Longshore(lease=float(os.environ.get("HARBOUR_LEASE", "15")))
LEDGER = Path(os.environ["HARBOUR_LEDGER"])
SEED = os.environ.get("STORM_SEED", "0")
#: What a member of a batch adds has a number from here on, and adds nothing itself.
LATE = 1_000_000
PACE = float(os.environ.get("STORM_PACE", "0.004"))


class Broken(Exception):
    """A body has failed, as it was to."""


def note(*words: object) -> None:
    line = " ".join(map(str, (time.monotonic(), os.getpid(), *words))) + "\n"
    file = os.open(LEDGER, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)


def dice(ctx: JobContext, number: int) -> random.Random:
    return random.Random(f"{SEED} {number} {ctx.run}")


def fails(ctx: JobContext, number: int, thrown: random.Random) -> None:
    """One in fifty dies, is retried and may die again; others fail now and then."""
    if (number % 50 == 7 and ctx.run <= 4) or thrown.random() < 0.05:
        note("fail", ctx.id, ctx.run, number)
        raise Broken(number)


def adds(number: int, thrown: random.Random) -> int:
    """How many members it adds."""
    return 5 if number < LATE and thrown.random() < 0.012 else 0


LOAD = {"max_attempts": 2, "backoff": constant("10ms", jitter=0)}


def member(number: int, ctx: JobContext, kind: str) -> int:
    note("start", ctx.id, ctx.run, number)
    thrown = dice(ctx, number)
    time.sleep(thrown.random() * PACE)
    fails(ctx, number, thrown)
    batch = current().batch
    for late in range(adds(number, thrown)):
        assert batch is not None
        handle = batch.add(KINDS[kind].bind(LATE + number * 10 + late))
        note("late", handle.id, ctx.run, kind)
    note("end", ctx.id, ctx.run, number)
    return number


@jobs.job(kind="load", **LOAD)
def load(number: int, ctx: JobContext = CONTEXT) -> int:
    return member(number, ctx, "load")


@jobs.job(kind="inner", **LOAD)
def inner(number: int, ctx: JobContext = CONTEXT) -> int:
    return member(number, ctx, "inner")


@jobs.job(kind="apart", isolation="process", **LOAD)
def apart(number: int, ctx: JobContext = CONTEXT) -> int:
    return member(number, ctx, "load")


@jobs.job(kind="awaited", **LOAD)
async def awaited(number: int, ctx: JobContext = CONTEXT) -> int:
    note("start", ctx.id, ctx.run, number)
    thrown = dice(ctx, number)
    await asyncio.sleep(thrown.random() * PACE)
    fails(ctx, number, thrown)
    for late in range(adds(number, thrown)):
        assert ctx.batch is not None
        handle = await ctx.batch.aadd(load.bind(LATE + number * 10 + late))
        note("late", handle.id, ctx.run, "load")
    note("end", ctx.id, ctx.run, number)
    return number


KINDS = {"load": load, "inner": inner}


@jobs.job(kind="told", queue="callbacks")
def told(batch: str, what: str, ctx: JobContext = CONTEXT) -> None:
    note("told", ctx.id, ctx.run, batch, what)


@jobs.job(kind="node", **LOAD)
def node(number: int, one: int = 0, two: int = 0, ctx: JobContext = CONTEXT) -> int:
    note("start", ctx.id, ctx.run, number)
    thrown = dice(ctx, number)
    time.sleep(thrown.random() * PACE * 5)
    fails(ctx, number, thrown)
    note("end", ctx.id, ctx.run, number)
    return worth(number, one, two)


def worth(number: int, one: int, two: int) -> int:
    return (number * 31 + one * 7 + two * 3) % 1_000_003
