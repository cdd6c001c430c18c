"""``longshore outbox``: what waits in the application's database for a store elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

import click
import msgspec

from longshore.cli.bulk import Asked, confirm
from longshore.cli.exit import INCOMPLETE, NO_ROW, Failure
from longshore.cli.output import Columns, out_of
from longshore.cli.parts import Group, Whole, option
from longshore.cli.session import stored
from longshore.cli.views import moment, to_seconds
from longshore.core.model import NewJob
from longshore.core.outbox import Letter, Outbox, decode, elsewhere
from longshore.core.store import Operation, Store
from longshore.core.wording import many, shown
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

    A job that cannot be relayed is parked with the reason; the others go on without it.
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
        """Send on; gives how many were parked."""
        return self._some(self._outbox.outbox_retry, positions)

    def drop(self, positions: Sequence[int]) -> int:
        """Delete; gives how many were parked."""
        return self._some(self._outbox.outbox_drop, positions)

    def adopt(self, store: str) -> int:
        """Take over what is for another store; gives how many rows there were."""
        return self._store.run(self._outbox.outbox_adopt(self._to, store))

    def elsewhere(self) -> Mapping[str, int]:
        """How many rows are for other stores."""
        return self._store.run(self._outbox.outbox_elsewhere(self._to))

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
    with stored(ctx) as app:
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
    "parked": lambda line: line.parked or "",
}


@command.command("list", examples=("longshore outbox list", "longshore outbox list -o json"))
@option(
    "--limit",
    variable="OUTBOX_LIMIT",
    type=Whole(1, 100_000),
    default=1000,
    help="At most so many rows.",
)
@option("--parked", variable="OUTBOX_PARKED", is_flag=True, help="Only those that are parked.")
@click.pass_context
def list_(ctx: click.Context, limit: int, *, parked: bool) -> None:
    """List the jobs on their way, the oldest first, and why those cannot go that are parked."""
    out = out_of(ctx)
    with _rows(ctx) as rows:
        chosen: list[_Line] = []
        for row in rows:
            if parked and row.parked is None:
                continue
            if len(chosen) == limit:
                out.say(f"the first {limit}; --limit shows more")
                break
            chosen.append(_line(row))
        out.rows("rows", chosen, _COLUMNS, empty="nothing waits in the outbox")
        if others := rows.elsewhere():
            out.say(elsewhere(others))


def _chosen(function: Any) -> Any:
    """Which rows."""
    every = option(
        "--all", "every", variable="OUTBOX_ALL", is_flag=True, help="Every row that is parked."
    )
    return click.argument("rows", metavar="[ROW]...", nargs=-1, type=Whole(1, 2**63 - 1))(
        every(function)
    )


@command.command("retry", examples=("longshore outbox retry 7 9", "longshore outbox retry --all"))
@_chosen
@click.pass_context
def retry(ctx: click.Context, rows: tuple[int, ...], *, every: bool) -> None:
    """Relay rows again that were parked, once the reason is gone."""
    with _rows(ctx) as there:
        chosen = _parked(there, rows, every=every)
        _tell(ctx, there.retry(chosen), len(chosen), "on their way again")


@command.command("discard", examples=("longshore outbox discard 7 --yes",))
@_chosen
@option("--yes", "-y", variable="OUTBOX_YES", is_flag=True, help="Do not ask.")
@click.pass_context
def discard(ctx: click.Context, rows: tuple[int, ...], *, every: bool, yes: bool) -> None:
    """Delete rows that were parked: their jobs will never run."""
    with _rows(ctx) as there:
        chosen = _parked(there, rows, every=every)
        if chosen:
            confirm(
                f"this deletes {many(len(chosen), 'job')} from the outbox",
                Asked((), None, all=every, yes=yes, dry_run=False),
            )
        _tell(ctx, there.drop(chosen), len(chosen), "deleted")


def _tell(ctx: click.Context, done: int, asked: int, what: str) -> None:
    out_of(ctx).say(f"{many(done, 'row')} {what}")
    if done < asked:
        raise Failure(
            INCOMPLETE, f"{many(asked - done, 'row')} changed meanwhile and were left alone."
        )


@command.command("adopt", examples=("longshore outbox adopt c37b09e1-0f6a-4c0e-9f0e-0a4b4b0d3f11",))
@click.argument("store", metavar="STORE")
@click.pass_context
def adopt(ctx: click.Context, store: str) -> None:
    """Send here what was on its way to another STORE, which was emptied or is gone.

    `longshore doctor` tells the ids of such stores. Of an application that shares the outbox and
    lives it takes its jobs.
    """
    with _rows(ctx) as there:
        if not (done := there.adopt(store)):
            raise Failure(NO_ROW, f"the outbox has no row for store {shown(store)}.")
        out_of(ctx).say(f"{many(done, 'row')} on their way here")


def _parked(there: Rows, rows: Sequence[int], *, every: bool) -> list[int]:
    """The rows that are meant, all of them parked."""
    if every == bool(rows):
        raise click.UsageError("Give the numbers of rows, or --all.")
    parked = [row.position for row in there if row.parked is not None]
    unknown = sorted(set(rows).difference(parked))
    if unknown:
        named = ", ".join(map(str, unknown[:10]))
        raise Failure(NO_ROW, f"not parked in the outbox: row {named}; nothing was changed.")
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
