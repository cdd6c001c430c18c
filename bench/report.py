"""Results as people read them: a table on the terminal, and the page in the documentation."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.table import Table

from bench.cells import Call
from bench.child import function
from bench.results import Compared, Judged, Range, Results, Verdict

COLUMNS = ("cell", "what", "Longshore", "raw loop", "ratio", "target", "verdict")
PEER_COLUMNS = (
    *("cell", "peer", "Longshore", "the peer", "Longshore is better by"),
    *("target", "verdict"),
)
HOW = """\
Written by `./dev bench`, which measures again on your machine. Only figures of one run compare:
each is the median of its rounds with minimum and maximum, every sample is a fresh process, and
ours, the raw loop of the same store and the peers follow each other in every round, each round
begun by another. A ratio is taken of each round by itself. A run that lost or repeated a job is
invalid and has no figure: every body notes its number, and afterwards each must be there once.

PostgreSQL, MariaDB, Redis and Valkey are private servers, started for the run and asked whether
they are durable before anything is measured; each sample finds an empty database. The raw loops do
the least that a queue can do with the same driver, server and settings, in one thread and without
running anything: they are the limit, not a rival. In W8, W9, W12 and `W2-2-processes` the same
drain without what the row is about stands in their place.

The other job systems are installed from the package indexes of Python and JavaScript, each in an
environment of its own with the versions that `bench/peers` pins; Sidekiq is measured where the
system has it (Debian: `ruby-sidekiq`, `ruby-hiredis`). All use the same servers on the same cores.
Of the settings that we tried, theirs are the fastest that still run several jobs at once and keep
what the defaults promise. W2 counts from the first body until the server says that the last job is
finished, ours too in the rows `W2-worker`."""
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
    if results.peers:
        console.print(_peer_table(results))
    for line in _remarks(results):
        console.print(line, markup=False, highlight=False)


def page(results: Results, raw: str, link: str, drawings: Mapping[str, str]) -> str:
    """A page of the documentation.

    ``raw`` is the name of the file with the raw results; ``drawings``: links by their plots' names.
    """
    parts = (
        _head(results, raw, link),
        _drawings(drawings),
        _table(results),
        _peers(results),
        _loops(results),
    )
    return "\n".join(line for part in parts for line in part) + "\n"


def _head(results: Results, raw: str, link: str) -> Iterator[str]:
    machine = results.machine
    changed = ", with changes that are in no commit" if results.changed else ""
    yield "# Benchmarks"
    yield ""
    yield HOW
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
    yield f"| raw results | [{raw}]({link}) |"
    folder = link.removesuffix(raw)
    if not results.peers:
        yield f"| beside other systems | [peers.md]({folder}peers.md) |"
    yield f"| where the time of a job goes | [budget.md]({folder}budget.md) |"
    yield ""


def _drawings(drawings: Mapping[str, str]) -> Iterator[str]:
    if not drawings:
        return
    yield "## Drawings"
    yield ""
    yield "Bars show medians, the line over each its minimum and maximum."
    yield ""
    for name, link in drawings.items():
        yield f"![{name}]({link})"
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


def _peer_table(results: Results) -> Table:
    table = Table(title="beside other systems", title_justify="left")
    for column in PEER_COLUMNS:
        table.add_column(column, overflow="fold")
    for row in results.compared:
        table.add_row(*_compared(results, row), style=STYLES[row.verdict])
    return table


def _peers(results: Results) -> Iterator[str]:
    if not results.peers:
        return
    yield "## Beside other systems"
    yield ""
    yield "The last column says how many times the rate, or how many times shorter the wait."
    yield "Longshore keeps ended jobs here, as it does by default, where a row says nothing else."
    yield ""
    yield f"| {' | '.join(PEER_COLUMNS)} |"
    yield f"|{'---|' * len(PEER_COLUMNS)}"
    for row in results.compared:
        yield f"| {' | '.join(_compared(results, row))} |"
    yield ""
    yield "| peer | versions | settings | jobs |"
    yield "|---|---|---|---|"
    for name, facts in results.peers.items():
        versions = ", ".join(f"{package} {version}" for package, version in facts.versions.items())
        sizes = ", ".join(
            f"{entry.cell.workload} {entry.cell.peers[name].params['jobs']:,}"
            for entry in results.cells
            if name in entry.cell.peers
        )
        yield f"| {facts.title} | {versions} | {facts.settings} | {sizes} |"
    yield ""


def _compared(results: Results, row: Compared) -> tuple[str, ...]:
    return (
        row.row.key,
        results.peers[row.peer].title,
        _range(row.ours, row.row.unit),
        _range(row.theirs, row.row.unit),
        _range(row.times, "x"),
        NO_FIGURE if row.wanted is None else f"≥ {row.wanted:g} x",
        str(row.verdict),
    )


def _loops(results: Results) -> Iterator[str]:
    """What each loop does, in its own words."""
    yield "## What each loop does"
    yield ""
    for measured in results.cells:
        cell = measured.cell
        yield f"**{cell.key}**: {_words(cell.ours)}"
        if cell.raw is not None:
            yield f"Raw: {_words(cell.raw)}"
        for words in dict.fromkeys(map(_words, cell.peers.values())):
            yield f"Peers: {words}"
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
            yield f"{measured.cell.key} is invalid: {_line(fault)}"
    for compared in results.compared:
        for fault in dict.fromkeys(compared.faults):
            title = results.peers[compared.peer].title
            yield f"{compared.row.key} of {title} is invalid: {_line(fault)}"
    for left_out in results.skipped:
        yield f"{left_out.key} was not measured: {_line(left_out.reason)}"
    if results.quick:
        yield "The sizes of --quick show that the loops work, not how fast they are."


def _line(text: str) -> str:
    return " ".join(text.split())
