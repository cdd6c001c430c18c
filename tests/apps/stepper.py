"""An application whose jobs have steps and loops, and kill their own process in the middle of them.

Bodies write to a ledger as those of ``harbour.py`` do.
"""

import os
import signal
import time
from collections.abc import Iterator

from longshore import CONTEXT, JobContext, Longshore

jobs = Longshore(lease=float(os.environ.get("HARBOUR_LEASE", "15")))

LEDGER = os.open(os.environ["HARBOUR_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def note(*words: object) -> None:
    os.write(LEDGER, (" ".join(map(str, (time.monotonic(), os.getpid(), *words))) + "\n").encode())


def part(number: int, run: int) -> str:
    note("step", number, run)
    if number == 7 and run == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return f"part {number}"


def ten(ctx: JobContext) -> list[str]:
    ctx.log.info("run %d", ctx.run)
    parts = [ctx.step(f"part {number}", part, number, ctx.run) for number in range(1, 11)]
    ctx.progress(10, 10)
    return parts


@jobs.job(kind="steps")
def steps(ctx: JobContext = CONTEXT) -> list[str]:
    return ten(ctx)


@jobs.job(kind="steps_apart", isolation="process")
def steps_apart(ctx: JobContext = CONTEXT) -> list[str]:
    return ten(ctx)


async def apart(number: int, run: int) -> str:
    return part(number, run)


@jobs.job(kind="steps_awaited")
async def steps_awaited(ctx: JobContext = CONTEXT) -> list[str]:
    return [await ctx.astep(f"part {number}", apart, number, ctx.run) for number in range(1, 11)]


def numbers(cursor: int) -> Iterator[tuple[int, int]]:
    total = int(os.environ.get("STEPPER_ITEMS", "100000"))
    for number in range(cursor, total):
        yield number + 1, number


def loop(ctx: JobContext, kills: int) -> int:
    dies = time.monotonic() + 0.95 + 0.06 * ctx.run if ctx.run <= kills else float("inf")
    last = 0
    for number in ctx.iterate("numbers", numbers, start=0):
        note("item", number, ctx.run)
        if time.monotonic() >= dies:
            os.kill(os.getpid(), signal.SIGKILL)
        if number % 10 == 0:
            time.sleep(0.001)
        last = number
    return last


@jobs.job(kind="rows")
def rows(kills: int, ctx: JobContext = CONTEXT) -> int:
    return loop(ctx, kills)


@jobs.job(kind="rows_apart", isolation="process")
def rows_apart(kills: int, ctx: JobContext = CONTEXT) -> int:
    return loop(ctx, kills)


@jobs.job(kind="until_stopped", isolation="process")
def until_stopped(ctx: JobContext = CONTEXT) -> str:
    while ctx.run == 1:
        note("turn", ctx.run, ctx.id)
        time.sleep(0.02)
        ctx.checkpoint()
    return f"run {ctx.run}, attempt {ctx.attempt}"
