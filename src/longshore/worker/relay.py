"""Relays the outbox: jobs that wait in the application's database go to the store they are for.

Every worker does it, in a thread of its own. Inserting by id may be repeated, so it may die at any
moment and be run by any number of workers at once: nothing is lost and nothing stored twice. The
thread ends with :meth:`Relay.stop`; the outbox is closed by who opened it.
"""

from __future__ import annotations

import threading
from random import uniform
from typing import cast

from longshore.core.model import Inserted, NewJob
from longshore.core.outbox import Outbox, decode, elsewhere
from longshore.core.store import Store
from longshore.errors import (
    ClientClosed,
    EnqueueError,
    PayloadError,
    SchemaMismatch,
    StoreBusy,
    StoreError,
    StoreFull,
    StoreUnavailable,
    StoreUnwritable,
    UnknownPayloadVersion,
)
from longshore.worker.journal import log

#: How often to look, seconds; so many rows at once; and for how long others leave them alone, µs.
LOOK = 0.5
BATCH = 500
HOLD = 10_000_000
LONGEST_WAIT = 10.0

#: Trouble of the whole store: waiting helps. Any other refusal is about one job.
_PASSING = (
    StoreUnavailable,
    StoreBusy,
    StoreFull,
    StoreUnwritable,
    SchemaMismatch,
    ClientClosed,
)


class Relay:
    """One worker's share of the relay. ``outbox`` is a SQL store, opened for its outbox alone."""

    def __init__(self, store: Store, outbox: Store) -> None:
        self._store = store
        self._outbox = outbox
        self._rows = cast("Outbox", outbox)
        self._id: str | None = None
        self._left: set[int] = set()  # rows of a newer release
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live, name="longshore-relay", daemon=True)

    def start(self) -> None:
        """Relay in the background until :meth:`stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait for the batch under way."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=6)

    def drain(self) -> None:
        """Relay what is there now; raises :class:`StoreError` when one of the two fails."""
        while not self._stop.is_set() and self.once() >= BATCH:
            pass

    def once(self) -> int:
        """Relay the first rows; returns of how many there is nothing left to do."""
        if self._id is None:
            self._id = self._store.run(self._store.identity())
            if self._id is None:
                return 0
            self._tell_of_others(self._id)
        rows = self._outbox.run(self._rows.outbox_take(self._id, BATCH, HOLD))
        if not rows:
            return 0
        places: dict[int, NewJob] = {}
        parked: list[tuple[int, str]] = []
        left: list[int] = []
        for row in rows:
            try:
                places[row.position] = decode(row.job)
            except UnknownPayloadVersion as error:
                self._leave(row.position, str(error))
                # The first one stands for all of them: those behind it are not to wait for it.
                left = left or [rows[0].position]
            except PayloadError as error:
                parked.append((row.position, str(error)))
        done, refused = self._deliver(places)
        parked += refused
        self._outbox.run(self._rows.outbox_settle(done, parked, left))
        for position, why in parked:
            log.error(
                "row %d of the outbox %s cannot be relayed and is parked there: %s",
                position,
                self._outbox.address,
                why,
            )
        return len(done) + len(parked)

    # --- helpers ------------------------------------------------------------------------------

    def _tell_of_others(self, store: str) -> None:
        """A store that was emptied is another one: what was on its way to it waits for a person."""
        others = self._outbox.run(self._rows.outbox_elsewhere(store))
        if others:
            log.warning("%s", elsewhere(others))

    def _leave(self, position: int, why: str) -> None:
        """A row stays as it is: a worker of the newer release takes it."""
        if position not in self._left:
            self._left.add(position)
            log.warning("row %d of the outbox %s waits: %s", position, self._outbox.address, why)

    def _deliver(self, places: dict[int, NewJob]) -> tuple[list[int], list[tuple[int, str]]]:
        """Store jobs in their order; gives the rows that have arrived, and those that cannot."""
        if not places:
            return [], []
        positions, jobs = list(places), list(places.values())
        try:
            answers = self._store.run(self._store.insert(jobs))
        except _PASSING:
            raise
        except StoreError as error:
            if len(jobs) == 1:
                return [], [(positions[0], f"job {jobs[0].kind} ({jobs[0].id}): {error}")]
            return self._one_by_one(places)
        bad = {
            position: _conflict(job, answer)
            for (position, job), answer in zip(places.items(), answers, strict=True)
            if answer.conflict
        }
        if not bad:
            return positions, []
        # A conflict leaves all of them unwritten: the others once more, without it.
        done, refused = self._deliver({at: job for at, job in places.items() if at not in bad})
        refused += bad.items()
        return done, refused

    def _one_by_one(self, places: dict[int, NewJob]) -> tuple[list[int], list[tuple[int, str]]]:
        done: list[int] = []
        refused: list[tuple[int, str]] = []
        for position, job in places.items():
            arrived, not_so = self._deliver({position: job})
            done += arrived
            refused += not_so
        return done, refused

    def _live(self) -> None:
        wait = 0.0
        while not self._stop.wait(wait * uniform(0.8, 1.0)):  # noqa: S311 - spreads workers
            try:
                self.drain()
                wait = LOOK
            except (StoreError, EnqueueError) as error:
                wait = min(max(wait, LOOK) * 2, LONGEST_WAIT)
                log.warning("the outbox could not be relayed (%s); again in %.1f s", error, wait)
            except Exception:  # noqa: BLE001 - see below
                # A relay that stops over a fault of ours would hold back every job behind it.
                wait = LONGEST_WAIT
                log.exception("the outbox could not be relayed")


def started(store: Store, outbox: Store | None, *, drain: bool = True) -> Relay | None:
    """The relay of a worker, at work; ``None`` where there is no outbox.

    To ``drain``: what waits is relayed before this returns, unless one of the two is away.
    """
    if outbox is None:
        return None
    relay = Relay(store, outbox)
    try:
        if drain:
            relay.drain()
    except (StoreError, EnqueueError) as error:  # of what is uncertain another try is no repeat
        log.warning("the outbox could not be relayed yet: %s", error)
    relay.start()
    return relay


def _conflict(job: NewJob, answer: Inserted) -> str:
    why = "another job has this id, with another payload"
    if answer.held:
        why = f"job {answer.id} holds its unique key"
    return f"job {job.kind} ({job.id}): {why}"
