"""``longshore batches`` and ``longshore workflows``: how far they are, their jobs, cancelling."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import click

from longshore.app import Longshore
from longshore.cli.output import Columns, clean, out_of
from longshore.cli.parts import Group, Whole, option
from longshore.cli.session import stored
from longshore.cli.views import ago, moment
from longshore.core.batches import COMPLETE, DEATH, SUCCESS, Bundle
from longshore.core.model import JobRecord, JobState
from longshore.core.wording import many
from longshore.core.workflow import drawn
from longshore.errors import JobNotFound
from longshore.query.bundled import Bundled

#: So many jobs of a batch are shown one by one, those that need a person first.
_SHOWN = 20
#: So many lines of a graph are drawn; they grow wider the further down they are.
_DRAWN = 200
_FIRST = {JobState.DEAD: 0, JobState.RUNNING: 1, JobState.RETRYING: 2, JobState.CANCELLED: 3}


@click.group(
    "batches",
    cls=Group,
    examples=("longshore batches list", "longshore batches show 01928374-…"),
)
def batches() -> None:
    """List, show, cancel and retry batches."""


@click.group(
    "workflows",
    cls=Group,
    examples=("longshore workflows list", "longshore workflows show 01928374-…"),
)
def workflows() -> None:
    """List, draw, cancel and retry workflows and chains."""


def view(bundle: Bundle) -> dict[str, Any]:
    """A batch or workflow as a JSON record."""
    new = bundle.new
    given = {"on_success": new.on_success, "on_complete": new.on_complete, "on_death": new.on_death}
    return {
        "id": new.id,
        "name": new.name,
        "sort": new.sort.value,
        "parents": list(new.parents),
        "created_at": moment(new.created_at),
        "finished_at": moment(bundle.finished_at),
        "total": bundle.total,
        "pending": bundle.live,
        "succeeded": bundle.succeeded,
        "cancelled": bundle.cancelled,
        "dead": bundle.dead,
        "callbacks": {
            name: {"kind": job.kind, "job": job.id}
            for name, job in given.items()
            if job is not None
        },
    }


COLUMNS: Columns = {
    "id": lambda one: one["id"],
    "name": lambda one: one["name"],
    "done": lambda one: f"{one['total'] - one['pending']} of {one['total']}",
    "dead": lambda one: str(one["dead"]),
    "state": lambda one: "finished" if one["finished_at"] else "pending",
}

_LIMIT = option(
    "--limit", variable="BATCHES_LIMIT", type=Whole(1, 10_000), default=50, help="How many."
)


@batches.command("list", examples=("longshore batches list", "longshore batches list -o json"))
@_LIMIT
@click.pass_context
def list_batches(ctx: click.Context, limit: int) -> None:
    """List the newest batches and how far they are."""
    with stored(ctx) as app:
        found = [view(one.record) for one in app.batches.list(limit=limit)]
        out_of(ctx).rows("batches", found, COLUMNS, empty="no batch is stored")


@workflows.command("list", examples=("longshore workflows list",))
@_LIMIT
@click.pass_context
def list_workflows(ctx: click.Context, limit: int) -> None:
    """List the newest workflows and chains and how far they are."""
    with stored(ctx) as app:
        found = [view(one.record) for one in app.workflows.list(limit=limit)]
        out_of(ctx).rows("workflows", found, COLUMNS, empty="no workflow is stored")


@batches.command("retry", examples=("longshore batches retry 01928374-…",))
@click.argument("batch", metavar="ID")
@click.pass_context
def retry_batch(ctx: click.Context, batch: str) -> None:
    """Let every dead job of a batch run again."""
    with stored(ctx) as app:
        _retry(ctx, app.batches.get(batch))


@workflows.command("retry", examples=("longshore workflows retry 01928374-…",))
@click.argument("workflow", metavar="ID")
@click.pass_context
def retry_workflow(ctx: click.Context, workflow: str) -> None:
    """Let every dead job of a workflow run again, and those that were cancelled with them."""
    with stored(ctx) as app:
        _retry(ctx, app.workflows.get(workflow))


@batches.command("show", examples=("longshore batches show 01928374-…",))
@click.argument("batch", metavar="ID")
@click.pass_context
def show_batch(ctx: click.Context, batch: str) -> None:
    """Show a batch: its counts, its callbacks and its jobs, the dead ones first."""
    with stored(ctx) as app:
        found = app.batches.get(batch)
        jobs = sorted(_records(found), key=lambda job: (_FIRST.get(job.state, 9), job.id))
        came = _callbacks(app, found)
        document = {**view(found.record), "callbacks": came, "jobs": [_job(job) for job in jobs]}
        lines = [(job.id, _line(job)) for job in jobs[:_SHOWN]]
        if len(jobs) > _SHOWN:
            lines.append(("", f"and {many(len(jobs) - _SHOWN, 'job')} more"))
        told = [(name, f"{one['kind']} {one['job']} {one['state']}") for name, one in came.items()]
        out_of(ctx).fields(document, [*_facts(found), *told, *lines])


@workflows.command("show", examples=("longshore workflows show 01928374-…",))
@click.argument("workflow", metavar="ID")
@click.pass_context
def show_workflow(ctx: click.Context, workflow: str) -> None:
    """Draw the graph of a workflow or chain, each job below the last of those it waits for.

    A job in parentheses is drawn once more elsewhere: there it waits for another.
    """
    with stored(ctx) as app:
        found = app.workflows.get(workflow)
        jobs = _records(found)
        document = {**view(found.record), "jobs": [_job(job) for job in jobs]}
        after = {job.id: _after(job) for job in jobs}
        graph = drawn(after, {job.id: _line(job) for job in jobs}, _DRAWN + 1)
        lines = [("", line) for line in graph[:_DRAWN]]
        if len(graph) > _DRAWN:
            lines.append(("", f"and more: {many(len(jobs), 'job')} in all, -o json has each"))
        out_of(ctx).fields(document, [*_facts(found), *lines])


@batches.command("cancel", examples=("longshore batches cancel 01928374-… --reason wrong-file",))
@click.argument("batch", metavar="ID")
@option("--reason", variable="BATCHES_REASON", help="Shown to people.")
@click.pass_context
def cancel_batch(ctx: click.Context, batch: str, reason: str | None) -> None:
    """Cancel every job of a batch that has not ended; running ones are asked to end."""
    with stored(ctx) as app:
        _cancel(ctx, app.batches.get(batch), reason)


@workflows.command("cancel", examples=("longshore workflows cancel 01928374-…",))
@click.argument("workflow", metavar="ID")
@option("--reason", variable="WORKFLOWS_REASON", help="Shown to people.")
@click.pass_context
def cancel_workflow(ctx: click.Context, workflow: str, reason: str | None) -> None:
    """Cancel every job of a workflow that has not ended; running ones are asked to end."""
    with stored(ctx) as app:
        _cancel(ctx, app.workflows.get(workflow), reason)


def _cancel(ctx: click.Context, found: Bundled, reason: str | None) -> None:
    done = found.cancel(reason)
    found.refresh()
    document = {**view(found.record), "changed": done}
    out_of(ctx).fields(document, [("cancelled", many(done, "job")), *_facts(found)])


def _retry(ctx: click.Context, found: Bundled) -> None:
    done = found.retry()
    found.refresh()
    document = {**view(found.record), "changed": done}
    out_of(ctx).fields(document, [("retried", many(done, "job")), *_facts(found)])


def _callbacks(app: Longshore, found: Bundled) -> dict[str, dict[str, str]]:
    """What has become of each callback: it has not come, it has a state, or it is gone again."""
    new, came = found.record.new, found.record.told
    given = {
        "on_success": (new.on_success, SUCCESS),
        "on_complete": (new.on_complete, COMPLETE),
        "on_death": (new.on_death, DEATH),
    }
    told: dict[str, dict[str, str]] = {}
    for name, (job, bit) in given.items():
        if job is None:
            continue
        state = "pruned" if came & bit else "not yet"
        if came & bit:
            with suppress(JobNotFound):
                state = app.get(job.id).state.value
        told[name] = {"kind": clean(job.kind), "job": job.id, "state": state}
    return told


def _records(found: Bundled) -> list[JobRecord]:
    return [job.record for job in found.jobs()]


def _after(job: JobRecord) -> list[str]:
    return [] if job.rules is None else [one.job_id for one in job.rules.after]


def _job(job: JobRecord) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state.value,
        "error": job.error,
        "reason": job.reason,
        "after": _after(job),
    }


def _line(job: JobRecord) -> str:
    why = job.error or job.reason if job.state in {JobState.DEAD, JobState.CANCELLED} else None
    told = f": {why.splitlines()[0][:80]}" if why else ""
    return clean(f"{job.kind} {job.id[-12:]} {job.state}{told}")


def _facts(found: Bundled) -> list[tuple[str, str]]:
    read = found.record
    ended = f"{read.succeeded} succeeded, {read.cancelled} cancelled, {read.dead} dead"
    lines = [
        (read.new.sort.value, f"{clean(read.new.name)} {read.id}"),
        ("jobs", f"{read.total}: {read.live} pending, {ended}"),
        ("made", ago(read.new.created_at)),
    ]
    if read.finished_at is not None:
        lines.append(("finished", ago(read.finished_at)))
    return lines


#: What the program looks for, one in each module that it imports.
command = batches
