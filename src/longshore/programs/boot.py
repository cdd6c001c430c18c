"""What a fresh process of a worker does first: leave signals to others, load the application."""

from __future__ import annotations

import os

from longshore import discovery
from longshore.app import Longshore
from longshore.worker.options import WorkerOptions
from longshore.worker.signals import leave_to_supervisor


def load(options: WorkerOptions) -> tuple[Longshore, str]:
    """The application that the options name, and where; raises :class:`ApplicationError`."""
    leave_to_supervisor()
    os.chdir(options.cwd)
    return discovery.load(options.app, environ=os.environ, cwd=options.cwd, instance_of=Longshore)
