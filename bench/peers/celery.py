"""Celery's driver, and the module that its worker loads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery

from bench.peers.driver import URL, Notes, Sender

app = Celery("bench", broker=URL)
# Results are not asked for: nobody reads them here. All else is the default.
app.conf.task_ignore_result = True
app.conf.broker_connection_retry_on_startup = True
notes = Notes()


@app.task(name="note")
def note(number: int) -> None:
    """As good as nothing."""
    notes.write(number)


@contextmanager
def opened() -> Iterator[Sender]:
    """A producer that keeps its connection, as Celery's do."""
    yield Calls()


class Calls:
    """`delay` for each; a group sends its members one by one too."""

    one = staticmethod(note.delay)
    many = None
