"""``longshore jobs``: look at stored jobs and decide about them."""

from __future__ import annotations

from typing import Any

import click

from longshore.cli.bulk import CANCEL, DISCARD, RETRY, Asked, Verb, perform
from longshore.cli.exit import BAD_ID, USAGE, Failure
from longshore.cli.job_log import shown_steps, steps, write_lines, write_more
from longshore.cli.output import out_of
from longshore.cli.parts import Group, Whole, option
from longshore.cli.query_text import read_query
from longshore.cli.session import stored
from longshore.cli.views import (
    COLUMNS,
    FOR_PEOPLE,
    USUAL,
    WAITING,
    shown,
    summary,
    waiting,
    whole,
)
from longshore.core.model import LOG_LINES
from longshore.core.wording import did_you_mean
from longshore.core.wording import shown as safely
from longshore.ids import is_id
from longshore.query import JobQuery

DISCARDED = "discarded by a person"
_IDS = "ids are UUIDs of 36 characters, and `longshore jobs list` prints them"


@click.group(
    "jobs",
    cls=Group,
    examples=(
        "longshore jobs list state:dead queue:mail",
        "longshore jobs show 0198c5d2-7c52-7d3e-b0ab-2f5a3c1d9e10",
        "longshore jobs logs -f 0198c5d2-7c52-7d3e-b0ab-2f5a3c1d9e10",
        "longshore jobs retry --query 'state:dead error:TimeoutError'",
    ),
)
def command() -> None:
    """List, show, follow, retry, cancel and discard jobs.

    A QUERY is name:value terms with spaces between, all of which must hold: id, state, queue,
    kind, error, tag, args.NAME, meta.NAME. A comma separates values, quotes keep them together:
    state:dead,retrying error:"no route to host" args.user_id:42
    """


def _columns(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    names = USUAL if value is None else tuple(name.strip() for name in value.split(","))
    for name in names:
        if name not in COLUMNS:
            raise click.BadParameter(
                f"{safely(name)} is no column.{did_you_mean(name, COLUMNS)} Columns:"
                f" {', '.join(COLUMNS)}."
            )
    return names


@command.command(
    "list",
    examples=(
        "longshore jobs list state:running,retrying",
        "longshore jobs list kind:app.jobs.send_welcome args.user_id:42 -o json",
        "longshore jobs list --sort oldest --limit 5 --columns id,kind,due",
    ),
)
@click.argument("query", nargs=-1)
@option(
    "--limit",
    variable="JOBS_LIMIT",
    type=Whole(1, 1_000_000),
    default=50,
    help="At most so many jobs.",
)
@option(
    "--sort",
    variable="JOBS_SORT",
    type=click.Choice(("newest", "oldest")),
    default="newest",
    help="Which of them first, by creation.",
)
@option(
    "--columns",
    variable="JOBS_COLUMNS",
    callback=_columns,
    metavar="A,B",
    help=f"What a table shows, of {', '.join(COLUMNS)}.",
)
@click.pass_context
def list_(
    ctx: click.Context, query: tuple[str, ...], limit: int, sort: Any, columns: tuple[str, ...]
) -> None:
    """List jobs, newest first."""
    out = out_of(ctx)
    with stored(ctx) as app:
        where = read_query(" ".join(query), app.registry)
        # One more tells whether there are more.
        wanted = JobQuery(app, where, order=sort, limit=limit + 1)
        known = FOR_PEOPLE if out.form == "table" else COLUMNS
        found = [summary(job.record) for job in wanted]
        out.rows(
            "jobs",
            found[:limit],
            {name: known[name] for name in columns},
            extra={"examined": wanted.examined},
            empty="no job matches",
        )
        if len(found) > limit:
            out.say(f"the first {limit}; --limit shows more")


@command.command(
    "show", examples=("longshore jobs show 0198c5d2-7c52-7d3e-b0ab-2f5a3c1d9e10 -o json",)
)
@click.argument("job_id", metavar="ID")
@click.pass_context
def show(ctx: click.Context, job_id: str) -> None:
    """Show everything about one job, its steps, and what it waits for.

    That is a time, a queue or kind that is paused, a limit and who holds it, a worker.
    """
    if not is_id(job_id.lower()):
        raise Failure(BAD_ID, f"{safely(job_id)} is not a job's id: {_IDS}.")
    with stored(ctx) as app:
        handle = app.get(job_id.lower())
        waits = handle.why_waiting() if handle.state in WAITING else None
        told = "" if waits is None else str(waits)
        job = handle.record
        saved = app.store.run(app.store.steps([job.id])).get(job.id, ())
        fields = {**whole(job), "waits": waiting(waits), "steps": steps(saved)}
        out_of(ctx).fields({"job": fields}, [*shown(job, told), *shown_steps(saved)])


@command.command(
    "logs",
    examples=(
        "longshore jobs logs 0198c5d2-7c52-7d3e-b0ab-2f5a3c1d9e10",
        "longshore jobs logs --follow 0198c5d2-7c52-7d3e-b0ab-2f5a3c1d9e10 -o jsonl",
    ),
)
@click.argument("job_id", metavar="ID")
@option(
    "--follow",
    "-f",
    variable="JOBS_FOLLOW",
    is_flag=True,
    help="Go on with what the job says until it has ended.",
)
@option(
    "--limit",
    variable="JOBS_LIMIT",
    type=Whole(1, LOG_LINES),
    default=LOG_LINES,
    help="Only so many, the last ones.",
)
@click.pass_context
def logs(ctx: click.Context, job_id: str, follow: bool, limit: int) -> None:  # noqa: FBT001 - click
    """Show what a job has said by ctx.log, the oldest line first, also while it runs.

    The last 1000 lines of a job are kept, for as long as the job is.
    """
    if not is_id(job_id.lower()):
        raise Failure(BAD_ID, f"{safely(job_id)} is not a job's id: {_IDS}.")
    out = out_of(ctx)
    if follow and out.form == "json":
        raise Failure(USAGE, "--follow has no end that a JSON document could have: use -o jsonl.")
    with stored(ctx) as app:
        handle = app.get(job_id.lower())
        lines = handle.logs()[-limit:]
        write_lines(out, lines)
        if follow:
            write_more(out, handle, lines[-1].number if lines else 0)


def _choosing(function: Any) -> Any:
    """The arguments that every verb takes."""
    parts = (
        click.argument("ids", nargs=-1, metavar="[ID]..."),
        option("--query", variable="JOBS_QUERY", metavar="Q", help="The jobs this query finds."),
        option("--all", "all_", variable="JOBS_ALL", is_flag=True, help="Allow an empty query."),
        option("--yes", "-y", variable="JOBS_YES", is_flag=True, help="Do not ask."),
        option(
            "--dry-run", variable="JOBS_DRY_RUN", is_flag=True, help="Count and change nothing."
        ),
    )
    for part in reversed(parts):
        function = part(function)
    return function


_reason = option("--reason", variable="JOBS_REASON", help="Kept with the job, for people.")


@command.command(
    "retry",
    examples=(
        "longshore jobs retry 0198c5d2-7c52-7d3e-b0ab-2f5a3c1d9e10",
        "longshore jobs retry --query 'queue:mail error:TimeoutError' --yes",
    ),
)
@_choosing
@click.pass_context
def retry(ctx: click.Context, /, **chosen: Any) -> None:
    """Make jobs available now; dead and cancelled ones count their attempts afresh.

    A query that names no state means dead and retrying jobs.
    """
    _perform(ctx, RETRY, None, **chosen)


@command.command(
    "cancel",
    examples=("longshore jobs cancel --query 'kind:app.sync' --reason 'wrong region' --yes",),
)
@_choosing
@_reason
@click.pass_context
def cancel(ctx: click.Context, /, reason: str | None, **chosen: Any) -> None:
    """End jobs that have not ended; running ones are asked to and end within a second or so."""
    _perform(ctx, CANCEL, reason, **chosen)


@command.command(
    "discard", examples=("longshore jobs discard 0198c5d2-7c52-7d3e-b0ab-2f5a3c1d9e10",)
)
@_choosing
@_reason
@click.pass_context
def discard(ctx: click.Context, /, reason: str | None, **chosen: Any) -> None:
    """End jobs without another retry: cancelled, with the reason that a person discarded them."""
    why = DISCARDED if reason is None else f"{DISCARDED}: {reason}"
    _perform(ctx, DISCARD, why, **chosen)


def _perform(
    ctx: click.Context,
    verb: Verb,
    reason: str | None,
    *,
    ids: tuple[str, ...],
    query: str | None,
    all_: bool,
    yes: bool,
    dry_run: bool,
) -> None:
    if not ids and query is None and not all_:
        # Said before the application is imported: nothing of it could change the answer.
        raise Failure(USAGE, f"say which jobs to {verb.name}: ids, --query Q, or --all.")
    for text in ids:
        if not is_id(text.lower()):
            raise Failure(BAD_ID, f"{safely(text)} is not a job's id: {_IDS}. Nothing was changed.")
    with stored(ctx) as app:
        asked = Asked(ids, query, all_, yes, dry_run, reason)
        perform(app, out_of(ctx), verb, asked)
