"""A drawing of each workload for the page: small SVG that is readable on light and dark ground.

Every row is a bar as long as its median; a line over it shows minimum and maximum. Bars of one
drawing have one unit and one scale, which is by powers of ten where they differ much.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape

import msgspec

from bench.results import Range, Results

WIDTH, LINE, LABELS, FIGURES, EDGE = 840, 18, 370, 90, 8
MUCH = 30  # times the shortest from which bars are drawn by powers of ten

# Names for the two grounds, chosen by who looks; ours stands out, all else is alike.
_STYLE = """
text{font:12px system-ui,sans-serif;fill:#1f2328}
.ours{fill:#0969da}.raw{fill:#afb8c1}.peer{fill:#8c959f}
.range{stroke:#1f2328;stroke-width:1.5}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}
.ours{fill:#4493f8}.raw{fill:#484f58}.peer{fill:#6e7681}
.range{stroke:#e6edf3}}
"""


class Bar(msgspec.Struct, frozen=True):
    """One figure of one contender; ``kind`` is ours, raw or peer."""

    label: str
    kind: str
    figures: Range


class Plot(msgspec.Struct, frozen=True):
    """A workload's figures of one unit."""

    name: str
    unit: str
    bars: Sequence[Bar]


def plots(results: Results) -> list[Plot]:
    """One for each workload that has figures, and for each unit if it has several."""
    bars: dict[tuple[str, str], list[Bar]] = {}
    for workload, unit, bar in _bars(results):
        bars.setdefault((workload, unit), []).append(bar)
    units = Counter(workload for workload, _ in bars)
    return [
        Plot(workload if units[workload] == 1 else f"{workload}-{_word(unit)}", unit, each)
        for (workload, unit), each in bars.items()
    ]


def drawn(plot: Plot) -> str:
    """The drawing, a whole SVG file."""
    height = LINE * (len(plot.bars) + 1) + EDGE
    texts = (*_title(plot), *_placed(plot))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
        f' viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(plot.name)}">\n'
        f"<style>{_STYLE}</style>\n" + "\n".join(texts) + "\n</svg>\n"
    )


def _bars(results: Results) -> Iterator[tuple[str, str, Bar]]:
    workloads = {row.key: entry.cell.workload for entry in results.cells for row in entry.cell.rows}
    others = {key: [each for each in results.compared if each.row.key == key] for key in workloads}
    for row in results.judged:
        key, unit = row.row.key, row.row.unit
        beside = [(results.peers[each.peer].title, each.theirs) for each in others[key]]
        figures = [("ours", key, row.ours), ("raw", f"{key}, raw loop", row.raw)]
        figures += [("peer", f"{key}, {title}", theirs) for title, theirs in beside]
        for kind, label, of in figures:
            if of is not None and of.least > 0:
                yield workloads[key], unit, Bar(label, kind, of)


def _title(plot: Plot) -> Iterator[str]:
    by_tens = ", drawn by powers of ten" if _by_tens(plot) else ""
    better = "more is better" if plot.unit == "jobs/s" else "less is better"
    text = f"{plot.name}: {plot.unit}, {better}{by_tens}"
    yield f'<text x="{EDGE}" y="{LINE - 4}" font-weight="600">{escape(text)}</text>'


def _placed(plot: Plot) -> Iterator[str]:
    length, height = _scale(plot), LINE - 4
    for place, bar in enumerate(plot.bars, 1):
        top = place * LINE + 3
        middle, text = top + height / 2, top + height / 2 + 4
        least, most = (LABELS + length(value) for value in (bar.figures.least, bar.figures.most))
        label, figure, wide = escape(bar.label), _number(bar.figures.median), bar.figures.median
        side = f'x="{LABELS - EDGE}" y="{text}" text-anchor="end"'
        size = f'x="{LABELS}" y="{top}" height="{height}" width="{length(wide):.1f}"'
        span = f'x1="{least:.1f}" x2="{most:.1f}" y1="{middle}" y2="{middle}"'
        yield f"<text {side}>{label}</text>"
        yield f'<rect class="{bar.kind}" {size}/>'
        yield f'<line class="range" {span}/>'
        yield f'<text x="{most + EDGE:.1f}" y="{text}">{figure}</text>'


def _scale(plot: Plot) -> _Length:
    most = max(bar.figures.most for bar in plot.bars)
    if not _by_tens(plot):
        return _Length(0, most)
    # The shortest still has a tenth of a power to show.
    least = math.log10(min(bar.figures.least for bar in plot.bars)) - 0.1
    return _Length(least, math.log10(most) - least, by_tens=True)


class _Length(msgspec.Struct, frozen=True):
    """How long a figure is drawn."""

    least: float
    span: float
    by_tens: bool = False

    def __call__(self, value: float) -> float:
        room = WIDTH - LABELS - FIGURES
        return room * ((math.log10(value) if self.by_tens else value) - self.least) / self.span


def _by_tens(plot: Plot) -> bool:
    figures = [bar.figures for bar in plot.bars]
    return max(each.most for each in figures) > MUCH * min(each.least for each in figures)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _word(unit: str) -> str:
    return {"jobs/s": "rate"}.get(unit, unit.lower())
