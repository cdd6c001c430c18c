"""Reads settings from where they are kept: arguments, environment, ``pyproject.toml``.

The rules for names and values are in :mod:`longshore.core.settings`; this module does the I/O.
It is imported with ``longshore`` itself, so ``pathlib`` and ``tomllib`` stay out of its head.
"""
# ruff: noqa: PTH100, PTH111, PTH116, PTH117, PTH118, PTH120, PTH123 - pathlib costs 5 ms at import

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from longshore.core.facts import NETWORK
from longshore.core.settings import DEFAULTS, VARIABLE_PREFIX, Layer, Settings, build
from longshore.core.store_url import StoreURL
from longshore.core.wording import nearest
from longshore.errors import ConfigurationError, LongshoreWarning

PROJECT_FILE = "pyproject.toml"

#: A project's file has some kilobytes; what is larger is not one.
LARGEST_FILE = 1_000_000

_KEY_FILE = "file:"

#: Keys of ``[tool.longshore]`` that are not settings of the object, and who reads them.
_FILE_ONLY = frozenset({"app"})  # the command line, to find the object

#: Variables that are not settings of the object: the command line's options.
COMMAND_VARIABLES = frozenset(
    {
        "app",
        "failpoints",
        "output",
        "color",
        "quiet",
        "verbose",
        "queues",
        "processes",
        "threads",
        "name",
        "until_empty",
        "max_jobs",
        "idle_timeout",
        "max_rss",
        "no_scheduler",
        "reload",
        "jobs_follow",
        "enqueue_in",
        "enqueue_at",
        "enqueue_queue",
        "enqueue_priority",
        "enqueue_unique_key",
        "enqueue_tag",
        "enqueue_wait",
        "enqueue_timeout",
        "jobs_limit",
        "jobs_sort",
        "jobs_columns",
        "jobs_query",
        "jobs_all",
        "jobs_yes",
        "jobs_dry_run",
        "jobs_reason",
        "outbox_all",
        "outbox_limit",
        "outbox_parked",
        "outbox_yes",
        "db_from",
        "doctor_fix",
        "db_to",
        "limits_limit",
        "limits_per",
        "limits_to",
        "queues_for",
        "queues_kind",
        "queues_reason",
        "queues_yes",
        "health_live",
        "health_ready",
        "health_worker",
        "config_resolved",
        "schedules_count",
        "batches_limit",
        "batches_reason",
        "workflows_reason",
        "schedules_reason",
        "schedules_tz",
        "schedules_write",
    }
)


def read(
    arguments: Mapping[str, object],
    module_file: str | None,
    environ: Mapping[str, str],
    *,
    stacklevel: int = 3,
) -> Settings:
    """The settings of one application.

    Strongest first: constructor arguments, ``LONGSHORE_*`` variables, ``[tool.longshore]`` of the
    ``pyproject.toml`` above the application's module, defaults. A relative SQLite path is taken
    from the folder of that file, else from the module's folder.

    Args:
        arguments: what the constructor was given, only what was given.
        module_file: the file of the module that makes the object; ``None`` in an interactive
            session, where there is no file to read and no folder to start from.
        environ: the environment.
        stacklevel: whose line a warning shows; 3 is who called the constructor that calls this.

    Raises:
        ConfigurationError: an unknown name, a value that is not accepted, a file that cannot be
            read.

    Warns:
        LongshoreWarning: a ``LONGSHORE_*`` variable that nobody reads.

    Example:
        >>> read({"store": "memory://"}, None, {"LONGSHORE_LEASE": "30s"}).lease
        30.0
    """
    project = None if module_file is None else project_file(os.path.dirname(module_file))
    layers = [Layer("arguments", arguments), _environment(environ, stacklevel + 1)]
    if project is not None:
        table = tool_table(project)
        known = {name: value for name, value in table.items() if name not in _FILE_ONLY}
        layers.append(Layer(f"{project} [tool.longshore]", known))
    settings = build(_with_key_file(layers, project or module_file), environ)
    return _anchored(settings, project or module_file)


def project_file(folder: str) -> str | None:
    """The nearest ``pyproject.toml`` in this folder or above it, absolute."""
    folder = os.path.abspath(folder)
    while True:
        path = os.path.join(folder, PROJECT_FILE)
        # A dangling link is somebody's file too: it is found, and reading it says what is wrong.
        if os.path.lexists(path):
            return path
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def tool_table(path: str) -> Mapping[str, object]:
    """``[tool.longshore]`` of a ``pyproject.toml``; empty when it has none.

    Raises:
        ConfigurationError: the file cannot be read, is larger than 1 MB, is not UTF-8 or not
            TOML (with line and column), or the table is not a table.

    Example::

        tool_table("/srv/shop/pyproject.toml")  # {'app': 'shop.jobs:jobs', 'lease': '30s'}
    """
    document = _parsed(path, _text(path, _content(path)))
    _refuse_misspelt(path, document.get("tool"))
    table: object = document
    for name in ("tool", "longshore"):
        if not isinstance(table, dict):
            break
        table = cast("dict[str, object]", table).get(name, {})
    if isinstance(table, dict):
        return cast("dict[str, object]", table)
    raise ConfigurationError(f"{path}: [tool.longshore] must be a table of settings.")


def _refuse_misspelt(path: str, tools: object) -> None:
    """A table whose name is almost ours is a typo, and would be ignored without a word."""
    from difflib import get_close_matches  # noqa: PLC0415 - only where there is such a file

    names = list(cast("dict[str, object]", tools)) if isinstance(tools, dict) else []
    near = get_close_matches("longshore", names, n=1, cutoff=0.85)
    if near and "longshore" not in names:
        raise ConfigurationError(f"{path}: [tool.{near[0]}] must be written [tool.longshore].")


def _environment(environ: Mapping[str, str], stacklevel: int) -> Layer:
    values = dict[str, object]()
    for variable, value in environ.items():
        if not variable.startswith(VARIABLE_PREFIX):
            continue
        name = variable.removeprefix(VARIABLE_PREFIX).lower()
        if name in DEFAULTS:
            values[name] = value
        elif name not in COMMAND_VARIABLES:
            # Not an error: hosts inject variables, Kubernetes for any service of our name.
            near = nearest(name, {*DEFAULTS, *COMMAND_VARIABLES})
            hint = f" Did you mean {VARIABLE_PREFIX}{near.upper()}?" if near else ""
            warnings.warn(
                f"nobody reads the environment variable {variable}.{hint}",
                LongshoreWarning,
                stacklevel=stacklevel,
            )
    return Layer("environment", values, text=True)


def _content(path: str) -> bytes:
    try:
        # Looked at first: opening a pipe would wait for its other end.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ConfigurationError(
                f"{path} is not a file. Settings are read from it: move it away."
            )
        with open(path, "rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}. Settings are read from it: repair or"
            " remove it."
        ) from None
    if len(content) > LARGEST_FILE:
        raise ConfigurationError(
            f"{path} is larger than {LARGEST_FILE // 1_000_000} MB: this is not a project's file."
        )
    return content


def _text(path: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")  # some editors write a byte order mark
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise ConfigurationError(
            f"{path} is not UTF-8: line {line}, column {column}. Save it as UTF-8."
        ) from None


def _parsed(path: str, text: str) -> dict[str, Any]:
    # Imported only for applications that have such a file: it takes as long as all of this module.
    import tomllib  # noqa: PLC0415

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigurationError(f"{path} is nested too deeply.") from None
    except ValueError as error:
        said = str(error)
        if "line" not in said:
            # The parser says "at end of document", or fails on a number without a place.
            last = text.count("\n") + 1
            said = f"{said} (line {last}, column {len(text) - text.rfind(chr(10))})"
        raise ConfigurationError(f"{path} is not valid TOML: {said}.") from None


def _with_key_file(layers: list[Layer], beside: str | None) -> list[Layer]:
    """The same layers; a file that the keys are in is read."""
    for place, layer in enumerate(layers):
        given = layer.values.get("encryption_keys")
        if isinstance(given, str) and given.startswith(_KEY_FILE):
            path = os.path.expanduser(given.removeprefix(_KEY_FILE).strip())
            keys = _keys_in(_beside("encryption_keys", path, beside))
            values = {**layer.values, "encryption_keys": keys}
            layers[place] = msgspec.structs.replace(layer, values=values)
        if given not in (None, ""):
            break
    return layers


def _keys_in(path: str) -> str:
    text = _text(path, _content(path))
    if os.stat(path).st_mode & stat.S_IROTH:
        raise ConfigurationError(
            f"encryption_keys: every user of this machine may read the keys in {path}. Let only its"
            f" owner: chmod 600 {path}. If others have read it, make new keys."
        )
    return text


def _anchored(settings: Settings, beside: str | None) -> Settings:
    """Make relative SQLite paths absolute: every process must open the same file."""
    outbox = settings.outbox
    return msgspec.structs.replace(
        settings,
        store=_absolute("store", settings.store, beside),
        outbox=None if outbox is None else _absolute("outbox", outbox, beside),
    )


def _absolute(name: str, store: StoreURL, beside: str | None) -> StoreURL:
    if store.shards:
        shards = tuple(_absolute("shards", shard, beside) for shard in store.shards)
        return msgspec.structs.replace(store, shards=shards)
    if store.store != "sqlite":
        return store
    path = store.path
    if not os.path.isabs(path):
        hint = "(sqlite:////var/lib/app/jobs.db) or memory://"
        path = _beside(name, path, beside, hint)
    path = os.path.normpath(path)
    filesystem = network_filesystem(os.path.realpath(path), _mounts())
    if filesystem is not None and store.query.get("network") != "yes":
        raise ConfigurationError(
            f"{name}: {path} is on a network file system ({filesystem}), where SQLite's locks do"
            " not hold and jobs would be lost. Use a local disk, or a database server. To accept"
            " it all the same: ?network=yes."
        )
    return msgspec.structs.replace(store, path=path)


def _beside(name: str, path: str, beside: str | None, hint: str = "") -> str:
    """A path as it is meant from the folder of a file."""
    if beside is None and not os.path.isabs(path):
        raise ConfigurationError(
            f"{name}: the relative path {path} has no folder to start from, because the"
            f" application was not made in a file. Give an absolute path {hint}".rstrip()
            + "."
        )
    return os.path.join(os.path.dirname(os.path.abspath(beside or "")), path)


def network_filesystem(path: str, mounts: str) -> str | None:
    """The kind of network file system that an absolute path is on, by Linux' list of mounts.

    Example:
        >>> network_filesystem("/srv/app/jobs.db", "host:/x /srv nfs4 rw 0 0")
        'nfs4'
    """
    longest, kind = "", None
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        place = fields[1].replace("\\040", " ").rstrip("/") + "/"
        # Of two mounts on one place the later one is on top.
        if path.startswith(place) and len(place) >= len(longest):
            longest, kind = place, fields[2]
    return kind if kind in NETWORK else None


def _mounts() -> str:
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:  # not Linux
        return ""
