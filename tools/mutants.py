"""Break the stores one line at a time; the tests must notice every time.

    python -m tools.mutants                     # all of them
    python -m tools.mutants memory sqlite/beat  # those whose name begins so
    python -m tools.mutants --list              # what each one breaks, and where that was seen
    python -m tools.mutants --note redis        # and note in their files which test killed them
    python -m tools.mutants --table             # write the page that lists them and their killers

A mutant is a file `mutants/<store>/<name>.toml`: `file` and `old` name the text that is replaced by
`new` (it stands there exactly once), `breaks` the invariant, `origin` where somebody had this bug,
`killer` the test that noticed it last. Each is put into a copy of the tree in a temporary
directory, never into the tree itself. Its killer runs first; then, as long as nothing is noticed,
the conformance suite driven blocking, the state machine, both driven awaiting, and the store's own
tests. Servers are started once for all of them.

Exit code 1 if a mutant lives or does not fit the sources any more; 2 if the tests fail without one.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.servers import keeping
from tools import mutants_table

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("src", "tests", "pyproject.toml")
SUITES = ("tests/test_conformance.py", "tests/test_machine.py")
#: Rules above all stores have their mutants with the memory store; here they are tested. So are
#: lines to servers, for each of them.
ABOVE = {
    "memory": (
        "test_batches.py",
        "test_interruptions.py",
        "test_meanwhile.py",
        "test_outcome.py",
        "test_poison.py",
        "test_recycle.py",
        "test_worker_endings.py",
    ),
    **dict.fromkeys(("postgres", "mysql"), ("test_deadlines.py", "test_servers_refusing.py")),
    "redis": ("test_deadlines.py", "test_standing.py", "test_standing_workers.py"),
}
#: On which server a store is tested where there are several, as names of tests have it.
SERVER = {"postgres": "postgres18", "mysql": "mariadb", "redis": "valkey"}
FAILED = re.compile(r"^(?:FAILED|ERROR) \S+?::(?:\w+::)?(\S+)", re.MULTILINE)
NO_TESTS = 5  # pytest's exit code when nothing was chosen
#: Seconds for one suite. An endless loop is a noticed mutant too, a slow machine must not be one.
LIMIT = 600


class Mutant(NamedTuple):
    """One line of a store, broken."""

    name: str  # memory/finish-any-run
    file: str
    old: str
    new: str
    breaks: str
    origin: str
    killer: str = ""  # the test that noticed it last: it is asked first

    @property
    def store(self) -> str:
        return self.name.partition("/")[0]


class Verdict(NamedTuple):
    """What became of a mutant; ``killer`` is the test that noticed it, empty if none did."""

    word: str  # killed, ALIVE, NO TEST, NO FIT
    text: str
    killer: str = ""


class DoesNotFit(Exception):
    """The text to be replaced does not stand in the file exactly once."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Break the stores one line at a time.")
    parser.add_argument("names", nargs="*", help="what the names of mutants begin with")
    parser.add_argument("--list", action="store_true", help="only say what there is")
    parser.add_argument("--note", action="store_true", help="note in the files who killed each")
    parser.add_argument("--table", action="store_true", help="only write the page about all")
    chosen = parser.parse_args()
    if chosen.table:
        mutants_table.PAGE.write_text(mutants_table.page(read_mutants(ROOT)), "utf-8")
        return 0
    mutants = [
        mutant
        for mutant in read_mutants(ROOT)
        if not chosen.names or mutant.name.startswith(tuple(chosen.names))
    ]
    if not mutants:
        print("mutants: no mutant has such a name")
        return 2
    if chosen.list:
        for mutant in mutants:
            print(f"{mutant.name:44} {mutant.breaks:12} {mutant.origin}")
        return 0
    with keeping():
        return judge_all(mutants, note=chosen.note)


def judge_all(mutants: list[Mutant], *, note: bool) -> int:
    """The exit code; each verdict is printed as it comes."""
    stores = sorted({mutant.store for mutant in mutants})
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for store, (noticed, said) in zip(stores, pool.map(run_unchanged, stores), strict=True):
            if noticed is not None:
                print(f"mutants: the tests of the {store} store fail without any mutant\n{said}")
                return 2
        alive = 0
        for mutant, (word, text, killer) in zip(mutants, pool.map(judge, mutants), strict=True):
            print(f"{word:8} {mutant.name:44} {mutant.breaks:12} {text}", flush=True)
            alive += word != "killed"
            if note:
                note_killer(mutant, killer)
    print(f"{len(mutants) - alive} of {len(mutants)} killed")
    return 1 if alive else 0


def read_mutants(root: Path) -> list[Mutant]:
    """Every mutant kept in the repository, by name."""
    folder = root / "mutants"
    return [
        Mutant(
            name=path.relative_to(folder).with_suffix("").as_posix(),
            **tomllib.loads(path.read_text("utf-8")),
        )
        for path in sorted(folder.glob("*/*.toml"))
    ]


def apply(mutant: Mutant, root: Path) -> None:
    """Break one line below ``root``."""
    path = root / mutant.file
    text = path.read_text("utf-8") if path.is_file() else ""
    found = text.count(mutant.old)
    if found != 1:
        raise DoesNotFit(f"{mutant.file} has the text to replace {found} times, not once")
    path.write_text(text.replace(mutant.old, mutant.new), "utf-8")


def judge(mutant: Mutant) -> Verdict:
    """Whether a test notices, and which, or what is wrong."""
    began = time.monotonic()
    with copy() as root:
        try:
            apply(mutant, root)
        except DoesNotFit as error:
            return Verdict("NO FIT", str(error))
        noticed, said = asked(root, mutant)
        if not noticed:
            noticed, said = run(root, mutant.store)
    if noticed is None:
        return Verdict("ALIVE", mutant.origin)
    if not noticed:
        return Verdict("NO TEST", said)
    return Verdict("killed", f"by {noticed} in {time.monotonic() - began:.0f} s", noticed)


def run_unchanged(store: str) -> tuple[str | None, str]:
    """The negative control: without a mutant nothing fails, and it is the copy that is tested."""
    with copy() as root:
        where = subprocess.run(
            [sys.executable, "-c", "import longshore; print(longshore.__file__)"],
            cwd=root,
            env=environment(root),
            capture_output=True,
            text=True,
            check=False,
        )
        if not Path(where.stdout.strip() or "/").is_relative_to(root):
            return "", f"longshore was imported from elsewhere: {where.stdout}{where.stderr}"
        return run(root, store)


def asked(root: Path, mutant: Mutant) -> tuple[str | None, str]:
    """As :func:`run`, of the one test that noticed this mutant last time."""
    if not mutant.killer:
        return None, ""
    suites = [*SUITES, *own_suites(root, mutant.store)]
    server = SERVER.get(mutant.store, mutant.store)
    there = [suite for suite in suites if mutant.killer in (root / suite).read_text("utf-8")]
    # What is not in the file of a suite is in the classes that it inherits, of every store.
    own = bool(set(there) - set(SUITES))
    chosen = mutant.killer if own else f"{server} and {mutant.killer}"
    return run_suites(root, [(suite, chosen) for suite in there or SUITES[:1]])


def run(root: Path, store: str) -> tuple[str | None, str]:
    """The first test that failed, ``None`` if all passed, empty if they could not be run."""
    server = SERVER.get(store, store)
    runs = [
        *((suite, f"{server} and not awaiting") for suite in SUITES),
        *((suite, f"{server} and awaiting") for suite in SUITES),
        *((suite, "not slow") for suite in own_suites(root, store)),
    ]
    return run_suites(root, runs)


def own_suites(root: Path, store: str) -> list[str]:
    """The files of tests that are about one store alone, or about what lies above it."""
    own = sorted((root / "tests").glob(f"test_{store}*.py"))
    return [f"tests/{name}" for name in (*(path.name for path in own), *ABOVE.get(store, ()))]


def run_suites(root: Path, runs: list[tuple[str, str]]) -> tuple[str | None, str]:
    """As :func:`run`, of some files of tests and which of their tests each."""
    for suite, chosen in runs:
        command = [sys.executable, "-m", "pytest", suite, "-k", chosen]
        command += ["-x", "-q", "--tb=line", "-p", "no:randomly", "-p", "no:cacheprovider"]
        # The order is kept and examples begin with one seed: the same mutant, the same killer.
        command += ["--hypothesis-seed=0"]
        try:
            done = subprocess.run(
                command,
                cwd=root,
                env=environment(root),
                capture_output=True,
                text=True,
                timeout=LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "the time limit", ""
        if done.returncode == NO_TESTS:  # its tests are its own alone
            continue
        failed = FAILED.search(done.stdout)
        if done.returncode == 1 and failed:
            return failed[1], done.stdout
        if done.returncode:
            return "", done.stdout[-2000:] + done.stderr[-2000:]
    return None, ""


def note_killer(mutant: Mutant, noticed: str) -> None:
    """Write down which test noticed it; an endless loop has no test to ask."""
    killer = noticed.partition("[")[0]
    if killer.startswith("test_") and killer != mutant.killer:
        path = ROOT / "mutants" / f"{mutant.name}.toml"
        lines = [ln for ln in path.read_text("utf-8").splitlines() if not ln.startswith("killer =")]
        path.write_text("\n".join([*lines, f'killer = "{killer}"', ""]), "utf-8")


def environment(root: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(root / "src"), "PYTHONDONTWRITEBYTECODE": "1"}


@contextmanager
def copy() -> Generator[Path]:
    """The tree to be broken, in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="longshore-mutant-") as name:
        root = Path(name).resolve()
        for part in COPIED:
            source = ROOT / part
            if source.is_dir():
                leave = shutil.ignore_patterns("__pycache__", ".*")
                shutil.copytree(source, root / part, ignore=leave)
            else:
                shutil.copy(source, root / part)
        yield root


if __name__ == "__main__":
    sys.exit(main())
