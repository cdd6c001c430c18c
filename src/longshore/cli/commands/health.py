"""``longshore health``: a probe for supervisors of supervisors. Imports no application."""

from __future__ import annotations

import os
import socket

import click
import msgspec

from longshore.cli.commands.config import settings_without_app
from longshore.cli.commands.status import process_view
from longshore.cli.exit import DEGRADED, IN_MEMORY, NO_WORKER, Failure
from longshore.cli.output import out_of
from longshore.cli.parts import Command, option
from longshore.cli.shards import troubles
from longshore.core.settings import Settings
from longshore.core.store import ProcessRecord
from longshore.core.wording import many
from longshore.errors import StoreError, StoreUnavailable
from longshore.stores import connect
from longshore.worker import door
from longshore.worker.door import Report


@click.command(
    "health",
    cls=Command,
    examples=("longshore health", "longshore health --worker mail-1", "longshore health --ready"),
)
@option(
    "--live",
    variable="HEALTH_LIVE",
    is_flag=True,
    help="Only whether a worker of this machine answers and is not stuck; the store may be down.",
)
@option(
    "--ready",
    variable="HEALTH_READY",
    is_flag=True,
    help="Whether a worker of this machine claims, and the store answered it lately.",
)
@option("--worker", "name", variable="HEALTH_WORKER", metavar="NAME", help="This worker only.")
@click.pass_context
def command(ctx: click.Context, *, live: bool, ready: bool, name: str | None) -> None:
    """Exit with 0 when a worker is healthy, 1 when none is.

    Workers of this machine and user are asked themselves, by the socket each of them has. When
    none answers, and neither flag is given, the leases in the store tell; the store is the one
    that LONGSHORE_STORE or pyproject.toml names. Where one of these does, only workers of that
    store count. With --live, or where the application's code alone names the store, every worker of
    this user counts: tell those of several applications apart by --worker.
    """
    if live and ready:
        raise click.UsageError("--live and --ready: give one of them.", ctx)
    reports = _reports(name)
    if name is None and not live and any(report.ready for report in reports):
        reports = _of_store(reports)
    if reports or live or ready:
        _judge(ctx, reports, live=live, name=name)
    else:
        _ask_store(ctx, name)


def _reports(name: str | None) -> list[Report]:
    asked = [door.ask(one, "health") for one in door.names() if name in (None, one)]
    return [report for report in asked if report is not None]


def _of_store(reports: list[Report]) -> list[Report]:
    """Those that work for the store named here; all where none is, or it does not answer now."""
    settings = settings_without_app()
    if settings.sources["store"] == "default":
        return reports
    try:
        processes, _ = _processes(settings)
    except (Failure, StoreError):
        # Each of them has told whether its own store answers.
        return reports
    host = socket.gethostname()
    here = {process.pid for process in processes if process.host == host}
    return [one for one in reports if any(child.pid in here for child in one.children)]


def _judge(ctx: click.Context, reports: list[Report], *, live: bool, name: str | None) -> None:
    healthy = [report for report in reports if (report.live if live else report.ready)]
    out_of(ctx).fields(
        {"healthy": bool(healthy), "workers": msgspec.to_builtins(reports)},
        [(report.name, _sentence(report)) for report in reports],
    )
    if healthy:
        return
    if not reports:
        who = f"no worker called {name}" if name is not None else _nobody(live=live)
        raise Failure(NO_WORKER, f"{who} of this user answers on this machine.")
    if live:
        raise Failure(DEGRADED, "no worker of this machine makes progress in all its processes.")
    raise Failure(DEGRADED, "no worker of this machine is ready to claim.")


def _nobody(*, live: bool) -> str:
    settings = settings_without_app()
    known = not live and settings.sources["store"] != "default"
    return f"no worker for {settings.store}" if known else "no worker"


def _sentence(report: Report) -> str:
    busy = sum(child.busy for child in report.children)
    claims = "ready" if report.ready else "not ready"
    processes = "1 process" if len(report.children) == 1 else f"{len(report.children)} processes"
    said = f"{report.state}, {claims}, {processes}, {many(busy, 'job')} held"
    if report.fenced_writes:
        said += f", {many(report.fenced_writes, 'write')} refused since others had the job"
    stuck = [f"process {child.pid} {child.stuck}" for child in report.children if child.stuck]
    return "; ".join((said, *stuck))


def _ask_store(ctx: click.Context, name: str | None) -> None:
    settings = settings_without_app()
    processes, down = _processes(settings)
    found = [one for one in processes if name is None or _of(one, name)]
    alive = [process for process in found if process.lease_left > 0]
    out_of(ctx).fields(
        {
            "healthy": bool(alive) and not down,
            "workers": [process_view(process) for process in found],
            "down": list(down),
        },
        [
            ("workers", f"{len(alive)} live"),
            ("store", str(settings.store)),
            *(("down", trouble) for trouble in down),
        ],
    )
    if down:
        raise Failure(DEGRADED, f"{'; '.join(down)}; the other shards are served.")
    if alive:
        return
    if name is not None and not found:
        raise Failure(NO_WORKER, f"no worker called {name} is registered in {settings.store}.")
    raise Failure(DEGRADED, f"no worker holds a live lease in {settings.store}.")


def _of(process: ProcessRecord, name: str) -> bool:
    """Whether a process is one of this worker: its children add their pid to the name."""
    return process.name == name or process.name.rpartition(":")[0] == name


def _processes(settings: Settings) -> tuple[tuple[ProcessRecord, ...], tuple[str, ...]]:
    """The processes of the store, and what is wrong with shards of it."""
    address = settings.store
    if any(part.store == "memory" for part in address.parts):
        raise Failure(
            IN_MEMORY,
            "a memory store lives in one process only, and this command is another process.",
        )
    for part in address.parts:
        if part.store == "sqlite" and not os.path.exists(part.path):  # noqa: PTH110
            # Asking must not make an empty store.
            raise StoreUnavailable(
                f"there is no file {part.path}; is LONGSHORE_STORE what the application uses?"
            )
    store = connect(
        address,
        retention=settings.retention,
        prefix=settings.prefix,
        durability=settings.durability,
    )
    try:
        return store.run(store.processes()), troubles(store)
    finally:
        store.close()
