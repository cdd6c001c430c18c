"""Jobs with limits that start together, where there is room for all of them: no I/O.

Nearly always there is. Then one statement counts, adds and begins; where one job does not fit it
does nothing, and the claim walks from job to job.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from longshore.core.limits import Limit, Setting, effective
from longshore.stores.sql.statements import Row
from longshore.stores.sql.walk import READ, Column, limits_of

_Shape: TypeAlias = "tuple[str | None, tuple[str, ...], bool]"


class Together(NamedTuple):
    """The first jobs that have been read, as far as there are free slots for their rates.

    ``slots``: which key's slot each of them takes; ``behind``: keys of the next one, which waits
    for a free slot, if there is one: should it have no room, it is not the end of the claim.
    """

    rows: Sequence[Row]
    rated: int
    slots: list[str | None]
    starts: Mapping[str, int]  # by the key of a rate
    behind: frozenset[str]
    limits: Mapping[str, Limit]  # as the jobs say, by key

    def params(self, settings: Mapping[str, Setting]) -> dict[str, Any]:
        """What the query ``take_together`` takes of it."""
        used = Counter(slot for slot in self.slots if slot is not None)
        used.update(key for key in self.behind if self.limits[key].per is None)
        limits, starts, behind = self.limits, self.starts, self.behind
        said: dict[str, Any] = {"said_most": None, "said_per": None}
        if settings:
            said["said_most"] = [limits[key].to for key in starts]
            said["said_per"] = [limits[key].per for key in starts]
            limits = {key: effective(one, settings.get(one.name)) for key, one in limits.items()}
        return {
            **said,
            "ids": [row[0] for row in self.rows],
            "keys": self.slots,
            "slots": list(used),
            "jobs": list(used.values()),
            "most": [limits[key].to for key in used],
            "rates": list(starts),
            "starts": list(starts.values()),
            "more": [int(key in behind) for key in starts] if behind else None,
            "rate_most": [limits[key].to for key in starts],
            "rate_per": [limits[key].per for key in starts],
        }


def together(rows: Sequence[Row], free: int) -> Together | None:
    """These jobs as they start together; ``None`` where one has to look at each.

    ``rows`` as the query ``ready_queue`` gives them; ``free``: slots for jobs with rates.
    """
    limits: dict[str, Limit] = {}
    starts: dict[str, int] = {}
    slots: list[str | None] = []
    behind: frozenset[str] = frozenset()
    rated = 0
    for row in rows:
        slot, rates, several = _shape(row[17])
        if several:
            return None
        keyed = limits_of(row[17])
        for key, limit in keyed.items():
            known = limits.setdefault(key, limit)
            if known is not limit and known != limit:
                return None
        if rates and rated >= free:
            behind = frozenset(keyed)
            for key in rates:
                starts.setdefault(key, 0)
            break
        rated += bool(rates)
        for key in rates:
            starts[key] = starts.get(key, 0) + 1
        slots.append(slot)
    return Together(rows[: len(slots)], rated, slots, starts, behind, limits)


@lru_cache(READ)
def _shape(column: Column) -> _Shape:
    """The key whose slot a job takes, those of its rates, and whether it takes more slots."""
    limits = limits_of(column)
    slots = [key for key, limit in limits.items() if limit.per is None]
    rates = tuple(key for key, limit in limits.items() if limit.per is not None)
    return slots[0] if slots else None, rates, len(slots) > 1
