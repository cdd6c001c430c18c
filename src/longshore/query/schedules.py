"""The schedules of a store by name: added, changed, paused and read at run time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import time_ns
from typing import Any, Final

import msgspec

from longshore.client import Plan, ask
from longshore.core.durations import Duration
from longshore.core.model import NewJob
from longshore.core.options import check_reason
from longshore.core.restraints import check_to
from longshore.core.schedules import (
    KEPT_TICKS,
    RETIRES,
    Answer,
    Declare,
    Entry,
    Schedule,
    ScheduleRecord,
    SetSchedule,
    TickRecord,
    job_of,
    meta_of,
)
from longshore.core.sealing import is_box
from longshore.core.ticks import coming
from longshore.core.wording import did_you_mean, shown
from longshore.core.zones import zone
from longshore.errors import InvalidOption, ScheduleInCode, ScheduleNotFound, Undecryptable
from longshore.handle import JobHandle
from longshore.ids import new_id
from longshore.job import BoundJob
from longshore.schedule import (
    CatchUpName,
    OverlapName,
    Planning,
    Times,
    When,
    check_name,
    schedule_of,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_TIMES: Final = 10_000


class Schedules:
    """The schedules of a store: those in code that a worker has declared, and those added here.

    Example: ``jobs.schedules.add("report-7", build_report.bind(7), "0 9 * * *")``
    """

    def __init__(self, app: Planning) -> None:
        self._app = app

    def add(
        self,
        name: str,
        job: BoundJob[Any],
        when: When,
        /,
        *,
        tz: str = "UTC",
        catch_up: CatchUpName = "one",
        max_age: Duration | None = None,
        overlap: OverlapName = "allow",
    ) -> None:
        """Add a schedule, or change the one of this name; any worker of the store fires it.

        What is changed so wins over the code until :meth:`reset`. With other times it begins anew:
        ticks that were due are recorded as missed.

        Parameters: ``job``, what ``bind`` of a job returns; ``when`` and the others as in
        ``@jobs.schedule``. Raises :class:`InvalidSchedule` and :class:`InvalidOption`.

        Example: ``jobs.schedules.add("report-7", build_report.bind(7), "0 9 * * *")``
        """
        times = Times.of(
            f"schedule {check_name(name)}",
            when,
            tz=tz,
            catch_up=catch_up,
            max_age=max_age,
            overlap=overlap,
        )
        schedule = self._schedule(name, job, times)
        self._app.client.follow(self._order("add", name, schedule=schedule))

    async def aadd(
        self,
        name: str,
        job: BoundJob[Any],
        when: When,
        /,
        *,
        tz: str = "UTC",
        catch_up: CatchUpName = "one",
        max_age: Duration | None = None,
        overlap: OverlapName = "allow",
    ) -> None:
        """The awaitable twin of :meth:`add`."""
        times = Times.of(
            f"schedule {check_name(name)}",
            when,
            tz=tz,
            catch_up=catch_up,
            max_age=max_age,
            overlap=overlap,
        )
        schedule = self._schedule(name, job, times)
        await self._app.client.afollow(self._order("add", name, schedule=schedule))

    def remove(self, name: str) -> None:
        """Forget a schedule that was added, or is in no code any more, and its ticks.

        Its jobs stay. Raises :class:`ScheduleNotFound`, and :class:`ScheduleInCode` for one that
        code declares: :meth:`pause` that one.
        """
        self._app.client.follow(self._order("remove", name))

    async def aremove(self, name: str) -> None:
        """The awaitable twin of :meth:`remove`."""
        await self._app.client.afollow(self._order("remove", name))

    def pause(self, name: str, reason: str | None = None) -> None:
        """Skip its ticks, and record them, until :meth:`resume`.

        Parameters: ``reason``, shown to people, cut to 1000 bytes. Raises
        :class:`ScheduleNotFound`.

        Example: ``jobs.schedules.pause("nightly-eu", reason="provider down")``
        """
        self._app.client.follow(self._order("pause", name, reason=reason))

    async def apause(self, name: str, reason: str | None = None) -> None:
        """The awaitable twin of :meth:`pause`."""
        await self._app.client.afollow(self._order("pause", name, reason=reason))

    def resume(self, name: str) -> None:
        """Fire again, from the next tick on; those of the pause stay skipped."""
        self._app.client.follow(self._order("resume", name))

    async def aresume(self, name: str) -> None:
        """The awaitable twin of :meth:`resume`."""
        await self._app.client.afollow(self._order("resume", name))

    def reset(self, name: str) -> None:
        """Let the code say again what holds: what was changed or paused at run time is undone."""
        self._app.client.follow(self._order("reset", name))

    async def areset(self, name: str) -> None:
        """The awaitable twin of :meth:`reset`."""
        await self._app.client.afollow(self._order("reset", name))

    def run_now(self, name: str) -> JobHandle[Any]:
        """Enqueue its job now, beside its ticks, paused or not; returns the job's handle.

        Raises :class:`ScheduleNotFound`, and what ``enqueue`` raises.

        Example: ``jobs.schedules.run_now("nightly-eu").result(timeout=60)``
        """
        job = self._job(self.get(name))
        return self._app.enqueue_one(self._app.registry.find(job.kind), job)

    async def arun_now(self, name: str) -> JobHandle[Any]:
        """The awaitable twin of :meth:`run_now`."""
        job = self._job(await self.aget(name))
        return await self._app.aenqueue_one(self._app.registry.find(job.kind), job)

    def run_with(self, name: str, payload: bytes) -> JobHandle[Any]:
        """As :meth:`run_now`, with other arguments, encoded and checked."""
        job = self._job(self.get(name))
        declaration = self._app.registry.find(job.kind)
        sealer = None if declaration is None else declaration.sealer
        if is_box(job.payload):
            sealer = sealer or self._app.sealer
        sealed = payload if sealer is None else sealer.call(job.id, job.kind, payload)
        job = msgspec.structs.replace(job, payload=sealed)
        if declaration is not None and declaration.restraints is not None:
            identity, rules = declaration.restraints.read(payload)
            job = msgspec.structs.replace(job, identity=identity, rules=rules)
        return self._app.enqueue_one(declaration, job)

    def call(self, name: str) -> bytes:
        """The arguments that its jobs get, encoded; raises :class:`Undecryptable`."""
        job = self.get(name).schedule.job
        if not is_box(job.payload):
            return job.payload
        sealer = self._app.sealer
        if sealer is None:
            raise Undecryptable(
                f"the arguments of schedule {name} are encrypted, and this process has no keys."
                " Give it encryption_keys."
            )
        return sealer.opened_call(job.id, job.kind, job.payload)

    def next(self, name: str, count: int = 5) -> tuple[datetime, ...]:
        """The times at which it comes next, in its own time zone; paused or not.

        Parameters: ``count``, how many, 1 to 10 000. Raises :class:`ScheduleNotFound`.

        Example: ``jobs.schedules.next("nightly-eu", 3)``
        """
        return self._app.client.follow(self._next(name, count))

    async def anext(self, name: str, count: int = 5) -> tuple[datetime, ...]:
        """The awaitable twin of :meth:`next`."""
        return await self._app.client.afollow(self._next(name, count))

    def list(self) -> tuple[ScheduleRecord, ...]:
        """Every schedule by name; those of this code too that no worker has declared yet."""
        return self._app.client.follow(self._list())

    async def alist(self) -> tuple[ScheduleRecord, ...]:
        """The awaitable twin of :meth:`list`."""
        return await self._app.client.afollow(self._list())

    def get(self, name: str) -> ScheduleRecord:
        """One schedule; raises :class:`ScheduleNotFound`."""
        return self._app.client.follow(self._get(name))

    async def aget(self, name: str) -> ScheduleRecord:
        """The awaitable twin of :meth:`get`."""
        return await self._app.client.afollow(self._get(name))

    def ticks(self, name: str, limit: int = 20) -> tuple[TickRecord, ...]:
        """What became of its last ticks, the newest first; a thousand are kept.

        Example: ``[tick.outcome for tick in jobs.schedules.ticks("nightly-eu")]``
        """
        return self._app.client.follow(self._ticks(name, limit))

    async def aticks(self, name: str, limit: int = 20) -> tuple[TickRecord, ...]:
        """The awaitable twin of :meth:`ticks`."""
        return await self._app.client.afollow(self._ticks(name, limit))

    def __repr__(self) -> str:
        return "<schedules>"

    # --- one body for each pair of twins ------------------------------------------------------

    def _schedule(self, name: str, job: BoundJob[Any], times: Times) -> Schedule:
        if not _is_bound(job):
            msg = (
                f"schedule {name}: {shown(job)} is not a bound job; give what bind() of a job"
                " returns"
            )
            raise InvalidOption(msg)
        return schedule_of(self._app, name, times, job)

    def _order(
        self,
        verb: str,
        name: str,
        *,
        schedule: Schedule | None = None,
        reason: str | None = None,
    ) -> Plan[None]:
        store, app = self._app.client.store, self._app.planned.app
        check_name(name)
        told = check_reason(reason, field=f"schedule {name}: reason")
        order = SetSchedule(name=name, verb=verb, app=app, schedule=schedule, reason=told)
        if name in self._app.planned:
            # It may not be stored yet; and what is ordered of it is meant for what the code says.
            declared = self._app.planned.schedules()
            yield from ask(store.declare(Declare(app, declared)))
        answer = yield from ask(store.set_schedule(order))
        if answer is Answer.UNKNOWN:
            yield from self._unknown(name)
        if answer is Answer.IN_CODE:
            raise ScheduleInCode(
                f"schedule {name} is declared in code, which would bring it back; nothing was"
                " changed. Take it out of the code, or pause it."
            )

    def _list(self) -> Plan[tuple[ScheduleRecord, ...]]:
        stored = yield from ask(self._app.client.store.schedules())
        found = {record.name: record for record in stored}
        for schedule in self._app.planned.schedules():
            found[schedule.name] = self._as_it_holds(schedule, found.get(schedule.name))
        return tuple(found[name] for name in sorted(found))

    def _get(self, name: str) -> Plan[ScheduleRecord]:
        check_name(name)
        stored = yield from ask(self._app.client.store.schedules([name]))
        declared = self._app.planned.find(name)
        if declared is not None:
            return self._as_it_holds(declared, stored[0] if stored else None)
        if not stored:
            yield from self._unknown(name)
        return stored[0]

    def _as_it_holds(self, declared: Schedule, record: ScheduleRecord | None) -> ScheduleRecord:
        """One in this code: what the code says, unless another version is there and lives."""
        app = self._app.planned.app
        if record is None:
            return _not_stored(app, declared)
        if record.entry.app != app or record.now - record.seen_at < RETIRES:
            return record
        entry = msgspec.structs.replace(record.entry, coded=declared, retired_at=None)
        return msgspec.structs.replace(record, entry=entry)

    def _unknown(self, name: str) -> Plan[None]:
        known = yield from self._list()
        near = did_you_mean(name, [record.name for record in known])
        raise ScheduleNotFound(
            f"there is no schedule {name!r} in this store.{near} `longshore schedules list` shows"
            " those that there are."
        )

    def _next(self, name: str, count: int) -> Plan[tuple[datetime, ...]]:
        check_to(count, field="count", most=_MOST_TIMES)
        record = yield from self._get(name)
        return shown_times(record, count)

    def _ticks(self, name: str, limit: int) -> Plan[tuple[TickRecord, ...]]:
        most = check_to(limit, field="limit")
        yield from self._get(name)
        return (yield from ask(self._app.client.store.ticks(name, limit=min(most, KEPT_TICKS))))

    def _job(self, record: ScheduleRecord) -> NewJob:
        now = time_ns() // 1000
        template = record.schedule.job
        job = job_of(template, now, now, new_id(), record.name)
        return msgspec.structs.replace(job, meta=meta_of(template, record.name, None))


def _is_bound(job: object) -> bool:
    return isinstance(job, BoundJob)


def shown_times(record: ScheduleRecord, count: int) -> tuple[datetime, ...]:
    """The next times of a schedule as the wall of its zone shows them."""
    tz = zone(record.schedule.tz)
    return tuple(in_zone(at, tz) for at in coming(record, record.now, count))


def in_zone(at: int, tz: Any) -> datetime:
    """Microseconds since 1970 as a time of a zone."""
    return (_EPOCH + timedelta(microseconds=at)).astimezone(tz)


def _not_stored(app: str, schedule: Schedule) -> ScheduleRecord:
    now = time_ns() // 1000
    return ScheduleRecord(
        name=schedule.name,
        revision=0,
        seen_at=0,
        watermark=now,
        last_job=None,
        last_at=None,
        fired=0,
        skipped=0,
        missed=0,
        firing=None,
        entry=Entry(app=app, coded=schedule),
        now=now,
    )
