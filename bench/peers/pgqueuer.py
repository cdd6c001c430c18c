"""PgQueuer's driver, and the module that its worker loads."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pgqueuer
import uvloop
from pgqueuer import AsyncpgDriver, Job, PgQueuer, Queries

from bench.peers.driver import URL, AwaitingSender, Notes

notes = Notes()
run = uvloop.run


@asynccontextmanager
async def worker() -> AsyncIterator[PgQueuer]:
    """What a worker runs."""
    connection = await asyncpg.connect(URL)
    queuer = PgQueuer.from_asyncpg_connection(connection)

    @queuer.entrypoint("note")
    async def note(job: Job) -> None:
        notes.write(int(job.payload or b""))

    try:
        yield queuer
    finally:
        await connection.close()


@asynccontextmanager
async def opened() -> AsyncIterator[AwaitingSender]:
    """A producer with a connection."""
    connection = await asyncpg.connect(URL)
    try:
        yield Calls(Queries(AsyncpgDriver(connection)))
    finally:
        await connection.close()


class Calls:
    """`enqueue` for each, and with lists in bulk."""

    def __init__(self, queries: Queries) -> None:
        self._enqueue = queries.enqueue

    async def one(self, number: int) -> None:
        """Store one."""
        await self._enqueue("note", b"%d" % number)

    async def many(self, numbers: range) -> None:
        """Store these."""
        size = len(numbers)
        await self._enqueue(["note"] * size, [b"%d" % each for each in numbers], [0] * size)


async def prepare() -> None:
    """The tables."""
    connection = await asyncpg.connect(URL)
    try:
        await Queries(AsyncpgDriver(connection)).install()
    finally:
        await connection.close()


if __name__ == "__main__":
    # As `pgqueuer run` does, which fails on its own log level with the newest of what it requires.
    uvloop.run(pgqueuer.run("bench.peers.pgqueuer:worker", batch_size=int(sys.argv[1])))
