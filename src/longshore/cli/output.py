"""Data on standard output, talk on standard error, in the form that was asked for.

``table`` is for people, ``plain`` for ``cut`` and ``awk`` (tabs, no head), ``json`` is exactly one
document, ``jsonl`` one record a line. What comes from jobs is cleaned of terminal sequences before
a person sees it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import click
import msgspec

from longshore.cli.parts import Globals, globals_of

SCHEMA_VERSION: Final = 1

#: How a column shows a record's value, by the column's name.
Columns: TypeAlias = Mapping[str, Callable[[Any], str]]

_NARROWEST: Final = 20
_GAP: Final = 2
_CUT: Final = 12
_LONG: Final = frozenset(
    {"kind", "error", "reason", "args", "where", "queues", "paused", "source", "value", "why"}
)
_LESS: Final = ("created", "attempt", "started", "attempts", "isolation")


class Out:
    """The two streams of one command."""

    def __init__(self, options: Globals) -> None:
        self.quiet = options.quiet
        self.verbose = options.verbose
        self._color = options.color
        self.form = options.output
        if self.form == "auto":
            self.form = "table" if _is_terminal(sys.stdout) else "plain"

    @property
    def mark(self) -> str:
        """A tick, where the terminal can show one."""
        return "\N{CHECK MARK}" if _shows_symbols() else "ok"

    @property
    def arrow(self) -> str:
        """An arrow, where the terminal can show one."""
        return "\N{RIGHTWARDS ARROW}" if _shows_symbols() else "->"

    def say(self, text: str) -> None:
        """Talk to the person; ``-q`` silences it."""
        if not self.quiet:
            click.echo(clean(text), err=True)

    def document(self, fields: Mapping[str, object]) -> None:
        """One JSON document, with the version of its form first."""
        self._json({"schema_version": SCHEMA_VERSION, **fields})

    def rows(
        self,
        name: str,
        records: Sequence[object],
        columns: Columns,
        *,
        extra: Mapping[str, object] | None = None,
        empty: str = "",
    ) -> None:
        """Records under a name; ``extra`` stands beside them in a JSON document."""
        match self.form:
            case "json":
                self.document({name: [readable(record) for record in records], **(extra or {})})
            case "jsonl":
                for record in records:
                    click.echo(msgspec.json.encode(readable(record)))
            case "table":
                if records:
                    self._table(columns, records)
                elif empty:
                    self.say(empty)
            case _:
                for record in records:
                    cells = (clean(show(record)) for show in columns.values())
                    click.echo("\t".join(cell or "-" for cell in cells))

    def fields(self, fields: Mapping[str, object], shown: Iterable[tuple[str, str]]) -> None:
        """One record: ``fields`` for machines, ``shown`` for people."""
        match self.form:
            case "json":
                self.document(fields)
            case "jsonl":
                click.echo(msgspec.json.encode(fields))
            case "table":
                lines = list(shown)
                width = max((len(name) for name, _ in lines), default=0)
                for name, text in lines:
                    first, *rest = clean(text, keep_lines=True).splitlines() or [""]
                    click.echo(f"{name:<{width}}  {first}".rstrip())
                    for line in rest:
                        click.echo(f"{'':<{width}}  {line}".rstrip())
            case _:
                for name, text in shown:
                    # A traceback stays readable in a pipe: a line each, under the same name.
                    for line in text.splitlines() or [""]:
                        click.echo(f"{name}\t{clean(line)}")

    @contextmanager
    def progress(self, doing: str, total: int | None) -> Generator[Callable[[int], None]]:
        """A progress bar on a terminal; gives a function that is told how many are done."""
        if self.quiet or not _is_terminal(sys.stderr) or os.environ.get("TERM") == "dumb":
            yield lambda _: None
            return
        # Drawn for people only: a script never pays for the import.
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        console = Console(file=sys.stderr, no_color=not self.colored(sys.stderr))
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(doing, total=total)
            yield lambda done: bar.update(task, completed=done)

    def colored(self, stream: Any) -> bool:
        """Whether this stream takes colour."""
        if self._color != "auto":
            return self._color == "always"
        if os.environ.get("NO_COLOR"):
            return False
        if os.environ.get("FORCE_COLOR"):
            return True
        return _is_terminal(stream) and os.environ.get("TERM") != "dumb"

    def _json(self, document: Mapping[str, object]) -> None:
        # JSON is UTF-8 whatever the locale says, so bytes are written.
        click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))

    def _table(self, columns: Columns, records: Sequence[object]) -> None:
        from rich.console import Console  # noqa: PLC0415 - drawn for people only
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        cells = {
            name: [clean(show(record)) for record in records] for name, show in columns.items()
        }
        width = _width()
        widths = _fitting(cells, width)
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
        for name, wide in widths.items():
            table.add_column(name, no_wrap=True, width=wide)
        for row in zip(*(cells[name] for name in widths), strict=True):
            table.add_row(*map(Text, row))
        colored = self.colored(sys.stdout)
        console = Console(
            file=sys.stdout,
            width=width,
            no_color=not colored,
            force_terminal=colored,
            highlight=False,
        )
        console.print(table)


def _fitting(cells: Mapping[str, Sequence[str]], width: int) -> dict[str, int]:
    """The columns that fit side by side, and how wide each is.

    Long texts may be cut; an id is copied from the screen: whole, or it is of no use. Columns that
    say nothing are left out, then the less telling ones, until the rest fits.
    """
    widest = {name: max(map(len, texts)) for name, texts in cells.items()}
    wanted = {name: max(len(name), wide) for name, wide in widest.items() if wide}
    least = {
        name: min(wide, max(len(name), _CUT)) if name in _LONG else wide
        for name, wide in wanted.items()
    }
    for name in (*_LESS, *reversed(list(cells))):
        if len(least) > 1 and _together(least) > width:
            least.pop(name, None)
    for name, wide in list(least.items()):
        room = width - _together(least)
        least[name] = wide + max(0, min(room, wanted[name] - wide))
    return least


def _together(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)


def out_of(ctx: click.Context) -> Out:
    """The streams of the running command."""
    return Out(globals_of(ctx))


def clean(text: str, *, keep_lines: bool = False) -> str:
    """Text of somebody else's as it may be shown: what is not printable becomes ``?``."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or (keep_lines and c == "\n") else " " if c in "\n\t" else "?"
        for c in text
    )


def readable(record: object) -> object:
    """A record as plain JSON values."""
    return msgspec.to_builtins(record, enc_hook=str)


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # closed, or none at all
        return False


def _shows_symbols() -> bool:
    return (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")


def _width() -> int:
    import shutil  # noqa: PLC0415 - heavy, and only tables have a width

    return max(shutil.get_terminal_size((100, 24)).columns, _NARROWEST)
