"""The producer of a peer, in the peer's environment: plain Python beside the peer's driver.

    python -m bench.peers NAME prepare          make tables
    python -m bench.peers NAME fill JOBS        store jobs, in bulk where there is a way
    python -m bench.peers NAME one JOBS         store jobs, a call each; say how long it took
    python -m bench.peers NAME bulk JOBS        the same by thousands
    python -m bench.peers NAME pace JOBS RATE   store jobs at this pace; say when each call began

``one``, ``bulk`` and ``pace`` store one job more beforehand, whose number is ``JOBS``: it opens the
connection. ``pace`` then waits for a line on its standard input. What they say is one line of JSON.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

THOUSAND = 1_000


def main(name: str, command: str, jobs: str = "0", rate: str = "0") -> None:
    """Do it, with a library of coroutines in the loop that its driver chooses."""
    driver = importlib.import_module(f"bench.peers.{name}")
    if hasattr(driver, "run"):
        driver.run(_awaiting(driver, command, int(jobs), int(rate)))
    else:
        _blocking(driver, command, int(jobs), int(rate))


def _blocking(driver: ModuleType, command: str, jobs: int, rate: int) -> None:
    if command == "prepare":
        getattr(driver, "prepare", int)()
        return
    with driver.opened() as sender:
        if command == "pace":
            sender.one(jobs)
            called: list[int] = []
            for moment in _moments(jobs, rate):
                time.sleep(max(0.0, moment - time.monotonic()))
                called.append(time.monotonic_ns())
                sender.one(len(called) - 1)
            _say(called=called)
            return
        call, items = _work(sender, command, jobs)
        if command != "fill":
            sender.one(jobs)
        start = time.perf_counter()
        for item in items:
            call(item)
        _say(seconds=time.perf_counter() - start)


async def _awaiting(driver: ModuleType, command: str, jobs: int, rate: int) -> None:
    if command == "prepare":
        await driver.prepare()
        return
    async with driver.opened() as sender:
        if command == "pace":
            await sender.one(jobs)
            called: list[int] = []
            for moment in _moments(jobs, rate):
                await asyncio.sleep(max(0.0, moment - time.monotonic()))
                called.append(time.monotonic_ns())
                await sender.one(len(called) - 1)
            _say(called=called)
            return
        call, items = _work(sender, command, jobs)
        if command != "fill":
            await sender.one(jobs)
        start = time.perf_counter()
        for item in items:
            await call(item)
        _say(seconds=time.perf_counter() - start)


def _work(sender: Any, command: str, jobs: int) -> tuple[Any, Any]:
    """What to call, and with what each time."""
    if command == "one" or (command == "fill" and sender.many is None):
        return sender.one, range(jobs)
    starts = range(0, jobs, THOUSAND)
    return sender.many, [range(start, min(start + THOUSAND, jobs)) for start in starts]


def _moments(jobs: int, rate: int) -> Iterator[float]:
    """When each call is due, from the moment somebody says so."""
    sys.stdin.readline()
    start = time.monotonic() + 0.1
    return (start + number / rate for number in range(jobs))


def _say(**words: object) -> None:
    print(json.dumps(words), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
