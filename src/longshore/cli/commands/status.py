"""``longshore status``: one screen, and an exit code that says whether jobs are looked after."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from longshore.cli.commands.queues import COLUMNS as QUEUE_COLUMNS
from longshore.cli.commands.queues import KINDS, kind_view
from longshore.cli.commands.queues import view as queue_view
from longshore.cli.exit import DEGRADED, Failure
from longshore.cli.output import Columns, Out, out_of
from longshore.cli.parts import Command
from longshore.cli.session import stored
from longshore.cli.shards import counted, troubles
from longshore.cli.views import ago, moment
from longshore.core.attendance import unserved
from longshore.core.limits import KindRecord
from longshore.core.model import JobState
from longshore.core.store import Demand, ProcessRecord, QueueRecord
from longshore.core.wording import many
from longshore.worker import door


@click.command("status", cls=Command, examples=("longshore status", "longshore status -o json"))
@click.pass_context
def command(ctx: click.Context) -> None:
    """Show states, parked jobs, queues, paused kinds and workers.

    Parked jobs are counted among the available ones: no worker that has seen them can run them.
    Of workers that answer on this machine also how many writes came back refused, because others
    had the job by then.

    Exit code 0 when every waiting job that is not parked has a worker, 1 when not, 4 when the store
    is out of reach.
    """
    out = out_of(ctx)
    with stored(ctx) as app:
        store = app.store
        jobs = counted(store)
        queues = app.client.run(store.queues())
        kinds = app.client.run(store.kinds())
        processes = app.client.run(store.processes())
        states = {
            state.value: sum(part.jobs for part in jobs if part.state is state)
            for state in JobState
        }
        demand = app.client.run(store.demand())
        report = _Report(
            store=str(app.settings.store),
            states=states,
            parked=sum(demand.parked.values()),
            queues=queues,
            kinds=kinds,
            processes=processes,
            problems=[*troubles(store), *_problems(demand, queues, processes)],
            fenced=_fenced(processes),
        )
        _show(out, report)
    if report.problems:
        raise Failure(DEGRADED, f"{'; '.join(report.problems)}.")


def process_view(process: ProcessRecord) -> dict[str, Any]:
    """A worker process as a JSON record."""
    return {
        "id": process.id,
        "name": process.name,
        "app": process.app,
        "host": process.host,
        "pid": process.pid,
        "version": process.version,
        "queues": list(process.queues),
        "slots": process.slots,
        "running": process.running,
        "started_at": moment(process.started_at),
        "seen_at": moment(process.seen_at),
        "live": process.lease_left > 0,
    }


_WORKERS: Columns = {
    "worker": lambda record: record.name,
    "pid": lambda record: str(record.pid),
    "queues": lambda record: ",".join(record.queues),
    "busy": lambda record: f"{record.running}/{record.slots}",
    "started": lambda record: ago(record.started_at),
    "seen": lambda record: ago(record.seen_at),
    "lease": lambda record: "live" if record.lease_left > 0 else "lost",
}


class _State(msgspec.Struct, frozen=True):
    state: str
    jobs: int


_STATES: Columns = {"state": lambda row: row.state, "jobs": lambda row: str(row.jobs)}


class _Report(msgspec.Struct, frozen=True, kw_only=True):
    store: str
    states: dict[str, int]
    parked: int  # of the available ones
    queues: Sequence[QueueRecord]
    kinds: Sequence[KindRecord]
    processes: Sequence[ProcessRecord]
    problems: Sequence[str]
    fenced: dict[str, int]


def _show(out: Out, report: _Report) -> None:
    match out.form:
        case "json" | "jsonl":
            fields = {
                "healthy": not report.problems,
                "problems": list(report.problems),
                "store": report.store,
                "states": report.states,
                "parked": report.parked,
                "queues": [queue_view(queue) for queue in report.queues],
                "paused_kinds": [kind_view(kind) for kind in report.kinds],
                "workers": [process_view(process) for process in report.processes],
                "fenced_writes": report.fenced,
            }
            out.fields(fields, ())
        case "plain":
            for state, jobs in report.states.items():
                click.echo(f"state\t{state}\t{jobs}")
            click.echo(f"parked\t{report.parked}")
            for queue in report.queues:
                latency = f"{queue.latency / 1_000_000:g}"
                is_paused = "paused" if queue.paused else "-"
                click.echo(f"queue\t{queue.name}\t{queue.depth}\t{latency}\t{is_paused}")
            for kind in report.kinds:
                click.echo(f"kind\t{kind.kind}\tpaused")
            for process in report.processes:
                live = "live" if process.lease_left > 0 else "lost"
                busy = f"{process.running}/{process.slots}"
                click.echo(f"worker\t{process.name}\t{busy}\t{live}")
            for name, writes in report.fenced.items():
                click.echo(f"fenced\t{name}\t{writes}")
        case _:
            _show_tables(out, report)


def _show_tables(out: Out, report: _Report) -> None:
    click.echo(f"store {report.store}")
    states = [_State(name, jobs) for name, jobs in report.states.items() if jobs]
    out.rows("states", states, _STATES)
    if report.parked:
        click.echo(f"parked {report.parked}: `longshore jobs show ID` tells why one is")
    queues = [queue_view(queue) for queue in report.queues]
    out.rows("queues", queues, QUEUE_COLUMNS, empty="no queue holds a job")
    if report.kinds:
        out.rows("paused_kinds", [kind_view(kind) for kind in report.kinds], KINDS)
    out.rows("workers", report.processes, _WORKERS, empty="no worker has registered")
    for name, writes in report.fenced.items():
        if writes:
            click.echo(f"{name}: {many(writes, 'write')} refused since others had the job")


def _fenced(processes: Sequence[ProcessRecord]) -> dict[str, int]:
    """Refused writes by worker, of those of this store that answer on this machine."""
    host = socket.gethostname()
    here = {process.pid for process in processes if process.host == host}
    reports = (door.ask(name, "health") for name in door.names()) if here else ()
    return {
        report.name: report.fenced_writes
        for report in reports
        if report is not None and any(child.pid in here for child in report.children)
    }


def _problems(
    demand: Demand, queues: Sequence[QueueRecord], processes: Sequence[ProcessRecord]
) -> list[str]:
    depths = {queue.name: queue.depth for queue in queues}
    problems = [
        f"{process.name} is gone and {many(process.running, 'job')} of it not yet rescued"
        for process in processes
        if process.lease_left <= 0 and process.running
    ]
    # Which of a queue's available jobs are parked is not told.
    problems += [
        f"queue {name} has {'jobs' if demand.parked else many(depths[name], 'job')} waiting and no"
        " worker"
        for name in unserved(demand, processes)
        if name in depths
    ]
    return problems
