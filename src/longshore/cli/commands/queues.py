"""``longshore queues``: look at queues, pause, resume and clear them."""

from __future__ import annotations

from typing import Any

import click

from longshore.app import Longshore
from longshore.cli import completing
from longshore.cli.bulk import Asked, confirm
from longshore.cli.exit import NO_QUEUE, Failure
from longshore.cli.output import Columns, Out, out_of
from longshore.cli.parts import Group, QueueName, Seconds, option
from longshore.cli.session import stored
from longshore.cli.views import ago, moment
from longshore.core.durations import describe
from longshore.core.limits import KindRecord
from longshore.core.store import QueueRecord
from longshore.core.wording import did_you_mean, many, shown
from longshore.query import JobQuery, Queue, Where
from longshore.query.queues import CLEARED


@click.group(
    "queues",
    cls=Group,
    examples=(
        "longshore queues list",
        "longshore queues pause mail --for 15m --reason 'provider down'",
        "longshore queues pause --kind shop.jobs.sync",
        "longshore queues clear imports --yes",
    ),
)
def command() -> None:
    """List, show, pause, resume and clear queues; pause and resume kinds of jobs."""


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


def kind_view(kind: KindRecord) -> dict[str, Any]:
    """A paused kind as a JSON record."""
    return {
        "kind": kind.kind,
        "paused": True,
        "reason": kind.reason,
        "resumes_at": moment(kind.resumes_at),
    }


def paused(record: QueueRecord | KindRecord) -> str:
    """Why a queue or kind is paused, for people."""
    until = f", resumes {ago(record.resumes_at)}" if record.resumes_at is not None else ""
    why = f": {record.reason}" if record.reason else ""
    return f"paused{why}{until}"


def _pause_of(record: dict[str, Any]) -> str:
    if not record["paused"]:
        return ""
    until = f" until {record['resumes_at']}" if record["resumes_at"] else ""
    return f"{record['reason'] or 'yes'}{until}"


COLUMNS: Columns = {
    "queue": lambda queue: queue["name"],
    "available": lambda queue: str(queue["depth"]),
    "scheduled": lambda queue: str(queue["scheduled"]),
    "running": lambda queue: str(queue["running"]),
    "latency": lambda queue: describe(round(queue["latency_seconds"] * 1_000_000)),
    "paused": _pause_of,
}
KINDS: Columns = {"kind": lambda kind: kind["kind"], "paused": _pause_of}


@command.command("list", examples=("longshore queues list", "longshore queues list -o json"))
@click.pass_context
def list_(ctx: click.Context) -> None:
    """List every queue that holds jobs or is paused, and the kinds that are paused."""
    out = out_of(ctx)
    with stored(ctx) as app:
        found = [view(queue.record) for queue in app.queues]
        kinds = [kind_view(kind) for kind in app.client.run(app.store.kinds())]
        extra = {"paused_kinds": kinds}
        out.rows("queues", found, COLUMNS, extra=extra, empty="no queue holds a job")
        if kinds and out.form == "table":
            out.rows("paused_kinds", kinds, KINDS)


@command.command("show", examples=("longshore queues show mail",))
@click.argument("name", metavar="QUEUE", type=QueueName(), shell_complete=completing.queues)
@click.pass_context
def show(ctx: click.Context, name: str) -> None:
    """Show one queue."""
    with stored(ctx) as app:
        queue = _existing(app, name).record
        out_of(ctx).fields(
            {"queue": view(queue)},
            [
                ("queue", queue.name),
                ("available", str(queue.depth)),
                ("scheduled", str(queue.scheduled)),
                ("running", str(queue.running)),
                ("latency", describe(queue.latency)),
                ("paused", paused(queue) if queue.paused else "no"),
            ],
        )


def _chosen(function: Any) -> Any:
    """What is paused or resumed."""
    parts = (
        click.argument(
            "name",
            metavar="[QUEUE]",
            required=False,
            type=QueueName(),
            shell_complete=completing.queues,
        ),
        option(
            "--kind",
            variable="QUEUES_KIND",
            metavar="KIND",
            shell_complete=completing.kinds,
            help="Instead of a queue: one kind of job, in every queue.",
        ),
    )
    for part in reversed(parts):
        function = part(function)
    return function


@command.command(
    "pause",
    examples=(
        "longshore queues pause mail --for 15m --reason 'provider down'",
        "longshore queues pause --kind shop.jobs.sync",
    ),
)
@_chosen
@option(
    "--for",
    "for_",
    variable="QUEUES_FOR",
    type=Seconds(0.001),
    help="Resume by itself after this time.",
)
@option("--reason", variable="QUEUES_REASON", help="Shown to people.")
@click.pass_context
def pause(
    ctx: click.Context,
    name: str | None,
    kind: str | None,
    for_: float | None,
    reason: str | None,
) -> None:
    """Start no more jobs of a queue, or of a kind; what runs goes on."""
    _one_of(ctx, name, kind)
    out = out_of(ctx)
    with stored(ctx) as app:
        if kind is not None:
            kind = _known(app, out, kind)
            app.pause(kind=kind, reason=reason, for_=for_)
            _tell_kind(out, app, kind)
        elif name is not None:
            _doubt(app, out, name)
            queue = app.queues[name]
            queue.pause(reason=reason, for_=for_)
            _tell(out, queue)


@command.command(
    "resume",
    examples=("longshore queues resume mail", "longshore queues resume --kind shop.jobs.sync"),
)
@_chosen
@click.pass_context
def resume(ctx: click.Context, name: str | None, kind: str | None) -> None:
    """Start jobs of a queue, or of a kind, again."""
    _one_of(ctx, name, kind)
    out = out_of(ctx)
    with stored(ctx) as app:
        if kind is not None:
            kind = _known(app, out, kind)
            app.resume(kind=kind)
            _tell_kind(out, app, kind)
        elif name is not None:
            queue = app.queues[name]
            queue.resume()
            _tell(out, queue)


@command.command(
    "clear", examples=("longshore queues clear imports", "longshore queues clear imports --yes")
)
@click.argument("name", metavar="QUEUE", type=QueueName(), shell_complete=completing.queues)
@option("--yes", "-y", variable="QUEUES_YES", is_flag=True, help="Do not ask.")
@click.pass_context
def clear(ctx: click.Context, name: str, *, yes: bool) -> None:
    """Delete the jobs that wait in a queue; running and ended ones stay."""
    out = out_of(ctx)
    with stored(ctx) as app:
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


def _one_of(ctx: click.Context, name: str | None, kind: str | None) -> None:
    if (name is None) == (kind is None):
        raise click.UsageError("give a QUEUE, or --kind KIND.", ctx)


def _known(app: Longshore, out: Out, kind: str) -> str:
    """The stored name of a kind, also where it is given by its last part."""
    if app.registry.find(kind) is not None:
        return kind
    full = app.registry.ending_in(kind)
    if len(full) == 1:
        return full[0]
    if full:
        raise click.UsageError(f"{shown(kind)} may be {' or '.join(full)}. Write the whole kind.")
    out.say(
        f"no job of kind {shown(kind)} is declared in this application;"
        f" what is stored under that name is meant.{did_you_mean(kind, app.registry.names())}"
    )
    return kind


def _existing(app: Longshore, name: str) -> Queue:
    found = {queue.name: queue for queue in app.queues}
    if name not in found:
        raise Failure(
            NO_QUEUE, f"no queue {name} holds jobs or is paused.{did_you_mean(name, found)}"
        )
    return found[name]


def _doubt(app: Longshore, out: Out, name: str) -> None:
    """Say so where nobody has heard of a queue; it may be paused before there are jobs."""
    known = {queue.name for queue in app.queues} | {one.queue for one in app.registry}
    for process in app.client.run(app.store.processes()):
        # A worker of every queue says nothing of this one; `mail:8` is one with a weight.
        known.update(queue.partition(":")[0] for queue in process.queues if queue != "*")
    begun = [queue[:-1] for queue in known if queue.endswith("*")]
    if name not in known and not any(name.startswith(beginning) for beginning in begun):
        out.say(
            f"no queue {name} has jobs, and no job or worker names it; it is paused all the same."
            f"{did_you_mean(name, known)}"
        )


def _tell(out: Out, queue: Queue) -> None:
    record = queue.refresh().record
    told = paused(record) if record.paused else "no"
    out.fields({"queue": view(record)}, [("queue", record.name), ("paused", told)])


def _tell_kind(out: Out, app: Longshore, kind: str) -> None:
    found = [record for record in app.client.run(app.store.kinds()) if record.kind == kind]
    record = found[0] if found else KindRecord(kind=kind, reason=None, resumes_at=None)
    told = paused(record) if found else "no"
    out.fields(
        {"kind": {**kind_view(record), "paused": bool(found)}}, [("kind", kind), ("paused", told)]
    )
