"""Ordering: a person's verbs look at each job again when they are carried out."""

from __future__ import annotations

import pytest

from longshore.core.model import ENDED, JobRecord, JobState
from longshore.testing.conformance.bench import (
    HOUR,
    MINUTE,
    SECOND,
    Bench,
    died,
    failed,
    one_of_each,
    succeeded,
)


class VerbConformance:
    """What a person may order: each job is looked at again when the order is carried out."""

    def test_cancel_ends_what_waits_and_asks_what_runs(self, bench: Bench) -> None:
        jobs = one_of_each(bench)
        unknown = bench.new().id
        changed = bench.do(bench.store.cancel([*jobs.values(), unknown], "not needed"))
        waiting = {jobs[state] for state in (JobState.RETRYING, JobState.SCHEDULED)}
        waiting.add(jobs[JobState.AVAILABLE])
        assert set(changed.changed) == waiting
        assert changed.requested == (jobs[JobState.RUNNING],)
        assert set(changed.skipped) == {jobs[state] for state in ENDED} | {unknown}
        for job in waiting:
            record = bench.job(job)
            assert (record.state, record.reason) == (JobState.CANCELLED, "not needed")
            assert record.finalized_at == bench.now
        running = bench.job(jobs[JobState.RUNNING])
        assert (running.state, running.cancel_requested) == (JobState.RUNNING, True)
        assert bench.job(jobs[JobState.DEAD]).reason == "attempts used up"

    def test_a_cancelled_job_never_starts(self, bench: Bench) -> None:
        queued, planned = bench.add()[0], bench.add(scheduled_at=bench.now + SECOND)[0]
        bench.do(bench.store.cancel([queued, planned], None))
        bench.pass_time(MINUTE)
        bench.process()
        bench.do(bench.store.promote(10))
        assert bench.taken("p1") == []
        assert bench.states([queued, planned]) == [JobState.CANCELLED] * 2

    def test_a_job_asked_to_end_may_still_succeed(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        lease = bench.lease()
        assert bench.do(bench.store.cancel([job], "stop")).requested == (job,)
        assert bench.do(bench.store.cancel([job], "stop")).requested == (job,)
        assert bench.finish(succeeded(lease, b"1")) == {lease}
        record = bench.job(job)
        assert (record.state, record.result) == (JobState.SUCCEEDED, b"1")

    def test_retry_makes_ended_and_waiting_jobs_available(self, bench: Bench) -> None:
        jobs = one_of_each(bench)
        unknown = bench.new().id
        runs = bench.job(jobs[JobState.DEAD]).runs
        changed = bench.do(bench.store.retry([*jobs.values(), unknown]))
        left = {jobs[JobState.RUNNING], jobs[JobState.AVAILABLE], unknown}
        assert set(changed.skipped) == left
        assert set(changed.changed) == set(jobs.values()) - left
        assert changed.requested == ()
        for job in changed.changed:
            record = bench.job(job)
            assert record.state is JobState.AVAILABLE
            assert record.finalized_at is None
            assert not record.cancel_requested
        dead = bench.job(jobs[JobState.DEAD])
        assert (dead.failures, dead.run, dead.runs) == (0, 1, runs)
        assert bench.job(jobs[JobState.RETRYING]).failures == 1
        assert set(bench.taken("p1", 20)) == set(jobs.values()) - {jobs[JobState.RUNNING]}

    def test_a_retried_job_starts_its_counters_and_budgets_anew(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process("p1", lease=HOUR)
        bench.process("p2")
        bench.finish(failed(bench.lease(), bench.now + SECOND, budgets=b'{"net":1}'))
        bench.pass_time(2 * SECOND)
        lease = bench.lease("p2")
        bench.rescue("p2", [lease])
        bench.finish(died(bench.lease("p1")))
        assert bench.job(job).interruptions == 1
        bench.do(bench.store.retry([job]))
        record = bench.job(job)
        assert (record.failures, record.interruptions, record.run) == (0, 0, 3)
        assert len(record.runs) == 3
        (again,) = bench.claim("p1").jobs
        assert (again.run, again.failures, again.interruptions) == (4, 0, 0)
        assert again.budgets is None

    def test_a_retried_job_lives_a_whole_life_again(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        old = bench.lease()
        bench.finish(succeeded(old, b"1"))
        bench.do(bench.store.retry([job]))
        assert bench.job(job).result is None
        new = bench.lease()
        assert bench.finish(succeeded(old, b"3")) == frozenset()
        assert bench.finish(succeeded(new, b"2")) == {new}
        assert bench.job(job).result == b"2"

    def test_a_retried_job_may_run_though_it_had_expired(self, bench: Bench) -> None:
        (job,) = bench.add(expires_at=bench.now + SECOND)
        bench.pass_time(MINUTE)
        bench.do(bench.store.promote(10))
        assert bench.state(job) is JobState.CANCELLED
        bench.do(bench.store.retry([job]))
        bench.process()
        assert bench.taken("p1") == [job]

    def test_delete_removes_what_does_not_run(self, bench: Bench) -> None:
        jobs = one_of_each(bench)
        unknown = bench.new().id
        changed = bench.do(bench.store.delete([*jobs.values(), unknown]))
        assert set(changed.skipped) == {jobs[JobState.RUNNING], unknown}
        assert set(changed.changed) == set(jobs.values()) - {jobs[JobState.RUNNING]}
        assert set(bench.look()) == {jobs[JobState.RUNNING]}
        bench.pass_time(2 * HOUR - 1)
        bench.process("p2")
        assert bench.taken("p2") == []

    def test_move_puts_waiting_jobs_elsewhere_and_changes_nothing_else(self, bench: Bench) -> None:
        jobs = one_of_each(bench)
        before = bench.look()
        unknown = bench.new().id
        changed = bench.do(bench.store.move([*jobs.values(), unknown], "far"))
        left = {jobs[state] for state in (*ENDED, JobState.RUNNING)}
        assert set(changed.skipped) == left | {unknown}
        assert set(changed.changed) == set(jobs.values()) - left
        after = bench.look()
        for job in changed.changed:
            assert after[job].queue == "far"
            assert without_queue(after[job]) == without_queue(before[job])
        for job in left:
            assert after[job] == before[job]
        assert bench.taken("p1", 20) == [jobs[JobState.AVAILABLE]]

    @pytest.mark.parametrize("verb", ["cancel", "retry", "delete", "move"])
    def test_each_id_is_answered_once(self, bench: Bench, verb: str) -> None:
        (job,) = bench.add(scheduled_at=bench.now + HOUR)
        unknown = bench.new().id
        store = bench.store
        ids = [job, unknown, job]
        ops = {
            "cancel": store.cancel(ids, None),
            "retry": store.retry(ids),
            "delete": store.delete(ids),
            "move": store.move(ids, "far"),
        }
        changed = bench.do(ops[verb])
        assert (changed.changed, changed.requested, changed.skipped) == ((job,), (), (unknown,))


def without_queue(record: JobRecord) -> dict[str, object]:
    """Every field but the queue."""
    names = [name for name in record.__struct_fields__ if name != "queue"]
    return {name: getattr(record, name) for name in names}
