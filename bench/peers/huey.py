"""Huey's driver, and the module that its consumer loads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from huey import RedisHuey

from bench.peers.driver import URL, Notes, Sender

huey = RedisHuey("bench", url=URL)
notes = Notes()


@huey.task(name="note")
def note(number: int) -> None:
    """As good as nothing."""
    notes.write(number)


@contextmanager
def opened() -> Iterator[Sender]:
    """A producer on Huey's pool of connections."""
    yield Calls()


class Calls:
    """A call of the task for each; Huey has no way to store many at once."""

    one = note
    many = None
