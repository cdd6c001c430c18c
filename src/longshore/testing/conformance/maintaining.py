"""Maintaining: bounded work that any process may do at any time, as often as it likes."""

from __future__ import annotations

import pytest

from longshore.core.model import JobState
from longshore.core.store import Retention, SetQueue
from longshore.testing.conformance.bench import (
    DAY,
    HOUR,
    LEASE,
    MINUTE,
    PAYLOAD,
    SECOND,
    Bench,
    cancelled,
    died,
    failed,
    lease_of,
    parked,
    released,
    snoozed,
    succeeded,
)

KEEP_NOTHING = Retention(succeeded=0, cancelled=0, dead=0)


class PromoteConformance:
    """How jobs become available when their time comes."""

    def test_what_is_due_becomes_available(self, bench: Bench) -> None:
        bench.process(lease=HOUR)
        retrying, sleeping = bench.add(2)
        one, two = bench.leases()
        bench.finish(failed(one, bench.now + MINUTE), snoozed(two, bench.now + MINUTE))
        (planned,) = bench.add(scheduled_at=bench.now + MINUTE)
        (later,) = bench.add(scheduled_at=bench.now + HOUR)
        jobs = [retrying, sleeping, planned, later]
        bench.pass_time(MINUTE - 1)
        assert bench.do(bench.store.promote(100)) == 0
        assert JobState.AVAILABLE not in bench.states(jobs)
        bench.pass_time(2)
        assert bench.do(bench.store.promote(100)) == 3
        assert bench.states(jobs) == [JobState.AVAILABLE] * 3 + [JobState.SCHEDULED]
        record = bench.job(planned)
        assert (record.run, record.scheduled_at) == (0, bench.now - 1)

    def test_promoting_again_changes_nothing(self, bench: Bench) -> None:
        bench.add(scheduled_at=bench.now + SECOND)
        bench.pass_time(MINUTE)
        assert bench.do(bench.store.promote(100)) == 1
        before = bench.look()
        assert bench.do(bench.store.promote(100)) == 0
        assert bench.look() == before

    def test_promoting_is_bounded(self, bench: Bench) -> None:
        jobs = bench.add(5, scheduled_at=bench.now + SECOND)
        bench.pass_time(MINUTE)
        assert [bench.do(bench.store.promote(2)) for _ in range(4)] == [2, 2, 1, 0]
        assert bench.states(jobs) == [JobState.AVAILABLE] * 5

    def test_a_promoted_job_keeps_its_place(self, bench: Bench) -> None:
        (late,) = bench.add(scheduled_at=bench.now + 2 * SECOND)
        (early,) = bench.add(scheduled_at=bench.now + SECOND)
        bench.pass_time(MINUTE)
        (new,) = bench.add()
        bench.do(bench.store.promote(100))
        bench.process()
        assert bench.taken("p1") == [early, late, new]

    def test_what_expired_before_it_first_started_is_cancelled(self, bench: Bench) -> None:
        bench.process(lease=HOUR)
        expires_at = bench.now + MINUTE
        started = bench.add(4, expires_at=expires_at)
        one, two, three, four = bench.leases()
        bench.finish(
            failed(two, bench.now + HOUR), snoozed(three, bench.now + HOUR), released(four)
        )
        (waiting,) = bench.add(expires_at=expires_at)
        (planned,) = bench.add(expires_at=expires_at, scheduled_at=bench.now + HOUR)
        (kept,) = bench.add(expires_at=bench.now + HOUR)
        bench.pass_time(MINUTE - 1)
        bench.do(bench.store.promote(100))
        assert bench.states([waiting, planned]) == [JobState.AVAILABLE, JobState.SCHEDULED]
        bench.pass_time(2)
        bench.do(bench.store.promote(100))
        assert bench.states([waiting, planned]) == [JobState.CANCELLED] * 2
        # What has started once may go on for as long as its attempts last.
        assert bench.states(started) == [
            JobState.RUNNING,
            JobState.RETRYING,
            JobState.SCHEDULED,
            JobState.AVAILABLE,
        ]
        assert bench.state(kept) is JobState.AVAILABLE
        record = bench.job(waiting)
        assert (record.reason, record.finalized_at) == ("expired", bench.now)
        assert bench.finish(succeeded(one)) == {one}

    def test_expiring_is_bounded_and_ends(self, bench: Bench) -> None:
        jobs = bench.add(5, expires_at=bench.now + SECOND)
        bench.pass_time(MINUTE)
        bench.do(bench.store.promote(2))
        assert bench.states(jobs).count(JobState.CANCELLED) <= 2
        for _ in range(5):
            bench.do(bench.store.promote(2))
        assert bench.states(jobs) == [JobState.CANCELLED] * 5


class ParkedConformance:
    """Jobs that no process may take yet."""

    def test_a_parked_job_is_out_of_every_line(self, bench: Bench) -> None:
        (job,) = bench.add(kind="app.new")
        bench.process()
        bench.finish(parked(bench.lease(), "d1"))
        record = bench.job(job)
        assert (record.state, record.parked) == (JobState.AVAILABLE, "UnknownJob: no such kind")
        assert (record.failures, record.interruptions) == (0, 0)
        assert bench.taken("p1") == []
        bench.do(bench.store.promote(100))
        assert bench.taken("p1") == []

    def test_a_process_with_other_kinds_takes_it_by_a_separate_call(self, bench: Bench) -> None:
        bench.process()
        (job,) = bench.add(kind="app.new")
        bench.finish(parked(bench.lease(), "d1"))
        (waiting,) = bench.add(kind="app.new")
        claim = bench.claim("p1", parked_kinds=("app.new", "app.job"), kinds_digest="d2")
        (taken,) = claim.jobs
        assert (taken.id, taken.run, taken.attempt) == (job, 2, 1)
        assert taken.payload == PAYLOAD
        assert bench.job(job).parked is None
        assert bench.finish(succeeded(lease_of("p1", taken)))
        assert bench.taken("p1") == [waiting]

    def test_the_list_of_kinds_that_parked_it_does_not_take_it_again(self, bench: Bench) -> None:
        bench.add(kind="app.new")
        bench.process()
        bench.finish(parked(bench.lease(), "d1"))
        same = bench.taken("p1", parked_kinds=("app.new",), kinds_digest="d1")
        assert same == []
        lease = lease_of(
            "p1", bench.claim("p1", parked_kinds=("app.new",), kinds_digest="d2").jobs[0]
        )
        bench.finish(parked(lease, "d2"))
        assert bench.taken("p1", parked_kinds=("app.new",), kinds_digest="d2") == []

    def test_only_kinds_asked_for_are_taken(self, bench: Bench) -> None:
        bench.add(kind="app.new")
        bench.process()
        bench.finish(parked(bench.lease(), "d1"))
        assert bench.taken("p1", parked_kinds=("app.other",), kinds_digest="d2") == []

    def test_a_parked_job_of_a_paused_queue_waits(self, bench: Bench) -> None:
        (job,) = bench.add(kind="app.new")
        bench.process()
        bench.finish(parked(bench.lease(), "d1"))
        bench.do(bench.store.set_queue(SetQueue("default", paused=True)))
        assert bench.taken("p1", parked_kinds=("app.new",), kinds_digest="d2") == []
        bench.do(bench.store.set_queue(SetQueue("default", paused=False)))
        assert bench.taken("p1", parked_kinds=("app.new",), kinds_digest="d2") == [job]

    def test_a_repeated_claim_of_parked_jobs_is_answered(self, bench: Bench) -> None:
        bench.add(kind="app.new")
        bench.process()
        bench.finish(parked(bench.lease(), "d1"))
        request = bench.request("p1", parked_kinds=("app.new",), kinds_digest="d2")
        first = bench.do(bench.store.claim(request))
        assert len(first.jobs) == 1
        assert bench.do(bench.store.claim(request)).jobs == first.jobs

    def test_a_parked_job_may_be_cancelled(self, bench: Bench) -> None:
        (job,) = bench.add(kind="app.new")
        bench.process()
        bench.finish(parked(bench.lease(), "d1"))
        assert bench.do(bench.store.cancel([job], "stop")).changed == (job,)
        assert bench.beat("p1").parked_kinds == frozenset()
        assert bench.taken("p1", parked_kinds=("app.new",), kinds_digest="d2") == []


class PruneConformance:
    """How long ended jobs stay."""

    def end_one_of_each(self, bench: Bench, keep_result: int | None) -> list[str]:
        """A job that succeeded, one cancelled and one dead."""
        bench.process()
        jobs = bench.add(3, keep_result=keep_result)
        one, two, three = bench.leases()
        bench.finish(succeeded(one, b"1"), cancelled(two), died(three))
        return jobs

    def prune(self, bench: Bench) -> int:
        return bench.do(bench.store.prune(1000))

    def test_each_state_has_its_own_retention(self, bench: Bench) -> None:
        bench.open(Retention(succeeded=HOUR, cancelled=2 * HOUR, dead=3 * HOUR))
        jobs = self.end_one_of_each(bench, keep_result=0)
        for left in (jobs, jobs[1:], jobs[2:]):
            bench.pass_time(HOUR - 3)
            assert self.prune(bench) == 0
            assert set(bench.look()) == set(left)
            bench.pass_time(4)
            assert self.prune(bench) == 1
        assert bench.look() == {}

    def test_the_longer_of_result_and_retention_counts(self, bench: Bench) -> None:
        bench.open(Retention(succeeded=MINUTE, cancelled=0, dead=0))
        bench.process()
        (short,) = bench.add(keep_result=SECOND)
        bench.finish(succeeded(bench.lease()))
        (long,) = bench.add(keep_result=HOUR)
        bench.finish(succeeded(bench.lease(), b"1"))
        bench.pass_time(2 * SECOND)
        assert self.prune(bench) == 0
        bench.pass_time(MINUTE)
        assert self.prune(bench) == 1
        assert (bench.exists(short), bench.exists(long)) == (False, True)
        assert bench.job(long).result == b"1"
        bench.pass_time(HOUR)
        assert self.prune(bench) == 1
        assert not bench.exists(long)

    @pytest.mark.parametrize("result", [None, b"1"])
    def test_each_job_of_one_report_is_kept_for_its_own_time(
        self, bench: Bench, result: bytes | None
    ) -> None:
        bench.open(Retention(succeeded=MINUTE))
        bench.process()
        for kept in (0, HOUR, None, SECOND, 2 * HOUR):
            bench.add(keep_result=kept)
        leases = bench.leases()
        jobs = [lease.job_id for lease in leases]
        bench.finish(*(succeeded(lease, result) for lease in leases))
        for wait, left in ((MINUTE, {1, 2, 4}), (HOUR, {2, 4}), (2 * HOUR, {2})):
            bench.pass_time(wait + 1)
            self.prune(bench)
            assert set(bench.look()) == {jobs[number] for number in left}

    def test_a_job_that_ended_twice_is_kept_from_its_last_end_and_holds_back_no_other(
        self, bench: Bench
    ) -> None:
        bench.open(Retention(succeeded=HOUR))
        bench.process("p1", lease=DAY)
        first, second = bench.add(2, keep_result=0)
        bench.finish(*(succeeded(lease) for lease in bench.leases()))
        bench.pass_time(HOUR // 2)
        bench.do(bench.store.retry([first]))
        bench.finish(succeeded(bench.lease()))
        bench.pass_time(HOUR // 2 + 1)
        assert self.prune(bench) == 1
        assert (bench.exists(first), bench.exists(second)) == (True, False)
        bench.pass_time(HOUR // 2)
        assert self.prune(bench) == 1
        assert not bench.exists(first)

    @pytest.mark.parametrize("awake", [0, DAY])
    def test_zero_keeps_nothing(self, bench: Bench, awake: int) -> None:
        bench.open(KEEP_NOTHING)
        jobs = self.end_one_of_each(bench, keep_result=0)
        bench.pass_time(awake)
        self.prune(bench)
        assert bench.look() == {}
        assert not any(bench.exists(job) for job in jobs)
        assert bench.do(bench.store.queues()) == ()

    def test_none_keeps_for_ever(self, bench: Bench) -> None:
        bench.open(Retention(succeeded=None, cancelled=None, dead=None))
        jobs = self.end_one_of_each(bench, keep_result=0)
        bench.pass_time(4000 * DAY)
        assert self.prune(bench) == 0
        assert set(bench.look()) == set(jobs)

    def test_a_result_may_be_kept_for_ever(self, bench: Bench) -> None:
        bench.open(KEEP_NOTHING)
        bench.process()
        (job,) = bench.add(keep_result=None)
        bench.finish(succeeded(bench.lease(), b"1"))
        bench.pass_time(4000 * DAY)
        assert self.prune(bench) == 0
        assert bench.job(job).result == b"1"

    def test_a_retention_of_days_is_kept_to_the_day(self, bench: Bench) -> None:
        bench.open(Retention(succeeded=5 * DAY))
        bench.do(bench.store.prune(10))
        (job,) = bench.add()
        bench.process()
        bench.finish(succeeded(bench.lease()))
        bench.pass_time(5 * DAY - SECOND)
        assert bench.do(bench.store.prune(10)) == 0
        assert bench.exists(job)
        bench.pass_time(2 * SECOND)
        assert bench.do(bench.store.prune(10)) == 1
        assert not bench.exists(job)

    def test_a_job_that_a_person_cancelled_is_pruned_too(self, bench: Bench) -> None:
        bench.open(Retention(cancelled=HOUR))
        (job,) = bench.add(keep_result=0)
        bench.do(bench.store.cancel([job], None))
        assert self.prune(bench) == 0
        bench.pass_time(HOUR + 1)
        assert self.prune(bench) == 1

    def test_pruning_is_bounded_and_takes_the_oldest_first(self, bench: Bench) -> None:
        bench.open(Retention(succeeded=MINUTE))
        bench.process(lease=HOUR)
        ended: list[str] = []
        leases = (bench.add(5, keep_result=0), bench.leases())[1]
        for lease in leases[::-1]:
            bench.finish(succeeded(lease))
            ended.append(lease.job_id)
            bench.pass_time(SECOND)
        bench.pass_time(HOUR)
        for left in (ended[2:], ended[4:], []):
            assert bench.do(bench.store.prune(2)) == min(2, 1 + len(left))
            assert set(bench.look()) == set(left)
        assert bench.do(bench.store.prune(2)) == 0

    def test_jobs_that_have_not_ended_are_never_pruned(self, bench: Bench) -> None:
        bench.open(KEEP_NOTHING)
        bench.process(lease=4000 * DAY)
        bench.add(3, keep_result=0)
        one, two, _ = bench.leases()
        bench.finish(failed(one, bench.now + 2000 * DAY), snoozed(two, bench.now + 2000 * DAY))
        bench.add(keep_result=0)
        bench.pass_time(1000 * DAY)
        assert self.prune(bench) == 0
        assert len(bench.look()) == 4


class ElectConformance:
    """The one that prunes."""

    def test_there_is_one_leader(self, bench: Bench) -> None:
        for process in ("p1", "p2"):
            bench.process(process, lease=HOUR)
        assert bench.do(bench.store.elect("p1", LEASE))
        assert not bench.do(bench.store.elect("p2", LEASE))
        assert bench.do(bench.store.elect("p1", LEASE))

    def test_a_leader_that_goes_on_stays(self, bench: Bench) -> None:
        for process in ("p1", "p2"):
            bench.process(process, lease=HOUR)
        bench.do(bench.store.elect("p1", LEASE))
        bench.pass_time(LEASE - 1)
        assert bench.do(bench.store.elect("p1", LEASE))
        bench.pass_time(LEASE - 1)
        assert not bench.do(bench.store.elect("p2", LEASE))

    def test_another_takes_over_when_the_leader_is_silent(self, bench: Bench) -> None:
        for process in ("p1", "p2"):
            bench.process(process, lease=HOUR)
        bench.do(bench.store.elect("p1", LEASE))
        bench.pass_time(LEASE + 1)
        assert bench.do(bench.store.elect("p2", LEASE))
        assert not bench.do(bench.store.elect("p1", LEASE))
