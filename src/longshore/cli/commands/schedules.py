"""``longshore schedules``: what is enqueued when, what became of it, and orders."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click

from longshore.app import Longshore
from longshore.cli import completing
from longshore.cli.commands.enqueue import payload_of
from longshore.cli.export import crontab_of, needed, timers_of
from longshore.cli.folder import current_folder
from longshore.cli.job_input import Readable, read_input
from longshore.cli.output import Columns, out_of
from longshore.cli.parts import Command, Group, Whole, option
from longshore.cli.session import application
from longshore.cli.views import ago, arguments, given_to, moment, span
from longshore.core.cron import next_ticks, normal, timetable
from longshore.core.durations import describe
from longshore.core.schedules import ScheduleRecord, TickRecord
from longshore.core.wording import many
from longshore.core.zones import zone
from longshore.query.schedules import in_zone, shown_times

#: So many of the last ticks are shown.
_TICKS: Final = 10


@click.group(
    "schedules",
    cls=Group,
    examples=(
        "longshore schedules list",
        "longshore schedules next nightly-eu -n 3",
        'longshore schedules explain "0 5 * * 1-5" --tz Europe/Paris',
    ),
)
def command() -> None:
    """List, show, run, pause and export schedules; explain cron texts.

    Those in the application's code are shown although no worker has declared them yet.
    """


def view(record: ScheduleRecord) -> dict[str, Any]:
    """A schedule as a JSON record."""
    schedule, entry = record.schedule, record.entry
    times = shown_times(record, 1)
    return {
        "name": record.name,
        "app": entry.app,
        "kind": schedule.job.kind,
        "queue": schedule.job.queue,
        **given_to(schedule.job.payload),
        "when": schedule.when,
        "in_words": timetable(schedule.when, schedule.tz).explain(),
        "tz": schedule.tz,
        "catch_up": schedule.catch_up.value,
        "max_age_seconds": span(schedule.max_age),
        "overlap": schedule.overlap.value,
        "state": _state(record),
        "reason": entry.reason,
        "source": _source(record),
        "next_at": times[0].isoformat() if times else None,
        "last_at": moment(record.last_at),
        "last_job": record.last_job,
        "fired": record.fired,
        "skipped": record.skipped,
        "missed": record.missed,
    }


def _state(record: ScheduleRecord) -> str:
    if record.retired:
        return "retired"
    if record.paused:
        return "paused"
    return "active" if record.revision else "not declared yet"


def _source(record: ScheduleRecord) -> str:
    if record.edited:
        return "code, changed at run time"
    return "code" if record.in_code else "run time"


COLUMNS: Columns = {
    "name": lambda one: one["name"],
    "when": lambda one: one["when"],
    "state": lambda one: one["state"],
    "next": lambda one: one["next_at"] or "",
    "tz": lambda one: one["tz"],
    "kind": lambda one: one["kind"],
    "last": lambda one: one["last_at"] or "",
    "missed": lambda one: str(one["missed"]),
}


@command.command("list", examples=("longshore schedules list", "longshore schedules list -o json"))
@click.pass_context
def list_(ctx: click.Context) -> None:
    """List every schedule: when it comes, how it stands, when it came last."""
    with application(ctx) as app:
        found = [view(record) for record in app.schedules.list()]
        out_of(ctx).rows("schedules", found, COLUMNS, empty="no schedule is declared or was added")


@command.command("show", examples=("longshore schedules show nightly-eu",))
@click.argument("name", metavar="NAME", shell_complete=completing.schedules)
@click.pass_context
def show(ctx: click.Context, name: str) -> None:
    """Show one schedule, its next times and what became of its last ticks."""
    with application(ctx) as app:
        _tell(ctx, app, name)


@command.command(
    "next", examples=("longshore schedules next", "longshore schedules next nightly-eu -n 3")
)
@click.argument("name", metavar="[NAME]", required=False, shell_complete=completing.schedules)
@option(
    "-n",
    "--count",
    variable="SCHEDULES_COUNT",
    type=Whole(1, 10_000),
    default=10,
    help="How many times.",
)
@click.pass_context
def next_(ctx: click.Context, name: str | None, count: int) -> None:
    """Tell when a schedule comes next, or all of them together."""
    with application(ctx) as app:
        records = app.schedules.list() if name is None else (app.schedules.get(name),)
        times = [
            (at, record.name, record.schedule.job.kind)
            for record in records
            if name is not None or _state(record) in {"active", "not declared yet"}
            for at in shown_times(record, count)
        ]
        found = [
            {"at": at.isoformat(), "name": which, "kind": kind}
            for at, which, kind in sorted(times)[:count]
        ]
        out_of(ctx).rows("times", found, _TIMES, empty="no schedule comes")


_TIMES: Columns = {
    "at": lambda one: one["at"],
    "name": lambda one: one["name"],
    "kind": lambda one: one["kind"],
}


@command.command(
    "run",
    examples=("longshore schedules run nightly-eu", "longshore schedules run nightly region=us"),
)
@click.argument("name", metavar="NAME", shell_complete=completing.schedules)
@click.argument("words", nargs=-1, metavar="[KEY=VALUE]...")
@click.pass_context
def run(ctx: click.Context, name: str, words: tuple[str, ...]) -> None:
    """Enqueue the job of a schedule now, beside its ticks, and print its id.

    KEY=VALUE gives this one job other arguments, as in `longshore enqueue`.
    """
    with application(ctx) as app:
        if not words:
            handle = app.schedules.run_now(name)
        else:
            job = app.schedules.get(name).schedule.job
            declaration = app.registry.resolve(job.kind)
            given = read_input(words, _stdin, app.settings.max_payload)
            stored = arguments(app.schedules.call(name)) or ([], {})
            given = given.over(*stored)
            handle = app.schedules.run_with(name, payload_of(app, declaration, given))
        click.echo(handle.id)


def _stdin() -> Readable:
    return sys.stdin.buffer


@command.command("pause", examples=("longshore schedules pause nightly-eu --reason holidays",))
@click.argument("name", metavar="NAME", shell_complete=completing.schedules)
@option("--reason", variable="SCHEDULES_REASON", help="Shown to people.")
@click.pass_context
def pause(ctx: click.Context, name: str, reason: str | None) -> None:
    """Skip the ticks of a schedule until it is resumed; they are recorded."""
    with application(ctx) as app:
        app.schedules.pause(name, reason)
        _tell(ctx, app, name)


@command.command("resume", examples=("longshore schedules resume nightly-eu",))
@click.argument("name", metavar="NAME", shell_complete=completing.schedules)
@click.pass_context
def resume(ctx: click.Context, name: str) -> None:
    """Let a schedule fire again, from its next tick on."""
    with application(ctx) as app:
        app.schedules.resume(name)
        _tell(ctx, app, name)


@command.command("reset", examples=("longshore schedules reset nightly-eu",))
@click.argument("name", metavar="NAME", shell_complete=completing.schedules)
@click.pass_context
def reset(ctx: click.Context, name: str) -> None:
    """Undo what was changed or paused at run time: the code says again what holds."""
    with application(ctx) as app:
        app.schedules.reset(name)
        _tell(ctx, app, name)


@command.command("remove", examples=("longshore schedules remove report-7",))
@click.argument("name", metavar="NAME", shell_complete=completing.schedules)
@click.pass_context
def remove(ctx: click.Context, name: str) -> None:
    """Forget a schedule that was added at run time, or is in no code any more."""
    with application(ctx) as app:
        app.schedules.remove(name)
        out_of(ctx).say(f"{name} is removed")


@command.command(
    "explain",
    cls=Command,
    examples=(
        'longshore schedules explain "0 5 * * 1-5" --tz Europe/Paris',
        'longshore schedules explain "every 1 day at 04:30" -n 3',
    ),
)
@click.argument("when", metavar="WHEN")
@option("--tz", variable="SCHEDULES_TZ", default="UTC", help="Time zone: a name of the IANA base.")
@option(
    "-n",
    "--count",
    variable="SCHEDULES_COUNT",
    type=Whole(1, 10_000),
    default=5,
    help="How many times to show.",
)
@click.pass_context
def explain(ctx: click.Context, when: str, tz: str, count: int) -> None:
    """Say in words when a cron text or an interval comes, and its next times.

    Needs neither an application nor a store.
    """
    place = zone(tz)
    text = normal(when)
    words = timetable(text, tz).explain()
    now = round(datetime.now(UTC).timestamp()) * 1_000_000
    times = [in_zone(at, place).isoformat() for at in next_ticks(text, tz, now, count)]
    out_of(ctx).fields(
        {"when": text, "tz": tz, "in_words": words, "next": times},
        [("when", text), ("in words", f"{words}, {tz}"), *(("next", at) for at in times)],
    )


@command.command(
    "export",
    examples=(
        "longshore schedules export crontab",
        "longshore schedules export systemd --write /etc/systemd/system",
    ),
)
@click.argument("form", type=click.Choice(("crontab", "systemd")))
@option(
    "--write",
    variable="SCHEDULES_WRITE",
    type=click.Path(exists=True, file_okay=False, writable=True),
    help="With systemd: a folder to write the units into.",
)
@click.pass_context
def export(ctx: click.Context, form: str, write: str | None) -> int:
    """Print schedules for the scheduler of the system; each entry enqueues the job.

    For machines where no worker runs all the time. Where workers run, start them with
    --no-scheduler, or both fire. Exit code 1 when a schedule cannot be written so.
    """
    if write is not None and form != "systemd":
        raise click.UsageError("--write is for systemd.", ctx)
    out = out_of(ctx)
    with application(ctx) as app:
        there = [one for one in app.schedules.list() if _state(one) != "retired"]
        # As with workers: what is in the code of another application that one exports.
        records = [
            one for one in there if one.entry.coded is None or one.entry.app == app.planned.app
        ]
        make = crontab_of if form == "crontab" else timers_of
        made = make(records, current_folder())
        text = made.written(write)
        if text:
            click.echo(text)
        for problem in made.problems:
            out.say(problem)
        for note in made.notes:
            out.say(note)
        for path in made.paths:
            out.say(f"wrote {path}")
        if (lacking := needed(os.environ)) is not None:
            out.say(lacking)
    return 1 if made.problems else 0


def _tell(ctx: click.Context, app: Longshore, name: str) -> None:
    record = app.schedules.get(name)
    ticks = app.schedules.ticks(name, _TICKS)
    times = shown_times(record, 5)
    whole = {
        **view(record),
        "next": [at.isoformat() for at in times],
        "ticks": [_tick(tick) for tick in ticks],
    }
    out_of(ctx).fields({"schedule": whole}, _lines(record, whole, ticks))


def _tick(tick: TickRecord) -> dict[str, Any]:
    return {
        "at": moment(tick.at),
        "outcome": tick.outcome.value,
        "why": tick.why,
        "job_id": tick.job_id,
        "made_at": moment(tick.made_at),
    }


def _lines(
    record: ScheduleRecord, whole: dict[str, Any], ticks: Sequence[TickRecord]
) -> list[tuple[str, str]]:
    schedule = record.schedule
    age = "" if schedule.max_age is None else f", none older than {describe(schedule.max_age)}"
    reason = f": {record.entry.reason}" if record.entry.reason else ""
    lines = [
        ("schedule", record.name),
        ("state", f"{whole['state']}{reason}"),
        ("when", f"{schedule.when} ({schedule.tz})"),
        ("in words", whole["in_words"]),
        ("job", f"{schedule.job.kind} in {schedule.job.queue}"),
        ("catch up", f"{schedule.catch_up}{age}"),
        ("overlap", schedule.overlap.value),
        ("from", whole["source"]),
        ("ticks", f"{record.fired} fired, {record.skipped} skipped, {record.missed} missed"),
        *(("next", at) for at in whole["next"]),
    ]
    place = zone(schedule.tz)
    for tick in ticks:
        told = tick.job_id if tick.why is None else f"{tick.why}"
        lines.append(
            (tick.outcome.value, f"{in_zone(tick.at, place).isoformat()} {ago(tick.at)}  {told}")
        )
    if not ticks:
        lines.append(("last ticks", many(0, "tick")))
    return lines
