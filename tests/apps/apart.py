"""An application whose jobs have processes of their own and ask all of their store there."""

import asyncio
import os
import sys
from pathlib import Path

from longshore import (
    CONTEXT,
    IdConflict,
    JobContext,
    Longshore,
    LongshoreError,
    Unique,
    UniqueHeld,
    current,
)

jobs = Longshore(lease=float(os.environ.get("HARBOUR_LEASE", "15")))


def note(*words: object) -> None:
    with Path(os.environ["HARBOUR_LEDGER"]).open("a") as ledger:
        ledger.write(" ".join(map(str, (0, os.getpid(), *words))) + "\n")


@jobs.job(kind="load")
def load(number: int) -> int:
    return number


@jobs.job(kind="told", queue="callbacks")
def told(what: str) -> None:
    note("told", what)


@jobs.job(kind="carry")
def carry(number: int, cargo: str) -> int:
    return len(cargo) + number


@jobs.job(kind="held", unique=Unique(on_conflict="raise"))
def held(number: int) -> None: ...


@jobs.job(kind="split", isolation="process")
def split(parts: int, ctx: JobContext = CONTEXT) -> list[str]:
    batch = current().batch
    assert batch is not None
    ctx.log.info("splitting")
    ctx.progress(0, parts)
    ids = ctx.step("some", lambda: [batch.add(load.bind(n)).id for n in range(2)])
    ids += [batch.add(load.bind(n)).id for n in ctx.iterate("rest", rest, start=parts)]
    ctx.progress(parts, parts, "split")
    ctx.checkpoint()
    return ids


def rest(cursor: int):
    yield from ((left - 1, left) for left in range(cursor, 2, -1))


@jobs.job(kind="asplit", isolation="process")
async def asplit(parts: int, ctx: JobContext = CONTEXT) -> list[str]:
    batch = ctx.batch
    assert batch is not None

    async def some() -> list[str]:
        added = await asyncio.gather(*(batch.aadd(load.bind(n)) for n in range(2)))
        return [one.id for one in added]

    ids = await ctx.astep("some", some)
    async for number in ctx.iterate("rest", rest, start=parts):
        ids.append((await batch.aadd(load.bind(number))).id)
    await ctx.acheckpoint()
    return ids


@jobs.job(kind="many", isolation="process")
def many(count: int, size: int) -> list[str]:
    return [one.id for one in jobs.enqueue_many(carry.bind(n, "x" * size) for n in range(count))]


@jobs.job(kind="compose", isolation="process")
def compose() -> dict[str, str]:
    with jobs.batch("inside", on_complete=told.bind("inside")) as batch:
        batch.add(load.bind(1))
    with jobs.workflow("flow") as flow:
        first = flow.add(load.bind(20))
        last = flow.add(load.bind(first.output))
    chained = jobs.chain(load.bind(7)).then(load).enqueue()
    return {"batch": batch.id, "flow": flow.id, "last": last.id, "chained": chained.id}


@jobs.job(kind="refused", isolation="process")
def refused(batch: str, identity: str) -> list[str]:
    """What is refused there is raised here, as what it is."""
    said: list[str] = []
    first = held.using(delay="1h").enqueue(1)
    try:
        held.enqueue(1)
    except UniqueHeld as error:
        said.append(f"UniqueHeld {error.holder == first.id}")
    load.using(id=identity).enqueue(1)
    try:
        load.using(id=identity).enqueue(2)
    except IdConflict as error:
        said.append(type(error).__name__)
    try:
        jobs.batches.get(batch).add(load.bind(1))
    except LongshoreError as error:
        said.append(type(error).__name__)
    return said


if __name__ == "__main__":  # a worker within, for a store that only this process has
    import apart

    with apart.jobs.batch("b", on_success=apart.told.bind("success")) as whole:
        made = whole.add(apart.split.bind(4))
    composed = apart.compose.enqueue()
    late = apart.refused.enqueue(whole.id, "01928374-5566-7788-9907-0123456789ab")
    apart.jobs.worker(threads=2).run(until_empty=True)
    assert len(made.result(timeout=5)) == 4
    whole.refresh()
    assert (whole.total, whole.succeeded) == (5, 5), whole.record
    assert apart.jobs.get(composed.result(timeout=5)["chained"]).result(timeout=5) == 7
    sys.stdout.write(f"{late.result(timeout=5)}\n")
