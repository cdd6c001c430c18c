"""Where a process writes how it crashed, for whoever started it: a file without a name.

The one that starts a process makes it and reads it after the process's death; the process enables
``faulthandler`` on the descriptor. It holds nothing as long as nothing crashes.
"""

from __future__ import annotations

import os
import signal

#: Of what was written at most so many bytes are read: every thread of a process with many.
_MOST = 1 << 20


class CrashFile:
    """One process's file; it ends with :meth:`close`."""

    def __init__(self) -> None:
        #: To be inherited by the process.
        self.descriptor = _create()

    def read(self) -> bytes:
        """What the process has written; empty if it could not or had no reason to."""
        return os.pread(self.descriptor, _MOST, 0)

    def close(self) -> None:
        """Free it."""
        os.close(self.descriptor)


def ended(code: int) -> str:
    """How a process ended, for people, from what ``Popen.wait`` says.

    >>> ended(-11), ended(3)
    ('SIGSEGV', 'exit code 3')
    """
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:  # one of the real-time signals
        return f"signal {-code}"


def _create() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("longshore-crash")
    import tempfile  # noqa: PLC0415 - heavy, and not needed on Linux

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
