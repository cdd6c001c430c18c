"""``longshore check``: everything about an application that can be wrong without a store."""

from __future__ import annotations

from typing import Any

import click

from longshore.cli.exit import DECLARED, Failure, kind_of
from longshore.cli.output import Columns, out_of
from longshore.cli.parts import Command
from longshore.cli.session import application
from longshore.core.registry import NO_JOBS, Declaration
from longshore.core.schedules import Schedule
from longshore.core.wording import many
from longshore.errors import LongshoreError


@click.command("check", cls=Command, examples=("longshore check", "longshore check -o json"))
@click.pass_context
def command(ctx: click.Context) -> None:
    """Load the application, resolve every job's signature and list the kinds; for CI.

    Does not open the store. Exit code 5 when a declaration or a setting is wrong.
    """
    out = out_of(ctx)
    with application(ctx, shared=False) as app:
        problems = list[tuple[Declaration, LongshoreError]]()
        unfit = list[tuple[str, LongshoreError]]()
        for declaration in app.registry:
            try:
                declaration.signature.resolve()
            except LongshoreError as error:
                problems.append((declaration, error))
        schedules: list[dict[str, str]] = []
        for name in app.planned:
            try:
                schedules.append(_schedule(app.planned.find(name)))
            except LongshoreError as error:
                unfit.append((name, error))
        found = sorted((_view(declaration) for declaration in app.registry), key=_kind)
        out.rows(
            "kinds",
            found,
            _COLUMNS,
            extra={
                "ok": not (problems or unfit),
                "schedules": schedules,
                "store": str(app.settings.store),
                "problems": [
                    {"kind": declaration.kind, "problem": str(error)}
                    for declaration, error in problems
                ]
                + [{"schedule": name, "problem": str(error)} for name, error in unfit],
            },
            empty="this application declares no job",
        )
    for declaration, problem in problems:
        out.say(f"{declaration.where}: {problem}")
    for name, problem in unfit:
        out.say(f"schedule {name}: {problem}")
    if problems:
        kind = kind_of(problems[0][1])
        raise Failure(
            kind, f"{len(problems)} of {many(len(found), 'job')} cannot work as declared."
        )
    if unfit:
        of = many(len(app.planned), "schedule")
        raise Failure(DECLARED, f"{len(unfit)} of {of} cannot work as declared.")
    if not len(app.registry):
        out.say(f"warning: {NO_JOBS}")
        return
    planned = f", {many(len(schedules), 'schedule')}" if schedules else ""
    out.say(f"{many(len(found), 'job')}{planned}, store {app.settings.store}: all right")


def _schedule(schedule: Schedule | None) -> dict[str, str]:
    assert schedule is not None  # noqa: S101 - its name was just read
    return {
        "name": schedule.name,
        "kind": schedule.job.kind,
        "when": schedule.when,
        "tz": schedule.tz,
    }


def _kind(record: dict[str, Any]) -> str:
    kind: str = record["kind"]
    return kind


def _view(declaration: Declaration) -> dict[str, Any]:
    return {
        "kind": declaration.kind,
        "aliases": list(declaration.aliases),
        "queue": declaration.queue,
        "isolation": declaration.isolation.value,
        "max_attempts": declaration.max_attempts,
        "where": declaration.where,
    }


_COLUMNS: Columns = {
    "kind": lambda record: record["kind"],
    "queue": lambda record: record["queue"],
    "isolation": lambda record: record["isolation"],
    "attempts": lambda record: str(record["max_attempts"]),
    "where": lambda record: record["where"],
}
