"""The first process of a container inherits every process whose parent has ended, and buries it."""

from __future__ import annotations

import os
from collections.abc import Iterable


def bury_orphans(ours: Iterable[int]) -> None:
    """Take note of the end of processes that bodies left behind; ``ours`` are waited for elsewhere.

    Only as process 1, which nobody else does this for: without it they would fill the table of
    processes, one entry each for ever.
    """
    if os.getpid() != 1:
        return
    known = frozenset(ours)
    while True:
        try:
            # Looked at and left: what is ours must still be there for who started it.
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in known:
            return
        os.waitpid(ended.si_pid, os.WNOHANG)
