"""What is demanded: a row that misses its target fails ``./dev bench --check``.

A target holds for the median over the rounds. Rows without one are measured all the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bench.cells import RULES, SHARED, STORES


class Target(msgspec.Struct, frozen=True):
    """``least`` or ``most`` of the figure, and the least ``share`` of the raw loop's."""

    least: float | None = None
    most: float | None = None
    share: float | None = None

    def met(self, figure: float, ratio: float | None) -> bool:
        """Whether this is good enough; a ratio that is asked for and not there never is."""
        enough = self.least is None or figure >= self.least
        little = self.most is None or figure <= self.most
        return enough and little and (self.share is None or (ratio or 0) >= self.share)

    def text(self, unit: str) -> str:
        """As people read it."""
        parts = (
            "" if self.least is None else f"≥ {self.least:,g} {unit}",
            "" if self.most is None else f"≤ {self.most:,g} {unit}",
            "" if self.share is None else f"≥ {self.share:g} x raw",
        )
        return ", ".join(filter(None, parts))


#: By cell and figure; see ``cells.Row.key``.
TARGETS: Mapping[str, Target] = {
    "W1-redis": Target(share=0.85),
    "W1-postgres": Target(share=0.8),
    "W1-sqlite": Target(share=0.75),
    "W1-normal-sqlite": Target(share=0.4),
    "W1-mariadb": Target(share=0.8),
    "W1b-redis": Target(least=120_000),
    "W1b-postgres": Target(least=75_000, share=0.6),
    "W1b-sqlite": Target(least=150_000, share=0.35),
    "W1b-mariadb": Target(least=90_000),
    "W2-memory": Target(least=200_000),
    "W2-sqlite": Target(least=50_000, share=0.2),
    "W2-postgres": Target(share=0.25),
    "W2-mariadb": Target(least=15_000, share=0.25),
    "W2-redis": Target(share=0.15),
    "W2-not-kept-sqlite": Target(least=80_000),
    "W2-not-kept-postgres": Target(least=43_000),
    "W2-not-kept-mariadb": Target(least=28_000),
    "W2-not-kept-redis": Target(least=80_000),
    "W2-2-processes-sqlite": Target(share=1.0),
    "W2-2-processes-postgres": Target(share=1.2),
    "W2-2-processes-mariadb": Target(share=1.2),
    **{
        f"W3-{store}-{figure}": Target(most=most)
        for store, waits in {
            "redis": (0.5, 2),
            "postgres": (1.2, 4),
            "sqlite": (3, 10),
            "mariadb": (5, 20),
        }.items()
        for figure, most in zip(("p50", "p99"), waits, strict=True)
    },
    **{f"W4-{how}-{store}": Target(most=2.05) for how in ("threads", "async") for store in STORES},
    **{
        f"W5-{how}-{store}-{when}": Target(most=most)
        for how, most in (("embedded", 30), ("worker", 45))
        for store in SHARED
        for when in ("idle", "after")
    },
    "W6-import": Target(most=60),
    **{f"W6-start-{store}": Target(most=300) for store in SHARED},
    **{f"W7-{store}": Target(share=0.97) for store in SHARED},
    **{f"W8-{what}-{store}": Target(share=0.9) for what in ("waiting", "kept") for store in SHARED},
    **{f"W8-queues-{store}": Target(share=0.5) for store in SHARED},
    "W8-churn-postgres": Target(share=0.5),
    **{
        f"W9-{rule}-{store}": Target(share=0.4 if store == "mariadb" else 0.5)
        for rule in RULES
        for store in SHARED  # in memory, where a job costs 4 µs, each rule weighs more
    },
    "W11-postgres-p95": Target(most=5),
    "W11-redis-p95": Target(most=5),
    **{f"W12-{store}-rate": Target(share=1.0) for store in SHARED},
    **{f"W12-{store}-claim-p99": Target(most=500) for store in SHARED},
}

#: How many times as good as a peer of the same run; see ``results.Compared.key``.
TIMES: Mapping[str, float] = {
    "W1-postgres of procrastinate": 3,
    "W1b-redis of sidekiq": 0.7,
    "W1b-postgres of pgqueuer": 1.2,
    "W2-worker-redis of sidekiq": 3.5,
    "W2-worker-not-kept-redis of sidekiq": 5,
    "W2-worker-postgres of graphile": 1.0,
    "W2-worker-not-kept-postgres of graphile": 1.4,
    "W2-2-processes-redis of sidekiq": 3,
}
