"""An end to every call over a connection whose driver would wait for an answer for ever.

A call costs two attributes and no clock: one thread for all connections of the process looks at
them several times a second, and where it has found the same call for too long it shuts the socket
down. The driver then meets the end of the connection, as when the server had gone.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import weakref
from typing import Final

#: How long to wait for a connection and for an answer, seconds.
CONNECT: Final = 3.0
ANSWER: Final = 5.0
#: How long a server keeps the locks of a transaction of ours that says nothing, seconds: of a
#: machine that was stopped within one. It is less than a short lease, for others get its jobs then.
FORSAKEN: Final = 3
#: How often a call is looked at before its time is over.
LOOKS: Final = 10
#: By how much of its patience a call may be late.
SLACK: Final = 0.2


def is_late(now: float, tried: float, began: float, patience: float) -> bool:
    """Whether a call that lost its server should give up.

    It should when its patience is over, and when another try that takes as long as the one that
    was ``tried`` last would end long after that.
    """
    return now >= began + patience or now + (now - tried) >= began + patience * (1 + SLACK)


class Deadline:
    """The end of every call over one connection, ``seconds`` after its beginning or little more.

    Who calls sets ``busy`` and counts ``number`` up, and unsets ``busy`` when the answer is there;
    ``with`` does the same where time does not matter. Used by one thread or task at a time.
    """

    __slots__ = ("__weakref__", "_handle", "_seconds", "_seen", "_waited", "busy", "number")

    def __init__(self, handle: int, seconds: float) -> None:
        self.busy = False
        self.number = 0
        self._handle = handle
        self._seconds = seconds
        self._seen = 0
        self._waited = 0.0
        _watch(self)

    def __enter__(self) -> None:
        self.number += 1
        self.busy = True

    def __exit__(self, *_: object) -> None:
        self.busy = False

    def close(self) -> None:
        """Before the connection is closed: the number of its socket is then somebody else's."""
        with _lock:
            self._handle = -1

    @property
    def pause(self) -> float:
        """How long until the next look, seconds."""
        return self._seconds / LOOKS

    def look(self, waited: float) -> None:
        """Count the time that the present call has been seen, and end it when that is over.

        Looks are counted, not read from a clock: a process that was stopped is not late for that.
        """
        if not self.busy or self.number != self._seen:
            self._seen = self.number
            self._waited = 0.0
            return
        self._waited += waited
        if self._waited >= self._seconds:
            with _lock:
                self._end(self._seen)

    def _end(self, number: int) -> None:
        if self._handle >= 0 and self.busy and self.number == number:
            _shut(self._handle)


#: Entered again where collecting garbage closes a connection in the middle of a look.
_lock = threading.RLock()
_watched: weakref.WeakSet[Deadline] = weakref.WeakSet()
_thread: threading.Thread | None = None


def _watch(deadline: Deadline) -> None:
    global _thread  # noqa: PLW0603 - one thread for all
    with _lock:
        _watched.add(deadline)
        if _thread is None:
            thread = threading.Thread(target=_look_on, name="longshore-deadlines", daemon=True)
            # Where no thread is to be had, calls go on without an end; the next connection tries.
            with contextlib.suppress(RuntimeError):
                thread.start()
                _thread = thread


def _look_on() -> None:
    """Until nobody is watched any more."""
    global _thread  # noqa: PLW0603
    asleep = threading.Event()
    while True:
        with _lock:
            pause = min((deadline.pause for deadline in _watched), default=0.0)
            if not pause:
                _thread = None
                return
        began = time.monotonic()
        asleep.wait(pause)
        # A machine that is slow to wake us has been waiting no less; one that slept has not.
        waited = min(time.monotonic() - began, 2 * pause)
        with _lock:
            watched = list(_watched)
        while watched:  # held no longer than looked at
            watched.pop().look(waited)


def _shut(handle: int) -> None:
    """End both directions of a connection that somebody else owns and waits on."""
    try:
        duplicate = socket.fromfd(handle, socket.AF_INET, socket.SOCK_STREAM)
    except OSError:  # no descriptor left: the next look may find one
        return
    with duplicate:
        try:
            duplicate.shutdown(socket.SHUT_RDWR)
        except OSError:  # it has ended by itself
            return


def _after_fork_in_child() -> None:
    global _lock, _thread, _watched  # noqa: PLW0603
    _lock = threading.RLock()
    _thread = None
    _watched = weakref.WeakSet[Deadline]()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork_in_child)
