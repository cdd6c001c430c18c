"""Results for people: a line when a run is over, and the page with all of them."""

from __future__ import annotations

from collections.abc import Mapping

from faults.frame import Row
from faults.records import Result


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
    """Write docs/reliability.md."""
