"""An event loop whose timers are exact to some microseconds.

asyncio waits with ``epoll_wait``, which counts whole milliseconds and is rounded up, so that every
sleep takes half a millisecond longer than it says. A descriptor of epoll can itself be waited for
with ``select``, which counts microseconds.
"""

from __future__ import annotations

import asyncio
import select
import selectors


def precise_loop() -> asyncio.AbstractEventLoop:
    """A fresh event loop; an ordinary one where there is no epoll."""
    if not hasattr(selectors, "EpollSelector"):
        return asyncio.new_event_loop()
    return asyncio.SelectorEventLoop(_Precise())


class _Precise(selectors.EpollSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # select() takes no descriptor from 1024 on; then a timer is late by a millisecond again.
        if timeout is not None and timeout > 0 and self.fileno() < 1024:
            select.select([self], [], [], timeout)
            timeout = 0
        return super().select(timeout)
