"""Signals as numbers to be read from a descriptor, so that one loop handles everything."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType, TracebackType
from typing import Self

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


def _noted(_number: int, _frame: FrameType | None) -> None:
    """The wake-up descriptor has it; nothing is done inside a handler."""
