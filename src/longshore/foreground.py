"""A worker in the foreground, once its children have been started: store, words and supervisor."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from longshore import stores
from longshore.core.store import Store
from longshore.core.store_url import parse_url
from longshore.version import __version__
from longshore.worker.control import Hello
from longshore.worker.launch import Launches
from longshore.worker.logs import set_up_logging, tell
from longshore.worker.options import WorkerOptions
from longshore.worker.signals import Signals
from longshore.worker.supervisor import Supervisor


def work(options: WorkerOptions, launches: Launches, signals: Signals) -> int:
    """Supervise until the worker ends; returns its exit code."""
    set_up_logging(options.verbosity)
    return Supervisor(options, launches, stores.load, _connect, _Banner(options)).run(signals)


def _connect(hello: Hello) -> Store:
    store = stores.connect(
        parse_url(hello.store),
        retention=hello.retention,
        prefix=hello.prefix,
        durability=hello.durability,
    )
    if failpoints := os.environ.get("LONGSHORE_FAILPOINTS"):
        from longshore.worker.failpoints import install  # noqa: PLC0415 - only tests of faults do

        store = install(store, failpoints)
    return store


class _Banner:
    """What will run, because "did it see my job?" is the commonest first question."""

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options

    def __call__(self, hello: Hello, pids: Sequence[int]) -> None:
        options = self._options
        warnings = [f"  warning {text}" for text in hello.warnings]
        if options.verbosity < 0:
            if warnings:
                tell("\n".join(warnings))
            return
        slots = options.processes * options.threads
        how = f"{_counted(options.processes, 'process')} x {_counted(options.threads, 'thread')}"
        rows = (
            ("app", hello.where),
            ("store", hello.address),
            ("queues", ", ".join(options.queues)),
            ("slots", f"{slots} ({how})"),
            ("jobs", f"{len(hello.kinds)} registered: {_some(hello.kinds)}"),
            *self._schedules(hello),
            ("pid", f"{os.getpid()} (children {', '.join(map(str, pids))})"),
        )
        lines = [f"longshore {__version__} worker", *(f"  {n:7} {v}" for n, v in rows)]
        tell("\n".join([*lines, *warnings]))

    def _schedules(self, hello: Hello) -> Iterator[tuple[str, str]]:
        if hello.schedules:
            quiet = "" if self._options.scheduler else ", not fired by this worker"
            names = _some([schedule.name for schedule in hello.schedules])
            yield "fires", f"{_counted(len(hello.schedules), 'schedule')}: {names}{quiet}"


def _counted(number: int, word: str) -> str:
    ending = "" if number == 1 else "es" if word.endswith("s") else "s"
    return f"{number} {word}{ending}"


def _some(kinds: Sequence[str], most: int = 6) -> str:
    names = ", ".join(kinds[:most]) or "none"
    return names if len(kinds) <= most else f"{names}, …"
