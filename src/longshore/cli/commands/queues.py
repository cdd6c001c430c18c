"""``longshore queues``: look at queues, pause, resume and clear them."""

from __future__ import annotations

from typing import Any

import click

from longshore.app import Longshore
from longshore.cli.bulk import Asked, confirm
from longshore.cli.exit import NO_QUEUE, Failure
from longshore.cli.output import Columns, Out, out_of
from longshore.cli.parts import Group, QueueName, Seconds, option
from longshore.cli.session import application
from longshore.cli.views import ago, many, moment
from longshore.core.durations import describe
from longshore.core.store import QueueRecord
from longshore.core.wording import did_you_mean
from longshore.query import JobQuery, Queue, Where
from longshore.query.queues import CLEARED


@click.group(
    "queues",
    cls=Group,
    examples=(
        "longshore queues list",
        "longshore queues pause mail --for 15m --reason 'provider down'",
        "longshore queues clear imports --yes",
    ),
)
def command() -> None:
    """List, show, pause, resume and clear queues."""


def view(queue: QueueRecord) -> dict[str, Any]:
    """A queue as a JSON record."""
    return {
        "name": queue.name,
        "paused": queue.paused,
        "reason": queue.reason,
        "resumes_at": moment(queue.resumes_at),
        "depth": queue.depth,
        "scheduled": queue.scheduled,
        "running": queue.running,
        "latency_seconds": queue.latency / 1_000_000,
    }


def paused(queue: QueueRecord) -> str:
    """Whether and why a queue is paused, for people."""
    if not queue.paused:
        return ""
    until = f", resumes {ago(queue.resumes_at)}" if queue.resumes_at is not None else ""
    why = f": {queue.reason}" if queue.reason else ""
    return f"paused{why}{until}"


def _pause_of(queue: dict[str, Any]) -> str:
    if not queue["paused"]:
        return ""
    until = f" until {queue['resumes_at']}" if queue["resumes_at"] else ""
    return f"{queue['reason'] or 'yes'}{until}"


COLUMNS: Columns = {
    "queue": lambda queue: queue["name"],
    "available": lambda queue: str(queue["depth"]),
    "scheduled": lambda queue: str(queue["scheduled"]),
    "running": lambda queue: str(queue["running"]),
    "latency": lambda queue: describe(round(queue["latency_seconds"] * 1_000_000)),
    "paused": _pause_of,
}


@command.command("list", examples=("longshore queues list", "longshore queues list -o json"))
@click.pass_context
def list_(ctx: click.Context) -> None:
    """List every queue that holds jobs or is paused."""
    with application(ctx) as app:
        found = [view(queue.record) for queue in app.queues]
        out_of(ctx).rows("queues", found, COLUMNS, empty="no queue holds a job")


@command.command("show", examples=("longshore queues show mail",))
@click.argument("name", metavar="QUEUE", type=QueueName())
@click.pass_context
def show(ctx: click.Context, name: str) -> None:
    """Show one queue."""
    with application(ctx) as app:
        queue = _existing(app, name).record
        out_of(ctx).fields(
            {"queue": view(queue)},
            [
                ("queue", queue.name),
                ("available", str(queue.depth)),
                ("scheduled", str(queue.scheduled)),
                ("running", str(queue.running)),
                ("latency", describe(queue.latency)),
                ("paused", paused(queue) or "no"),
            ],
        )


@command.command(
    "pause", examples=("longshore queues pause mail --for 15m --reason 'provider down'",)
)
@click.argument("name", metavar="QUEUE", type=QueueName())
@option(
    "--for",
    "for_",
    variable="QUEUES_FOR",
    type=Seconds(0.001),
    help="Resume by itself after this time.",
)
@option("--reason", variable="QUEUES_REASON", help="Shown to people.")
@click.pass_context
def pause(ctx: click.Context, name: str, for_: float | None, reason: str | None) -> None:
    """Start no more jobs of a queue; what runs goes on."""
    with application(ctx) as app:
        queue = app.queues[name]
        queue.pause(reason=reason, for_=for_)
        _tell(out_of(ctx), queue)


@command.command("resume", examples=("longshore queues resume mail",))
@click.argument("name", metavar="QUEUE", type=QueueName())
@click.pass_context
def resume(ctx: click.Context, name: str) -> None:
    """Start jobs of a queue again."""
    with application(ctx) as app:
        queue = app.queues[name]
        queue.resume()
        _tell(out_of(ctx), queue)


@command.command(
    "clear", examples=("longshore queues clear imports", "longshore queues clear imports --yes")
)
@click.argument("name", metavar="QUEUE", type=QueueName())
@option("--yes", "-y", variable="QUEUES_YES", is_flag=True, help="Do not ask.")
@click.pass_context
def clear(ctx: click.Context, name: str, *, yes: bool) -> None:
    """Delete the jobs that wait in a queue; running and ended ones stay."""
    out = out_of(ctx)
    with application(ctx) as app:
        queue = _existing(app, name)
        waiting = JobQuery(app, Where(queues=frozenset({name}), states=CLEARED)).count()
        if waiting:
            confirm(
                f"clear: queue {name} has {many(waiting, 'job')} waiting, to be deleted",
                Asked((), None, all=False, yes=yes, dry_run=False),
            )
        with out.progress(f"clearing {name}", waiting) as advance:
            total = queue.clear(progress=lambda so_far: advance(so_far.changed + so_far.skipped))
        numbers = {"matched": waiting, "changed": total.changed, "skipped": total.skipped}
        names = {"changed": "deleted"}
        out.fields(numbers, [(names.get(key, key), str(n)) for key, n in numbers.items()])


def _existing(app: Longshore, name: str) -> Queue:
    found = {queue.name: queue for queue in app.queues}
    if name not in found:
        raise Failure(
            NO_QUEUE, f"no queue {name} holds jobs or is paused.{did_you_mean(name, found)}"
        )
    return found[name]


def _tell(out: Out, queue: Queue) -> None:
    record = queue.refresh().record
    out.fields(
        {"queue": view(record)}, [("queue", record.name), ("paused", paused(record) or "no")]
    )
