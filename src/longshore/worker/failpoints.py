"""Moments at which a process of a worker ends, stops or hangs, for tests of what follows from that.

``LONGSHORE_FAILPOINTS=after_claim:kill@3`` ends each child when it meets that moment for the third
time; several are separated by commas, without ``@`` the first time is meant. This module is not
even imported where the variable is not set, and what it wraps is one method of one store.

====================  ==============================================================
point                 the moment
====================  ==============================================================
before_claim          the store thread is about to claim
after_claim           a claim brought jobs, none of which has started
before_complete       bodies have ended, which the store does not know yet
complete_sent         the store has their endings, which the worker does not know yet
in_tx                 the first statement of an ending's transaction was answered
before_tick_insert    the supervisor is about to fire the ticks that are due
====================  ==============================================================

Actions: ``kill`` (SIGKILL), ``stop`` (SIGSTOP; who sends SIGCONT lets it go on), ``hang`` (only
the thread that meets it, for ever), ``exit`` (at once, with code 70).
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, TypeVar

import msgspec

from longshore.core.operation import Operation
from longshore.core.standing import StandingWatch
from longshore.core.store import Claim, Exchanged, Store, Watch
from longshore.errors import ConfigurationError

T = TypeVar("T")

VARIABLE: Final = "LONGSHORE_FAILPOINTS"
_CLAIMS: Final = frozenset({"claim", "exchange"})
_ENDS: Final = frozenset({"finish", "exchange"})
POINTS: Final = (
    "before_claim",
    "after_claim",
    "before_complete",
    "complete_sent",
    "in_tx",
    "before_tick_insert",
)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _hang() -> None:
    threading.Event().wait()


def _exit() -> None:
    os._exit(70)


ACTIONS: Final[Mapping[str, Callable[[], None]]] = {
    "kill": _kill,
    "stop": _stop,
    "hang": _hang,
    "exit": _exit,
}


class Failpoint(msgspec.Struct, frozen=True):
    """At this point, the ``at``-th time that a process meets it, this happens."""

    point: str
    action: str
    at: int = 1


def parse(text: str) -> tuple[Failpoint, ...]:
    """What the variable says.

    Raises:
        ConfigurationError: it names a point or an action that there is not.

    Example:
        >>> parse("after_claim:kill@3")
        (Failpoint(point='after_claim', action='kill', at=3),)
    """
    return tuple(_one(part.strip()) for part in text.split(",") if part.strip())


def _one(text: str) -> Failpoint:
    point, _, rest = text.partition(":")
    action, _, at = rest.partition("@")
    if point not in POINTS or action not in ACTIONS or not (at or "1").isdigit():
        raise ConfigurationError(
            f"{VARIABLE}: {text!r} is none; write point:action@count with a point of "
            f"{', '.join(POINTS)} and an action of {', '.join(ACTIONS)}."
        )
    return Failpoint(point, action, int(at or 1))


def install(store: Store, text: str) -> Store:
    """Have this store meet the failpoints that the variable names; returns it."""
    points = Points(parse(text))
    inner: Callable[[Operation[Any]], Any] = store.run

    def run(op: Operation[T], /) -> T:
        return points.around(op, inner)

    # Of this one object only: what else the process does with stores meets nothing.
    vars(store)["run"] = run
    listen: Callable[[], Watch] = store.watch
    vars(store)["watch"] = lambda: points.on(listen())
    return store


class Points:
    """Counts how often each point was met, and acts."""

    def __init__(self, failpoints: tuple[Failpoint, ...]) -> None:
        self._failpoints = failpoints
        self._met: Counter[str] = Counter()
        self._lock = threading.Lock()

    def meet(self, point: str) -> None:
        """The process is at this point now."""
        with self._lock:
            self._met[point] += 1
            met = self._met[point]
        for failpoint in self._failpoints:
            if failpoint.point == point and failpoint.at == met:
                ACTIONS[failpoint.action]()

    def around(self, op: Operation[T], run: Callable[[Operation[T]], T]) -> T:
        """Run an operation and meet what lies before, in and after it."""
        name = op.name
        if name == "fire":
            self.meet("before_tick_insert")
        if name in _ENDS:
            self.meet("before_complete")
            op = self._opened(op)
        if name in _CLAIMS:
            self.meet("before_claim")
        answer = run(op)
        if name in _ENDS:
            self.meet("complete_sent")
        if _brought_jobs(answer):
            self.meet("after_claim")
        return answer

    def on(self, watch: Watch) -> Watch:
        """Meet what lies before and after the claims that a watch leaves with its store."""
        if isinstance(watch, StandingWatch):
            ask, brought = watch.ask, watch.brought

            def asked(op: Operation[Claim]) -> bool:
                self.meet("before_claim")
                return ask(op)

            def bringing() -> Claim | None:
                claim = brought()
                if _brought_jobs(claim):
                    self.meet("after_claim")
                return claim

            vars(watch).update(ask=asked, brought=bringing)
        return watch

    def _opened(self, op: Operation[T]) -> Operation[T]:
        """The same operation, stopping after its first statement."""

        def body() -> Generator[Any, Any, T]:
            inner = op.start()
            answered = 0
            try:
                statement = next(inner)
                while True:
                    try:
                        reply = yield statement
                    except Exception as error:  # noqa: BLE001 - the operation may handle it
                        statement = inner.throw(error)
                        continue
                    answered += 1
                    if answered == 1:
                        self.meet("in_tx")
                    statement = inner.send(reply)
            except StopIteration as done:
                value: T = done.value
                return value

        return Operation(op.name, body, writes=op.writes, meanwhile=op.meanwhile)


def _brought_jobs(answer: object) -> bool:
    match answer:
        case Claim(jobs=jobs) | Exchanged(claim=Claim(jobs=jobs)):
            return bool(jobs)
        case _:
            return False
