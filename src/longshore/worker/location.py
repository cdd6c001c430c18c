"""How another process can find an application object, and which files are its own."""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Protocol

from longshore.client import Client
from longshore.core.registry import Declaration
from longshore.core.schedules import Schedule
from longshore.errors import AppNotFound
from longshore.handle import App
from longshore.modules import MAIN


class Plans(Protocol):
    """The schedules in the code of an application."""

    @property
    def app(self) -> str: ...
    def schedules(self) -> tuple[Schedule, ...]: ...


class Host(App, Protocol):
    """An application that can run a worker."""

    @property
    def module(self) -> str: ...
    @property
    def outbox(self) -> Client | None: ...
    @property
    def planned(self) -> Plans: ...


def spec_of(app: Host) -> str:
    """How another process can find this application object: ``module:attribute``.

    A script is named by its file, because there it is not ``__main__``.
    """
    module = sys.modules.get(app.module)
    for name, value in vars(module).items() if isinstance(module, ModuleType) else ():
        if value is app:
            place = app.module
            if place == "__main__":
                place = getattr(module, "__file__", None) or ""
            if place:
                return f"{place}:{name}"
    raise AppNotFound(
        f"other processes cannot find this application: no name in module {app.module} holds it; "
        "assign it to a variable at the top of an importable module"
    )


def module_of(declaration: Declaration) -> str | None:
    """Which module has declared a job, as another process can import it; a script is its file."""
    name: str | None = getattr(declaration.job_class or declaration.call, "__module__", None)
    if name not in MAIN:
        return name
    return getattr(sys.modules.get(name), "__file__", None)


def own_files(cwd: str) -> tuple[str, ...]:
    """The loaded source files below the working folder: what a reload watches."""
    root = os.path.realpath(cwd) + os.sep
    files = {
        os.path.realpath(file)
        for module in list(sys.modules.values())
        if (file := getattr(module, "__file__", None))
    }
    # Virtual environments often lie in the working folder; packages do not change under it.
    return tuple(sorted(f for f in files if f.startswith(root) and "site-packages" not in f))
