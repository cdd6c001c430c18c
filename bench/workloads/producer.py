"""A process that enqueues and nothing else: ``producer.py HOME STORE JOBS``."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.workloads.stores import fill, opened


def main(home: str, store: str, jobs: str) -> None:
    """Store so many no-op jobs."""
    app = opened(Path(home), store)

    @app.job(kind="note")
    def note(number: int) -> None:
        """Run elsewhere."""

    fill(app, note.bind, range(int(jobs)))


if __name__ == "__main__":
    main(*sys.argv[1:])
