"""``longshore db``: the tables of the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click
import msgspec

from longshore.app import Longshore
from longshore.cli.exit import Failure, kind_of
from longshore.cli.output import Columns, Out, out_of
from longshore.cli.parts import Group, option
from longshore.cli.session import application, is_missing
from longshore.core.schema import Difference, Migration, SchemaStatus
from longshore.core.wording import did_you_mean, many
from longshore.errors import SchemaMismatch, StoreUnavailable

_NEWER: Final = (
    "a newer release of Longshore has changed the tables in a way that this one cannot live with."
    " Upgrade the application."
)
_HALF: Final = (
    "a migration has run in part. Run `longshore db up`, which goes on where it ended;"
    " `longshore db verify` names what is missing."
)

_DIFFERENCES: Final[Columns] = {
    "table": lambda one: one.table,
    "what": lambda one: one.what,
    "problem": lambda one: one.problem,
    "detail": lambda one: one.detail,
}


@click.group("db", cls=Group, examples=("longshore db status", "longshore db up"))
def command() -> None:
    """Look at the store's tables and bring them up to date."""


@command.command("status", examples=("longshore db status -o json",))
@click.pass_context
def status(ctx: click.Context) -> None:
    """Show which migrations ran and which are due; exit code 5 when this release cannot work.

    Migrations of a newer release that older ones can live with are shown as unknown, and fine.
    """
    out = out_of(ctx)
    with application(ctx) as app:
        found = _schema(app)
        names = {name: list(getattr(found, name)) for name in found.__struct_fields__}
        shown = [name for name in names if names[name] or name in _ALWAYS]
        out.fields(
            {"store": app.store.address, **names},
            [
                ("store", app.store.address),
                *((name, ", ".join(names[name]) or "none") for name in shown),
            ],
        )
    _judge(found)
    if found.pending:
        raise Failure(
            _WRONG, f"{many(len(found.pending), 'migration')} to run. Run `longshore db up`."
        )


@command.command("up", examples=("longshore db up",))
@click.pass_context
def up(ctx: click.Context) -> None:
    """Bring the tables up to date; safe to repeat, by several at once, and while workers run."""
    out = out_of(ctx)
    with application(ctx) as app:
        _refuse_newer(app.store.schema())
        with out.progress("migrating", None):
            ran = app.migrate()
        address = str(app.settings.store)
        out.fields(
            {"store": address, "ran": list(ran)},
            [("store", address), ("ran", ", ".join(ran) or "nothing; it was up to date")],
        )


@command.command(
    "sql",
    examples=("longshore db sql > up.sql", "longshore db sql --from 1 --to 3"),
)
@option(
    "--from",
    "first",
    variable="DB_FROM",
    metavar="NAME",
    help="First migration, by name or number.",
)
@option("--to", "last", variable="DB_TO", metavar="NAME", help="Last migration, by name or number.")
@click.pass_context
def sql(ctx: click.Context, first: str | None, last: str | None) -> None:
    """Print what `up` would run, for those who apply it by hand; nothing is changed.

    That is all that is due in the store. With --from the store is not asked: it prints the
    migrations from there, whether they ran or not.
    """
    out = out_of(ctx)
    with application(ctx) as app:
        known = app.store.script()
        chosen = _between(known, first, last, ctx)
        if first is None:
            found = _schema(app)
            _refuse_newer(found)
            chosen = [migration for migration in chosen if migration.name in found.pending]
        address = app.store.address
    _print(out, address, chosen)


@command.command("verify", examples=("longshore db verify", "longshore db verify -o json"))
@click.pass_context
def verify(ctx: click.Context) -> None:
    """Compare tables, columns and indexes with those that the migrations make.

    Each difference is named; exit code 5 when there is one. What a newer release has added is none.
    """
    out = out_of(ctx)
    with application(ctx) as app:
        found = _schema(app)
        differences = app.store.verify() if found.applied or found.half else ()
        out.rows("differences", differences, _DIFFERENCES, extra={"store": app.store.address})
    _judge(found)
    if differences:
        raise Failure(_WRONG, _advice(differences))
    if found.pending:
        raise Failure(
            _WRONG, f"{many(len(found.pending), 'migration')} to run. Run `longshore db up`."
        )
    out.say("the tables are as their migrations make them")


_ALWAYS: Final = frozenset({"applied", "pending", "unknown"})
_WRONG: Final = kind_of(SchemaMismatch())


def _schema(app: Longshore) -> SchemaStatus:
    """Which migrations a store has had. Of a file that is not there it is known: asking makes it.

    Raises:
        StoreUnavailable: some files of several are not there.
    """
    missing = [part.path for part in app.settings.store.parts if is_missing(part.path)]
    if not missing:
        return app.store.schema()
    if len(missing) == len(app.settings.store.parts):
        return SchemaStatus((), tuple(migration.name for migration in app.store.script()), ())
    raise StoreUnavailable(
        f"there is no file {missing[0]}, and other shards have theirs. Is it the right path?"
        " `longshore db up` makes it."
    )


def _refuse_newer(found: SchemaStatus) -> None:
    if found.breaking:
        raise Failure(_WRONG, f"{_NEWER} It knows nothing of: {', '.join(found.breaking)}.")


def _judge(found: SchemaStatus) -> None:
    _refuse_newer(found)
    if any(name in found.pending for name in found.half):
        raise Failure(_WRONG, f"{', '.join(found.half)}: {_HALF}")


def _advice(differences: Sequence[Difference]) -> str:
    missing = any(one.problem != "extra" for one in differences)
    what = many(len(differences), "difference")
    if missing:
        return (
            f"{what}. Somebody changed the tables by hand, or a copy is incomplete: make again"
            " what is missing or altered, as `longshore db sql --from 1` prints it."
        )
    return (
        f"{what}: what is extra is not Longshore's. It may slow down writes; drop it, or leave it."
    )


def _number(name: str) -> int:
    """The number of a migration; its name begins with it, behind a shard's where there are some."""
    return int(name.rpartition("/")[2][:3])


def _between(
    known: Sequence[Migration], first: str | None, last: str | None, ctx: click.Context
) -> list[Migration]:
    def numbered(given: str | None, default: int, flag: str) -> int:
        if given is None:
            return default
        names = {migration.name.rpartition("/")[2] for migration in known}
        numbers = {_number(name) for name in names}
        if given in names:
            return _number(given)
        if given.isdecimal() and int(given) in numbers:
            return int(given)
        raise click.UsageError(
            f"{flag} {given}: there is no such migration.{did_you_mean(given, names)}"
            f" Migrations: {', '.join(sorted(names)) or 'none'}.",
            ctx,
        )

    low, high = numbered(first, 0, "--from"), numbered(last, 999, "--to")
    if low > high:
        raise click.UsageError(
            f"--from {first} comes after --to {last}: give them the other way round.", ctx
        )
    return [migration for migration in known if low <= _number(migration.name) <= high]


def _print(out: Out, address: str, chosen: Sequence[Migration]) -> None:
    if out.form in ("json", "jsonl"):
        out.fields({"store": address, "migrations": msgspec.to_builtins(chosen)}, ())
    else:
        for migration in chosen:
            click.echo(f"-- {migration.name}\n{migration.sql}")
    if not chosen:
        out.say("nothing to run; the tables are up to date")
