"""The program: its commands, and one place where every error becomes a message and an exit code."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, Final, TextIO

import click

from longshore.cli.exit import PIPE, UNEXPECTED, USAGE, Exit, Kind, kind_of
from longshore.cli.output import clean
from longshore.cli.parts import COMPLETE, SETTINGS, Globals, LazyGroup
from longshore.errors import LongshoreError, LongshoreWarning

NAME: Final = "longshore"

_HERE = "longshore.cli.commands"
COMMANDS: Final = {
    "worker": (f"{_HERE}.worker", "Run jobs until told to stop."),
    "dev": (f"{_HERE}.dev", "A worker for the desk: one process, reloads on change."),
    "enqueue": (f"{_HERE}.enqueue", "Store a job."),
    "jobs": (f"{_HERE}.jobs", "List, show, retry, cancel and discard jobs."),
    "queues": (f"{_HERE}.queues", "List, show, pause, resume and clear queues."),
    "limits": (f"{_HERE}.limits", "List, show, set and reset limits on concurrency and rate."),
    "schedules": (f"{_HERE}.schedules", "List, show, run, pause, explain and export schedules."),
    "batches": (f"{_HERE}.batches", "List, show and cancel batches."),
    "workflows": (f"{_HERE}.workflows", "List, draw and cancel workflows and chains."),
    "outbox": (
        f"{_HERE}.outbox",
        "List, retry, discard and adopt what waits for a store elsewhere.",
    ),
    "status": (f"{_HERE}.status", "Queues, workers and states on one screen."),
    "check": (f"{_HERE}.check", "Check settings and declared jobs; no network."),
    "doctor": (f"{_HERE}.doctor", "Is the store fit for jobs, and who looks after them."),
    "health": (f"{_HERE}.health", "Probe a worker; does not import the application."),
    "db": (f"{_HERE}.db", "Look at the store's tables and bring them up to date."),
    "config": (f"{_HERE}.config", "Show settings and where they come from."),
    "keys": (f"{_HERE}.keys", "Make keys that jobs are encrypted with."),
    "completion": (f"{_HERE}.completion", "Print the completion script of a shell."),
    "version": (f"{_HERE}.version", "Print the version."),
}

program = LazyGroup(
    NAME,
    table=COMMANDS,
    context_settings=SETTINGS,
    help="Background jobs in the database you already have.",
    no_args_is_help=False,
    callback=lambda: None,
    examples=(
        "longshore dev",
        "longshore enqueue send_welcome user_id=42 --wait",
        "longshore jobs list state:dead queue:mail",
        "longshore -A shop.jobs:jobs worker --processes 2 -Q critical,mail",
    ),
)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; nothing is raised but what ends Python."""
    _tolerate_any_text()
    options = Globals()
    given = list(sys.argv[1:] if arguments is None else arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("always", LongshoreWarning)
        warnings.showwarning = _show_warning
        try:
            code = _invoke(given, options)
            _flush(sys.stdout)
        except BrokenPipeError:
            # Whoever read our output has seen enough (`| head`): no fault of anybody.
            _silence(sys.stdout)
            code = Exit.OK
        except OSError as error:
            code = _report(PIPE, f"{error.strerror or error}", options)
            _silence(sys.stdout)
    return int(code)


def _invoke(arguments: list[str], options: Globals) -> int:
    try:
        if COMPLETE in os.environ:
            program.main(arguments, prog_name=NAME)
        with program.make_context(NAME, arguments or ["--help"], obj=options) as ctx:
            answer: Any = program.invoke(ctx)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return Exit.INTERRUPTED
    except OSError as error:
        if isinstance(error, LongshoreError):  # a timeout is both
            return _report(kind_of(error), str(error), options, error)
        raise
    except Exception as error:  # noqa: BLE001 - the last place before a traceback
        return _explain(error, options)
    return answer if isinstance(answer, int) else Exit.OK


def _explain(error: Exception, options: Globals) -> int:
    match error:
        case click.exceptions.NoArgsIsHelpError():
            click.echo(error.format_message(), err=True)  # the help is the message
            return USAGE.exit
        case click.UsageError():
            where = f" Compare {error.ctx.command_path} --help." if error.ctx else ""
            return _report(USAGE, f"{_sentence(error)}{where}", options)
        case click.ClickException():
            return _report(PIPE, error.format_message(), options)
        case LongshoreError():
            return _report(kind_of(error), str(error), options, error)
        case _:
            return _report(UNEXPECTED, f"{type(error).__name__}: {error}", options, error)


def _sentence(error: click.UsageError) -> str:
    """What click has to say, on one line and with a full stop."""
    text = " ".join(error.format_message().split())
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _report(kind: Kind, message: str, options: Globals, error: BaseException | None = None) -> Exit:
    if error is not None and options.verbose:
        import traceback  # noqa: PLC0415 - only who asks for it

        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    # After a drawing or a traceback the number has a line of its own.
    several = "\n" in message.rstrip("\n")
    between = "" if message.endswith("\n") else "\n" if several else " "
    try:
        click.echo(f"{NAME}: {clean(message, keep_lines=True)}{between}{kind.pointer}", err=True)
    except OSError:
        _silence(sys.stderr)
    return kind.exit


def _show_warning(
    message: Warning | str, category: type[Warning], *_: object, **__: object
) -> None:
    if issubclass(category, LongshoreWarning):
        click.echo(f"{NAME}: warning: {clean(str(message))}", err=True)


def _tolerate_any_text() -> None:
    """A terminal that is not UTF-8 shows what it can and escapes the rest."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _flush(stream: TextIO | None) -> None:
    """Write out what is buffered; a stream that the caller closed (``>&-``) is none at all."""
    if stream is not None:
        stream.flush()


def _silence(stream: TextIO | None) -> None:
    """Let what is still buffered go nowhere, so that Python does not complain at its exit."""
    try:
        descriptor = None if stream is None else stream.fileno()
    except (OSError, ValueError):
        return
    if descriptor is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
