"""What is demanded: a cell that misses its target fails ``./dev bench --check``.

A target holds for the median over the rounds. Cells without one are measured all the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bench.cells import RULES, STORES


class Target(msgspec.Struct, frozen=True):
    """``least`` or ``most`` of the figure, or with ``ratio`` of the figure to the raw loop's."""

    least: float | None = None
    most: float | None = None
    ratio: bool = False

    def met(self, figure: float, ratio: float | None) -> bool:
        """Whether this is good enough; a ratio that is not there never is."""
        judged = ratio if self.ratio else figure
        if judged is None:
            return False
        return (self.least is None or judged >= self.least) and (
            self.most is None or judged <= self.most
        )

    def text(self, unit: str) -> str:
        """As people read it."""
        sign, value = ("≥", self.least) if self.least is not None else ("≤", self.most)
        return f"{sign} {value:g} x raw" if self.ratio else f"{sign} {value:,g} {unit}"


#: By cell and figure; see ``cells.Row.key``.
TARGETS: Mapping[str, Target] = {
    "W1-sqlite": Target(least=0.6, ratio=True),
    "W1b-sqlite": Target(least=0.35, ratio=True),
    "W2-memory": Target(least=100_000),
    "W2-sqlite": Target(least=0.2, ratio=True),
    "W2-postgres": Target(least=0.25, ratio=True),
    "W2-mariadb": Target(least=0.25, ratio=True),
    "W2-redis": Target(least=0.15, ratio=True),
    "W4-threads-memory": Target(most=2.05),
    "W4-async-memory": Target(most=2.05),
    "W4-threads-sqlite": Target(most=2.05),
    "W4-async-sqlite": Target(most=2.05),
    "W5-embedded-sqlite-after": Target(most=30),
    "W5-worker-sqlite-after": Target(most=45),
    "W6-import": Target(most=60),
    "W6-start-sqlite": Target(most=300),
    "W11-postgres-p95": Target(most=5),
    "W11-redis-p95": Target(most=5),
    **{
        f"W9-{rule}-{store}": Target(least=0.4 if store == "mariadb" else 0.5, ratio=True)
        for rule in RULES
        for store in STORES
    },
}
