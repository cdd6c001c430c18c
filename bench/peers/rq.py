"""RQ's driver, and its worker: ``python -m bench.peers.rq fork`` or ``simple``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis
from rq import Queue, SimpleWorker, Worker

from bench.peers.driver import URL, Notes, Sender

WORKERS = {"fork": Worker, "simple": SimpleWorker}
notes = Notes()


def note(number: int) -> None:
    """As good as nothing."""
    notes.write(number)


@contextmanager
def opened() -> Iterator[Sender]:
    """A producer with its connections."""
    with Redis.from_url(URL) as redis:
        yield Calls(Queue("bench", connection=redis))


class Calls:
    """`enqueue` for each, `enqueue_many` in bulk."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def one(self, number: int) -> None:
        """Store one."""
        self._queue.enqueue("bench.peers.rq.note", number)

    def many(self, numbers: range) -> None:
        """Store these."""
        kind = "bench.peers.rq.note"
        self._queue.enqueue_many([Queue.prepare_data(kind, args=(each,)) for each in numbers])


if __name__ == "__main__":
    if sys.argv[1] == "fork":
        os.environ["BENCH_ENTRIES"] = "1"  # every job has a process, and so a ledger, of its own
    with Redis.from_url(URL) as redis:
        WORKERS[sys.argv[1]](["bench"], connection=redis).work(logging_level="WARNING")
