"""W9: what W2 drains, each job under a rule that never holds it back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.sample import Sample, Stopwatch, exactly_once, same
from bench.workloads.stores import fill, opened, waiting
from longshore import Concurrency, Rate, Unique
from longshore.core.keyring import KEY_BYTES, written

KEYS = 1_000
VALUES = 100

#: Options of the job by the name of the variant. The first argument is different in every job.
RULES: Mapping[str, Mapping[str, Any]] = {
    "results": {},
    "unique": {"identity": "number", "unique": Unique()},
    "concurrency": {"concurrency": Concurrency(1_000, key="account")},
    "rate": {"rate": Rate(1_000_000, per="1s", key="account")},
    "fair": {"fair_by": "tenant"},
    "encryption": {"encrypt": True},
}

#: It guards nothing.
KEY = written("bench", bytes(range(KEY_BYTES)))
#: The variants whose bodies return something.
RETURNING = ("results", "encryption")


def drain(home: Path, *, store: str, jobs: int, rule: str) -> Sample:
    """As ``drain.drain`` with everything kept; ``results`` are those of bodies that return some."""
    keys = {"encryption_keys": [KEY]} if rule == "encryption" else {}
    app = opened(home, store, **keys)
    ran: list[int] = []
    returns = rule in RETURNING

    @app.job(kind="note", keep_result="1d", **RULES[rule])
    def note(number: int, account: int, tenant: int) -> int | None:  # noqa: ARG001 - they are keys
        ran.append(number)
        return number if returns else None

    fill(app, lambda number: note.bind(number, number % KEYS, number % VALUES), range(jobs))
    waiting(app, jobs)
    worker = app.worker()
    with Stopwatch() as watch:
        worker.run(until_empty=True)
        succeeded = app.query.filter(state="succeeded").count()
    same("succeeded jobs", succeeded, jobs)
    exactly_once(ran, jobs)
    return watch.rate(jobs)
