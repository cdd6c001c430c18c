"""`./dev faults`: the long tests, then every row of the programme; or only the rows asked for."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from faults import report
from faults.frame import ALIASES, Row, all_rows
from faults.records import ROOT, Result, keep
from faults.trial import Plan, run
from tests.servers import keeping

#: How many jobs a run has.
FULL = 5000
TESTS = ("-m", "pytest", "faults", "-rP", "--session-timeout=7200")


def main(arguments: Sequence[str]) -> int:
    """The exit code: 1 if a row does not hold, 2 for a row or store that there is not."""
    given, rest = _parser().parse_known_args(arguments)
    if given.soak:
        given.row = ["F80"]
    rows = all_rows()
    if given.list:
        for one in rows.values():
            print(f"{one.number:5} {', '.join(one.on):34} {one.title}")
        return 0
    unknown = [name for name in given.row if name not in rows]
    if unknown:
        print(f"faults: there is no row {', '.join(unknown)}; --list shows them")
        return 2
    code = 0
    if not (given.row or given.page):
        code = subprocess.run([sys.executable, *TESTS, *rest], cwd=ROOT, check=False).returncode
        if rest:
            # Arguments of pytest choose among the tests.
            return code
    if given.row or not given.page:
        chosen = [rows[name] for name in given.row] or list(rows.values())
        code = _play_all(list(_runs(chosen, given)), kept=given.keep) or code
    if given.page:
        report.write(rows)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev faults", description=__doc__)
    add = parser.add_argument
    add("--list", action="store_true", help="show the rows and end")
    add("--row", action="append", default=[], metavar="F07", help="this row; may be repeated")
    add("--store", action="append", default=[], help="on this store; each that the row is for")
    add("--seed", action="append", type=int, default=[], help="what is left to chance; 1")
    add("--jobs", type=int, help="how many jobs; 5000 where the row says nothing else")
    add("--least", type=int, help="how many, however few a row takes; 5000 without --jobs")
    add("--rate", type=float, default=200, help="jobs enqueued a second; 200")
    add("--lease", type=float, default=3, help="seconds; 3")
    add("--soak", type=_seconds, default=0, metavar="1h", help="row F80 alone, for so long")
    add("--keep", action="store_true", help="keep the results under docs/reliability")
    add("--page", action="store_true", help="write docs/reliability.md from what was kept")
    return parser


def _seconds(text: str) -> float:
    """`90`, `30m` or `1h`."""
    units = {"s": 1, "m": 60, "h": 3600}
    return float(text.rstrip("smh")) * units.get(text[-1], 1)


def _runs(rows: Iterable[Row], given: argparse.Namespace) -> Iterator[tuple[Row, Plan]]:
    asked = [ALIASES.get(name, name) for name in given.store]
    for row in rows:
        # Who names a store that a row is not for by default (valkey) gets it.
        for store in asked or row.on:
            if store in row.on or len(given.row) == 1:
                for seed in given.seed or [1]:
                    yield (
                        row,
                        Plan(
                            store=store,
                            seed=seed,
                            jobs=given.jobs or row.jobs or FULL,
                            least=_least(given),
                            rate=given.rate,
                            lease=given.lease,
                            soak=given.soak if row.number == "F80" else 0,
                        ),
                    )


def _least(given: argparse.Namespace) -> int:
    """Whoever asks for few jobs wants a small run; otherwise each run is a full one."""
    if given.least is not None:
        return int(given.least)
    return 0 if given.jobs else FULL


def _play_all(runs: Sequence[tuple[Row, Plan]], *, kept: bool) -> int:
    console = Console(highlight=False, soft_wrap=True)
    failed = 0
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with keeping(), bar:
        task = bar.add_task("faults", total=len(runs))
        for row, plan in runs:
            bar.update(task, description=f"{row.number} {plan.store} seed {plan.seed}")
            result = play(row, plan)
            bar.advance(task)
            bar.console.print(report.line(result), markup=False)
            failed += not result.passed
            if kept:
                keep(result)
    console.print(f"{len(runs) - failed} of {len(runs)} held", markup=False)
    return 1 if failed else 0


def play(row: Row, plan: Plan) -> Result:
    """Play a row once; what breaks the run itself is a result too. Of a failed run all is kept."""
    folder = Path(tempfile.mkdtemp(prefix=f"longshore-{row.number}-{plan.store}-"))
    folder.chmod(0o755)
    began = time.monotonic()
    try:
        result = run(row, plan, folder)
    except Exception as error:  # noqa: BLE001 - the next row is played all the same
        (folder / "failure").write_text(traceback.format_exc())
        result = Result(
            row=row.number,
            title=row.title,
            **msgspec.structs.asdict(plan),
            failure=f"{type(error).__name__}: {error}"[:500],
            seconds=round(time.monotonic() - began, 1),
        )
    if result.passed:
        _forget(folder)
    else:
        print(f"faults: ledger and logs are in {folder}", file=sys.stderr)
    return result


def _forget(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
