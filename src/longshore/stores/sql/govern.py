"""What people set for kinds and limits of a SQL store, and what they read of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from longshore.core.limits import (
    KindRecord,
    Limit,
    LimitRecord,
    SetKind,
    SetLimit,
    Setting,
    kind_key,
)
from longshore.core.store import operation
from longshore.stores.sql.gates import Gating
from longshore.stores.sql.statements import Row, Steps
from longshore.stores.sql.walk import limits_of

#: What sorts behind everything that begins with a text that ends in ``:``.
_BEHIND = ";"


class Governing(Gating):
    """Paused kinds, limits that were set, and the keys that are in use."""

    @operation(writes=True)
    def set_kind(self, request: SetKind) -> Steps[None]:
        """Pause or resume a kind."""
        now = yield from self.time()
        key = kind_key(request.kind)
        opens: int | None = now
        if request.paused:
            opens = None if request.pause_for is None else now + request.pause_for
            yield self.sql["kind_pause"](kind=request.kind, reason=request.reason, until=opens)
        else:
            yield self.sql["kind_resume"](kind=request.kind)
        if opens is None:
            yield self.sql["opening_forget"](keys=self.listed([key]))
        else:
            yield self.sql["opening_set"].many([(key, opens)])
        if self.tells and not request.paused:
            yield from self.told()

    @operation(writes=False)
    def kinds(self) -> Steps[tuple[KindRecord, ...]]:
        """Every paused kind, by name."""
        now = yield from self.time()
        rows: list[Row] = yield self.sql["kinds"](now=now)
        return tuple(
            KindRecord(kind=kind, reason=reason, resumes_at=until)
            for kind, reason, until in sorted(rows, key=lambda row: row[0])
        )

    @operation(writes=True)
    def set_limit(self, request: SetLimit) -> Steps[None]:
        """Set what holds for a limit, and let go on what that lets go on."""
        now = yield from self.time()
        setting = request.setting
        if setting is None:
            yield self.sql["setting_forget"](name=request.name)
        else:
            yield self.sql["setting_set"](name=request.name, most=setting.to, per=setting.per)
        keys: list[str] = []
        for prefix in (f"c:{request.name}:", f"r:{request.name}:"):
            rows: list[Row] = yield self.sql["blocked_keys"](
                after=prefix[:-1], before=prefix[:-1] + _BEHIND, limit=-1
            )
            keys += [key for (key,) in rows if key.startswith(prefix)]
        if keys:
            tally, limits, _ = yield from self.first_blocked(keys, now)
            yield from self.admitted({key: tally.as_set(limit).to for key, limit in limits.items()})
        if self.tells:
            yield from self.told()

    @operation(writes=False)
    def limits(
        self, keys: Sequence[str] | None = None, *, limit: int = 1000
    ) -> Steps[tuple[LimitRecord, ...]]:
        """Limit keys by key, all or those asked for."""
        now = yield from self.time()
        settings = yield from self.settings()
        if keys is not None:
            asked = yield from self._records(sorted(set(keys)), settings, now)
            return tuple(asked[:limit])
        records: list[LimitRecord] = []
        unused = set(settings)
        after: str | None = self.key_ends[0]
        while after is not None and (unused or len(records) < limit):
            rows: list[Row] = yield self.sql["limit_keys"](after=after, limit=limit)
            some = [key for (key,) in rows]
            after = some[-1] if some and len(some) == limit else None
            if len(records) < limit:
                found = yield from self._records(some, settings, now)
                records += found
                some = [record.key for record in found]
            unused.difference_update(
                [name for name in unused if any(_is_of(key, name) for key in some)]
            )
        spare = [_unused(name, settings[name]) for name in sorted(unused)]
        return tuple((spare + records)[:limit])

    # --- helpers ---

    def _records(
        self, keys: Sequence[str], settings: Mapping[str, Setting], now: int
    ) -> Steps[list[LimitRecord]]:
        """Records of those of these keys that are in use."""
        if not keys:
            return []
        listed = self.listed(keys)
        holders: dict[str, list[str]] = {key: [] for key in keys}
        limits: dict[str, Limit] = {}
        rows: list[Row] = yield self.sql["slot_holders"](keys=listed)
        for key, job_id, rules in rows:
            holders[key].append(job_id)
            _learn(limits, key, rules)
        rows = yield self.sql["blocked_first"](keys=listed)
        for key, rules in rows:
            _learn(limits, key, rules)
        rows = yield self.sql["periods"](keys=listed)
        for key, most, per in rows:
            if key not in limits:
                name, _, value = key[2:].partition(":")
                limits[key] = Limit(name, value, most, per)
        counts: list[Row] = yield self.sql["blocked_counts"](keys=listed)
        blocked: dict[str, int] = dict(counts)
        tally = yield from self.tallied(limits, now, {})
        opening: list[Row] = yield self.sql["opens"](keys=listed)
        opens: dict[str, int] = dict(opening)
        records: list[LimitRecord] = []
        for key in keys:
            used = tally.counts.get(key, 0)
            waits = blocked.get(key, 0)
            if key not in limits or not (used or waits):
                continue
            limit = limits[key]
            holds = tally.as_set(limit)
            records.append(
                LimitRecord(
                    key=key,
                    name=limit.name,
                    value=limit.value,
                    to=holds.to,
                    per=holds.per,
                    used=used,
                    blocked=waits,
                    holders=tuple(sorted(holders[key])[:10]),
                    opens_at=opens.get(key) if waits else None,
                    setting=settings.get(limit.name),
                )
            )
        return records


def _is_of(key: str, name: str) -> bool:
    """Whether a key is one of a limit of this name."""
    return key.startswith((f"c:{name}:", f"r:{name}:"))


def _learn(limits: dict[str, Limit], key: str, rules: bytes | str | None) -> None:
    """What a job's rules say of a key."""
    limit = limits_of(rules).get(key)
    if limit is not None:
        limits.setdefault(key, limit)


def _unused(name: str, setting: Setting) -> LimitRecord:
    """A limit that was set and is not used."""
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
