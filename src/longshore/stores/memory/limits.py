"""Limits and paused kinds of the memory store: what is used, who waits for what, what opens when.

A row that a claim finds not to be its time is *blocked*: it waits behind the key, out of its line,
so that no claim looks at it again until there is room. For every key and queue at least as many
rows stand in the line as the key has room for; so whatever makes room, or takes a row out of the
line without starting it, admits the next of those that wait.
"""

from __future__ import annotations

from heapq import heappop, heappush

from longshore.core.limits import BLOCKED, Limit, SetKind, Setting, effective, kind_key
from longshore.core.store import Retention
from longshore.stores.clock import Clock
from longshore.stores.memory.gates import Gate, Spot, Starts, Times
from longshore.stores.memory.row import Row
from longshore.stores.memory.rows import AVAILABLE, Rows


class Limiting(Rows):
    """Rows that limits and paused kinds hold back."""

    def __init__(self, retention: Retention, clock: Clock) -> None:
        super().__init__(retention, clock)
        self.settings: dict[str, Setting] = {}
        self.kinds: dict[str, tuple[SetKind, int | None]] = {}
        #: The running rows under each key of a concurrency limit, the starts under each of a rate.
        self.slots: dict[str, dict[str, Row]] = {}
        self.starts: dict[str, Starts] = {}
        self.gates: dict[str, Gate] = {}
        self.opens = Times()
        #: Keys with room for more than may be admitted at once.
        self.more: set[str] = set()
        #: When a part of a rate key's starts counts no more.
        self.gone: list[tuple[int, str, int]] = []
        #: How many rows have been admitted: whoever looks at lines sees that they have changed.
        self.admitted = 0

    # --- what a claim asks and does ---

    def blocker(self, row: Row, now: int) -> str | None:
        """The key that a row has to wait for, if any."""
        if self.kinds and self.is_held(row.new.kind, now):
            return kind_key(row.new.kind)
        if row.new.rules is not None:
            for limit in row.new.rules.limits:
                if self.room(limit, now) <= 0:
                    return limit.key
        return None

    def room(self, limit: Limit, now: int) -> int:
        """How many more jobs may start under a limit."""
        limit = self.now_is(limit)
        if limit.per is None:
            return limit.to - len(self.slots.get(limit.key, ()))
        starts = self.starts.get(limit.key)
        return limit.to if starts is None else limit.to - starts.inside(limit.per, now)

    def occupy(self, row: Row, now: int) -> None:
        """A row starts to run: it uses all of its limits."""
        rules = row.new.rules
        if rules is None:
            return
        for declared in rules.limits:
            limit = self.now_is(declared)
            key = limit.key
            if limit.per is None:
                self.slots.setdefault(key, {})[row.new.id] = row
                continue
            if key not in self.starts:
                self.starts[key] = Starts(declared)
            part = self.starts[key].add(limit.per, now)
            self.starts[key].limit = declared
            if part is not None:
                heappush(self.gone, (now + limit.per, key, part))
        if rules.hold is not None and rules.hold.until_started:
            self.unhold(row)

    def block(self, row: Row, key: str, now: int) -> None:
        """A row that was taken out of its line waits behind a key."""
        row.blocked_by = key
        gate = self.gates.get(key)
        if gate is None:
            gate = self.gates[key] = Gate()
        gate.add(_spot(row, key), self.entry(row))
        self.left(row, now, but=key)

    def reopen(self, key: str, now: int) -> None:
        """Note when a key opens for those that wait behind it."""
        gate = self.gates.get(key)
        if gate is not None:
            self.opens.set(key, now if key in self.more else self._opens_at(gate, key, now))

    # --- admitting ---

    def admit(self, key: str, most: int, now: int) -> None:
        """Put the first of those that wait behind a key back into their lines, as room allows."""
        gate = self.gates.get(key)
        if gate is None:
            return
        for spot in list(gate.lanes):
            room = self._room_at(key, spot, now)
            if room <= 0:
                continue
            rows = gate.take(spot, min(most, room))
            self.admitted += len(rows)
            for row in rows:
                row.blocked_by = None
                self.place(row)
        if not gate.count:
            self._unlock(key)

    def admit_opened(self, now: int) -> None:
        """Admit those whose keys have opened by now."""
        for key in self.opens.over(now):
            self.admit_all(key, now)

    def admit_all(self, key: str, now: int) -> None:
        """Admit all that a key has room for, or else as many as are admitted at once."""
        self.admit(key, BLOCKED, now)
        gate = self.gates.get(key)
        if gate is not None:
            rooms = [self._room_at(key, spot, now) for spot in gate.lanes]
            (self.more.add if max(rooms) > BLOCKED else self.more.discard)(key)
            self.reopen(key, now)

    def admit_any(self, limit: int, now: int) -> None:
        """Admit wherever there is room: a net below what admits in its own place."""
        for key in list(self.gates)[:limit]:
            self.admit(key, min(limit, BLOCKED), now)

    def left(self, row: Row, now: int, but: str | None = None) -> None:
        """A row has left its line and does not start: others may come in its stead."""
        if row.new.rules is not None and self.gates:
            for limit in row.new.rules.limits:
                if limit.key != but:
                    self.admit(limit.key, 1, now)

    # --- steps of a row ---

    def withdraw(self, row: Row) -> None:
        """Take a row out of its line, from behind a key, or from among the running and parked."""
        key = row.blocked_by
        if key is not None:
            row.place, row.blocked_by = 0, None
            self.gates[key].forget(_spot(row, key), row)
            if not self.gates[key].count:
                self._unlock(key)
            return
        stood = row.place and row.state is AVAILABLE
        super().withdraw(row)
        if stood and row.new.rules is not None:
            self.left(row, self.clock.wall_us())

    def drop_running(self, row: Row) -> None:
        super().drop_running(row)
        if row.new.rules is not None:
            self.vacate(row)

    def vacate(self, row: Row) -> None:
        """A row that has rules runs no more: its slots are the next one's."""
        rules = row.new.rules
        if rules is None:
            return
        for limit in rules.limits:
            holders = self.slots.get(limit.key)
            if limit.per is None and holders is not None:
                holders.pop(row.new.id, None)
                if not holders:
                    del self.slots[limit.key]
                self.admit(limit.key, 1, self.clock.wall_us())

    # --- looking ---

    def now_is(self, limit: Limit) -> Limit:
        """A declared limit as it holds now."""
        setting = self.settings.get(limit.name) if self.settings else None
        return limit if setting is None else effective(limit, setting)

    def is_held(self, kind: str, now: int) -> bool:
        """Whether a kind is paused now."""
        if kind not in self.kinds:
            return False
        until = self.kinds[kind][1]
        return until is None or until > now

    def forget_starts(self, limit: int, now: int) -> None:
        """Forget starts that count no more, of keys that nobody asks for."""
        gone = self.gone
        while gone and limit > 0 and gone[0][0] <= now:
            _, key, number = heappop(gone)
            limit -= 1
            starts = self.starts.get(key)
            part = None if starts is None else starts.parts.get(number)
            if starts is None or part is None:
                continue
            if part[2] > now:
                heappush(gone, (part[2], key, number))
                continue
            starts.forget(number)
            if not starts.parts:
                del self.starts[key]

    def _opens_at(self, gate: Gate, key: str, now: int) -> int | None:
        times: list[int] = []
        for _, declared in gate.lanes:
            if declared is None:
                kind = key.removeprefix(kind_key(""))
                return self.kinds[kind][1] if self.is_held(kind, now) else now
            limit = self.now_is(declared)
            starts = self.starts.get(key)
            if limit.per is not None and starts is not None:
                at = starts.opens_at(limit.per, now)
                times += [] if at is None else [at]
        return min(times, default=None)

    def _room_at(self, key: str, spot: Spot, now: int) -> int:
        """How many of those that wait at a spot may start as far as its key goes."""
        limit = spot[1]
        if limit is not None:
            return self.room(limit, now)
        return 0 if self.is_held(key.removeprefix(kind_key("")), now) else BLOCKED

    def _unlock(self, key: str) -> None:
        """Nobody waits behind a key any more."""
        del self.gates[key]
        self.more.discard(key)
        self.opens.set(key, None)


def _spot(row: Row, key: str) -> Spot:
    """Where a row waits behind a key."""
    limits = () if row.new.rules is None else row.new.rules.limits
    return row.queue, next((limit for limit in limits if limit.key == key), None)
