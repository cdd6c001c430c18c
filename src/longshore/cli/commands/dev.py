"""``longshore dev``: a worker for the desk."""

from __future__ import annotations

import click

from longshore.cli import completing
from longshore.cli.commands.worker import read_queues, start, verbosity
from longshore.cli.folder import current_folder
from longshore.cli.parts import Command, Whole, globals_of, option
from longshore.worker.options import MAX_SLOTS, WorkerOptions


@click.command("dev", cls=Command, examples=("longshore dev", "longshore dev --no-reload"))
@option(
    "-Q",
    "--queues",
    variable="QUEUES",
    default="*",
    callback=read_queues,
    metavar="A,B",
    shell_complete=completing.queues,
    help="Queues, strictly in this order.",
)
@option(
    "--threads",
    variable="THREADS",
    type=Whole(1, MAX_SLOTS),
    default=4,
    help="Jobs at a time.",
)
@option(
    "--reload/--no-reload",
    "reload",
    variable="RELOAD",
    default=True,
    help="Restart when a source file changes.",
)
@click.pass_context
def command(ctx: click.Context, *, queues: tuple[str, ...], threads: int, reload: bool) -> int:
    """Run one worker process that restarts when the code changes, and say what each job does."""
    options = globals_of(ctx)
    if options.quiet:
        options.verbose = 0
    return start(
        WorkerOptions(
            app=options.app,
            cwd=current_folder(),
            queues=queues,
            processes=1,
            threads=threads,
            shutdown_timeout=5.0,
            reload=reload,
            verbosity=verbosity(ctx) + (0 if options.quiet else 1),
        )
    )
