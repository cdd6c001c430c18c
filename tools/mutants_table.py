"""The page that says which mutants there are, of whose bugs, and what kills each."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "explanation" / "mutants.md"
HEAD = """# What kills each mutant

<!-- written by `python -m tools.mutants --table` -->

A test that passes on broken code proves nothing. So each behaviour of the stores is kept together
with mutants: one line broken, on purpose, in a copy. `./dev mutants` runs the tests on each and
names the one that noticed; a mutant that lives is a behaviour that nobody tests. Files of mutants
lie in `mutants/<store>/`. SQLite, PostgreSQL and MariaDB share most lines: a mutant of a shared
line stands with SQLite.
"""


class Kept(Protocol):
    """What is read of a mutant."""

    @property
    def name(self) -> str: ...
    @property
    def breaks(self) -> str: ...
    @property
    def killer(self) -> str: ...


def page(mutants: Sequence[Kept]) -> str:
    """The text of the page.

    Raises:
        KeyError: a mutant is named that there is not.
    """
    known = {mutant.name: mutant for mutant in mutants}
    told = tomllib.loads((ROOT / "mutants" / "upstream.toml").read_text("utf-8"))
    lines = [HEAD, "## Bugs that others had\n"]
    lines += ["What happened elsewhere, and the lines that would let it happen here.\n"]
    for bug in told["bug"]:
        lines.append(f"### {bug['what'][0].upper()}{bug['what'][1:]}\n")
        guards = f"{bug['breaks']}: {told['invariants'][bug['breaks']]}"
        lines.append(f"Seen in {bug['seen']}. Guarded: {guards}.")
        if "models" in bug:
            lines.append(f"In the models: {bug['models']}.")
        if "note" in bug:
            lines.append(bug["note"])
        lines += ["", *_killers(known[name] for name in bug["mutants"]), ""]
    lines.append("## Everything that must hold\n")
    broken: defaultdict[str, list[Kept]] = defaultdict(list)
    for mutant in mutants:
        broken[mutant.breaks].append(mutant)
    words: dict[str, str] = told["invariants"]
    for breaks in (*words, *sorted(broken.keys() - words.keys())):
        lines.append(f"### {breaks}: {words[breaks]}\n" if breaks in words else f"### {breaks}\n")
        lines += [*_killers(broken[breaks]), ""]
    return "\n".join(lines)


def _killers(mutants: Iterable[Kept]) -> list[str]:
    """One line for each test, with the mutants that it kills."""
    by_killer = sorted(mutants, key=lambda mutant: (not mutant.killer, mutant.killer, mutant.name))
    return [
        f"* {f'`{killer}`' if killer else 'the suite'}: {', '.join(one.name for one in some)}"
        for killer, some in groupby(by_killer, key=lambda mutant: mutant.killer)
    ]
