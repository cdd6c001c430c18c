"""Which processor core runs what, where stores have a server: alike for ours, raw loops and peers.

Programs that make one round trip a job differ two-fold with the cores they land on. The server has
the first core that this process may use; producer and worker share the second. Where the question
is what several processes make of the machine, all of them have all cores, the server too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil


def cores() -> tuple[int, int] | None:
    """The server's core and that of everything else; ``None`` where they cannot be chosen."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else None


def pin(core: int) -> None:
    """This thread and what it starts from now on run there."""
    os.sched_setaffinity(0, {core})


@contextmanager
def on_server_core() -> Iterator[None]:
    """What is started in this block runs on the server's core."""
    chosen = cores()
    if chosen is None:
        yield
        return
    before = os.sched_getaffinity(0)
    pin(chosen[0])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def place_server(pid: int, *, pinned: bool) -> None:
    """Have a server, all its processes and threads, on its core, or on all that we may use."""
    chosen = cores()
    if chosen is None:
        return
    allowed = {chosen[0]} if pinned else os.sched_getaffinity(0)
    server = psutil.Process(pid)
    for process in (server, *server.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            for thread in process.threads():
                with suppress(ProcessLookupError):
                    os.sched_setaffinity(thread.id, allowed)


def described() -> str:
    """For the report."""
    if cores() is None:
        return "not pinned: this system offers no choice of cores"
    return (
        "server on one core; producer, worker, raw loop and peers on a second, all by affinity;"
        " with several processes all of them, and the server, on both"
    )
