"""``longshore health``: a probe for supervisors of supervisors. Imports no application."""

from __future__ import annotations

import os

import click

from longshore.cli.commands.config import settings_without_app
from longshore.cli.commands.status import process_view
from longshore.cli.exit import DEGRADED, IN_MEMORY, NO_WORKER, Failure
from longshore.cli.output import out_of
from longshore.cli.parts import Command, option
from longshore.core.settings import Settings
from longshore.core.store import ProcessRecord
from longshore.errors import StoreUnavailable
from longshore.stores import connect


@click.command(
    "health",
    cls=Command,
    examples=("longshore health", "longshore health --worker mail-1", "longshore health --ready"),
)
@option("--live", variable="HEALTH_LIVE", is_flag=True, help="Only whether a worker is alive.")
@option(
    "--ready",
    variable="HEALTH_READY",
    is_flag=True,
    help="Whether the store answers and a worker claims from it (as without either).",
)
@option("--worker", "name", variable="HEALTH_WORKER", metavar="NAME", help="This worker only.")
@click.pass_context
def command(ctx: click.Context, *, live: bool, ready: bool, name: str | None) -> None:
    """Exit with 0 when a worker holds a live lease in the store, 1 when none does.

    The store is the one that LONGSHORE_STORE or pyproject.toml names.
    """
    if live and ready:
        raise click.UsageError("--live and --ready: give one of them.", ctx)
    settings = settings_without_app()
    found = [one for one in _processes(settings) if name is None or one.name == name]
    alive = [process for process in found if process.lease_left > 0]
    out_of(ctx).fields(
        {"healthy": bool(alive), "workers": [process_view(process) for process in found]},
        [("workers", f"{len(alive)} live"), ("store", str(settings.store))],
    )
    if alive:
        return
    if name is not None and not found:
        raise Failure(NO_WORKER, f"no worker called {name} is registered in {settings.store}.")
    raise Failure(DEGRADED, f"no worker holds a live lease in {settings.store}.")


def _processes(settings: Settings) -> tuple[ProcessRecord, ...]:
    address = settings.store
    if address.store == "memory":
        raise Failure(
            IN_MEMORY,
            "a memory store lives in one process only, and this command is another process.",
        )
    if address.store == "sqlite" and not os.path.exists(address.path):  # noqa: PTH110
        # Asking must not make an empty store.
        raise StoreUnavailable(
            f"there is no file {address.path}; is LONGSHORE_STORE what the application uses?"
        )
    store = connect(
        address,
        retention=settings.retention,
        prefix=settings.prefix,
        durability=settings.durability,
    )
    try:
        return store.run(store.processes())
    finally:
        store.close()
