"""What people set at run time in the memory store, and see of it: paused kinds, limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import nsmallest

from longshore.core.limits import KindRecord, Limit, LimitRecord, SetKind, SetLimit, kind_key
from longshore.stores.memory.holds import Holding
from longshore.stores.memory.row import Row

#: How many of the running jobs of a key are named.
NAMED = 10


class Governing(Holding):
    """Kinds and limits as people order and read them."""

    def set_kind(self, request: SetKind) -> None:
        now = self.clock.wall_us()
        if request.paused:
            pause = request.pause_for
            self.kinds[request.kind] = (request, None if pause is None else now + pause)
        elif self.kinds.pop(request.kind, None) is not None:
            self.stirred = True
        self.reopen(kind_key(request.kind), now)

    def kind_records(self) -> tuple[KindRecord, ...]:
        now = self.clock.wall_us()
        return tuple(
            KindRecord(kind=kind, reason=request.reason, resumes_at=until)
            for kind, (request, until) in sorted(self.kinds.items())
            if self.is_held(kind, now)
        )

    def set_limit(self, request: SetLimit) -> None:
        now = self.clock.wall_us()
        if request.setting is None:
            self.settings.pop(request.name, None)
        else:
            self.settings[request.name] = request.setting
        begins = (f"c:{request.name}:", f"r:{request.name}:")
        for key in [key for key in self.gates if key.startswith(begins)]:
            self.admit_all(key, now)

    def limit_records(self, keys: Sequence[str] | None, limit: int) -> tuple[LimitRecord, ...]:
        now = self.clock.wall_us()
        limits = {key: self._declared(key) for key in self._keys()}
        used = {one.name for one in limits.values() if one is not None}
        records: list[LimitRecord] = []
        if keys is None:
            records = [self._unused(name) for name in sorted(self.settings.keys() - used)]
        for key in sorted(limits if keys is None else limits.keys() & set(keys)):
            declared = limits[key]
            if declared is not None:
                records.append(self._limit_record(key, declared, now))
        return tuple(records[:limit])

    def _keys(self) -> Iterable[str]:
        """Every key that is used or blocks jobs."""
        kinds = kind_key("")
        blocking = {key for key in self.gates if not key.startswith(kinds)}
        return self.slots.keys() | self.starts.keys() | blocking

    def _declared(self, key: str) -> Limit | None:
        """The limit as one of its jobs declares it: one that waits, that runs or that ran last."""
        if key in self.gates:
            first = self.gates[key].first()
            return None if first is None else _limit_of(first, key)
        if key in self.slots:
            return _limit_of(next(iter(self.slots[key].values())), key)
        return self.starts[key].limit

    def _limit_record(self, key: str, declared: Limit, now: int) -> LimitRecord:
        limit = self.now_is(declared)
        gate = self.gates.get(key)
        holders = self.slots.get(key, {})
        return LimitRecord(
            key=key,
            name=limit.name,
            value=limit.value,
            to=limit.to,
            per=limit.per,
            used=limit.to - self.room(declared, now),
            blocked=0 if gate is None else gate.count,
            holders=tuple(nsmallest(NAMED, holders)),
            opens_at=None if limit.per is None else self.opens.get(key),
            setting=self.settings.get(limit.name),
        )

    def _unused(self, name: str) -> LimitRecord:
        setting = self.settings[name]
        return LimitRecord(
            key="",
            name=name,
            value="",
            to=setting.to,
            per=setting.per,
            used=0,
            blocked=0,
            holders=(),
            opens_at=None,
            setting=setting,
        )


def _limit_of(row: Row, key: str) -> Limit | None:
    limits = () if row.new.rules is None else row.new.rules.limits
    return next((limit for limit in limits if limit.key == key), None)
