"""Try every order of events that the models in `models/` allow, and break each model in turn.

    python -m tools.models              # all of them
    python -m tools.models lease tick   # some
    python -m tools.models lease --trail NOFENCE   # the shortest way that shows what a mutant does

A model is a file `models/<name>.pml` for Spin; what it shows stands at its head. Its mutants are
lines `#define NAME number /* mutant: what is broken */`; the environment variable BROKEN chooses
one when the compiled model is run, so that each model is compiled once.

Exit code 1 if a model does not hold or a mutant of one does; 2 if Spin or a compiler is missing.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

MODELS = Path(__file__).resolve().parent.parent / "models"
MUTANT = re.compile(r"^#define ([A-Z]+) (\d+) /\* mutant: (.+) \*/$", re.MULTILINE)
#: What is needed, and the Debian package of each.
PROGRAMS = {"spin": "spin", "gcc": "gcc"}
#: Seconds for one step. They take two at most.
LIMIT = 120
DEPTH = "-m10000"


class Broken(NamedTuple):
    """One way to break a model."""

    name: str
    number: int
    what: str


class Found(NamedTuple):
    """What came of trying every order: whether all held, of how many states, or what did not."""

    holds: bool
    states: int
    what: str


class MissingProgram(Exception):
    """Spin or a compiler is missing; the text says what to install."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Check the models, and that they can fail.")
    parser.add_argument("names", nargs="*", help="names of models, all unless given")
    parser.add_argument("--trail", metavar="MUTANT", help="show the steps that a mutant takes")
    chosen = parser.parse_args()
    bad = False
    try:
        for name in chosen.names or names():
            with tempfile.TemporaryDirectory(prefix="longshore-model-") as folder:
                model = Model(name, Path(folder))
                if chosen.trail:
                    print(model.trail(chosen.trail))
                else:
                    bad = told(model) or bad
    except MissingProgram as error:
        print(f"models: {error}")
        return 2
    return int(bad)


def told(model: Model) -> bool:
    """Print what is found of one model; whether something is wrong."""
    found = model.run()
    print(
        f"{model.name:8} {'holds' if found.holds else 'FAILS':8} {found.states} states {found.what}"
    )
    bad = not found.holds
    for mutant in model.mutants:
        found = model.run(mutant.number)
        word = "HOLDS" if found.holds else "found"
        print(f"{'':8} {word:8} {mutant.name:14} {mutant.what}: {found.what}", flush=True)
        bad = bad or found.holds
    return bad


def names() -> list[str]:
    """The models there are."""
    return sorted(path.stem for path in MODELS.glob("*.pml"))


class Model:
    """One model, compiled in ``folder``.

    Raises:
        MissingProgram: Spin or the compiler is not installed.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder
        source = MODELS / f"{name}.pml"
        text = source.read_text("utf-8")
        self.mutants = [
            Broken(name, int(number), what) for name, number, what in MUTANT.findall(text)
        ]
        lacking = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
        if lacking:
            raise MissingProgram(
                f"the models need what is not installed here. As root: apt-get install"
                f" {' '.join(lacking)}"
            )
        self._step("spin", "-a", str(source))
        self._step("gcc", "-O1", "-w", "-DSAFETY", "-DMEMLIM=1024", "-o", "pan", "pan.c")

    def run(self, broken: int = 0) -> Found:
        """Try every order of events, with the mutant of this number."""
        said = self._step("./pan", DEPTH, "-n", broken=broken)
        errors = re.search(r"errors: (\d+)", said)
        states = re.search(r"(\d+) states, stored", said)
        if errors is None or states is None or "-DMEMLIM" in said or "depth too small" in said:
            raise AssertionError(f"{self.name}: not every order was tried:\n{said}")
        what = re.search(r"pan:\d+: (.+)", said)
        return Found(errors[1] == "0", int(states[1]), what[1] if what else "")

    def trail(self, mutant: str) -> str:
        """The steps that lead to where a mutant is seen."""
        number = next(one.number for one in self.mutants if one.name == mutant)
        self._step("./pan", DEPTH, "-n", "-i", broken=number)
        for trail in self._folder.glob("*.trail"):
            trail.replace(self._folder / f"{self.name}.pml.trail")
        return self._step("./pan", "-r", f"{self.name}.pml.trail", "-n", broken=number)

    def _step(self, *command: str, broken: int = 0) -> str:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env={**os.environ, "BROKEN": str(broken)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        if done.returncode and command[0] != "./pan":
            raise AssertionError(f"{self.name}: {' '.join(command)} failed:\n{done.stdout}")
        return done.stdout


if __name__ == "__main__":
    sys.exit(main())
