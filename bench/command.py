"""The command line: choose cells, run them, show and keep what came out."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Self

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.cells import STORES, Cell, Skipped, cells, chosen, skipped
from bench.machine import ROOT, commit, facts
from bench.peers.catalogue import KNOWN
from bench.peers.environments import NotInstalled, install, versions
from bench.pinning import described
from bench.plots import drawn, plots
from bench.report import page, show
from bench.results import PeerFacts, Results, beside, failed
from bench.running import measure
from bench.servers import SERVERS, ServerError, Servers
from bench.targets import TARGETS, TIMES, Target

ROUNDS = 3
PAGE = ROOT / "docs/benchmarks.md"
RAW = ROOT / "docs/benchmarks"
WIDTH = 200  # of the table where there is no terminal to ask
SETTINGS = {
    "SQLite": "WAL, synchronous=FULL (the default), raw loops too, unless a row says otherwise",
    "retention": "the default (a day for succeeded jobs and results) unless a row says otherwise",
    "worker": "10 threads unless a row says otherwise; arguments and results as JSON",
    "cores where there is a server": described(),
}


def main(arguments: Sequence[str], targets: Mapping[str, Target] = TARGETS) -> int:
    """Exit code 1 if a run was invalid, or with ``--check`` if a target was missed."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    every = cells(quick=asked.quick)
    whole = not (asked.only or asked.store)
    wanted = with_peers(chosen(every, asked.only, asked.store), peers=asked.peers, whole=whole)
    known = frozenset[str]().union(*(cell.names for cell in every))
    if unknown := [name for name in asked.only if name not in known]:
        near = {one for name in unknown for one in get_close_matches(name, known)}
        there = sorted(near or {cell.workload for cell in every})
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(there)} and others")
    if not wanted:
        parser.error("nothing is left to measure with these --only, --store and --peers")
    results = run(wanted, targets, asked.rounds, Path(asked.dir), quick=asked.quick)
    console = Console()
    show(results, console if console.is_terminal else Console(width=WIDTH))
    renews = whole and not asked.quick and asked.peers is not True
    keep(results, asked.json, page_for(asked.page, renews=renews))
    broken = any(measured.faults for measured in results.cells)
    return int(broken or (asked.check and failed(results)))


def page_for(name: str | None, *, renews: bool) -> Path | None:
    """The page that results go to: of all cells the first one, else what was asked for."""
    if renews:
        return PAGE
    return RAW / f"{name}.md" if name else None


def with_peers(wanted: Sequence[Cell], *, peers: bool | None, whole: bool) -> list[Cell]:
    """The cells with their peers, or without; only those that have some where that is asked."""
    if peers is None and whole:
        return [*wanted]
    return [cell for cell in wanted if cell.peers] if peers else [alone(cell) for cell in wanted]


def alone(cell: Cell) -> Cell:
    """The cell without its peers."""
    return msgspec.structs.replace(cell, peers={})


def run(
    wanted: Sequence[Cell],
    targets: Mapping[str, Target],
    rounds: int,
    folder: Path,
    *,
    quick: bool,
) -> Results:
    """Measure these cells."""
    machine, (at, changed) = facts(folder), commit()
    started, start = datetime.now(UTC), time.monotonic()
    with Servers(folder) as servers:
        there, left_out = ready(wanted, servers)
        with _Shown(there, rounds) as shown:
            measured = measure(there, rounds, folder, servers, shown.tell)
    names = dict.fromkeys(name for cell in there for name in cell.peers)
    return Results(
        commit=at,
        changed=changed,
        started=started.isoformat(timespec="seconds"),
        seconds=time.monotonic() - start,
        quick=quick,
        rounds=rounds,
        machine=machine,
        settings=SETTINGS | servers.described,
        targets=targets,
        cells=measured,
        skipped=left_out,
        peers={name: peer_facts(name) for name in names},
        times=TIMES,
    )


def ready(wanted: Sequence[Cell], servers: Servers) -> tuple[list[Cell], list[Skipped]]:
    """The cells whose servers run and whose peers are installed, and each that is not, and why."""
    missing: dict[str, str] = {}
    for store in dict.fromkeys(cell.store for cell in wanted if cell.store in SERVERS):
        try:
            servers.start(store)
        except ServerError as error:
            missing[store] = f"{error}"
    for name in dict.fromkeys(name for cell in wanted for name in cell.peers):
        try:
            install(KNOWN[name], tell)
        except NotInstalled as error:
            missing[name] = f"{KNOWN[name].driver} could not be installed: {error}"
    there, left_out = list[Cell](), list[Skipped]()
    for cell in wanted:
        if (reason := skipped(cell) or missing.get(cell.store or "")) is not None:
            left_out.append(Skipped(cell.key, reason))
            continue
        gone = [name for name in cell.peers if name in missing]
        left_out += [Skipped(beside(cell.key, name), missing[name]) for name in gone]
        kept = {name: call for name, call in cell.peers.items() if name not in gone}
        there.append(msgspec.structs.replace(cell, peers=kept))
    return there, left_out


def peer_facts(name: str) -> PeerFacts:
    """That peer as it was measured."""
    peer = KNOWN[name]
    return PeerFacts(peer.title, versions(peer), peer.settings)


def tell(text: str) -> None:
    """Something that takes a while begins."""
    print(text, file=sys.stderr, flush=True)


def keep(results: Results, path: str | None, written: Path | None) -> None:
    """Write the raw results where they are wanted, or beside a page that this run renews."""
    data = msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n"
    if path is not None:
        Path(path).write_bytes(data)
    elif written is not None:
        at = results.commit + ("-changed" if results.changed else "")
        part = "" if written == PAGE else f"-{written.stem}"
        folder = RAW if written == PAGE else written.parent
        raw = folder / f"{results.started[:10]}-{at}{part}.json"
        raw.parent.mkdir(exist_ok=True)
        raw.write_bytes(data)
        link = raw.relative_to(written.parent).as_posix()
        drawings = dict(_drawings(results, folder, written))
        written.write_text(page(results, raw.name, link, drawings), encoding="utf-8")
        print(f"written: {written}, {raw}", file=sys.stderr)


def _drawings(results: Results, folder: Path, written: Path) -> Iterator[tuple[str, str]]:
    """Draw each workload beside the raw results; its name, and how the page links it."""
    for plot in plots(results):
        file = folder / f"{written.stem}-{plot.name}.svg"
        file.write_text(drawn(plot), encoding="utf-8")
        yield plot.name, file.relative_to(written.parent).as_posix()


class _Shown:
    """How far it is: a bar on a terminal, else a line for each sample. It ends with the block."""

    def __init__(self, wanted: Sequence[Cell], rounds: int) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        samples = rounds * sum(1 + (cell.raw is not None) + len(cell.peers) for cell in wanted)
        self._task = self._bar.add_task("", total=samples)
        self._begun = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def tell(self, turn: int, cell: Cell, name: str) -> None:
        """The next sample begins."""
        text = f"round {turn + 1}: {cell.key}, {name}"
        self._bar.update(self._task, description=text, completed=self._begun)
        self._begun += 1
        if not self._console.is_terminal:
            tell(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./dev bench",
        description="Measure Longshore beside the raw loops and other job systems of the same run."
        " A run of all cells renews docs/benchmarks.md and keeps its raw results beside"
        " it.",
    )
    parser.add_argument(
        "--only",
        type=_names,
        default=[],
        metavar="W2,W8-kept",
        help="workloads, variants or cells",
    )
    parser.add_argument(
        "--store", type=_stores, default=[], metavar="A,B", help=f"of {', '.join(STORES)}"
    )
    parser.add_argument(
        "--peers",
        action=argparse.BooleanOptionalAction,
        help="only cells that other job systems take part in, or none of those systems; without"
        " this they take part in a run of all cells and in no other",
    )
    parser.add_argument(
        "--rounds", type=_rounds, default=ROUNDS, metavar="N", help=f"default {ROUNDS}"
    )
    parser.add_argument("--check", action="store_true", help="exit code 1 on a missed target")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the work, no meaning")
    parser.add_argument("--json", metavar="PATH", help="raw results go here, docs stay as they are")
    parser.add_argument(
        "--page", metavar="NAME", help="of a part of the cells: written to docs/benchmarks/NAME.md"
    )
    parser.add_argument(
        "--dir", default=_folder(), help="where stores are made; a disk, not memory (%(default)s)"
    )
    return parser


def _folder() -> str:
    """A temporary folder that is on a disk as a rule: a commit into memory costs nothing."""
    disk = Path("/var/tmp")
    return str(disk) if disk.is_dir() else tempfile.gettempdir()


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _stores(text: str) -> list[str]:
    names = _names(text)
    if unknown := [name for name in names if name not in STORES]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: give some of {', '.join(STORES)}")
    return names


def _rounds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give a whole number from 1")
    return int(text)
