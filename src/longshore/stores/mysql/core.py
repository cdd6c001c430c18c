"""What a MariaDB or MySQL database does otherwise than other SQL stores: lists, counts, reading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar
from zlib import crc32

from longshore.core.limits import Limit, Setting
from longshore.core.model import JobRecord
from longshore.core.store import Retention
from longshore.stores.clock import Clock
from longshore.stores.mysql.text import MySQLQueries
from longshore.stores.sql.gates import Gating
from longshore.stores.sql.inspect import Inspecting
from longshore.stores.sql.statements import Row, Steps
from longshore.stores.sql.walk import Tally

#: Among how many locks keys are shared out; before them there are as many for queues with turns.
LOCKS = 4096
#: In how many claims a key starts jobs before its old starts are forgotten: each time costs more
#: than it saves, and maintenance forgets those of keys that nobody claims any more.
FORGET_AFTER = 8
#: Of how many keys that is counted; of more the count begins anew.
_COUNTED_KEYS = 20_000


class MySQLCore(Gating):
    """The hooks of :class:`longshore.stores.sql.core.Core` and of what is built on it."""

    database: ClassVar[str] = "mysql"

    def __init__(self, retention: Retention, clock: Clock | None, prefix: str) -> None:
        super().__init__(retention, clock, prefix)
        self.sql: MySQLQueries = MySQLQueries(prefix)
        self._claims_of: dict[str, int] = {}

    def listed(self, values: Sequence[Any]) -> Any:
        """A list as the drivers write it."""
        return tuple(values)

    def locked(self, keys: Iterable[str]) -> Steps[frozenset[str] | None]:
        """Let nobody else count these keys until this is committed."""
        yield from self.numbers_held([LOCKS + _number(key) for key in keys])
        return None

    def keys_had(self, keys: Iterable[str]) -> Steps[Mapping[str, int]]:
        """The same; all of them are there when the last one is."""
        keys = list(keys)
        yield from self.locked(keys)
        return dict.fromkeys(keys, (yield from self.time()))

    def turns_locked(self, queues: Sequence[str]) -> Steps[frozenset[str] | None]:
        """The same of queues whose values take turns; before any keys."""
        yield from self.numbers_held([_number(queue) for queue in queues])
        return None

    def keys_free(self, keys: Sequence[str]) -> Steps[frozenset[str]]:
        """Those of these keys that nobody else counts just now, locked."""
        free = yield from self.numbers_free([LOCKS + _number(key) for key in keys])
        return frozenset(key for key in keys if LOCKS + _number(key) in free)

    def turns_free(self, queues: Sequence[str]) -> Steps[frozenset[str]]:
        """The same of queues whose values take turns."""
        free = yield from self.numbers_free([_number(queue) for queue in queues])
        return frozenset(queue for queue in queues if _number(queue) in free)

    def numbers_free(self, numbers: Iterable[int]) -> Steps[frozenset[int]]:
        """Hold those of these locks that nobody else holds."""
        wanted = sorted(set(numbers))
        rows: list[Row] = yield self.sql["locks_free"](numbers=self.listed(wanted))
        if len(rows) < len(wanted):
            there: list[Row] = yield self.sql["locks_there"](numbers=self.listed(wanted))
            new = set(wanted).difference(number for (number,) in there)
            if new:
                yield self.sql["lock_add"].many([(number,) for number in sorted(new)])
                rows += [(number,) for number in sorted(new)]
        return frozenset(number for (number,) in rows)

    def numbers_held(self, numbers: Iterable[int]) -> Steps[None]:
        """Hold these locks, one after another in their order, until the operation ends."""
        wanted = sorted(set(numbers))
        while wanted:
            rows: list[Row] = yield self.sql["locks"](numbers=self.listed(wanted))
            if len(rows) == len(wanted):
                return
            there = {number for (number,) in rows}
            yield self.sql["lock_add"].many([(one,) for one in wanted if one not in there])

    def tallied(
        self, limits: Mapping[str, Limit], now: int, kinds: Mapping[str, int | None]
    ) -> Steps[Tally]:
        """How full these keys are: one statement for what was set and all that is counted."""
        rows: list[Row] = []
        if limits:
            asked = [(key, limit.name, limit.per) for key, limit in limits.items()]
            rows = yield self.sql["tally"](limits=self.listed(asked), now=now)
        settings = {name: Setting(most, per) for _, name, most, per, _ in rows if most is not None}
        return Tally({key: count for key, *_, count in rows}, settings, kinds)

    def unheld(self, ids: Sequence[str], *, gone: bool) -> Steps[None]:  # noqa: ARG002 - both alike
        """These jobs give up their unique keys, which stand in a table of their own."""
        if ids:
            yield self.sql["unhold"](ids=self.ids(ids))

    def forgotten(self, keys: Iterable[str], now: int) -> Steps[None]:
        """Forget starts of these keys that no window sees any more; others hold the rest."""
        ripe = [key for key in sorted(keys) if self._is_ripe(key)]
        if ripe:
            yield self.sql["starts_forget_of"](keys=self.listed(ripe), now=now)

    def _is_ripe(self, key: str) -> bool:
        if len(self._claims_of) >= _COUNTED_KEYS:
            self._claims_of.clear()
        claims = self._claims_of.get(key, 0) + 1
        self._claims_of[key] = claims % FORGET_AFTER
        return claims == FORGET_AFTER


class MySQLInspecting(MySQLCore, Inspecting):
    """What people ask, where this database can do it in fewer statements."""

    pages: ClassVar[bool] = True

    def records(self, ids: Sequence[str]) -> Steps[Mapping[str, JobRecord]]:
        # In one statement: a job that ends between two looks would be seen by neither.
        rows: list[Row] = yield self.sql["get"](ids=self.ids(list(dict.fromkeys(ids))))
        return {row[0]: self.record(row) for row in rows}


def _number(name: str) -> int:
    return crc32(name.encode()) % LOCKS
