"""Fires schedules: wakes at each nominal time and settles the ticks that are due.

Every worker does it, in a thread of its own, and there is no leader: a tick is compared and settled
in one write of the store, so that any number of workers, paused and late ones among them, come to
one job for it. The thread ends with :meth:`Ticker.stop`; what it leaves undone others do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from random import uniform
from typing import Final

from longshore.core.durations import describe
from longshore.core.schedules import (
    Declare,
    Fired,
    Firing,
    Outcome,
    Schedule,
    ScheduleRecord,
    TickRecord,
)
from longshore.core.store import Store
from longshore.core.ticks import MOST_JOBS, MOST_TICKS, next_due, planned, settled
from longshore.errors import ClientClosed, InvalidSchedule, StoreError
from longshore.ids import new_id
from longshore.middleware import Event
from longshore.worker.journal import log

#: How often to look for changes of schedules and to say what this application declares, seconds.
LOOK: Final = 1.0
DECLARE: Final = 10.0
#: Looking takes at most this part of the time, however many schedules there are.
SHARE: Final = 0.01
#: How fast two clocks may part, seconds in a second.
DRIFT: Final = 0.001
#: A tick that others have settled meanwhile: look again soon.
SOON: Final = 0.01

Tell = Callable[[tuple[Event, ...]], None]


class Ticker:
    """Fires the schedules of one application, and those that were added at run time.

    Parameters: ``app``, the application's name; ``tell``, told what was settled here.
    """

    def __init__(self, store: Store, app: str, tell: Tell) -> None:
        self._store = store
        self._app = app
        self._tell = tell
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._live, name="longshore-ticker", daemon=True)
        self._declared: tuple[Schedule, ...] = ()
        self._fresh = False
        self._refused: tuple[str, ...] = ()
        self._records: dict[str, ScheduleRecord] = {}
        self._due: dict[str, tuple[int, int | None]] = {}  # by name: revision, next tick
        #: By name: the clock of its store or shard, less the monotonic one here, seconds.
        self._ahead: dict[str, float] = {}
        self._look_at = self._declare_at = self._looked_at = 0.0

    def start(self, declared: Sequence[Schedule]) -> None:
        """Declare what the code has, and begin."""
        self.declare(declared)
        self._thread.start()

    def declare(self, declared: Sequence[Schedule]) -> None:
        """What the code has now: of a process that has just loaded it."""
        self._declared, self._fresh = tuple(declared), True
        self._declare_at = 0.0
        self._wake.set()

    def stop(self) -> None:
        """Stop, and wait for the firing under way."""
        self._stop.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=6)

    def turn(self) -> float:
        """Declare, look and fire, each if it is time; how long to sleep, seconds."""
        now = time.monotonic()
        if now >= self._declare_at:
            self._declare()
        if now >= self._look_at:
            self._look()
        for firings in self._pieces():
            done = self._store.run(self._store.fire(firings))
            self._note(firings, done)
            if not all(one.held for one in done):
                # Who was late looks at what others have done.
                self._look_at = 0.0
                return SOON
            if self._stop.is_set():
                break
        return self._pause()

    # --- helpers ---

    def _live(self) -> None:
        while not self._stop.is_set():
            try:
                pause = self.turn()
            except ClientClosed:
                return
            except StoreError as error:
                log.warning("schedules could not be looked after: %s", error)
                pause = LOOK
            except Exception:  # noqa: BLE001 - a thread that ends over a fault of ours fires nothing
                log.exception("schedules could not be looked after")
                pause = LOOK
            self._wake.wait(pause)
            self._wake.clear()

    def _declare(self) -> None:
        self._declare_at = time.monotonic() + DECLARE * uniform(0.9, 1.0)  # noqa: S311
        fresh, self._fresh = self._fresh, False
        request = Declare(self._app, self._declared, fresh)
        try:
            refused = self._store.run(self._store.declare(request))
        except StoreError:
            self._fresh = self._fresh or fresh
            self._declare_at = 0.0
            raise
        except Exception:  # noqa: BLE001 - what is stored fires, whatever is wrong with these
            self._fresh = self._fresh or fresh
            log.exception("the schedules of %s could not be declared", self._app)
            return
        for name in refused:
            if name not in self._refused:
                log.error(
                    "the schedule %r of %s does not fire: another application in this store, or"
                    " another shard, has one of that name; give it another name=",
                    name,
                    self._app,
                )
        self._refused = refused
        if fresh:
            self._look_at = 0.0

    def _look(self) -> None:
        began = time.monotonic()
        found = self._store.run(self._store.schedules())
        ended = time.monotonic()
        # The first answer may be late for want of a connection: the second is not put off for that.
        rest = (ended - began) / SHARE if self._records else 0.0
        self._look_at = ended + max(LOOK * uniform(0.9, 1.0), rest)  # noqa: S311
        # Schedules in code of others are theirs: whether they live is known to them alone.
        self._records = {
            one.name: one for one in found if one.entry.app == self._app or one.entry.coded is None
        }
        self._due = {name: self._due[name] for name in self._due.keys() & self._records.keys()}
        self._ahead = {one.name: self._clock(one, began, ended) for one in found}
        self._looked_at = ended

    def _clock(self, one: ScheduleRecord, began: float, ended: float) -> float:
        """How far its store's clock is ahead of ours, or less; never more, to fire nothing early.

        Between the question and the answer the store said its time: nobody knows when, so that it
        is taken for the last moment. Where that was long, what was known before is better.
        """
        least, most = one.now / 1e6 - ended, one.now / 1e6 - began
        known = self._ahead.get(one.name, least) - DRIFT * (ended - self._looked_at)
        return max(least, min(known, most))

    def _next(self, record: ScheduleRecord) -> int | None:
        revision, due = self._due.get(record.name, (0, None))
        if revision != record.revision:
            try:
                due = next_due(record)
            except InvalidSchedule as error:
                # Of a newer release, or of a machine with more time zones: others fire it.
                due = None
                log.error("the schedule %r is not fired by this worker: %s", record.name, error)
            self._due[record.name] = (record.revision, due)
        return due

    def _pieces(self) -> Iterator[list[Firing]]:
        """What is due, in pieces that a store settles without keeping others waiting."""
        piece: list[Firing] = []
        jobs = ticks = 0
        for firing in self._firings():
            piece.append(firing)
            ticks += len(firing.ticks)
            jobs += sum(due.job is not None for due in firing.ticks)
            if jobs >= MOST_JOBS or ticks >= MOST_TICKS:
                yield piece
                piece, jobs, ticks = [], 0, 0
        if piece:
            yield piece

    def _firings(self) -> Iterator[Firing]:
        for record in tuple(self._records.values()):
            due = self._next(record)
            now = int((time.monotonic() + self._ahead[record.name]) * 1_000_000)
            if due is not None and due <= now:
                firing = planned(record, now, new_id)
                if firing is not None:
                    yield firing
                else:  # what was due is not any more
                    del self._due[record.name]

    def _pause(self) -> float:
        """Until the next tick, the next look or the next declaration."""
        times = [self._look_at, self._declare_at]
        for record in self._records.values():
            due = self._next(record)
            if due is not None:
                times.append(due / 1e6 - self._ahead[record.name])
        return max(0.0, min(times) - time.monotonic())

    def _note(self, firings: Sequence[Firing], done: Sequence[Fired]) -> None:
        events: list[Event] = []
        for firing, one in zip(firings, done, strict=True):
            record = self._records[one.name]
            if one.held:
                # As it is stored now, unless somebody else has changed it: then nothing holds.
                self._records[one.name] = settled(firing, one.ticks, record)
            for tick in one.ticks:
                _log(record, tick)
                events.append(_event(record, tick))
        if events:
            self._tell(tuple(events))


def _event(record: ScheduleRecord, tick: TickRecord) -> Event:
    job = record.schedule.job
    return Event(
        name=f"schedule.{tick.outcome}",
        schedule=record.name,
        job_id=tick.job_id,
        kind=job.kind,
        queue=job.queue,
        reason=tick.why,
    )


def _log(record: ScheduleRecord, tick: TickRecord) -> None:
    late = describe(max(0, tick.made_at - tick.at))
    match tick.outcome:
        case Outcome.FIRED:
            log.info("schedule %s fired %s late: job %s", record.name, late, tick.job_id)
        case Outcome.SKIPPED | Outcome.MISSED:
            log.info("schedule %s %s a tick: %s", record.name, tick.outcome, tick.why)
