"""The application a command works for: found, checked, and closed when the command ends."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager

import click

from longshore.app import Longshore
from longshore.cli.exit import IN_MEMORY, Failure
from longshore.cli.folder import current_folder
from longshore.cli.parts import globals_of
from longshore.discovery import load


@contextmanager
def application(ctx: click.Context, *, shared: bool = True) -> Generator[Longshore]:
    """Import the application and give its object.

    With ``shared`` its store must be one that processes can share, as a memory store is not.
    """
    app, where = load(
        globals_of(ctx).app, environ=os.environ, cwd=current_folder(), instance_of=Longshore
    )
    if shared and any(part.store == "memory" for part in app.settings.store.parts):
        raise Failure(
            IN_MEMORY,
            f"{where} has a memory store. It lives in one process only, its workers are threads of"
            " that process, and this command is another process. Give a store that processes"
            " share, such as sqlite:///jobs.db.",
        )
    try:
        yield app
    finally:
        app.close()
