"""ARQ's driver, and its worker: ``python -m bench.peers.arq MAX_JOBS POLL_DELAY``."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop
from arq import ArqRedis, Worker, create_pool
from arq.connections import RedisSettings

from bench.peers.driver import URL, AwaitingSender, Notes

notes = Notes()
run = uvloop.run


async def note(_: object, number: int) -> None:
    """As good as nothing."""
    notes.write(number)


@asynccontextmanager
async def opened() -> AsyncIterator[AwaitingSender]:
    """A producer with its connections."""
    pool = await create_pool(RedisSettings.from_dsn(URL))
    try:
        yield Calls(pool)
    finally:
        await pool.aclose()


class Calls:
    """`enqueue_job` for each; ARQ has no way to store many at once."""

    many = None

    def __init__(self, pool: ArqRedis) -> None:
        self._pool = pool

    async def one(self, number: int) -> None:
        """Store one."""
        await self._pool.enqueue_job("note", number)


async def prepare() -> None:
    """Nothing: ARQ makes its keys as it goes."""


async def work(max_jobs: int, poll_delay: float) -> None:
    """Run jobs until told to end."""
    settings = RedisSettings.from_dsn(URL)
    worker = Worker([note], redis_settings=settings, max_jobs=max_jobs, poll_delay=poll_delay)
    await worker.async_run()


if __name__ == "__main__":
    uvloop.run(work(int(sys.argv[1]), float(sys.argv[2])))
