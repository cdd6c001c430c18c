"""The application a command works for: found, checked, and closed when the command ends."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager

import click

from longshore.app import Longshore
from longshore.cli.exit import IN_MEMORY, Failure
from longshore.cli.folder import current_folder
from longshore.cli.output import out_of
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


@contextmanager
def stored(ctx: click.Context) -> Generator[Longshore]:
    """As :func:`application`, for what jobs there are: tells of a SQLite file that is not there.

    Opening it makes it, and who wrote another path would only see that there are no jobs.
    """
    with application(ctx) as app:
        for part in app.settings.store.parts:
            if is_missing(part.path):
                out_of(ctx).say(
                    f"{part.path} was not there: an empty store is made. Is it the right path? It"
                    f" was given by: {app.settings.sources['store']}"
                )
        yield app


def is_missing(path: str) -> bool:
    """Whether a SQLite file is not there: asking must not make an empty store."""
    return os.path.isabs(path) and not os.path.exists(path)  # noqa: PTH110, PTH117
