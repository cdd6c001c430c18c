"""How the lines of a job's log are written, and followed until the job has ended."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

import click
import msgspec

from longshore.cli.output import Out, clean
from longshore.cli.views import moment
from longshore.core.model import ENDED, LogLine
from longshore.errors import JobNotFound
from longshore.handle import JobHandle

#: How often a log that is followed is looked at, seconds: jobs save theirs as often.
_LOOK: Final = 0.2


def write_lines(out: Out, lines: Sequence[LogLine]) -> None:
    """Write lines in the form that was asked for."""
    match out.form:
        case "json":
            out.document({"lines": [_record(line) for line in lines]})
        case "jsonl":
            for line in lines:
                click.echo(msgspec.json.encode(_record(line)))
        case "table":
            for line in lines:
                head = f"{moment(line.at)} {line.level.upper():<7} "
                first, *rest = clean(line.message, keep_lines=True).split("\n")
                click.echo(f"{head}{first}".rstrip())
                for more in rest:
                    click.echo(f"{'':<{len(head)}}{more}".rstrip())
        case _:
            for line in lines:
                cells = (str(line.run), moment(line.at) or "", line.level, clean(line.message))
                click.echo("\t".join(cells))


def write_more(out: Out, handle: JobHandle[Any], after: int) -> None:
    """Write what the job still says, until it has ended or is gone."""
    ended, pause = False, threading.Event()
    while not ended:
        try:
            ended = handle.refresh().state in ENDED
        except JobNotFound:
            return
        if not ended:
            pause.wait(_LOOK)
        lines = handle.logs(after=after)
        if lines:
            write_lines(out, lines)
            after = lines[-1].number


def _record(line: LogLine) -> dict[str, object]:
    return {
        "number": line.number,
        "run": line.run,
        "at": moment(line.at),
        "level": line.level,
        "message": line.message,
    }
