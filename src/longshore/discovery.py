"""Finds the application: the Longshore object that a command or a worker's child works for.

Looked at in this order: what was asked for (``-A``), ``LONGSHORE_APP``, ``app`` of
``[tool.longshore]`` in the nearest ``pyproject.toml``, else ``jobs.py``, ``app.py``, ``main.py``
and ``tasks.py`` here or in ``src``. A module is always imported under its ordinary dotted name:
the kinds of jobs are made of it, and must be the same here and in the web process.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType, ModuleType
from typing import Generic, TypeVar

import msgspec

from longshore.config import project_file, tool_table
from longshore.core.wording import did_you_mean, shown
from longshore.errors import (
    AppImportFailed,
    AppNotFound,
    ConfigurationError,
    DeclarationError,
    StoreError,
)
from longshore.modules import packaged

T = TypeVar("T")
R = TypeVar("R")

FILES = ("jobs.py", "app.py", "main.py", "tasks.py")
VARIABLE = "LONGSHORE_APP"

#: Seconds that importing an application may take.
IMPORT_TIME = 60.0

_FORMS = "module:attribute, path/to/file.py:attribute, or module:create() for a factory"
_FRAMES = 5
_under_way: list[str] = []
_SPEC = re.compile(r"(?P<target>.+?\.py|[^:]+)(?::(?P<attribute>[^:]*))?")


def load(
    spec: str | None,
    *,
    environ: Mapping[str, str],
    cwd: str,
    instance_of: type[T],
    import_time: float = IMPORT_TIME,
) -> tuple[T, str]:
    """Import the application and return its object, and where it was found.

    Args:
        spec: ``module:attribute``, ``path/to/file.py:attribute``; without an attribute, the only
            object of the module; with ``()`` at its end, what that function returns. ``None``
            looks in the places named at the head of this module.
        environ: the environment, for ``LONGSHORE_APP``.
        cwd: the current folder, put at the head of ``sys.path`` as ``python -m`` does; where the
            ``pyproject.toml`` of a folder above names the application, that folder instead.
        instance_of: the class to look for.
        import_time: seconds after which an import is given up (in the main thread, where the
            system has timers; elsewhere it is waited for).

    Returns:
        The object, and ``module:attribute`` as the banner shows it.

    Raises:
        AppNotFound: nothing there, or not such an object.
        AppImportFailed: importing it raised; the message has the last frames of its traceback.
        ConfigurationError: the ``pyproject.toml`` cannot be read.

    Example::

        jobs, where = load(None, environ=os.environ, cwd=os.getcwd(), instance_of=Longshore)
    """
    here = Path(cwd).absolute()
    finder = _Finder(instance_of, import_time)
    place = _place(spec, environ, here)
    # One folder only: with the current one below it, a file would have two names.
    _put_first(here if place is None else place.folder)
    return finder.search(here) if place is None else finder.resolve(place)


def import_module(place: str, *, cwd: str) -> None:
    """Import a module that holds jobs, by its name, or a script by its file.

    Raises:
        AppNotFound: there is none.
        AppImportFailed: importing it raised.
    """
    finder = _Finder(object, IMPORT_TIME)
    found = _Place(place, "a job is declared there", Path(cwd))
    if place.endswith(".py"):
        finder.module_of_file(found.folder / place, found.given_by)
    else:
        finder.module_named(place, found)


def importing() -> str | None:
    """The application that :func:`load` is importing right now: its code asks who started it."""
    return _under_way[-1] if _under_way else None


class _Place(msgspec.Struct, frozen=True):
    """A specification, who gave it, and the folder that it is relative to."""

    spec: str
    given_by: str
    folder: Path


class _Finder(Generic[T]):
    """Turns specifications into objects of one class."""

    def __init__(self, instance_of: type[T], import_time: float) -> None:
        self.instance_of = instance_of
        self.wanted = instance_of.__name__
        self.import_time = import_time

    def resolve(self, place: _Place) -> tuple[T, str]:
        found = _SPEC.fullmatch(place.spec.strip())
        if found is None or found["attribute"] == "":
            raise AppNotFound(
                f"{shown(place.spec)} ({place.given_by}) does not name an application. Write"
                f" {_FORMS}."
            )
        target, attribute = found["target"], found["attribute"]
        if target.endswith(".py"):
            module = self.module_of_file(place.folder / target, place.given_by)
        else:
            module = self.module_named(target, place)
        return self.only(module) if attribute is None else self.named(module, attribute)

    def search(self, cwd: Path) -> tuple[T, str]:
        for folder in (cwd, cwd / "src"):
            for path in (folder / name for name in FILES):
                if not path.is_file():
                    continue
                module = self.module_of_file(path, "found in this folder")
                if self.instances(module):
                    return self.only(module)
        raise AppNotFound(
            f"no application found: no -A, no {VARIABLE}, no app in [tool.longshore] of a"
            f" pyproject.toml, and no {self.wanted} object in {', '.join(FILES)} of {cwd} or its"
            f" src. Name it: longshore -A module:attribute."
        )

    def module_named(self, name: str, place: _Place) -> ModuleType:
        parts = name.split(".")
        if not all(parts) or any(c in name for c in "/\\ "):
            raise AppNotFound(
                f"{shown(place.spec)} ({place.given_by}) names no module. Write {_FORMS}."
            )
        source = place.folder / "src"
        if not _holds(place.folder, parts[0]) and _holds(source, parts[0]):
            _put_first(source)
        try:
            return self.imported(name, lambda: importlib.import_module(name))
        except ModuleNotFoundError as error:
            missing = error.name or name
        raise AppNotFound(
            f"there is no module {shown(missing)[1:-1]} ({place.given_by}: {shown(place.spec)})."
            f" Looked from {place.folder} and along sys.path. Is the name right, and the"
            " environment that has it active?"
        )

    def module_of_file(self, path: Path, given_by: str) -> ModuleType:
        path = Path(os.path.normpath(path))
        if not path.is_file():
            raise AppNotFound(f"there is no file {path} ({given_by}).")
        loaded = _loaded(path)
        if loaded is not None:
            return loaded
        root, name = _ordinary_name(path)
        _put_first(root)
        try:
            spec = self.imported(name, lambda: importlib.util.find_spec(name))
            if spec is not None and spec.origin and _same_file(spec.origin, path):
                return self.imported(name, lambda: importlib.import_module(name))
        except (ModuleNotFoundError, ValueError):  # a module of that name without a file
            pass
        raise AppNotFound(
            f"{path} ({given_by}) cannot be imported as {name}, because another module has that"
            " name or the name has a dot. Rename the file: its name is part of the kind of its"
            " jobs."
        )

    def only(self, module: ModuleType) -> tuple[T, str]:
        """The only object of the module, under the first of its names."""
        match self.instances(module):
            case [(name, app)]:
                return app, f"{module.__name__}:{name}"
            case []:
                raise AppNotFound(
                    f"module {module.__name__} holds no {self.wanted} object. Make one at its"
                    f" top level, or name a factory: {module.__name__}:create()."
                )
            case several:
                names = " and ".join(f"{module.__name__}:{name}" for name, _ in several)
                raise AppNotFound(
                    f"module {module.__name__} holds several {self.wanted} objects. Say which:"
                    f" {names}."
                )

    def named(self, module: ModuleType, attribute: str) -> tuple[T, str]:
        """The object under this name, or what the function of this name returns."""
        where = f"{module.__name__}:{attribute}"
        value: object = module
        for name in attribute.removesuffix("()").split("."):
            try:
                value = self.imported(where, partial(getattr, value, name))
            except AttributeError:
                holds = [f"{module.__name__}:{held}" for held, _ in self.instances(module)]
                hint = f" There is {' and '.join(holds)}." if holds else ""
                near = "" if holds else did_you_mean(name, vars(module))
                raise AppNotFound(
                    f"module {module.__name__} has no attribute {shown(attribute)[1:-1]}."
                    f"{hint}{near}"
                ) from None
        if attribute.endswith("()"):
            if not callable(value):
                raise AppNotFound(f"{where}: this is a {type(value).__name__}, not a function.")
            value = self.imported(where, value)
        if isinstance(value, self.instance_of):
            return value, where
        hint = f" If it makes one, write {where}()." if callable(value) else ""
        kind = type(value).__name__
        raise AppNotFound(f"{where} is of type {kind}, not a {self.wanted} object.{hint}")

    def instances(self, module: ModuleType) -> list[tuple[str, T]]:
        """Its different objects of the class, each under its first name."""
        found = dict[int, tuple[str, T]]()
        for name, value in vars(module).items():
            if isinstance(value, self.instance_of):
                found.setdefault(id(value), (name, value))
        return list(found.values())

    def imported(self, what: str, run: Callable[[], R]) -> R:
        """Run code of the user's; what it raises becomes :class:`AppImportFailed`.

        That the wanted thing itself is not there is left to the caller.
        """
        _under_way.append(what)
        try:
            with _time_limit(self.import_time):
                return run()
        except (KeyboardInterrupt, ConfigurationError, DeclarationError, StoreError):
            raise  # a person's wish, or an error that says more by itself
        except _TooLong as error:
            why = f"importing {what} took longer than {self.import_time:g} s and was given up"
            raise AppImportFailed(_report(why, error, named=False)) from None
        except BaseException as error:
            if _is_absence(error, what):
                raise
            raise AppImportFailed(_report(f"importing {what} failed", error)) from None
        finally:
            _under_way.pop()


def _place(spec: str | None, environ: Mapping[str, str], cwd: Path) -> _Place | None:
    if spec is not None:
        return _Place(spec, "-A", cwd)
    if environ.get(VARIABLE):
        return _Place(environ[VARIABLE], VARIABLE, cwd)
    # Read last: a broken file must not stop who has said what to load.
    project = project_file(str(cwd))
    app = None if project is None else tool_table(project).get("app")
    if project is None or app is None:
        return None
    if not isinstance(app, str):
        raise ConfigurationError(f"{project}: app={shown(app)} must be text: {_FORMS}.")
    return _Place(app, f"app in {project}", Path(project).parent)


def _put_first(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()


def _holds(folder: Path, name: str) -> bool:
    return (folder / name).is_dir() or (folder / f"{name}.py").is_file()


def _same_file(one: str, other: Path) -> bool:
    try:
        return other.samefile(one)
    except OSError:  # an origin such as "built-in"
        return False


def _loaded(path: Path) -> ModuleType | None:
    """The module that was made of this file already."""
    for name, module in list(sys.modules.items()):
        file: object = getattr(module, "__file__", None)
        # A script that runs is not the module of its name: others import that one. Names are
        # compared first: a thousand modules may be loaded, and to look at a file takes a call.
        if name == "__main__" or not isinstance(file, str) or not file.endswith(path.name):
            continue
        if _same_file(file, path):
            return module
    return None


def _ordinary_name(path: Path) -> tuple[Path, str]:
    """The folder to import from, and the dotted name under which others import this file."""
    folder, parts = packaged(path)
    if folder != path.parent:
        return folder, ".".join(parts)
    # Without __init__.py folders are packages too; the nearest folder on the path is their root.
    entries = [Path(entry).absolute() for entry in sys.path]
    roots = [
        root for root in (*entries, *(entry / "src" for entry in entries)) if root in path.parents
    ]
    root = max(roots, key=lambda root: len(root.parts), default=folder)
    between = folder.relative_to(root).parts
    if all(name.isidentifier() for name in between):
        return root, ".".join((*between, path.stem))
    return folder, path.stem


class _TooLong(BaseException):
    """Not an Exception: no ``except Exception`` of the application may hold it up."""


@contextmanager
def _time_limit(seconds: float) -> Generator[None]:
    if threading.current_thread() is not threading.main_thread() or os.name != "posix":
        yield
        return

    def expire(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise _TooLong

    handler = signal.signal(signal.SIGALRM, expire)
    started = time.monotonic()
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler or signal.SIG_DFL)
        if left:  # somebody else's timer goes on
            passed = time.monotonic() - started
            signal.setitimer(signal.ITIMER_REAL, max(left - passed, 0.001), interval)


def _is_absence(error: BaseException, what: str) -> bool:
    if isinstance(error, ModuleNotFoundError):
        # "No module named shop" is about the name itself; any other was imported by its code.
        return error.name is not None and f"{what}.".startswith(f"{error.name}.")
    # Raised by the look itself and not by code that it ran.
    return isinstance(error, AttributeError | ValueError) and not _frames(error)


_NOISE = (
    f"{Path(__file__).parent}{os.sep}",
    f"{Path(importlib.__file__).parent}{os.sep}",
    "<frozen ",
)


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The user's frames: ours and those of the import machinery are noise."""
    return [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_NOISE)
    ]


def _report(why: str, error: BaseException, *, named: bool = True) -> str:
    lines = traceback.StackSummary.from_list(_frames(error)[-_FRAMES:]).format()
    if named:
        lines += traceback.format_exception_only(error)
    shown_lines = "".join(lines).rstrip()
    return f"{why}. The end of its traceback:\n{shown_lines}" if shown_lines else f"{why}."
