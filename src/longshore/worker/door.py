"""A socket on this machine where a worker answers who asks: is it alive, is it ready, be quiet.

One per worker, ``<runtime folder>/longshore/<name>.sock``, for its own user only. A probe there
needs neither the application nor the store.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator

import msgspec

from longshore.errors import ConfigurationError

PATIENCE = 0.5
_LONGEST = 4096


class Ask(msgspec.Struct, frozen=True):
    """A question or an order: ``health``, ``quiet`` or ``resume``."""

    what: str


class ChildReport(msgspec.Struct, frozen=True):
    """One child as its supervisor sees it; ``busy`` jobs are claimed and not finished.

    ``stuck`` says what is wrong while it makes no progress, for people.
    """

    pid: int
    stage: str
    busy: int
    ended: int
    stuck: str | None = None


class Report(msgspec.Struct, frozen=True):
    """What a worker says of itself. ``ready``: it claims, and the store answered lately.

    ``live``: each of its processes makes progress. ``fenced_writes`` of its processes came back
    refused, because other processes had the jobs by then.
    """

    name: str
    pid: int
    state: str
    ready: bool
    children: tuple[ChildReport, ...]
    live: bool = True
    fenced_writes: int = 0


class Door:
    """The worker's end. It ends with :meth:`close`, which removes the socket."""

    def __init__(self, name: str) -> None:
        #: The name it got: a name that another living worker has here gets a number.
        self.name, self._path = _free(name)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # The mode is set before anybody can connect, whatever the umask.
        before = os.umask(0o177)
        try:
            self._socket.bind(self._path)
        except OSError as error:
            self._socket.close()
            raise ConfigurationError(
                f"cannot open the socket {self._path}: {error}; is --name shorter, and may this "
                "user write to XDG_RUNTIME_DIR?"
            ) from error
        finally:
            os.umask(before)
        self._socket.listen(8)
        self._socket.settimeout(PATIENCE)

    @property
    def descriptor(self) -> int:
        """For the loop that waits for visitors."""
        return self._socket.fileno()

    def answer(self, reply: Callable[[Ask], Report]) -> None:
        """Serve one visitor; a rude one costs half a second and nothing else."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            visitor, _ = self._socket.accept()
            with visitor:
                visitor.settimeout(PATIENCE)
                ask = msgspec.json.decode(visitor.recv(_LONGEST), type=Ask)
                visitor.sendall(msgspec.json.encode(reply(ask)))

    def close(self) -> None:
        """Close and remove it."""
        self._socket.close()
        with contextlib.suppress(OSError):
            os.unlink(self._path)  # noqa: PTH108 - a path as text


def ask(name: str, what: str) -> Report | None:
    """Ask the worker of this name on this machine; ``None`` when none answers."""
    return _ask(_path(name), what)


def names() -> list[str]:
    """The names of the workers of this user on this machine that have a socket, dead or alive."""
    with contextlib.suppress(OSError):
        files = os.listdir(_folder())  # noqa: PTH208 - names are all it needs
        return sorted(file.removesuffix(".sock") for file in files if file.endswith(".sock"))
    return []


def _ask(path: str, what: str) -> Report | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(2 * PATIENCE)
        try:
            sock.connect(path)
            sock.sendall(msgspec.json.encode(Ask(what)))
            return msgspec.json.decode(b"".join(_read(sock)), type=Report)
        except (OSError, msgspec.MsgspecError):
            return None


def _read(sock: socket.socket) -> Iterator[bytes]:
    while data := sock.recv(1 << 16):
        yield data


def _free(name: str) -> tuple[str, str]:
    """The first of ``name``, ``name-2``, ... that no living worker has."""
    os.makedirs(_folder(), mode=0o700, exist_ok=True)  # noqa: PTH103 - a path as text
    number = 1
    while True:
        taken = name if number == 1 else f"{name}-{number}"
        path = _path(taken)
        if _ask(path, "health") is None:
            # Nobody answers: it was left behind by a worker that was killed.
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108
            return taken, path
        number += 1


def _folder() -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return os.path.join(runtime, "longshore")  # noqa: PTH118 - a path as text
    import tempfile  # noqa: PLC0415 - heavy, and services have a folder of their own

    return os.path.join(tempfile.gettempdir(), f"longshore-{os.getuid()}")  # noqa: PTH118


def _path(name: str) -> str:
    return os.path.join(_folder(), f"{name}.sock")  # noqa: PTH118
