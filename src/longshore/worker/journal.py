"""What a worker tells: log lines, events for the application, and hooks of job classes.

All of it happens after the store has it, in the process that did it, best effort; what calls code
of the application in a thread of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, cast

import msgspec

from longshore.core.durations import describe
from longshore.core.interruptions import POISON
from longshore.core.model import ENDED, Ending, JobState, Lease, Why
from longshore.core.store import Rescued, Store
from longshore.middleware import Around, Event, EventName
from longshore.worker.teller import Teller

if TYPE_CHECKING:  # a supervisor has the log from here, and runs nothing
    from longshore.running import RunState
    from longshore.worker.perform import Performer

log = logging.getLogger("longshore.worker")

_ENDED: dict[JobState, EventName] = {
    JobState.SUCCEEDED: "job.succeeded",
    JobState.RETRYING: "job.retrying",
    JobState.CANCELLED: "job.cancelled",
    JobState.DEAD: "job.dead",
}
_EVENTS: tuple[EventName, ...] = (*_ENDED.values(), "job.failed", "job.parked")


#: So many jobs are named in one line of the log.
NAMED = 100


class Journal:
    """Tells what became of runs. Silent and almost free when nobody listens."""

    def __init__(self, around: Around, performer: Performer, store: Store) -> None:
        self._around = around
        self._performer = performer
        self._store = store
        self._loud = any(map(around.wants, _EVENTS))
        #: Calls listeners and hooks.
        self.teller = Teller()

    def finished(self, batch: Sequence[tuple[RunState, Ending]], held: Collection[Lease]) -> None:
        """Endings were reported; those not in ``held`` belong to somebody else now."""
        if len(held) != len(batch):
            for run, ending in batch:
                if ending.lease not in held:
                    log.warning(
                        "run %d of job %s (%s) was refused: its lease was lost, the job belongs to "
                        "another process; nothing was changed",
                        run.lease.run,
                        run.claimed.id,
                        run.claimed.kind,
                    )
        talk = log.isEnabledFor(logging.INFO)
        if not talk and not self._loud:
            batch = [told for told in batch if told[1].entry is not None]
        for run, ending in batch:
            if ending.lease in held:
                try:
                    self._tell(run, ending, talk=talk)
                except BaseException:
                    # Listeners and hooks may raise anything; the thread that reports goes on.
                    log.exception("telling the end of job %s raised", run.claimed.id)

    def publish(self, event: Event) -> None:
        """Tell the listeners soon; who says so need not wait for them."""
        if self._around.wants(cast("EventName", event.name)):
            self.teller.say(partial(self._around.publish, event))

    def dropped(self, process_id: str, runs: Sequence[RunState]) -> None:
        """The process's lease was lost, and these jobs are others' now."""
        log.error(
            "process %s lost its lease; its %d jobs run elsewhere: %s",
            process_id,
            len(runs),
            ", ".join(f"{run.claimed.kind} {run.claimed.id}" for run in runs[:NAMED]) or "none",
        )

    def _tell(self, run: RunState, ending: Ending, *, talk: bool) -> None:
        job = run.claimed
        if ending.interrupted:
            ending = self._outcome(ending)
        took = max(0, run.ended_at - run.started_at) / 1e6 if run.started_at else 0.0
        bad = ending.failed or ending.to is JobState.DEAD
        if talk or (bad and log.isEnabledFor(logging.WARNING)):
            _log(run, ending, took)
        if self._loud:
            for name in _names(ending):
                self.publish(
                    Event(
                        name=name,
                        job_id=job.id,
                        kind=job.kind,
                        queue=job.queue,
                        reason=_reason(ending),
                        duration=took,
                    )
                )
        if ending.to in (JobState.DEAD, JobState.CANCELLED):
            self._hook(run, ending)

    def _outcome(self, ending: Ending) -> Ending:
        """What the store made of an interruption: a job that runs at most once has ended."""
        job_id = ending.lease.job_id
        record = self._store.run(self._store.get([job_id])).get(job_id)
        if record is None or record.state not in ENDED:
            return ending
        return msgspec.structs.replace(ending, to=record.state, reason=record.reason)

    def _hook(self, run: RunState, ending: Ending) -> None:
        declaration = self._performer.declaration(run.claimed.kind)
        if declaration is None or declaration.job_class is None:
            return
        name = "after_death" if ending.to is JobState.DEAD else "after_discard"
        hook = getattr(declaration.job_class, name, None)
        if hook is not None:
            what = f"{name} of job {run.claimed.id} ({run.claimed.kind})"
            self.teller.say(partial(_call_hook, declaration.job_class, hook, run.error, what))


def _call_hook(
    job_class: Callable[[], object],
    hook: Callable[[object, BaseException | None], object],
    error: BaseException | None,
    what: str,
) -> None:
    try:
        hook(job_class(), error)
    except Exception:
        log.exception("%s raised", what)


def tell_dead(
    store: Store, rescued: Rescued, publish: Callable[[Event], None] = lambda _event: None
) -> None:
    """Say which of the jobs that were rescued are dead, because they run at most once."""
    given = zip(rescued.leases, rescued.interrupted, strict=True)
    ids = [lease.job_id for lease, interrupted in given if interrupted]
    if not ids:
        return
    for job in store.run(store.get(ids)).values():
        if job.state is JobState.DEAD:
            log.error("%s %s is dead: its process died, and it %s", job.kind, job.id, _ONCE)
            publish(
                Event(
                    name="job.dead",
                    job_id=job.id,
                    kind=job.kind,
                    queue=job.queue,
                    reason=job.reason,
                )
            )


_ONCE: Final = "runs at most once"


def _reason(ending: Ending) -> str | None:
    return ending.reason or (None if ending.entry is None else ending.entry.error)


def _names(ending: Ending) -> list[EventName]:
    names: list[EventName] = ["job.failed"] if ending.failed else []
    if ending.parked is not None:
        names.append("job.parked")
    if ending.to in _ENDED:
        names.append(_ENDED[ending.to])
    return names


def _log(run: RunState, ending: Ending, took: float) -> None:
    job = run.claimed
    entry = ending.entry
    if entry is None:
        log.info("%s %s succeeded in %s", job.kind, job.id, describe(int(took * 1e6)))
        return
    bad = ending.failed or entry.why is Why.PARKED or ending.to is JobState.DEAD
    level = logging.WARNING if bad else logging.INFO
    error = f": {entry.error}: {entry.message}" if entry.error else ""
    outcome = str(ending.to)
    if ending.to is JobState.RETRYING and ending.at is not None:
        outcome = f"retrying in {(ending.at - run.ended_at) / 1e6:.1f} s"
    log.log(
        level,
        "%s %s attempt %d %s, %s%s",
        job.kind,
        job.id,
        job.attempt,
        entry.why,
        _dead(ending) if ending.interrupted else ending.reason or outcome,
        error,
    )


def _dead(ending: Ending) -> str:
    """What became of a job whose process died."""
    if ending.to is not JobState.DEAD:
        return ending.reason or str(ending.to)
    if ending.reason != POISON:
        return f"dead: it {_ONCE}"
    message = ending.entry.message if ending.entry is not None else None
    return (
        f"dead: poison: {message} for the third time within a day, now while it ran alone. It stays"
        f" out of the way; once it is mended: longshore jobs retry {ending.lease.job_id}"
    )
