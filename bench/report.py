"""Results as people read them: a table on the terminal, and the page in the documentation."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from bench.cells import Call
from bench.child import function
from bench.results import Judged, Range, Results, Verdict

COLUMNS = ("cell", "what", "Longshore", "raw loop", "ratio", "target", "verdict")
STYLES = {
    Verdict.MET: "green",
    Verdict.MISSED: "bold red",
    Verdict.INVALID: "bold red",
    Verdict.NONE: "dim",
}
NO_FIGURE = "-"


def show(results: Results, console: Console) -> None:
    """Print the table, then what went wrong."""
    table = Table(title="median (minimum … maximum)", title_justify="left")
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for row in results.judged:
        table.add_row(*_texts(row), style=STYLES[row.verdict])
    console.print(table)
    for line in _remarks(results):
        console.print(line, markup=False, highlight=False)


def page(results: Results, raw: str) -> str:
    """The page ``docs/benchmarks.md``; ``raw`` is the name of the file with the raw results."""
    return "\n".join([*_head(results, raw), *_table(results), *_loops(results)]) + "\n"


def _head(results: Results, raw: str) -> Iterator[str]:
    machine = results.machine
    changed = ", with changes that are in no commit" if results.changed else ""
    yield "# Benchmarks"
    yield ""
    yield "Written by `./dev bench`, which measures again on your machine. Only figures of one run"
    yield "compare: each is the median of its rounds with minimum and maximum, every sample is a"
    yield "fresh process, and ours and the raw loop of the same store take turns. A ratio is taken"
    yield "of each such pair. A run that lost or repeated a job is invalid and has no figure."
    yield ""
    yield "| | |"
    yield "|---|---|"
    yield f"| processor | {machine.processor}, {machine.cores} cores, {machine.memory_gib:g} GiB |"
    yield f"| system | {machine.system}, stores on {machine.file_system} |"
    yield f"| Python, SQLite | {machine.python}, {machine.sqlite} |"
    yield f"| Longshore | {machine.longshore}, commit {results.commit}{changed} |"
    yield f"| msgspec | {machine.msgspec} |"
    minutes = f"{results.seconds / 60:.0f} minutes"
    yield f"| run | {results.started}, {results.rounds} rounds, {minutes} |"
    yield f"| load before it | {machine.load:g} |"
    for name, value in results.settings.items():
        yield f"| {name} | {value} |"
    yield f"| raw results | [{raw}](benchmarks/{raw}) |"
    yield ""


def _table(results: Results) -> Iterator[str]:
    yield "## Figures"
    yield ""
    yield f"| {' | '.join(COLUMNS)} |"
    yield f"|{'---|' * len(COLUMNS)}"
    for row in results.judged:
        yield f"| {' | '.join(_texts(row))} |"
    yield ""
    for line in _remarks(results):
        yield f"* {line}"
    yield ""


def _loops(results: Results) -> Iterator[str]:
    """What each loop does, in its own words."""
    yield "## What each loop does"
    yield ""
    for measured in results.cells:
        cell = measured.cell
        yield f"**{cell.key}**: {_words(cell.ours)}"
        if cell.raw is not None:
            yield f"Raw: {_words(cell.raw)}"
        yield ""


def _words(call: Call) -> str:
    return " ".join((inspect.getdoc(function(call.name)) or "").split())


def _texts(row: Judged) -> tuple[str, ...]:
    unit = row.row.unit
    return (
        row.row.key,
        row.title,
        _range(row.ours, unit),
        _range(row.raw, unit),
        _range(row.ratio, "x"),
        row.target.text(unit) if row.target else NO_FIGURE,
        str(row.verdict),
    )


def _range(figures: Range | None, unit: str) -> str:
    if figures is None:
        return NO_FIGURE
    return f"{_number(figures.median)} {unit} ({_number(figures.least)} … {_number(figures.most)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _remarks(results: Results) -> Iterator[str]:
    for measured in results.cells:
        for fault in dict.fromkeys(measured.faults):
            yield f"{measured.cell.key} is invalid: {fault}"
    for left_out in results.skipped:
        yield f"{left_out.key} was not measured: {left_out.reason}"
    if results.quick:
        yield "The sizes of --quick show that the loops work, not how fast they are."
