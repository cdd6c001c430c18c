"""Jobs whose process has died: what is counted, what is kept of it, and that no store judges."""

from __future__ import annotations

from collections.abc import Sequence

from longshore.core.model import JobState, Lease, Why
from longshore.core.store import Rescue, Rescued
from longshore.testing.conformance.bench import (
    CRASH,
    HOUR,
    LEASE,
    SECOND,
    Bench,
    failed,
    interrupted,
    poisoned,
    succeeded,
)
from longshore.testing.conformance.bundling import batch, fired, member, read, running, store


def dies(
    bench: Bench, process: str, started: list[Lease], *, over: Sequence[Lease] = ()
) -> Rescued:
    """A process is seen to die; these bodies had begun in it, and some of them were over."""
    seen, ended = (
        frozenset((lease.job_id, lease.run) for lease in some) for some in (started, over)
    )
    return bench.do(bench.store.rescue(Rescue(process, seen, crash=CRASH, over=ended)))


class InterruptionConformance:
    """What becomes of jobs under which their process has died."""

    def test_what_was_seen_of_a_death_is_kept_with_what_it_interrupted(self, bench: Bench) -> None:
        jobs = bench.add(2)
        bench.process()
        begun, _ = bench.leases()
        dies(bench, "p1", [begun])
        (first,), (second,) = (bench.job(job).runs for job in jobs)
        assert (first.why, first.message, first.traceback) == (
            Why.INTERRUPTED,
            CRASH.message,
            CRASH.traceback,
        )
        assert first.error is None
        assert (second.why, second.message) == (Why.RELEASED, "interrupted before start")
        assert second.traceback is None
        assert [bench.job(job).interruptions for job in jobs] == [1, 0]

    def test_a_job_whose_body_was_over_is_not_suspected(self, bench: Bench) -> None:
        """It runs again, since the store was never told; but it cannot have killed its process."""
        over, midst = bench.add(2)
        bench.process()
        leases = bench.leases()
        rescued = dies(bench, "p1", leases, over=leases[:1])
        assert dict(zip(rescued.leases, rescued.interrupted, strict=True)) == {
            leases[0]: False,
            leases[1]: True,
        }
        assert [bench.job(job).interruptions for job in (over, midst)] == [0, 1]
        (run,) = bench.job(over).runs
        assert (run.run, run.why, run.traceback) == (1, Why.RELEASED, None)
        assert run.message == "its process died after its body had ended and before that was stored"
        bench.process("p2")
        assert bench.taken("p2") == [over, midst]

    def test_a_body_is_spared_once_for_having_been_over(self, bench: Bench) -> None:
        """What kills its process a moment after its end must not run for ever."""
        (job,) = bench.add()
        for number, counted in ((1, 0), (2, 1), (3, 2)):
            bench.process(f"p{number}")
            lease = bench.lease(f"p{number}")
            dies(bench, f"p{number}", [lease], over=[lease])
            record = bench.job(job)
            assert (record.interruptions, record.state) == (counted, JobState.AVAILABLE)
        assert [run.why for run in record.runs] == [Why.RELEASED, *[Why.INTERRUPTED] * 2]

    def test_a_body_that_was_over_in_another_run_says_nothing_of_this_one(
        self, bench: Bench
    ) -> None:
        (job,) = bench.add()
        bench.process(lease=HOUR)
        first = bench.lease()
        bench.finish(failed(first, bench.now))
        second = bench.lease()
        dies(bench, "p1", [second], over=[first])
        assert bench.job(job).interruptions == 1

    def test_where_nobody_saw_nothing_is_told_of_it(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        bench.lease()
        bench.pass_time(LEASE + 1)
        bench.rescue()
        (run,) = bench.job(job).runs
        assert (run.why, run.message, run.traceback) == (Why.INTERRUPTED, None, None)

    def test_those_that_died_together_are_never_quarantined(self, bench: Bench) -> None:
        """Which of them it was a store cannot know: it counts, for as often as it takes."""
        jobs = bench.add(2)
        for number in range(1, 6):
            bench.process(f"p{number}")
            leases = bench.leases(f"p{number}")
            assert [lease.job_id for lease in leases] == jobs, "at once, and in its place"
            dies(bench, f"p{number}", leases)
            records = [bench.job(job) for job in jobs]
            assert [one.state for one in records] == [JobState.AVAILABLE] * 2
            assert [(one.interruptions, one.failures) for one in records] == [(number, 0)] * 2

    def test_a_claim_tells_how_often_it_was_interrupted(self, bench: Bench) -> None:
        """Or nobody could let it run alone."""
        bench.add()
        bench.process(lease=HOUR)
        bench.finish(failed(bench.lease(), bench.now + SECOND))
        for times in range(3):
            bench.pass_time(2 * SECOND)
            (job,) = bench.claim("p1").jobs
            assert (job.interruptions, job.failures, job.attempt) == (times, 1, 2)
            bench.finish(interrupted(Lease(job.id, "p1", job.run)))

    def test_a_quarantined_job_has_failed_no_attempt(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process(lease=HOUR)
        bench.finish(interrupted(bench.lease()))
        bench.finish(interrupted(bench.lease()))
        last = bench.lease()
        assert bench.finish(poisoned(last)) == {last}
        assert bench.finish(poisoned(last)) == {last}, "a repetition counts nothing"
        record = bench.job(job)
        assert (record.state, record.reason) == (JobState.DEAD, "poison")
        assert (record.interruptions, record.failures) == (3, 0)
        assert [run.why for run in record.runs] == [Why.INTERRUPTED] * 3
        assert bench.taken("p1") == []

    def test_a_quarantined_member_is_a_death_of_its_batch(self, bench: Bench) -> None:
        bench.process()
        new = batch(bench)
        jobs = [member(bench, new) for _ in range(2)]
        store(bench, jobs, new)
        leases = running(bench)
        bench.finish(poisoned(leases[jobs[0].id]))
        assert fired(bench) == ["on_death"]
        bench.finish(succeeded(leases[jobs[1].id]))
        assert fired(bench) == ["on_complete", "on_death"]
        assert (read(bench, new).dead, read(bench, new).succeeded) == (1, 1)

    def test_a_person_lets_a_quarantined_job_begin_anew(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process(lease=HOUR)
        bench.finish(interrupted(bench.lease()))
        bench.finish(poisoned(bench.lease()))
        assert bench.do(bench.store.retry([job])).changed == (job,)
        (again,) = bench.claim("p1").jobs
        assert (again.interruptions, again.failures, again.run) == (0, 0, 3)
        record = bench.job(job)
        assert (record.interruptions, record.reason) == (0, None)
        assert [run.why for run in record.runs] == [Why.INTERRUPTED] * 2, "its history stays"
