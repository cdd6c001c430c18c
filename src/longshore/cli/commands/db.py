"""``longshore db``: the tables of the store."""

from __future__ import annotations

import click

from longshore.cli.exit import Failure, kind_of
from longshore.cli.output import out_of
from longshore.cli.parts import Group
from longshore.cli.session import application
from longshore.cli.views import many
from longshore.errors import SchemaMismatch

_NEWER = "the tables are newer than this release of Longshore. Upgrade the application."


@click.group("db", cls=Group, examples=("longshore db status", "longshore db up"))
def command() -> None:
    """Look at the store's tables and bring them up to date."""


@command.command("status", examples=("longshore db status -o json",))
@click.pass_context
def status(ctx: click.Context) -> None:
    """Show which migrations ran and which are due; exit code 5 when tables and release differ."""
    out = out_of(ctx)
    with application(ctx) as app:
        found = app.store.schema()
        fields = {
            "store": app.store.address,
            "applied": list(found.applied),
            "pending": list(found.pending),
            "unknown": list(found.unknown),
        }
        out.fields(
            fields,
            [
                ("store", app.store.address),
                ("applied", ", ".join(found.applied) or "none"),
                ("pending", ", ".join(found.pending) or "none"),
                ("unknown", ", ".join(found.unknown) or "none"),
            ],
        )
    kind = kind_of(SchemaMismatch())
    if found.unknown:
        raise Failure(kind, _NEWER)
    if found.pending:
        raise Failure(
            kind, f"{many(len(found.pending), 'migration')} to run. Run `longshore db up`."
        )


@command.command("up", examples=("longshore db up",))
@click.pass_context
def up(ctx: click.Context) -> None:
    """Bring the tables up to date; safe to repeat, and while workers run."""
    out = out_of(ctx)
    with application(ctx) as app:
        with out.progress("migrating", None):
            ran = app.migrate()
            unknown = app.store.schema().unknown
        address = str(app.settings.store)
        if unknown:
            raise Failure(kind_of(SchemaMismatch()), _NEWER)
        out.fields(
            {"store": address, "ran": list(ran)},
            [("store", address), ("ran", ", ".join(ran) or "nothing; it was up to date")],
        )
