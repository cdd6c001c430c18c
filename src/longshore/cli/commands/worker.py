"""``longshore worker``: hands checked options to the supervisor, which imports no application."""

from __future__ import annotations

import click

from longshore.cli import completing
from longshore.cli.folder import current_folder
from longshore.cli.parts import Command, Seconds, Size, Whole, globals_of, option
from longshore.errors import ConfigurationError, InvalidOption
from longshore.worker.options import MAX_PROCESSES, MAX_SLOTS, WorkerOptions, lines_of

LONGEST_NAME = 64


def read_queues(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    """``a,b*,-c`` as names, checked as the worker will read them."""
    names = tuple(name.strip() for name in value.split(","))
    try:
        lines_of(names)
    except (ConfigurationError, InvalidOption) as error:
        raise click.BadParameter(str(error), ctx, param) from None
    return names


def _read_name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    # The name becomes the name of a file: no separator, nothing hidden.
    fits = value is None or (
        0 < len(value) <= LONGEST_NAME
        and value[0] not in ".-"
        and all(c.isalnum() or c in "._-@" for c in value)
        and value.isascii()
    )
    if fits:
        return value
    raise click.BadParameter(
        f"use 1 to {LONGEST_NAME} letters, digits, or one of . _ - @, beginning with a letter or"
        " digit.",
        ctx,
        param,
    )


@click.command(
    "worker",
    cls=Command,
    examples=(
        "longshore worker",
        "longshore worker -Q critical,mail,'*' --processes 2 --threads 20",
        "longshore -A shop.jobs:jobs worker --until-empty",
    ),
)
@option(
    "-Q",
    "--queues",
    variable="QUEUES",
    default="*",
    callback=read_queues,
    metavar="A,B",
    shell_complete=completing.queues,
    help="Queues, strictly in this order, or by weight, mail:8,web:2; mail* and * take all that"
    " begin so, -audit none.",
)
@option(
    "--processes",
    variable="PROCESSES",
    type=Whole(1, MAX_PROCESSES),
    default=1,
    help=f"Child processes, 1 to {MAX_PROCESSES}.",
)
@option(
    "--threads",
    variable="THREADS",
    type=Whole(1, MAX_SLOTS),
    default=10,
    help=f"Jobs at a time in each process, 1 to {MAX_SLOTS}.",
)
@option(
    "--shutdown-timeout",
    variable="SHUTDOWN_TIMEOUT",
    type=Seconds(0, 86_400),
    help="How long running jobs may finish when told to stop; else the setting's.",
)
@option(
    "--until-empty", variable="UNTIL_EMPTY", is_flag=True, help="Stop when no process finds a job."
)
@option(
    "--max-jobs",
    variable="MAX_JOBS",
    type=Whole(1, 2**31 - 1),
    help="Stop after so many jobs, shared out among the processes.",
)
@option(
    "--idle-timeout",
    variable="IDLE_TIMEOUT",
    type=Seconds(0.001),
    help="Stop when no process had a job for this long.",
)
@option(
    "--max-rss",
    variable="MAX_RSS",
    type=Size(1 << 20),
    help="Replace a child that holds more memory than this, without a gap (Linux).",
)
@option(
    "--name",
    variable="NAME",
    callback=_read_name,
    help="The worker's name in lists; unique on this machine.",
)
@option("--reload", variable="RELOAD", is_flag=True, help="Restart when a source file changes.")
@option("--no-scheduler", variable="NO_SCHEDULER", is_flag=True, help="Fire no schedules.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    queues: tuple[str, ...],
    processes: int,
    threads: int,
    shutdown_timeout: float | None,
    until_empty: bool,
    max_jobs: int | None,
    idle_timeout: float | None,
    max_rss: int | None,
    name: str | None,
    reload: bool,
    no_scheduler: bool,
) -> int:
    """Run jobs until told to stop.

    TERM and Ctrl-C let running jobs finish, a second Ctrl-C does not. Exit code 0 when nothing was
    left behind, 9 when unfinished jobs went back to their queues.
    """
    endings = {
        "--until-empty": until_empty,
        "--max-jobs": max_jobs is not None,
        "--idle-timeout": idle_timeout is not None,
    }
    given = [flag for flag, used in endings.items() if used]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)}: give one of them.", ctx)
    return start(
        WorkerOptions(
            app=globals_of(ctx).app,
            cwd=current_folder(),
            queues=queues,
            processes=processes,
            threads=threads,
            shutdown_timeout=shutdown_timeout,
            until_empty=until_empty,
            max_jobs=max_jobs,
            idle_timeout=idle_timeout,
            max_rss=max_rss,
            name=name,
            reload=reload,
            scheduler=not no_scheduler,
            verbosity=verbosity(ctx),
        )
    )


def verbosity(ctx: click.Context) -> int:
    """How much the worker says: -1 quiet, 0 as usual, more with every -v."""
    options = globals_of(ctx)
    return -1 if options.quiet else options.verbose


def start(options: WorkerOptions) -> int:
    """Run the supervisor here until it ends; its exit code."""
    from longshore.supervise import run  # noqa: PLC0415 - `--help` needs no worker

    return run(options.checked())
