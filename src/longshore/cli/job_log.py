"""What a job leaves while it runs, as it is written: its steps, and its log to its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import click
import msgspec

from longshore.cli.output import Out, clean
from longshore.cli.views import ago, moment
from longshore.core.model import ENDED, LogLine, Step
from longshore.errors import JobNotFound
from longshore.handle import JobHandle

#: How often a log that is followed is looked at, seconds, and how often whether the job has ended.
#: Workers save lines every fifth of a second, and they are to be seen within a quarter.
_LOOK: Final = 0.04
_ENDED: Final = 0.2
#: How much of the value of a step a person is shown.
_SHOWN: Final = 200


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
    ended, asked, pause = False, 0.0, threading.Event()
    while not ended:
        if time.monotonic() - asked >= _ENDED:
            try:
                ended = handle.refresh().state in ENDED
            except JobNotFound:
                return
            asked = time.monotonic()
        if not ended:
            pause.wait(_LOOK)
        lines = handle.logs(after=after)
        if lines:
            write_lines(out, lines)
            after = lines[-1].number


def steps(saved: Sequence[Step]) -> list[dict[str, object]]:
    """Steps as JSON records, the earliest first."""
    return [
        {
            "name": step.name,
            "loop": step.cursor,
            "run": step.run,
            "saved_at": moment(step.saved_at),
            "value": msgspec.Raw(step.value),
        }
        for step in _ordered(saved)
    ]


def shown_steps(saved: Sequence[Step]) -> list[tuple[str, str]]:
    """Steps as people read them."""
    return [
        (
            "loop" if step.cursor else "step",
            f"{step.name} (run {step.run}, {ago(step.saved_at)}): {_short(step.value)}",
        )
        for step in _ordered(saved)
    ]


def _ordered(saved: Sequence[Step]) -> list[Step]:
    return sorted(saved, key=lambda step: (step.saved_at, step.name))


def _short(value: bytes) -> str:
    text = value.decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _record(line: LogLine) -> dict[str, object]:
    return {
        "number": line.number,
        "run": line.run,
        "at": moment(line.at),
        "level": line.level,
        "message": line.message,
    }
