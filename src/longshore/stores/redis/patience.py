"""How long an operation on Redis is tried again, and what is done before each try."""

from __future__ import annotations

import random
import time
from typing import Final, Protocol

from longshore.errors import StoreUnavailable
from longshore.stores.deadlines import is_late
from longshore.stores.redis.faults import Then, explained, meaning
from longshore.stores.redis.producing import torn
from longshore.stores.redis.wire import Lost, Refused, Unreplicated

#: For how long a lost connection is opened anew and a passing refusal waited out, seconds; before
#: the first answer of all the server is more likely not there than away for a moment.
PATIENCE: Final = 5.0
FIRST_PATIENCE: Final = 1.0
LONGEST_PAUSE: Final = 0.2


class Tried(Protocol):
    """What is asked of the store."""

    address: str
    patience: float

    def begin_anew(self) -> None:
        """Its keys or scripts are gone."""
        ...

    def seek(self, error: Lost | Refused) -> None:
        """Find the server that serves this store now."""
        ...


class Patience:
    """How long one operation has been tried, and whether to try again."""

    def __init__(self, store: Tried, began: float, *, known: bool) -> None:
        self._store = store
        self._seconds = store.patience if known else min(store.patience, FIRST_PATIENCE)
        self._end = time.monotonic() + self._seconds
        self._began = self._tried = began
        self._pause = 0.005
        self._stored: tuple[str, ...] = ()

    def after(self, error: Lost | Refused | Unreplicated) -> float:
        """How long to wait before the next try, seconds.

        Raises:
            StoreError: it would not help, or has not for long enough.
            PartlyEnqueued: likewise, after a part of the request.
        """
        store = self._store
        if isinstance(error, Unreplicated):
            raise StoreUnavailable(
                f"{store.address}: it is written, but {error}; a failover may lose it. Look at the"
                " replicas."
            ) from error
        moved = isinstance(error, Refused) and error.code == "MOVED"
        if isinstance(error, Lost) or moved:
            then = Then.ELSEWHERE
        else:
            then, _, _ = meaning(error)
            if error.code in {"EMPTIED", "NOSCRIPT"}:
                store.begin_anew()
        now = time.monotonic()
        late = isinstance(error, Lost) and is_late(now, self._tried, self._began, self._seconds)
        if isinstance(error, Lost):
            self._stored = error.stored or self._stored
        if then is Then.TELL or late or now >= self._end:
            why = explained(error, store.address)
            raise (torn(self._stored, why) if self._stored else why) from error
        if then is Then.ELSEWHERE:
            store.seek(error)
            if moved:
                return 0.0
        # Random, so that many who wait do not come back at the same moment.
        pause = random.uniform(self._pause / 2, self._pause)  # noqa: S311
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        self._tried = now + pause
        return pause
