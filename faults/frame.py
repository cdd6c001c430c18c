"""What a row of the fault programme declares, and the table of all rows.

A row is one function: it starts workers, has jobs enqueued, does something terrible to somebody and
says what must be so afterwards. `./dev faults --row F07 --store redis --seed 3` runs it once.

    @row("F04", "killed after its ending was committed", on=ALL)
    def killed_after_commit(trial: Trial) -> None:
        trial.worker(failpoints="complete_sent:kill@5")
        trial.load()
        account = trial.settle()
        trial.exactly("duplicated", account.duplicated, 0)

What always must hold (nothing lost, unexpected, unexplained, outcome of an old run, gap in the
history, and counts as recounted) is judged of every row and need not be said.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from faults.trial import Trial

#: The stores that one machine can run, as `--store` names them.
ALL = ("sqlite", "postgres18", "mariadb", "redis")
SERVERS = ("postgres18", "mariadb", "redis")
ALIASES = {"postgres": "postgres18", "mysql": "mariadb"}


class Own(msgspec.Struct, frozen=True):
    """A row that needs a server of its own, for example to kill it.

    ``given``: settings as its program takes them; ``durable``: what it acknowledged outlives a
    crash.
    """

    given: tuple[str, ...] = ()
    durable: bool = True


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One fault. ``control``: a run that must show loss, or the checker could not see any."""

    number: str
    title: str
    on: tuple[str, ...]
    play: Callable[[Trial], None]
    own: Own | None = None
    control: bool = False
    jobs: int | None = None  # where the matrix says another number than 5 000


ROWS: dict[str, Row] = {}


def row(
    number: str,
    title: str,
    *,
    on: Sequence[str] = ALL,
    own: Own | None = None,
    control: bool = False,
    jobs: int | None = None,
) -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Declare a row; the function plays it."""

    def declare(play: Callable[[Trial], None]) -> Callable[[Trial], None]:
        assert number not in ROWS, f"{number} is there twice"
        ROWS[number] = Row(
            number=number, title=title, on=tuple(on), play=play, own=own, control=control, jobs=jobs
        )
        return play

    return declare


def all_rows() -> Mapping[str, Row]:
    """Every row, by number."""
    package = importlib.import_module("faults.rows")
    for module in pkgutil.iter_modules(package.__path__, "faults.rows."):
        importlib.import_module(module.name)
    return dict(sorted(ROWS.items(), key=lambda item: (item[0][0], item[0].rjust(5))))
