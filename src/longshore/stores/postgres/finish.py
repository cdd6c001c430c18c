"""How a PostgreSQL store takes reports: plain successes of one process in one statement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from longshore.core.model import Ending, JobState, Lease
from longshore.core.store import operation
from longshore.stores.postgres.core import Alone, Refused
from longshore.stores.postgres.gates import PostgresGating
from longshore.stores.sql.core import Deltas
from longshore.stores.sql.finish import Finishing
from longshore.stores.sql.statements import Steps

_SUCCEEDED = JobState.SUCCEEDED


class PostgresFinishing(PostgresGating, Finishing):
    """The steps of a report."""

    @operation(writes=True)
    def finish(self, endings: Sequence[Ending]) -> Steps[frozenset[Lease]]:
        """Report ends, in any mixture."""
        if not endings:
            return frozenset()
        reports = None
        if self.quick and not self.slotted(endings):
            reports = alike(endings, endings[0].lease.process_id)
        if reports is not None:
            hint = self.hint(end=True)
            try:
                yield Alone(
                    self.sql["end_plain"],
                    {
                        **self.ending(),
                        **reports,
                        **self.listened(tell=hint),
                        "strict": True,
                        "slotted": False,
                    },
                )
            except Refused:
                pass
            else:
                if not hint:
                    yield from self.told_apart(len(endings))
                return frozenset([ending.lease for ending in endings])
        return (yield from self.reported(endings))

    def reported(self, endings: Sequence[Ending]) -> Steps[frozenset[Lease]]:
        """The same in a transaction that goes on."""
        held: list[Lease] = []
        left = yield from self.successes(endings, held, 0, {})
        if left:
            now = yield from self.time()
            others = yield from self.finished(left, now, {})
            held += others
            if others:
                yield from self.told()
        return frozenset(held)

    def slotted(self, endings: Sequence[Ending]) -> bool:
        """Whether these free slots of limits, as far as this process has claimed them.

        Only to spare the server a statement that would find so.
        """
        if not self.slots:
            return False
        known = [self.slots.pop(ending.lease.job_id, False) for ending in endings]
        return True in known

    def successes(
        self,
        endings: Sequence[Ending],
        held: list[Lease],
        now: int,  # noqa: ARG002 - the statement knows
        deltas: Deltas,  # noqa: ARG002 - counted there
    ) -> Steps[list[Ending]]:
        """Those that just succeeded, each process's in one statement; returns what is left.

        Their slots are given back by it.
        """
        if len({ending.lease.job_id for ending in endings}) < len(endings):
            return list(endings)  # of two reports on one job the first counts
        left: list[Ending] = []
        by_process: dict[str, list[Ending]] = {}
        for ending in endings:
            if plain(ending):
                by_process.setdefault(ending.lease.process_id, []).append(ending)
            else:
                left.append(ending)
        vacant: Counter[str] = Counter()
        for process_id, reported in by_process.items():
            rows: list[tuple[int, list[str] | None, list[str] | None, None]] = yield self.sql[
                "end_plain"
            ](
                **self.ending(),
                **_reports(reported, process_id),
                channel=self.channel,
                notify=True,
                ear=None,  # the commit may come long after a look at who waits
                strict=False,
                slotted=True,
            )
            count, gone, keys, _ = rows[0]
            vacant.update(keys or ())
            ended = frozenset(gone or ()) if count < len(reported) else None
            for ending in reported:
                if ended is None or ending.lease.job_id in ended:
                    held.append(ending.lease)
                else:
                    left.append(ending)
        if vacant and (yield from self.vacated(vacant)):
            # What the statement has said wakes only those who wait for ends.
            yield from self.told()
        return left


def alike(endings: Sequence[Ending], process_id: str) -> dict[str, Any] | None:
    """Endings as the queries take them, if all are plain successes of one process's jobs."""
    for ending in endings:
        if not plain(ending) or ending.lease.process_id != process_id:
            return None
    return _reports(endings, process_id)


def plain(ending: Ending) -> bool:
    """Whether this run just succeeded, and there is nothing to tell of it but its result."""
    return (
        ending.to is _SUCCEEDED
        and ending.entry is None
        and not ending.failed
        and ending.result_error is None
        and ending.reason is None
    )


def _reports(endings: Sequence[Ending], process_id: str) -> dict[str, Any]:
    return {
        "process_id": process_id,
        "ids": [ending.lease.job_id for ending in endings],
        "runs": [ending.lease.run for ending in endings],
        "results": [e.result if e.result is None else e.result.decode() for e in endings],
        "count": len(endings),
    }
