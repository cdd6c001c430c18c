"""Acts of running jobs and of those who wait for them: progress, steps, log lines, results."""

from __future__ import annotations

from longshore.core.model import RUN_LINES, Lease, LogLine, Patch, Progress, Step
from longshore.testing.conformance.acts.playing import Playing
from longshore.testing.conformance.bench import SECOND


class Notes(Playing):
    """Saving and reading what lies beside a job."""

    def save(self) -> None:
        """What running jobs say, and some that do not run any more."""
        self.some_running(1)
        patches = [self.patch(lease) for lease in self.some()]
        held: frozenset[Lease] = self.ask("save", patches)
        for patch in patches:
            kept = patch.lease in held
            self.met["late note"] += not kept
            self.met["progress"] += kept and patch.progress is not None
            self.met["steps saved"] += kept and bool(patch.steps)
            self.met["lines saved"] += kept and bool(patch.lines)
            if kept and (patch.steps or patch.lines):
                self.noted[patch.lease.job_id] = None

    def patch(self, lease: Lease) -> Patch:
        """Some of what a run may save at once; steps and lines meet those of before."""
        random = self.random
        steps = tuple(
            Step(name, b'{"run":%d}' % lease.run, self.now, lease.run, random.random() < 0.3)
            for name in random.sample(("charge", "rows", "ship"), random.choice((0, 1, 1, 2)))
        )
        lines = tuple(
            LogLine(lease.run * RUN_LINES + number, self.now, "info", f"{number} at {self.now}")
            for number in sorted(random.sample(range(1, 6), random.choice((0, 1, 2))))
        )
        progress = random.choice((None, Progress(random.randrange(9) / 2), Progress(1.0, 4.0, "é")))
        return Patch(lease, progress, steps, lines)

    def steps(self) -> None:
        self.ask("steps", [*self.with_notes(3), *self.ids(2)])

    def logs(self) -> None:
        job_id = next(iter([*self.with_notes(1), *self.ids(1)]), self.new_id())
        after = self.random.choice((0, RUN_LINES + 2, 2 * RUN_LINES))
        self.met["log read"] += bool(
            self.ask("logs", job_id, after=after, limit=self.random.choice((1, 3, 1000)))
        )

    def expect(self) -> None:
        keep = self.random.choice((5, 20, 60)) * SECOND
        live: frozenset[str] = self.ask("expect", list(dict.fromkeys(self.ids(3))), keep)
        self.met["expected"] += len(live)

    def with_notes(self, count: int) -> list[str]:
        """Some jobs of which something was saved, of late ones more."""
        known = list(self.noted)[-12:]
        return self.random.sample(known, min(len(known), count))
