"""Procrastinate's driver, and the module that its worker loads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from procrastinate import App, PsycopgConnector, SyncPsycopgConnector

from bench.peers.driver import URL, Notes, Sender

app = App(connector=PsycopgConnector(conninfo=URL))
notes = Notes()


@app.task(name="note")
async def note(number: int) -> None:
    """As good as nothing."""
    notes.write(number)


@contextmanager
def opened() -> Iterator[Sender]:
    """A blocking producer."""
    with app.replace_connector(SyncPsycopgConnector(conninfo=URL)) as blocking, blocking.open():
        yield Calls()


class Calls:
    """`defer` for each, `batch_defer` in bulk."""

    def one(self, number: int) -> None:
        """Store one."""
        note.defer(number=number)

    def many(self, numbers: range) -> None:
        """Store these."""
        note.batch_defer(*({"number": number} for number in numbers))


def prepare() -> None:
    """The tables."""
    with app.replace_connector(SyncPsycopgConnector(conninfo=URL)) as blocking, blocking.open():
        blocking.schema_manager.apply_schema()
