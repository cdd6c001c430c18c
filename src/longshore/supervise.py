"""``longshore worker``: a supervisor and its children, never the application itself."""

from __future__ import annotations

from contextlib import closing

from longshore.worker.descriptors import check_files
from longshore.worker.launch import Launches
from longshore.worker.options import WorkerOptions
from longshore.worker.signals import Signals


def run(options: WorkerOptions) -> int:
    """Run a worker in the foreground; returns its exit code."""
    options = options.checked()
    check_files(options.processes, options.threads)
    # A child that is there must not be left by a signal that its supervisor was not ready for.
    with Signals() as signals, closing(Launches(options.processes)) as launches:
        from longshore.foreground import work  # noqa: PLC0415 - loaded while the children boot

        return work(options, launches, signals)
