"""The record of one whole measurement: what is kept as JSON, and what is concluded from it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from bench.cells import Cell, Row, Skipped
from bench.machine import Machine
from bench.sample import Sample
from bench.targets import Target


class Verdict(StrEnum):
    """What became of a row's target."""

    MET = "met"
    MISSED = "missed"
    INVALID = "invalid"  # a run lost or repeated jobs, or did not end
    NONE = "no target"


class Range(msgspec.Struct, frozen=True):
    """Median, minimum and maximum over the rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Range | None:
        """``None`` of nothing."""
        if not values:
            return None
        return cls(statistics.median(values), min(values), max(values))


class Measured(msgspec.Struct, frozen=True):
    """The samples of one cell: one of ours and one raw for each round, run one after the other."""

    cell: Cell
    ours: list[Sample]
    raw: list[Sample]

    @property
    def faults(self) -> list[str]:
        """Why runs of it do not count."""
        return [sample.invalid for sample in (*self.ours, *self.raw) if sample.invalid]


class Judged(msgspec.Struct, frozen=True):
    """One row, as it is shown; ``ratio`` is ours to raw, each pair by itself."""

    row: Row
    title: str
    ours: Range | None
    raw: Range | None
    ratio: Range | None
    target: Target | None
    verdict: Verdict
    faults: list[str]


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """Everything, raw."""

    version: int = 1
    commit: str
    changed: bool  # there were changes that are in no commit
    started: str
    seconds: float
    quick: bool
    rounds: int
    machine: Machine
    settings: Mapping[str, str]
    targets: Mapping[str, Target]
    cells: list[Measured]
    skipped: list[Skipped]

    @property
    def judged(self) -> list[Judged]:
        """Every row of every cell."""
        return [
            judge(measured, row, self.targets.get(row.key))
            for measured in self.cells
            for row in measured.cell.rows
        ]


def judge(measured: Measured, row: Row, target: Target | None) -> Judged:
    """What the samples say of one figure."""
    ours, raw = _values(measured.ours, row), _values(measured.raw, row)
    pairs = zip(measured.ours, measured.raw, strict=False)
    ratios = [
        mine.figures[row.figure] / bare.figures[row.figure]
        for mine, bare in pairs
        if not (mine.invalid or bare.invalid)
    ]
    figure, ratio = Range.of(ours), Range.of(ratios)
    return Judged(
        row=row,
        title=measured.cell.title,
        ours=figure,
        raw=Range.of(raw),
        ratio=ratio,
        target=target,
        verdict=_verdict(measured.faults, figure, ratio, target),
        faults=measured.faults,
    )


def failed(results: Results) -> bool:
    """Whether a target was missed or a run was worth nothing."""
    return any(row.verdict in (Verdict.MISSED, Verdict.INVALID) for row in results.judged)


def _verdict(
    faults: Sequence[str], figure: Range | None, ratio: Range | None, target: Target | None
) -> Verdict:
    if faults or figure is None:
        return Verdict.INVALID
    if target is None:
        return Verdict.NONE
    met = target.met(figure.median, ratio.median if ratio else None)
    return Verdict.MET if met else Verdict.MISSED


def _values(samples: Sequence[Sample], row: Row) -> list[float]:
    return [sample.figures[row.figure] for sample in samples if not sample.invalid]
