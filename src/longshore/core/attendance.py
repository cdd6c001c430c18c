"""Whether somebody looks after the jobs of a store: from records to findings, and no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from longshore.core.findings import Finding, ok
from longshore.core.lines import read_lines, serves
from longshore.core.schedules import ScheduleRecord
from longshore.core.store import Demand, ProcessRecord
from longshore.errors import LongshoreError

#: Of so many things the names are told; of more how many there are.
_NAMED = 5


def attendance(
    processes: Sequence[ProcessRecord],
    schedules: Sequence[ScheduleRecord],
    demand: Demand,
    *,
    version: str,
) -> tuple[Finding, ...]:
    """What there is to say of who works.

    ``version``: of the release that asks.
    """
    live = [process for process in processes if process.lease_left > 0]
    return (
        _workers(processes, live),
        *_versions(live, version),
        *_queues(demand, live),
        *_schedules(schedules, live),
        *_parked(demand.parked, live),
    )


def unserved(demand: Demand, processes: Sequence[ProcessRecord]) -> list[str]:
    """The queues whose jobs wait for a worker that is not there; parked jobs wait for another."""
    live = [process for process in processes if process.lease_left > 0]
    return [queue for queue in demand.queues if not any(_serves(one, queue) for one in live)]


def _workers(processes: Sequence[ProcessRecord], live: Sequence[ProcessRecord]) -> Finding:
    gone = [one for one in processes if one.lease_left <= 0 and one.running]
    if gone:
        return Finding(
            result="fail",
            about="workers",
            found=f"gone, their jobs not yet rescued: {_named([one.name for one in gone])}",
            why="a live worker gives them back within seconds; perhaps there is none",
            do="Start a worker: `longshore worker`",
        )
    if not live:
        return Finding(
            result="warn",
            about="workers",
            found="no worker is live",
            why="what is enqueued waits, and no schedule fires",
            do="Start one: `longshore worker`",
        )
    busy, slots = sum(one.running for one in live), sum(one.slots for one in live)
    return ok("workers", f"{len(live)} live, {busy} of {slots} slots busy")


def _versions(live: Sequence[ProcessRecord], version: str) -> Iterator[Finding]:
    counted = Counter(one.version or "older than any that says so" for one in live)
    if not counted:
        return
    told = ", ".join(f"{name} ({many})" for name, many in sorted(counted.items()))
    if set(counted) == {version}:
        yield ok("releases", told)
        return
    other = [one.name for one in live if one.version != version]
    yield Finding(
        result="warn",
        about="releases",
        found=f"this is {version}; workers run {told}",
        why="right during a deployment; afterwards a worker was forgotten",
        do=f"Restart what was not: {_named(other)}",
    )


def _queues(demand: Demand, live: Sequence[ProcessRecord]) -> Iterator[Finding]:
    names = unserved(demand, live)
    if not names:
        aside = ", parked jobs aside" if demand.parked else ""
        none = not demand.queues
        yield ok(
            "queues", f"{'no job waits' if none else 'each one with jobs has a worker'}{aside}"
        )
        return
    yield Finding(
        result="fail",
        about="queues",
        found=f"jobs wait in {_named(names)} and no worker serves it",
        why="they wait until one does",
        do=f"Start one: `longshore worker -Q {','.join(names[:_NAMED])}`",
    )


def _schedules(
    schedules: Sequence[ScheduleRecord], live: Sequence[ProcessRecord]
) -> Iterator[Finding]:
    due = [one for one in schedules if one.entry.paused_at is None and one.entry.retired_at is None]
    known = {kind for process in live for kind in process.kinds}
    lost = [one.name for one in due if live and one.schedule.job.kind not in known]
    if due and not live:
        yield Finding(
            result="warn",
            about="schedules",
            found=f"nobody fires {_named([one.name for one in due])}",
            why="ticks that pass meanwhile are missed, or caught up later as each schedule says",
            do="Start a worker: `longshore worker`",
        )
    elif lost:
        yield Finding(
            result="warn",
            about="schedules",
            found=f"no live worker knows the jobs of {_named(lost)}",
            why="they are enqueued and wait, parked",
            do="Start a worker of that application, or `longshore schedules pause NAME`",
        )
    elif due:
        yield ok("schedules", f"{len(due)}, with workers that know their jobs")


def _parked(parked: Collection[str], live: Sequence[ProcessRecord]) -> Iterator[Finding]:
    known = {kind for process in live for kind in process.kinds}
    unknown = sorted(set(parked) - known)
    unread = sorted(set(parked) & known)
    if unknown:
        yield Finding(
            result="warn",
            about="parked",
            found=f"jobs of kinds that no live worker knows: {_named(unknown)}",
            why="they wait for a worker whose code has these kinds",
            do="Deploy that code, give the job an alias, or `longshore jobs cancel --query kind:…`",
        )
    if unread:
        yield Finding(
            result="warn",
            about="parked",
            found=f"jobs that the workers cannot read: {_named(unread)}",
            why="their arguments do not fit the code, or a newer release stored them",
            do="`longshore jobs list state:available` and `longshore jobs show ID` tell why",
        )


def _serves(process: ProcessRecord, queue: str) -> bool:
    try:
        return any(serves(line, queue) for line, _ in read_lines(process.queues))
    except LongshoreError:  # written by another release
        return True


def _named(names: Sequence[str]) -> str:
    told = ", ".join(names[:_NAMED])
    return told if len(names) <= _NAMED else f"{told} and {len(names) - _NAMED} more"
