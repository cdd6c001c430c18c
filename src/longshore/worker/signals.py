"""Signals as numbers to be read from a descriptor, so that one loop handles everything."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

Handler = Callable[[int, FrameType | None], object]

_ALWAYS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGTTIN,
)
#: Not trapped on a terminal, so that Ctrl-Z and fg go on to work there.
_OFF_TERMINAL = (signal.SIGTSTP, signal.SIGCONT)
#: A terminal sends them to every process of its group, or whoever ends one.
_TO_ALL = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
#: What was set by :func:`handle_here`.
_here: dict[int, Handler] = {}


class Signals:
    """Inside the ``with`` block signals are only written down; :meth:`read` gives them."""

    def __enter__(self) -> Self:
        self.descriptor, self._end = os.pipe()
        os.set_blocking(self._end, False)
        os.set_blocking(self.descriptor, False)
        terminal = sys.stdin is not None and sys.stdin.isatty()
        numbers = _ALWAYS if terminal else (*_ALWAYS, *_OFF_TERMINAL)
        self._before = {number: signal.signal(number, _noted) for number in numbers}
        self._wakeup = signal.set_wakeup_fd(self._end, warn_on_full_buffer=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self.descriptor)
        os.close(self._end)

    def read(self) -> bytes:
        """The numbers of the signals since the last look, in order."""
        try:
            return os.read(self.descriptor, 512)
        except BlockingIOError:
            return b""


def leave_to_supervisor() -> None:
    """In a child: what is sent to all is the supervisor's to decide, which tells.

    Handlers that do nothing, not ``SIG_IGN``: that would be inherited by every program that a job
    starts, and one that is to be ended by INT, as many are, would go on for ever. The price is that
    on a terminal such programs hear Ctrl-C too, as those of any other program do.
    """
    for number in _TO_ALL:
        handle_here(number, _noted)


def handle_here(number: int, handler: Handler) -> None:
    """Handle a signal in this process only: in what is forked off it does what it always does."""
    pid = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() == pid:
            handler(number, frame)
        else:  # it came before the copy had its handlers back
            signal.signal(number, _usual(number))
            signal.raise_signal(number)

    signal.signal(number, handle)
    _here[number] = handle


def _noted(_number: int, _frame: FrameType | None) -> None:
    """The wake-up descriptor has it; nothing is done inside a handler."""


def _usual(number: int) -> signal.Handlers | Handler:
    return signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL


class _Masked(threading.local):
    """What this thread did not hear before it forked."""

    before: set[int] | None = None


_masked = _Masked()


def _before_copy() -> None:
    """Have the copy hear nothing until it has its handlers: what Python has only noted is lost."""
    _masked.before = signal.pthread_sigmask(signal.SIG_BLOCK, _here) if _here else None


def _after_copy() -> None:
    if _masked.before is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _masked.before)


def _begin_copy() -> None:
    """A process of multiprocessing must end when it is told to; it is no worker."""
    for number, handler in _here.items():
        if signal.getsignal(number) is handler:  # else it is the application's by now
            signal.signal(number, _usual(number))
    _here.clear()
    _after_copy()


os.register_at_fork(before=_before_copy, after_in_parent=_after_copy, after_in_child=_begin_copy)
