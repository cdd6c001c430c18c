"""What a run of a row came to, as it is kept: one file of JSON lines for each row."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "docs" / "reliability"


class Criterion(msgspec.Struct, frozen=True):
    """One thing that had to be so; ``timed`` if a slow machine alone may break it."""

    what: str
    passed: bool
    found: str
    timed: bool


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run: its size, its accounts, its criteria. Times in seconds."""

    row: str
    title: str
    store: str
    seed: int
    jobs: int
    least: int = 0
    rate: float
    lease: float
    soak: float = 0
    attempted: int = 0
    acked: int = 0
    uncertain: int = 0
    ran: int = 0
    lost: int = 0
    unexpected: int = 0
    duplicated: int = 0
    unexplained: int = 0
    zombie: int = 0
    incomplete: int = 0
    overlap: float = 0.0
    recoveries: int = 0
    recovery: tuple[float, float, float] = (0.0, 0.0, 0.0)  # p50, p99, the longest
    figures: dict[str, float] = {}
    criteria: tuple[Criterion, ...] = ()
    seconds: float = 0.0
    failure: str = ""  # what broke the run itself
    commit: str = ""

    @property
    def passed(self) -> bool:
        """Whether all had to be so that was."""
        return not self.failure and all(criterion.passed for criterion in self.criteria)

    @property
    def held(self) -> bool:
        """The same on a machine of any speed: without criteria of time."""
        return not self.failure and all(one.passed or one.timed for one in self.criteria)

    @property
    def command(self) -> str:
        """What repeats it."""
        return (
            f"./dev faults --row {self.row} --store {self.store} --seed {self.seed}"
            f" --jobs {self.jobs}{f' --least {self.least}' if self.least else ''}"
            f" --rate {self.rate:g} --lease {self.lease:g}"
            f"{f' --soak {self.soak:g}' if self.soak else ''}"
        )

    @property
    def broken(self) -> str:
        """What was not so, for people."""
        failed = [f"{one.what} ({one.found})" for one in self.criteria if not one.passed]
        return "; ".join(filter(None, [self.failure, *failed]))


def keep(result: Result, folder: Path = KEPT) -> None:
    """Keep a result in place of an older one of the same row, store and seed."""
    folder.mkdir(parents=True, exist_ok=True)
    result = msgspec.structs.replace(result, commit=commit())
    others = [one for one in kept(result.row, folder) if _key(one) != _key(result)]
    lines = [msgspec.json.encode(one) for one in sorted([*others, result], key=_key)]
    (folder / f"{result.row}.jsonl").write_bytes(b"\n".join(lines) + b"\n")


def kept(row: str, folder: Path = KEPT) -> list[Result]:
    """The results of a row that were kept."""
    file = folder / f"{row}.jsonl"
    if not file.exists():
        return []
    return [msgspec.json.decode(line, type=Result) for line in file.read_bytes().splitlines()]


def commit() -> str:
    """The commit that is tested; with a + if the tree has changes."""
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout.strip()


def _key(result: Result) -> tuple[str, int]:
    return result.store, result.seed
