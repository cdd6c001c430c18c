"""The record of one whole measurement: what is kept as JSON, and what is concluded from it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from bench.cells import Call, Cell, Row, Skipped
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
    """The samples of one cell: of ours, the raw loop and each peer one for each round, in turn."""

    cell: Cell
    ours: list[Sample]
    raw: list[Sample]
    peers: Mapping[str, list[Sample]] = {}

    @property
    def contenders(self) -> list[tuple[str, Call, list[Sample]]]:
        """Who takes part in a round, what it runs and where its samples go."""
        raw = [] if self.cell.raw is None else [("raw", self.cell.raw, self.raw)]
        peers = [(name, call, self.peers[name]) for name, call in self.cell.peers.items()]
        return [("ours", self.cell.ours, self.ours), *raw, *peers]

    @property
    def faults(self) -> list[str]:
        """Why runs of it do not count; a peer's faults are no fault of the cell."""
        return _faults([*self.ours, *self.raw])


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


class Compared(msgspec.Struct, frozen=True):
    """One figure of ours beside a peer's.

    ``times``: how many times as good ours is, so many times the rate or a so much shorter wait;
    ``wanted``: how many it has to be. A peer's faults count where something is wanted beside it.
    """

    row: Row
    title: str
    peer: str
    ours: Range | None
    theirs: Range | None
    times: Range | None
    faults: list[str]
    wanted: float | None = None

    @property
    def key(self) -> str:
        """The row and the peer, as what is wanted is named by."""
        return beside(self.row.key, self.peer)

    @property
    def verdict(self) -> Verdict:
        """What became of what is wanted."""
        if self.wanted is None:
            return Verdict.NONE
        if self.faults or self.times is None:
            return Verdict.INVALID
        return Verdict.MET if self.times.median >= self.wanted else Verdict.MISSED


def beside(key: str, peer: str) -> str:
    """The name of a row, or of a cell, beside that peer."""
    return f"{key} of {peer}"


class PeerFacts(msgspec.Struct, frozen=True):
    """A peer as it was measured."""

    title: str
    versions: Mapping[str, str]
    settings: str


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """Everything, raw."""

    version: int = 3
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
    peers: Mapping[str, PeerFacts] = {}
    times: Mapping[str, float] = {}

    @property
    def compared(self) -> list[Compared]:
        """Every row of every cell beside every peer that takes part in it."""
        return [
            compare(measured, row, name, self.times.get(beside(row.key, name)))
            for measured in self.cells
            for row in measured.cell.rows
            for name in measured.cell.peers
        ]

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


def compare(measured: Measured, row: Row, peer: str, wanted: float | None = None) -> Compared:
    """One figure of ours beside that peer's, round by round."""
    theirs = measured.peers[peer]
    pairs = [
        (mine.figures[row.figure], its.figures[row.figure])
        for mine, its in zip(measured.ours, theirs, strict=False)
        if not (mine.invalid or its.invalid)
    ]
    return Compared(
        row=row,
        title=measured.cell.title,
        peer=peer,
        ours=Range.of(_values(measured.ours, row)),
        theirs=Range.of(_values(theirs, row)),
        times=Range.of([a / b if row.unit == "jobs/s" else b / a for a, b in pairs]),
        faults=_faults(theirs),
        wanted=wanted,
    )


def failed(results: Results) -> bool:
    """Whether a target was missed or not measured, or a run of ours was worth nothing."""
    left_out = {entry.key for entry in results.skipped}
    verdicts = [row.verdict for row in (*results.judged, *results.compared)]
    missing = left_out & {*results.targets, *results.times}
    return bool(missing) or Verdict.MISSED in verdicts or Verdict.INVALID in verdicts


def _faults(samples: Sequence[Sample]) -> list[str]:
    return [sample.invalid for sample in samples if sample.invalid]


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
