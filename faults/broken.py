"""A copy of the sources with some mutants in it: what a check must notice is put there."""

from __future__ import annotations

import shutil
from pathlib import Path

from faults.workers import ROOT
from tools.mutants import apply, read_mutants


def broken(folder: Path, *names: str) -> str:
    """Make the copy below ``folder``; returns what `PYTHONPATH` must be to use it."""
    copy = folder / "broken"
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    mutants = {mutant.name: mutant for mutant in read_mutants(ROOT)}
    for name in names:
        apply(mutants[name], copy)
    return f"{copy / 'src'}:{ROOT}"
