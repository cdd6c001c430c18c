"""What a shell may complete beside commands and options: names that the application's code says.

The store is not asked: pressing a key must not wait for a server. Nothing that goes wrong here is
told, for what is written on the terminal would stand in the middle of somebody's line.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout, suppress
from typing import TYPE_CHECKING, TypeAlias

import click

from longshore.cli.folder import current_folder
from longshore.cli.parts import globals_of

if TYPE_CHECKING:
    from longshore.app import Longshore

Completer: TypeAlias = Callable[[click.Context, click.Parameter, str], list[str]]


def _completer(names: Callable[[Longshore], Iterable[str]]) -> Completer:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
        # A worker is a command too, and its supervisor has no application.
        from longshore.app import Longshore  # noqa: PLC0415
        from longshore.discovery import load  # noqa: PLC0415

        found: set[str] = set()
        # An application may print while it is imported, may leave, and need not be there at all.
        with (
            open(os.devnull, "w", encoding="utf-8") as nowhere,  # noqa: PTH123
            redirect_stdout(nowhere),
            redirect_stderr(nowhere),
            suppress(Exception, SystemExit),
        ):
            app, _ = load(
                globals_of(ctx).app,
                environ=os.environ,
                cwd=current_folder(),
                instance_of=Longshore,
            )
            found.update(names(app))
        # Of a list, A,B, the last name is the one that is being written.
        before, comma, begun = incomplete.rpartition(",")
        return sorted(f"{before}{comma}{name}" for name in found if name.startswith(begun))

    return complete


#: Kinds of jobs, without the older names.
kinds = _completer(lambda app: (declared.kind for declared in app.registry))
#: Schedules of the code; those that were added at run time only the store knows.
schedules = _completer(lambda app: app.planned)
#: Queues that jobs are declared with.
queues = _completer(
    lambda app: {app.settings.default_queue, *(declared.queue for declared in app.registry)}
)
