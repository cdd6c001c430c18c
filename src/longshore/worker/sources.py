"""The files of an application, for a worker that reloads when one of them changes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

#: Seconds between two looks.
PAUSE = 0.5


class Sources:
    """What an application was read from, as it was then."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}
        self._next_look = 0.0

    def note(self, files: Iterable[str]) -> None:
        """These were just read; none: what was noted before still holds."""
        self._seen = {file: _modified(file) for file in files} or self._seen

    def changed(self) -> str | None:
        """A file that is not any more as it was, told once; looked for now and then only."""
        now = time.monotonic()
        if now < self._next_look:
            return None
        self._next_look = now + PAUSE
        changed = [file for file, seen in self._seen.items() if _modified(file) != seen]
        if not changed:
            return None
        self.note(self._seen)
        return changed[0]


def _modified(file: str) -> float:
    try:
        return os.stat(file).st_mtime  # noqa: PTH116 - hundreds of files, twice a second
    except OSError:
        return 0.0
