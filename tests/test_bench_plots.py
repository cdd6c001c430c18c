"""The drawings of the benchmarks' page: whole, true to scale, readable on both grounds."""

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from bench.cells import Call, Cell, cells
from bench.command import keep
from bench.peers.catalogue import KNOWN
from bench.plots import EDGE, LABELS, Bar, Plot, drawn, plots
from bench.report import page
from bench.results import Measured, PeerFacts, Range, Results
from bench.sample import Sample
from tests.bench_tools import results_of

SVG = "{http://www.w3.org/2000/svg}"


def _widths(text: str) -> list[float]:
    return [float(rect.attrib["width"]) for rect in ET.fromstring(text).iter(f"{SVG}rect")]


def _plot(figures: Sequence[float]) -> Plot:
    return Plot(
        "W2", "jobs/s", [Bar(f"{each}", "ours", Range(each, each, each)) for each in figures]
    )


def test_bars_are_as_long_as_their_figures() -> None:
    first, second, third = _widths(drawn(_plot([100.0, 50.0, 25.0])))
    assert second == pytest.approx(first / 2, abs=0.1)
    assert third == pytest.approx(first / 4, abs=0.1)
    assert "powers of ten" not in drawn(_plot([100.0, 50.0]))


def test_bars_that_differ_much_are_drawn_by_powers_of_ten_and_say_so() -> None:
    text = drawn(_plot([10.0, 100.0, 1_000.0]))
    first, second, third = _widths(text)
    assert second - first == pytest.approx(third - second, abs=0.2)
    assert first > 0
    assert "powers of ten" in text


def test_everything_lies_within_the_drawing_and_labels_are_escaped() -> None:
    bar = Bar('<W2> & "peers"', "peer", Range(900.0, 100.0, 1_000.0))
    root = ET.fromstring(drawn(Plot("W2", "ms", [bar])))
    texts = [each.text for each in root.iter(f"{SVG}text")]
    assert '<W2> & "peers"' in texts
    assert "less is better" in (texts[0] or "")
    (line,) = root.iter(f"{SVG}line")
    assert 0 < float(line.attrib["x1"]) < float(line.attrib["x2"]) < float(root.attrib["width"])


def test_there_is_room_for_the_longest_label() -> None:
    every = cells(quick=True)
    titles = {name: KNOWN[name].title for cell in every for name in cell.peers}
    labels = [f"{row.key}, raw loop" for cell in every for row in cell.rows]
    labels += [
        f"{row.key}, {titles[name]}" for cell in every for row in cell.rows for name in cell.peers
    ]
    wide = 6.6  # of a letter on average, where they are 12 high
    assert max(map(len, labels)) * wide <= LABELS - EDGE


def test_there_are_colours_for_a_light_and_a_dark_ground() -> None:
    light, _, dark = drawn(_plot([1.0])).partition("prefers-color-scheme:dark")
    for name in ("text", ".ours", ".raw", ".peer"):
        chosen = [re.search(rf"{re.escape(name)}{{[^}}]*(#\w+)", part) for part in (light, dark)]
        assert all(chosen), name
        assert len({each[1] for each in chosen if each}) == 2, name


def test_a_page_links_a_drawing_of_each_workload_and_unit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = _results()
    assert [(plot.name, plot.unit, len(plot.bars)) for plot in plots(results)] == [
        ("W2", "jobs/s", 3),
        ("W12-rate", "jobs/s", 1),
        ("W12-ms", "ms", 1),
    ]
    keep(results, None, tmp_path / "part.md")
    text = (tmp_path / "part.md").read_text()
    linked = re.findall(r"!\[[^]]*\]\(([^)]*)\)", text)
    assert len(linked) == 3
    assert {tmp_path / link for link in linked} == set(tmp_path.glob("*.svg"))
    assert "Huey" in (tmp_path / "part-W2.svg").read_text()
    capsys.readouterr()


def test_what_has_no_figure_is_not_drawn() -> None:
    (invalid, *_) = _results().cells
    lost = msgspec.structs.replace(invalid, ours=[Sample(invalid="lost")], peers={}, raw=[])
    cell = msgspec.structs.replace(lost.cell, peers={})
    results = msgspec.structs.replace(_results(), cells=[msgspec.structs.replace(lost, cell=cell)])
    assert plots(results) == []
    assert "![" not in page(results, "raw.json", "raw.json", {})


def _results() -> Results:
    bare = Call("raw_memory.drain", {})
    drain = Cell(
        workload="W2",
        variant="",
        store="memory",
        title="a drain",
        figures={"jobs/s": "jobs/s"},
        ours=Call("drain.drain", {}),
        raw=bare,
        peers={"huey": Call("peer.drain", {"jobs": 100})},
    )
    crowd = msgspec.structs.replace(
        drain, workload="W12", figures={"rate": "jobs/s", "p99": "ms"}, raw=None, peers={}
    )
    rate = [Sample({"jobs/s": 10.0}), Sample({"jobs/s": 30.0})]
    return results_of(
        Measured(drain, rate, rate, {"huey": rate}),
        Measured(crowd, [Sample({"rate": 10.0, "p99": 2.0})], []),
        rounds=2,
        peers={"huey": PeerFacts("Huey", {"huey": "1.0"}, "4 threads")},
    )
