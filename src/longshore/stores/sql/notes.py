"""What running jobs leave in a SQL store beside their rows: steps and the lines of their logs.

They lie in tables of their own under the job's id, and are there for as long as the job is: a row
in ``noted`` says for which job of that id, by the time at which it was created. So nobody who ends
or removes jobs has to look for them, who reads sees none of a job that is gone, and pruning clears
away what is left behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from longshore.core.model import LOG_LINES, LogLine, Patch, Step
from longshore.core.store import operation
from longshore.stores.sql.core import Core
from longshore.stores.sql.statements import Row, Steps

#: At how many jobs that have left something one call of prune looks.
SWEPT: Final = 500

#: Before every id.
_FIRST: Final = "00000000-0000-0000-0000-000000000000"


class Noting(Core):
    """Writing, reading and forgetting steps and log lines."""

    #: How far pruning has looked.
    _notes_to = _FIRST

    def noted(self, patches: Sequence[Patch]) -> Steps[None]:
        """Write what these patches, whose leases hold, have to keep."""
        patches = [patch for patch in patches if patch.steps or patch.lines]
        if not patches:
            return
        ids = list(dict.fromkeys(patch.lease.job_id for patch in patches))
        rows: list[Row] = yield self.sql["noted"](ids=self.ids(ids))
        others = [job_id for job_id, created_at, born in rows if born not in (None, created_at)]
        yield from self.notes_forgotten(others)
        new = [(job_id, created_at) for job_id, created_at, born in rows if born != created_at]
        if new:
            yield self.sql["noted_add"].many(new)
        steps = {(p.lease.job_id, step.name): step for p in patches for step in p.steps}
        if steps:
            yield self.sql["step_add"].many(
                [
                    (job_id, name, int(step.cursor), step.run, step.saved_at, step.value)
                    for (job_id, name), step in sorted(steps.items())
                ]
            )
        lines = {(p.lease.job_id, line.number): line for p in patches for line in p.lines}
        if lines:
            yield self.sql["log_add"].many(
                [
                    (job_id, number, line.at, line.level, line.message)
                    for (job_id, number), line in sorted(lines.items())
                ]
            )
            told = self.ids(sorted({job_id for job_id, _ in lines}))
            rows = yield self.sql["log_excess"](ids=told, lines=LOG_LINES)
            excess = [(job_id, number) for job_id, number in rows if number is not None]
            if excess:
                yield self.sql["log_trim"].many(excess)

    def notes_forgotten(self, ids: Sequence[str]) -> Steps[None]:
        """Delete all that these jobs have left."""
        if ids:
            yield self.sql["steps_forget"](ids=self.ids(ids))
            yield self.sql["log_forget"](ids=self.ids(ids))
            yield self.sql["noted_forget"](ids=self.ids(ids))

    def notes_swept(self) -> Steps[None]:
        """Delete what jobs have left that are gone; each call looks a little further."""
        rows: list[Row] = yield self.sql["notes_left"](after=self._notes_to, limit=SWEPT)
        self._notes_to = rows[-1][0] if len(rows) == SWEPT else _FIRST
        yield from self.notes_forgotten([job_id for job_id, there in rows if not there])


class Notes(Noting):
    """What people and bodies ask of steps and logs."""

    @operation(writes=False)
    def steps(self, ids: Sequence[str]) -> Steps[Mapping[str, tuple[Step, ...]]]:
        """The saved steps of these jobs by name."""
        rows: list[Row] = yield self.sql["steps"](ids=self.ids(list(dict.fromkeys(ids))))
        found: dict[str, list[Step]] = {}
        for job_id, name, value, saved_at, run, cursor in rows:
            step = Step(name, self.octets(value), saved_at, run, bool(cursor))
            found.setdefault(job_id, []).append(step)
        return {
            job_id: tuple(sorted(steps, key=lambda step: step.name))
            for job_id, steps in found.items()
        }

    @operation(writes=False)
    def logs(
        self, job_id: str, *, after: int = 0, limit: int = LOG_LINES
    ) -> Steps[tuple[LogLine, ...]]:
        """The first lines of a log behind a number."""
        rows: list[Row] = yield self.sql["logs"](ids=self.ids([job_id]), after=after, limit=limit)
        return tuple(LogLine(*row) for row in rows)

    @operation(writes=True)
    def expect(self, ids: Sequence[str], keep: int) -> Steps[frozenset[str]]:
        """Keep live jobs for a while after their end; returns those that are live."""
        rows: list[Row] = yield self.sql["standing"](ids=self.ids(list(dict.fromkeys(ids))))
        live = [row[0] for row in rows]
        if live:
            yield self.sql["expect"](ids=self.ids(live), keep=keep)
        return frozenset(live)
