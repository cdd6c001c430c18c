"""What a supervisor and its children say to each other: JSON lines over a socket pair."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Generic, TypeVar, cast

import msgspec

from longshore import errors
from longshore.core.batches import Together
from longshore.core.model import (
    Claimed,
    Ending,
    Inserted,
    Lease,
    LogLine,
    NewJob,
    Progress,
    Step,
)
from longshore.core.schedules import Schedule
from longshore.core.store import Retention
from longshore.middleware import Event
from longshore.worker.options import WorkerOptions


class Boot(msgspec.Struct, frozen=True, tag="boot"):
    """To a fresh child: load the application and introduce yourself."""

    options: WorkerOptions


class Go(msgspec.Struct, frozen=True, tag="go"):
    """Your process is registered: claim."""

    process_id: str


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Stop claiming, finish within ``timeout`` seconds, give the rest back, exit."""

    timeout: float


class Doubted(msgspec.Struct, frozen=True, tag="doubted"):
    """To an isolated job: whether its lease is lost, or may be."""

    on: bool


class Quiet(msgspec.Struct, frozen=True, tag="quiet"):
    """Stop (or start again) claiming; what was claimed goes on."""

    on: bool


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """People want these running jobs to end."""

    leases: tuple[Lease, ...]


class ParkedKinds(msgspec.Struct, frozen=True, tag="parked"):
    """There are parked jobs of these kinds."""

    kinds: tuple[str, ...]


class Among(msgspec.Struct, frozen=True, tag="among"):
    """So many processes work on this store, this one included."""

    processes: int


class Ticked(msgspec.Struct, frozen=True, tag="ticked"):
    """Ticks of schedules were settled: tell the application, and look for their jobs."""

    events: tuple[Event, ...]


class Perform(msgspec.Struct, frozen=True, tag="perform"):
    """To a child of ``isolation="process"``: run this one job.

    ``declared_in``: the module, or for a script its file, that has declared it in the worker: the
    module of the application need not import it.
    """

    job: Claimed
    lease: Lease
    declared_in: str | None = None


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """To an isolated job: the worker is stopping; end at a good place."""


class Trouble(msgspec.Struct, frozen=True):
    """An error of ours on its way to another process; ``jobs`` are the ids that it carries."""

    name: str
    message: str
    jobs: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: errors.LongshoreError) -> Trouble:
        """What is to be told of an error."""
        jobs: Sequence[str] = ()
        match error:
            case errors.PartlyEnqueued(stored=stored):
                jobs = stored
            case errors.EnqueueUncertain(job_id=job_id):
                jobs = (job_id,)
            case _:
                pass
        return cls(type(error).__name__, str(error), tuple(jobs))

    def error(self) -> errors.LongshoreError:
        """The error as it was raised there."""
        match self.name:
            case "PartlyEnqueued":
                return errors.PartlyEnqueued(self.message, self.jobs)
            case "EnqueueUncertain":
                return errors.EnqueueUncertain(self.message, *self.jobs)
            case name:
                kind: type[errors.LongshoreError] = getattr(errors, name, errors.StoreError)
                return kind(self.message)


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """To an isolated job: what it asked for, or why that was not done."""

    number: int
    steps: tuple[Step, ...] = ()
    inserted: tuple[Inserted, ...] = ()
    trouble: Trouble | None = None


class Found(msgspec.Struct, frozen=True, tag="found"):
    """From a child: the application says where jobs are. Time to load what opens such a store."""

    store: str  # URL, password included: the pipe is private


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """From a child: the application is loaded. What the supervisor needs to know of it."""

    app: str  # its module
    where: str  # module:attribute, for people
    store: str  # URL, password included: the pipe is private
    address: str  # the same for people
    retention: Retention
    prefix: str
    durability: str
    outbox: str | None  # likewise
    lease: float
    shutdown_timeout: float
    kinds: tuple[str, ...]
    schedules: tuple[Schedule, ...] = ()
    files: tuple[str, ...] = ()  # of the application, for reload
    warnings: tuple[str, ...] = ()  # of the store, for people

    @property
    def ground(self) -> tuple[object, ...]:
        """What a supervisor and its children must agree on: where jobs are, and whose they are."""
        return self.store, self.prefix, self.durability, self.retention, self.outbox, self.lease


class Waiting(msgspec.Struct, frozen=True, tag="waiting"):
    """From a child: the store cannot be reached yet, and why; it tries again."""

    why: str


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """From a child: it cannot start, and with which exit code the worker should say so."""

    exit_code: int
    message: str


class Stuck(msgspec.Struct, frozen=True, tag="stuck"):
    """From a child: a body does not stop; when I am dead, this is how its run ended."""

    ending: Ending


class Resting(msgspec.Struct, frozen=True, tag="resting"):
    """From a child: whether it has nothing left to do (``--until-empty``, ``--idle-timeout``)."""

    on: bool


class Enough(msgspec.Struct, frozen=True, tag="enough"):
    """To a child: no other has anything left either; end as soon as you have nothing."""


class Lost(msgspec.Struct, frozen=True, tag="lost"):
    """To a child: others have your jobs; drop them, and exit."""


class Unreadable(msgspec.Struct, frozen=True, tag="unreadable"):
    """In place of a message that this release does not know: the peer is of another."""

    why: str


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """From a child that is about to exit: how many jobs it ended and gave back.

    ``done``: its limits are reached (``--until-empty`` and the like), so it needs no successor.
    """

    ended: int
    returned: int
    done: bool = False


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """From an isolated job: it has booted, and its body begins."""


class Said(msgspec.Struct, frozen=True, tag="said"):
    """From an isolated job: its progress, a line of its log, steps to be saved with its end."""

    progress: Progress | None = None
    line: LogLine | None = None
    steps: tuple[Step, ...] = ()


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """From an isolated job, which waits for the answer: save steps, or read those saved."""

    number: int
    keep: tuple[Step, ...] | None = None


class Insert(msgspec.Struct, frozen=True, tag="insert"):
    """From an isolated job, which waits for the answer: store jobs. ``more`` of them follow."""

    number: int
    jobs: tuple[NewJob, ...]
    together: Together | None = None
    more: bool = False


class Done(msgspec.Struct, frozen=True, tag="done"):
    """From an isolated job: its ending, and its body's times in microseconds."""

    ending: Ending
    started_at: int
    ended_at: int
    settled: bool = False  # it is stored already, by the body's own transaction


ToChild = (
    Boot
    | Unreadable
    | Go
    | Drain
    | Lost
    | Quiet
    | Cancel
    | ParkedKinds
    | Among
    | Ticked
    | Perform
    | Stop
    | Doubted
    | Answer
    | Enough
)
FromChild = (
    Found
    | Waiting
    | Hello
    | Refused
    | Stuck
    | Resting
    | Unreadable
    | Finished
    | Begun
    | Said
    | Ask
    | Insert
    | Done
)
M = TypeVar("M")

_LARGEST = 64 * 1024 * 1024


class Channel(Generic[M]):
    """One end of a socket pair. It ends when either side closes or dies."""

    def __init__(self, sock: socket.socket, decode: Callable[[bytes], M]) -> None:
        self.socket = sock
        self._decode = decode
        self._buffer = bytearray()
        self._sending = threading.Lock()

    def send(self, message: ToChild | FromChild) -> None:
        """Send one message; a peer that is gone is no error, its end is seen elsewhere."""
        line = msgspec.json.encode(message) + b"\n"
        with self._sending:  # several threads send, and a long message goes in pieces
            try:
                self.socket.sendall(line)
            except OSError:
                # Perhaps half of it went: what follows could not be read, so nothing may follow.
                with contextlib.suppress(OSError):
                    self.socket.shutdown(socket.SHUT_RDWR)

    def receive(self) -> list[M] | None:
        """The messages of one read; ``None`` once the peer is gone."""
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data or len(self._buffer) > _LARGEST:
            return None
        self._buffer += data
        if b"\n" not in data:
            return []  # a long one goes in many pieces
        *lines, rest = self._buffer.split(b"\n")
        self._buffer = bytearray(rest)
        return [self._read(bytes(line)) for line in lines]

    def _read(self, line: bytes) -> M:
        try:
            return self._decode(line)
        except msgspec.DecodeError as error:
            return cast("M", Unreadable(str(error)))  # it is in every union

    def messages(self) -> Iterator[M]:
        """Every message until the peer is gone, blocking."""
        while (batch := self.receive()) is not None:
            yield from batch

    def close(self) -> None:
        self.socket.close()


# Each program needs one of them, and neither is made for nothing.
@cache
def _to_child() -> msgspec.json.Decoder[ToChild]:
    return msgspec.json.Decoder(ToChild)


@cache
def _from_child() -> msgspec.json.Decoder[FromChild]:
    return msgspec.json.Decoder(FromChild)


def child_channel(sock: socket.socket) -> Channel[ToChild]:
    """The child's end."""
    return Channel(sock, _to_child().decode)


def parent_channel(sock: socket.socket) -> Channel[FromChild]:
    """The supervisor's end."""
    return Channel(sock, _from_child().decode)
