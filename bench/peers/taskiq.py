"""TaskIQ's driver, and the module that its worker loads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop
from taskiq_redis import RedisStreamBroker

from bench.peers.driver import URL, AwaitingSender, Notes

# The broker with acknowledgements: the others lose what a killed worker held.
broker = RedisStreamBroker(URL)
notes = Notes()
run = uvloop.run


@broker.task(task_name="note")
async def note(number: int) -> None:
    """As good as nothing. A coroutine: a plain function would go through a pool of threads."""
    notes.write(number)


@asynccontextmanager
async def opened() -> AsyncIterator[AwaitingSender]:
    """A producer with its connections."""
    await broker.startup()
    try:
        yield Calls()
    finally:
        await broker.shutdown()


class Calls:
    """`kiq` for each; TaskIQ has no way to store many at once."""

    one = staticmethod(note.kiq)
    many = None


async def prepare() -> None:
    """The stream and its group of consumers: what is sent before they are there is not read."""
    async with opened():
        await asyncio.sleep(0)
