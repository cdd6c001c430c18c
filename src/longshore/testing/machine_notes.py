"""Rules of the state machine about what runs leave beside jobs: progress, steps, log lines."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from longshore.core.model import RUN_LINES, Lease, LogLine, Patch, Progress, Step
from longshore.testing.conformance.bench import MINUTE, SECOND
from longshore.testing.machine_parts import Parts, agree


class NoteRules(Parts):
    """Saving under leases of any age, and waiting for results."""

    jobs, leases = Parts.jobs, Parts.leases

    @rule(
        some=st.lists(leases, min_size=1, max_size=2),
        done=st.integers(0, 9),
        what=st.sets(st.sampled_from(("progress", "step", "lines")), min_size=1),
    )
    def save(self, some: list[Lease], done: int, what: set[str]) -> None:
        """What is saved twice meets what was saved before; of old runs nothing is taken."""
        patches = [self.patch(lease, done, what) for lease in some]
        held = self.bench.do(self.bench.store.save(patches))
        agree(held, self.model.save(patches))
        for lease in held:
            job = self.model.jobs[lease.job_id]
            agree(self.bench.job(lease.job_id).progress, job.progress)
        for job_id in {lease.job_id for lease in some}:
            self.compare_log(job_id)
        self.compare()

    @rule(job_id=jobs)
    def read_log(self, job_id: str) -> None:
        self.compare_log(job_id)

    @rule(some=st.lists(jobs, min_size=1, max_size=2), keep=st.sampled_from((SECOND, MINUTE)))
    def expect(self, some: list[str], keep: int) -> None:
        ids = list(dict.fromkeys(some))
        agree(self.bench.do(self.bench.store.expect(ids, keep)), self.model.expect(ids, keep))
        self.compare()

    def patch(self, lease: Lease, done: int, what: set[str]) -> Patch:
        """Some of what a run may say at once."""
        step = Step(f"s{done % 3}", b"%d" % done, self.bench.now, lease.run, cursor=done > 6)
        first = lease.run * RUN_LINES + 1 + done // 2
        lines = tuple(LogLine(first + more, self.bench.now, "info", "said") for more in (0, 1))
        return Patch(
            lease,
            Progress(float(done)) if "progress" in what else None,
            (step,) if "step" in what else (),
            lines if "lines" in what else (),
        )

    def compare_log(self, job_id: str) -> None:
        """The log of one job against the model's."""
        job = self.model.jobs.get(job_id)
        expected = () if job is None else tuple(job.lines[number] for number in sorted(job.lines))
        agree(self.bench.do(self.bench.store.logs(job_id)), expected)
