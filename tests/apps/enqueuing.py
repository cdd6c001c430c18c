"""Enqueues the same unique job in several threads at once, each time it is told to; for tests.

Its argument is how many threads. A line in: go. A line out for each: the id, and new or there.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

from limited import held, jobs


def enqueue(_: int) -> None:
    try:
        handle = held.enqueue(7)
        told = f"{handle.id} {'there' if handle.is_duplicate else 'new'}"
    except Exception as error:  # noqa: BLE001 - told to the test
        told = f"error {type(error).__name__}: {error}".replace("\n", " ")
    os.write(1, f"{told}\n".encode())


def main(threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        jobs.query.count()
        os.write(1, b"ready\n")
        for _ in sys.stdin:
            list(pool.map(enqueue, range(threads)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
