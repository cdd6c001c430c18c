"""How a PostgreSQL store counts limit keys alone: by locks that end with the transaction.

Who counts a key, or changes how full it is, holds its lock until the commit, and counts in a
statement after that. Rows of jobs are locked first, keys after them, in one order for all. Jobs
that wait for a key are admitted as far as nobody else has their rows just now, so that nobody who
has a key waits for a row.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from longshore.stores.postgres.core import PostgresCore
from longshore.stores.sql.gates import Gating
from longshore.stores.sql.statements import Row, Steps
from longshore.stores.sql.walk import READ, Column, limits_of

#: Keys share so many locks: a server has room for some thousands.
LOCKS: Final = 1024


class PostgresGating(PostgresCore, Gating):
    """The steps that count keys and let jobs go on."""

    def locked(self, keys: Iterable[str]) -> Steps[frozenset[str]]:
        """Keep keys to this transaction; those that it has now.

        All of them at the first call of a transaction. At a later one those that it would be wrong
        to wait for, since somebody who has them may wait for us, are left out.
        """
        return (yield from self.keys_locked(keys))[0]

    def keys_locked(self, keys: Iterable[str]) -> Steps[tuple[frozenset[str], int]]:
        """The same, and when they were."""
        return (yield from self._locked(self.first_lock + LOCKS, keys))

    def keys_had(self, keys: Iterable[str]) -> Steps[Mapping[str, int]]:
        """The same, for each of them."""
        mine, at = yield from self.keys_locked(keys)
        return dict.fromkeys(mine, self.given_now() or at)

    def turns_locked(self, queues: Iterable[str]) -> Steps[frozenset[str]]:
        """The same for the turns of queues, which come before all keys."""
        return (yield from self._locked(self.first_lock, queues))[0]

    def started(self, since: Sequence[tuple[str, int]]) -> Steps[list[Row]]:
        """How often jobs under these keys have started since then."""
        keys, times = zip(*since, strict=True)
        rows: list[Row] = yield self.sql["starts"](keys=list(keys), since=list(times))
        return rows

    def forgotten(self, keys: Iterable[str], now: int) -> Steps[None]:  # noqa: ARG002
        """Nothing: a key's own entries went when it counted, and idle keys go with maintenance."""
        yield from ()

    def admitted(self, keys: Mapping[str, int]) -> Steps[frozenset[str]]:
        """Put the first jobs that each key has blocked in each queue back into the line."""
        asked = [(key, jobs) for key, jobs in sorted(keys.items()) if jobs > 0]
        if not asked:
            return frozenset()
        rows: list[Row] = yield self.sql["admit"].many(asked)
        return frozenset(queue for (queue,) in rows)

    def freed(self, jobs: Sequence[tuple[str, Column]]) -> Steps[None]:
        """Running jobs have ended or were given back: so are their slots."""
        slots = [
            (key, job_id)
            for job_id, rules in jobs
            for key, limit in limits_of(rules).items()
            if limit.per is None
        ]
        if slots:
            yield self.sql["slot_remove"].many(slots)
            yield from self.vacated(Counter(key for key, _ in slots))

    def vacated(self, keys: Counter[str]) -> Steps[bool]:
        """So many slots of these keys have been given back in this transaction.

        Answers whether others may go on now.

        Locked only now: a claim that counts before still sees them, blocks jobs if that is too
        many, and these are seen here.
        """
        mine = yield from self.locked(keys)
        return (yield from self._admitted(keys, mine))

    def left(self, jobs: Iterable[Row]) -> Steps[None]:
        """Jobs leave the line without having been claimed: others may have their room."""
        keys: Counter[str] = Counter()
        for _, _, _, _, _, _, rules, stands in jobs:
            if stands:
                keys.update(limits_of(rules).keys())
        if keys and self.quick:
            mine = yield from self.locked(keys)
            yield from self._admitted(keys, mine)
        elif keys:
            # In the transaction of somebody else, which may last: claims do not wait for that.
            yield from self.admitted(keys)

    def _admitted(self, keys: Counter[str], mine: frozenset[str]) -> Steps[bool]:
        queues = yield from self.admitted(keys)
        others = sorted(keys.keys() - mine)
        if others:
            # A claim has counted these, and may just block one that is not seen here: the next
            # claim looks again.
            now = yield from self.time()
            yield self.sql["opening_set"].many([(key, now) for key in others])
        return bool(queues or others)

    def _locked(self, first: int, names: Iterable[str]) -> Steps[tuple[frozenset[str], int]]:
        """What of these is ours now, and since when by the server's clock."""
        numbers = {name: first + _number(name) for name in names}
        if not numbers:
            return frozenset(), 0
        rows: list[Row] = yield self.sql["lock"](numbers=sorted(set(numbers.values())))
        mine, _, at = rows[0]
        mine = frozenset(mine)
        return frozenset(name for name, number in numbers.items() if number in mine), at


@lru_cache(READ)
def _number(name: str) -> int:
    return zlib.crc32(name.encode()) % LOCKS
