"""Dramatiq's driver, and the module that its worker loads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench.peers.driver import URL, Notes, Sender

broker = RedisBroker(url=URL)
dramatiq.set_broker(broker)
notes = Notes()


@dramatiq.actor(actor_name="note")
def note(number: int) -> None:
    """As good as nothing."""
    notes.write(number)


@contextmanager
def opened() -> Iterator[Sender]:
    """A producer on the broker's pool of connections."""
    yield Calls()


class Calls:
    """`send` for each; a group sends its members one by one too."""

    one = staticmethod(note.send)
    many = None
