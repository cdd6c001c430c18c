"""How long the log of a file has become: one that cannot be folded in only grows."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Final

log = logging.getLogger("longshore.stores.sqlite")

#: So long a log may become and stay, bytes; it is made shorter where it is begun anew.
MOST: Final = 64_000_000
#: How often it is told of, seconds.
TELL_EVERY: Final = 600.0


class Wal:
    """The log of one file."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._path = Path(f"{address}-wal")
        self._tell_at = 0.0

    def look(self) -> None:
        """Warn of a log that is longer than it would be if it were folded in now and then."""
        try:
            size = self._path.stat().st_size
        except OSError:  # nobody has written since the file was opened
            return
        now = time.monotonic()
        if size <= MOST * 1.5 or now < self._tell_at:
            return
        self._tell_at = now + TELL_EVERY
        log.warning(
            "%s: its log %s has grown to %d MB: somebody reads an old snapshot of the file, so that"
            " the log cannot be folded in. End that reader, a transaction left open in a shell for"
            " example; the log then becomes short by itself.",
            self._address,
            self._path.name,
            size // 1_000_000,
        )
