"""What is left when a claim brings nothing: jobs that a limit holds back are not nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from longshore.core.lines import serves
from longshore.core.model import JobState
from longshore.core.store import Filter, Line, Store
from longshore.errors import StoreError
from longshore.worker.journal import log

_LOOK: Final = 1000  # available jobs that are looked at
_KINDS_OF_LIMIT: Final = ("c:", "r:")


class Remaining:
    """Asked after a claim that brought nothing; ``limited``, whether any kind here has a limit."""

    def __init__(self, store: Store, lines: Sequence[Line], *, limited: bool) -> None:
        self._store = store
        self._lines = lines
        self._limited = limited
        self._looked = 0  # the claim after which it was seen that limits hold jobs back

    def none(self, last: int) -> bool:
        """Whether the claim of this number was made and left nothing that opens by itself."""
        if last == 0 or not self._limited:
            return last > 0
        if self._looked == last:  # that was before the pause that this is the end of
            return False
        self._looked = last
        return self._is_nothing_left()

    def _is_nothing_left(self) -> bool:
        """Whether no limit holds back jobs of these lines, as far as that could be read."""
        try:
            return not held_back(self._store, self._lines)
        except StoreError as error:
            log.warning("what is left could not be read: %s", error)
            return False


def held_back(store: Store, lines: Sequence[Line]) -> bool:
    """Whether jobs of these lines are available and wait for limits that let some pass."""
    queues = [
        queue.name
        for queue in store.run(store.queues())
        if queue.depth and not queue.paused and any(serves(line, queue.name) for line in lines)
    ]
    if not queues:
        return False
    where = Filter(states=frozenset({JobState.AVAILABLE}), queues=tuple(queues))
    page = store.run(store.find(where, limit=_LOOK, oldest_first=True))
    keys = {
        job.blocked_by
        for job in page.records
        if job.blocked_by is not None and job.blocked_by.startswith(_KINDS_OF_LIMIT)
    }
    if not keys:
        return False
    # A limit that a person set to none lets nobody pass until somebody sets it again.
    known = store.run(store.limits(sorted(keys), limit=len(keys)))
    return any((one.to if one.setting is None else one.setting.to) > 0 for one in known)
