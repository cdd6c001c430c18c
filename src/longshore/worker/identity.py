"""Who a process is: ids that are never used twice, whatever the host or the name."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec

from longshore.core.store import NewProcess
from longshore.version import __version__
from longshore.worker.control import Hello
from longshore.worker.options import WorkerOptions

if TYPE_CHECKING:  # a supervisor names its children from here, and has no registry
    from longshore.core.registry import Registry


def boot_id() -> str:
    """What tells one boot of this machine from the next, shortened."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123 - one line, no pathlib
            return file.read(8)
    except OSError:
        return "00000000"


def embedded_process(
    app: str, registry: Registry, options: WorkerOptions, lease: float
) -> NewProcess:
    """The record of a worker inside the calling process."""
    return _process(app, registry.names(), options, lease, os.getpid(), embedded=True)


def default_name() -> str:
    """The name of a worker that was given none."""
    return f"{socket.gethostname()}-{os.getpid()}"


def child_process(hello: Hello, options: WorkerOptions, name: str, pid: int) -> NewProcess:
    """The record of a supervisor's child that has introduced itself."""
    options = msgspec.structs.replace(options, name=name)
    return _process(hello.app, hello.kinds, options, hello.lease, pid, embedded=False)


def _process(
    app: str,
    kinds: tuple[str, ...],
    options: WorkerOptions,
    lease: float,
    pid: int,
    *,
    embedded: bool,
) -> NewProcess:
    host = socket.gethostname()
    return NewProcess(
        id=f"{boot_id()}-{uuid4().hex[:16]}",
        app=app,
        name=f"{options.name or host}:{pid}",
        host=host,
        pid=pid,
        lease=int(lease * 1_000_000),
        queues=options.queues,
        kinds=kinds,
        slots=options.threads,
        embedded=embedded,
        version=__version__,
    )
