"""What an application may put around its jobs: middleware, and the closed list of events."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, TypeVar, cast, get_args

import msgspec

from longshore.core.model import JobRecord
from longshore.core.wording import shown
from longshore.errors import DeclarationError

EventName = Literal[
    "job.enqueued",
    "job.started",
    "job.succeeded",
    "job.failed",
    "job.retrying",
    "job.dead",
    "job.cancelled",
    "job.rescued",
    "job.parked",
    "schedule.fired",
    "schedule.skipped",
    "schedule.missed",
    "worker.started",
    "worker.quiet",
    "worker.stopped",
    "queue.paused",
    "queue.resumed",
]
EVENTS: frozenset[str] = frozenset(get_args(EventName))


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, told after it was committed in the process that did it."""

    name: str
    job_id: str | None = None
    kind: str | None = None
    queue: str | None = None
    reason: str | None = None
    duration: float | None = None  # seconds that the body took
    schedule: str | None = None  # its name, of schedule.fired, skipped and missed


Listener = Callable[[Event], object]
L = TypeVar("L", bound=Listener)
Middleware = Callable[[JobRecord], Iterator[None]]
M = TypeVar("M", bound=Middleware)
Layer = Callable[[JobRecord], AbstractContextManager[None]]


class Around:
    """The middleware and listeners of one application, in the order in which they were added."""

    def __init__(self) -> None:
        #: The middleware, the outermost first.
        self.layers: list[Layer] = []
        self._listeners: dict[str, list[Listener]] = {}

    def add(self, middleware: M) -> M:
        """Put a generator function with one ``yield`` around every job."""
        code = getattr(middleware, "__code__", None)
        if code is None or not code.co_flags & 0x20:  # CO_GENERATOR
            msg = (
                f"{middleware!r} is no middleware: write a generator function with one yield, "
                "def timing(job): ...; yield; ..."
            )
            raise DeclarationError(msg)
        generator = cast("Callable[[JobRecord], Generator[None]]", middleware)
        self.layers.append(contextmanager(generator))
        return middleware

    def listen(self, name: EventName) -> Callable[[L], L]:
        """Register a listener for one event."""
        if name not in EVENTS:
            msg = f"there is no event {name!r}; the events are {', '.join(sorted(EVENTS))}"
            raise DeclarationError(msg)

        def register(listener: L) -> L:
            _check_listener(name, listener)
            self._listeners.setdefault(name, []).append(listener)
            return listener

        return register

    def wants(self, name: EventName) -> bool:
        """Whether anybody listens: who makes many events asks first."""
        return name in self._listeners

    def publish(self, event: Event) -> None:
        """Tell the listeners; one that raises is reported and harms nobody."""
        for listener in self._listeners.get(event.name, ()):
            try:
                listener(event)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - best effort by contract
                _report(event, listener, error)

    def cancelled(self, job_ids: Iterable[str], reason: str | None) -> None:
        """Tell that jobs have ended before they ran; one that runs is told of where it ends."""
        if self.wants("job.cancelled"):
            for job_id in job_ids:
                self.publish(Event(name="job.cancelled", job_id=job_id, reason=reason))

    def wrap(self, job: JobRecord) -> AbstractContextManager[None]:
        """Run every middleware's first half, the body, then the second halves from the inside."""
        return _nest(self.layers, 0, job)


def _check_listener(name: str, listener: object) -> None:
    """Refuse what could never be told of anything: an alarm that does not ring is none."""
    from inspect import signature  # noqa: PLC0415 - it is slow to load, and few have listeners

    if not callable(listener):
        raise DeclarationError(f"{shown(listener)} cannot be told of {name}: give a function")
    code = getattr(listener, "__code__", None)
    if code is not None and code.co_flags & 0x80:  # CO_COROUTINE
        raise DeclarationError(
            f"{listener!r} cannot be told of {name}: it would have to be awaited. Write an ordinary"
            " function; one that enqueues a job, for what takes long"
        )
    try:
        signature(listener).bind(None)
    except TypeError as error:
        raise DeclarationError(
            f"{listener!r} cannot be told of {name}: it is called with the event alone ({error})"
        ) from None
    except ValueError:  # it does not say what it takes
        return


@contextmanager
def unhidden(around: AbstractContextManager[None]) -> Generator[None]:
    """What is around a body may change its error but not hide it: the job would seem done."""
    raised: BaseException | None = None
    with around:
        try:
            yield
        except BaseException as error:
            raised = error
            raise
    if raised is not None:
        raise raised


@contextmanager
def _nest(layers: list[Layer], at: int, job: JobRecord) -> Generator[None]:
    if at == len(layers):
        yield
        return
    with unhidden(layers[at](job)), _nest(layers, at + 1, job):
        yield


def _report(event: Event, listener: Listener, error: BaseException) -> None:
    import logging  # noqa: PLC0415 - 10 ms that only a failing listener costs

    if sys.is_finalizing():
        return
    logging.getLogger("longshore").error(
        "a listener of %s raised: %r; the job is not affected", event.name, listener, exc_info=error
    )
