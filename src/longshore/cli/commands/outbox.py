"""``longshore outbox``: what waits in the application's database for a store elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

import click
import msgspec

from longshore.cli.bulk import Asked, confirm
from longshore.cli.exit import NO_ROW, Failure
from longshore.cli.output import Columns, out_of
from longshore.cli.parts import Group, Whole, option
from longshore.cli.session import application
from longshore.cli.views import many, moment, to_seconds
from longshore.core.model import NewJob
from longshore.core.outbox import Letter, Outbox, decode
from longshore.core.store import Operation, Store
from longshore.errors import ConfigurationError, PayloadError, UnknownPayloadVersion

#: So many rows are read, or changed, at a time.
CHUNK: Final = 1000


@click.group(
    "outbox",
    cls=Group,
    examples=(
        "longshore outbox list",
        "longshore outbox retry --all",
        "longshore outbox discard 7",
    ),
)
def command() -> None:
    """List jobs that wait in your database for the store, and look after those that cannot go.

    A job that cannot be relayed is set apart with the reason; the others go on without it.
    """


class Rows:
    """The rows of an outbox that are for the application's store."""

    def __init__(self, store: Store, to: str) -> None:
        self._store = store
        self._to = to

    def __iter__(self) -> Iterator[Letter]:
        after = 0
        while rows := self._store.run(self._outbox.outbox_rows(self._to, after, CHUNK)):
            yield from rows
            after = rows[-1].position

    def retry(self, positions: Sequence[int]) -> int:
        """Send on; gives how many were set apart."""
        return self._some(self._outbox.outbox_retry, positions)

    def drop(self, positions: Sequence[int]) -> int:
        """Delete; gives how many were set apart."""
        return self._some(self._outbox.outbox_drop, positions)

    @property
    def _outbox(self) -> Outbox:
        return cast("Outbox", self._store)

    def _some(
        self, change: Callable[[Sequence[int]], Operation[int]], positions: Sequence[int]
    ) -> int:
        pieces = (positions[at : at + CHUNK] for at in range(0, len(positions), CHUNK))
        return sum(self._store.run(change(piece)) for piece in pieces)


@contextmanager
def _rows(ctx: click.Context) -> Generator[Rows]:
    with application(ctx, shared=False) as app:
        if app.outbox is None:
            raise ConfigurationError(
                "no outbox is set: jobs join transactions of the store's own database, or are"
                " stored after the commit. Name your own database in the setting outbox if the"
                " store is another."
            )
        store = app.store
        yield Rows(app.outbox.store, str(store.run(store.identity())))


class _Line(msgspec.Struct, frozen=True):
    """A row as it is shown."""

    row: int
    made_at: str | None
    id: str | None
    kind: str | None
    queue: str | None
    parked: str | None


_COLUMNS: Columns = {
    "row": lambda line: str(line.row),
    "made": lambda line: to_seconds(line.made_at),
    "kind": lambda line: line.kind or "",
    "id": lambda line: line.id or "",
    "set apart": lambda line: line.parked or "",
}


@command.command("list", examples=("longshore outbox list", "longshore outbox list -o json"))
@option(
    "--limit",
    variable="OUTBOX_LIMIT",
    type=Whole(1, 100_000),
    default=1000,
    help="At most so many rows.",
)
@option("--parked", variable="OUTBOX_PARKED", is_flag=True, help="Only those that are set apart.")
@click.pass_context
def list_(ctx: click.Context, limit: int, *, parked: bool) -> None:
    """List the jobs on their way, the oldest first, and why those cannot go that are set apart."""
    out = out_of(ctx)
    with _rows(ctx) as rows:
        chosen: list[_Line] = []
        for row in rows:
            if len(chosen) == limit:
                out.say(f"the first {limit}; --limit shows more")
                break
            if row.parked is not None or not parked:
                chosen.append(_line(row))
        out.rows("rows", chosen, _COLUMNS, empty="nothing waits in the outbox")


def _chosen(function: Any) -> Any:
    """Which rows."""
    every = option(
        "--all", "every", variable="OUTBOX_ALL", is_flag=True, help="Every row that is set apart."
    )
    return click.argument("rows", metavar="[ROW]...", nargs=-1, type=Whole(1, 2**63 - 1))(
        every(function)
    )


@command.command("retry", examples=("longshore outbox retry 7 9", "longshore outbox retry --all"))
@_chosen
@click.pass_context
def retry(ctx: click.Context, rows: tuple[int, ...], *, every: bool) -> None:
    """Relay rows again that were set apart, once the reason is gone."""
    with _rows(ctx) as there:
        chosen = _apart(there, rows, every=every)
        there.retry(chosen)
        out_of(ctx).say(f"{many(len(chosen), 'row')} on their way again")


@command.command("discard", examples=("longshore outbox discard 7 --yes",))
@_chosen
@option("--yes", "-y", variable="OUTBOX_YES", is_flag=True, help="Do not ask.")
@click.pass_context
def discard(ctx: click.Context, rows: tuple[int, ...], *, every: bool, yes: bool) -> None:
    """Delete rows that were set apart: their jobs will never run."""
    with _rows(ctx) as there:
        chosen = _apart(there, rows, every=every)
        if chosen:
            confirm(
                f"this deletes {many(len(chosen), 'job')} from the outbox",
                Asked((), None, all=every, yes=yes, dry_run=False),
            )
        there.drop(chosen)
        out_of(ctx).say(f"{many(len(chosen), 'row')} deleted")


def _apart(there: Rows, rows: Sequence[int], *, every: bool) -> list[int]:
    """The rows that are meant, all of them set apart."""
    if every == bool(rows):
        raise click.UsageError("Give the numbers of rows, or --all.")
    parked = [row.position for row in there if row.parked is not None]
    unknown = sorted(set(rows).difference(parked))
    if unknown:
        named = ", ".join(map(str, unknown[:10]))
        raise Failure(NO_ROW, f"not set apart in the outbox: row {named}; nothing was changed.")
    return sorted(set(rows)) if rows else parked


def _line(row: Letter) -> _Line:
    job: NewJob | None
    try:
        job, why = decode(row.job), row.parked
    except UnknownPayloadVersion as error:
        job, why = None, row.parked or f"waits: {error}"
    except PayloadError as error:
        job, why = None, row.parked or str(error)
    return _Line(
        row=row.position,
        made_at=moment(row.made_at),
        id=None if job is None else job.id,
        kind=None if job is None else job.kind,
        queue=None if job is None else job.queue,
        parked=why,
    )
