"""SAQ's driver on Redis and on PostgreSQL, and its worker: ``python -m bench.peers.saq``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop
from saq import Queue, Worker

from bench.peers.driver import URL, AwaitingSender, Notes

notes = Notes()
run = uvloop.run


async def note(_: object, *, number: int) -> None:
    """As good as nothing."""
    notes.write(number)


@asynccontextmanager
async def opened() -> AsyncIterator[AwaitingSender]:
    """A producer with its connections."""
    queue = Queue.from_url(URL, name="bench")
    await queue.connect()
    try:
        yield Calls(queue)
    finally:
        await queue.disconnect()


class Calls:
    """`enqueue` for each; SAQ has no way to store many at once."""

    many = None

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    async def one(self, number: int) -> None:
        """Store one."""
        await self._queue.enqueue("note", number=number)


async def prepare() -> None:
    """The tables, where there are some."""
    async with opened():
        pass


async def work() -> None:
    """Run jobs until told to end."""
    queue = Queue.from_url(URL, name="bench")
    await queue.connect()
    await Worker(queue, [note]).start()


if __name__ == "__main__":
    uvloop.run(work())
