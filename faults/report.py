"""Results for people: a line when a run is over, and the page with all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from faults.frame import Row
from faults.matrix import IMPOSSIBLE, UNWRITTEN, stores
from faults.records import ROOT, Result, kept

PAGE = ROOT / "docs" / "reliability.md"

INTRODUCTION = """\
# Reliability, measured

Written by `./dev faults --page` from the results in `docs/reliability/`. Each row is a fault that
was put on a store, a worker or the machine while producers enqueued at a rate; afterwards a ledger
outside the store (what was tried, acknowledged, begun and finished, and who was killed when) is
compared with the whole history that the store has.

* **lost**: acknowledged, and it never ran or the store does not know it any more.
* **duplicated**: further runs of a job. They are what "at least once" means; after a death they are
  unavoidable.
* **unexplained**: further runs for which the job's own history has no reason.
* **zombie**: outcomes of a run that was not the newest.
* **back**: from the loss of a process to the next start of each job that it had, 99th percentile
  and longest, in seconds.

A row holds if nothing is lost, unexpected, unexplained, zombie or missing in a history, if the
store's counts equal a recount, and if what the row itself demands is so. The figures are the worst
of its seeds. Each run has 5 000 jobs or more, at 200 a second: where a fault lasts for a moment
only, or is a setting, a clock, a poisonous job, ten megabytes or a line that lets 20 KB through in
a second, the load goes on after it until so many were tried (`--least`). The rows `C1` to
`C4` are broken on purpose: they hold if the checker *sees* it, and the others mean nothing where
one of them does not.
"""

COLUMNS = "row fault store holds seeds jobs lost duplicated unexplained zombie back repeat"
HEAD = (f"| {' | '.join(COLUMNS.split())} |", "|---" * len(COLUMNS.split()) + "|")


def line(result: Result) -> str:
    """One run in one line; what was not so below it."""
    _, p99, most = result.recovery
    recovery = f", back p99 {p99:.2f} s, longest {most:.2f} s" if result.recoveries else ""
    text = (
        f"{'ok  ' if result.passed else 'FAIL'} {result.row:5} {result.store:10}"
        f" seed {result.seed} {result.seconds:6.1f} s: {result.acked} acknowledged,"
        f" {result.lost} lost, {result.duplicated} duplicated, {result.unexplained} unexplained,"
        f" {result.zombie} zombie{recovery}"
    )
    return text if result.passed else f"{text}\n     {result.broken}"


def write(rows: Mapping[str, Row]) -> None:
    """Write the page from what was kept."""
    PAGE.write_text(page(rows, {number: kept(number) for number in rows}), "utf-8")


def page(rows: Mapping[str, Row], results: Mapping[str, Sequence[Result]]) -> str:
    """The text of the page: a table, then what did not hold."""
    lines = [INTRODUCTION, *HEAD]
    broken: list[str] = []
    for number in sorted({*rows, *UNWRITTEN}, key=_order):
        row = rows.get(number)
        lines += _row(number, row, results.get(number, ()))
        broken += [
            f"* {one.row}, {one.store}, seed {one.seed}: {one.broken}"
            for one in results.get(number, ())
            if not one.passed
        ]
    if broken:
        lines += ["", "## What did not hold", "", *broken]
    return "\n".join(lines) + "\n"


def _row(number: str, row: Row | None, results: Sequence[Result]) -> Iterator[str]:
    if row is None:
        title, letters = UNWRITTEN[number]
        why = IMPOSSIBLE.get(number, "no row plays it yet")
        yield f"| {number} | {title} | {', '.join(stores(letters))} | not run: {why} |" + " |" * 8
        return
    for store in sorted({*row.on, *(one.store for one in results)}, key=_store):
        of = [one for one in results if one.store == store]
        if of:
            yield _measured(row, store, of)
        else:
            yield f"| {number} | {row.title} | {store} | not run: nobody kept a result |" + " |" * 8


def _measured(row: Row, store: str, results: Sequence[Result]) -> str:
    worst = max(results, key=lambda one: one.recovery[1])
    _, p99, most = worst.recovery
    back = f"{p99:.2f}, {most:.2f}" if worst.recoveries else ""
    last = results[-1]
    cells = (
        row.number,
        row.title,
        store,
        "yes" if all(one.passed for one in results) else "**no**",
        ", ".join(str(one.seed) for one in results),
        sum(one.acked for one in results),
        *(
            max(getattr(one, what) for one in results)
            for what in ("lost", "duplicated", "unexplained", "zombie")
        ),
        back,
        f"`{last.command}`",
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def _order(number: str) -> tuple[str, int, str]:
    digits = "".join(one for one in number if one.isdigit())
    return number[0], int(digits), number


def _store(name: str) -> int:
    order = ("sqlite", "postgres18", "mariadb", "redis", "valkey")
    return order.index(name) if name in order else len(order)
