"""Finishing: an ending counts once, for the run it belongs to, and says whether it did."""

from __future__ import annotations

import msgspec
import pytest

from longshore.core.model import Ending, JobState, Lease, Patch, Progress, Why
from longshore.core.store import Filter, Line
from longshore.testing.conformance.bench import (
    HOUR,
    LEASE,
    MINUTE,
    SECOND,
    Bench,
    cancelled,
    died,
    entry,
    failed,
    interrupted,
    parked,
    released,
    snoozed,
    succeeded,
)


def every_ending(lease: Lease, at: int) -> dict[str, Ending]:
    """One ending of each sort for a lease."""
    return {
        "succeeded": succeeded(lease, b"1"),
        "failed": failed(lease, at),
        "died": died(lease),
        "snoozed": snoozed(lease, at),
        "released": released(lease),
        "cancelled": cancelled(lease),
        "parked": parked(lease, "d1"),
    }


ENDINGS = tuple(every_ending(Lease("", "", 0), 0))


class EndingConformance:
    """What each ending writes."""

    def test_a_success_keeps_its_result_byte_for_byte(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        lease = bench.lease()
        bench.pass_time(SECOND)
        result = '{"a": 1.50,  "b":"é\\u00e9🚢"}\n'.encode()
        assert bench.finish(succeeded(lease, result)) == {lease}
        record = bench.job(job)
        assert (record.state, record.result) == (JobState.SUCCEEDED, result)
        assert (record.finalized_at, record.run, record.runs) == (bench.now, 1, ())
        assert (record.failures, record.result_error) == (0, None)
        assert bench.taken("p1") == []

    @pytest.mark.parametrize("result", [None, b"1"])
    def test_a_success_keeps_the_history_of_earlier_runs(
        self, bench: Bench, result: bytes | None
    ) -> None:
        jobs = bench.add(2)
        bench.process(lease=HOUR)
        endings = [failed(lease, bench.now) for lease in bench.leases()]
        bench.finish(*endings)
        leases = bench.leases()
        assert bench.finish(*(succeeded(lease, result) for lease in leases)) == frozenset(leases)
        for job, ending in zip(jobs, endings, strict=True):
            record = bench.job(job)
            assert (record.state, record.result) == (JobState.SUCCEEDED, result)
            assert (record.runs, record.failures, record.run) == ((ending.entry,), 1, 2)

    def test_a_result_that_could_not_be_stored_is_told(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        ending = Ending(bench.lease(), JobState.SUCCEEDED, result_error="a socket")
        bench.finish(ending)
        record = bench.job(job)
        assert (record.state, record.result) == (JobState.SUCCEEDED, None)
        assert record.result_error == "a socket"

    def test_a_failed_attempt_is_counted_and_tried_again(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process(lease=HOUR)
        lease = bench.lease()
        ending = failed(lease, bench.now + MINUTE)
        assert bench.finish(ending) == {lease}
        record = bench.job(job)
        assert (record.state, record.scheduled_at) == (JobState.RETRYING, bench.now + MINUTE)
        assert (record.failures, record.interruptions, record.attempt) == (1, 0, 2)
        assert (record.finalized_at, record.runs) == (None, (ending.entry,))
        bench.pass_time(MINUTE + 1)
        (again,) = bench.claim("p1").jobs
        assert (again.failures, again.run, again.attempt) == (1, 2, 2)

    def test_a_last_failure_makes_the_job_dead(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        lease = bench.lease()
        assert bench.finish(died(lease)) == {lease}
        record = bench.job(job)
        assert (record.state, record.failures) == (JobState.DEAD, 1)
        assert (record.reason, record.finalized_at) == ("attempts used up", bench.now)
        assert [line.why for line in record.runs] == [Why.FAILED]
        assert record.error == "ValueError: ValueError happened"

    def test_a_snooze_gives_the_attempt_back_but_not_the_run(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process(lease=HOUR)
        bench.finish(snoozed(bench.lease(), bench.now + MINUTE))
        record = bench.job(job)
        assert (record.state, record.failures) == (JobState.SCHEDULED, 0)
        assert (record.scheduled_at, record.runs[0].why) == (bench.now + MINUTE, Why.SNOOZED)
        bench.pass_time(MINUTE + 1)
        (again,) = bench.claim("p1").jobs
        assert (again.attempt, again.run) == (1, 2)

    def test_a_released_job_keeps_its_place(self, bench: Bench) -> None:
        first, second = bench.add(2)
        bench.process(lease=HOUR)
        lease = bench.lease()
        bench.pass_time(MINUTE)
        assert bench.finish(released(lease)) == {lease}
        record = bench.job(first)
        assert (record.state, record.failures) == (JobState.AVAILABLE, 0)
        assert record.interruptions == 0
        assert bench.taken("p1", 2) == [first, second]

    def test_an_interrupted_run_is_counted_apart_and_keeps_its_place(self, bench: Bench) -> None:
        first, second = bench.add(2)
        bench.process(lease=HOUR)
        lease = bench.lease()
        bench.pass_time(MINUTE)
        assert bench.finish(interrupted(lease)) == {lease}
        assert bench.finish(interrupted(lease)) == {lease}, "a repetition counts nothing"
        record = bench.job(first)
        assert (record.state, record.failures) == (JobState.AVAILABLE, 0)
        assert record.interruptions == 1
        assert [line.why for line in record.runs] == [Why.INTERRUPTED]
        assert bench.taken("p1", 2) == [first, second]

    def test_a_discarded_job_keeps_its_reason(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        lease = bench.lease()
        assert bench.finish(cancelled(lease, "gone")) == {lease}
        record = bench.job(job)
        assert (record.state, record.reason) == (JobState.CANCELLED, "gone")
        assert (record.failures, record.finalized_at) == (0, bench.now)
        assert [line.why for line in record.runs] == [Why.CANCELLED]

    def test_one_request_may_end_jobs_in_every_way(self, bench: Bench) -> None:
        jobs = bench.add(len(ENDINGS))
        bench.process()
        leases = bench.leases()
        endings = [
            every_ending(lease, bench.now + MINUTE)[how]
            for lease, how in zip(leases, ENDINGS, strict=True)
        ]
        assert bench.finish(*endings) == frozenset(leases)
        assert bench.states(jobs) == [ending.to for ending in endings]
        for job, ending in zip(jobs, endings, strict=True):
            record = bench.job(job)
            assert record.runs == ((ending.entry,) if ending.entry else ())
            assert record.failures == ending.failed
            assert record.reason == ending.reason
            assert record.parked == ending.parked

    def test_many_endings_go_in_one_request(self, bench: Bench) -> None:
        bench.add(1500)
        bench.process()
        leases = bench.leases("p1", 1500)
        assert bench.finish(*map(succeeded, leases)) == frozenset(leases)
        assert {record.state for record in bench.look().values()} == {JobState.SUCCEEDED}

    def test_an_empty_request_is_answered(self, bench: Bench) -> None:
        assert bench.finish() == frozenset()

    def test_a_retry_may_go_to_another_queue_and_priority(self, bench: Bench) -> None:
        (job,) = bench.add(priority=5)
        bench.process(lease=HOUR)
        lease = bench.lease()
        bench.finish(failed(lease, bench.now + SECOND, queue="slow", priority=-3))
        bench.pass_time(2 * SECOND)
        record = bench.job(job)
        assert (record.queue, record.priority) == ("slow", -3)
        (again,) = bench.claim("p1").jobs
        assert (again.queue, again.priority) == ("slow", -3)
        bench.finish(failed(Lease(job, "p1", again.run), bench.now + SECOND, priority=0))
        record = bench.job(job)
        assert (record.queue, record.priority) == ("slow", 0)

    def test_a_job_given_back_may_go_to_another_queue_and_priority(self, bench: Bench) -> None:
        moved, other = bench.add(2, queue="slow")
        (better,) = bench.add(queue="fast", priority=3)
        bench.process()
        ending = msgspec.structs.replace(released(bench.lease()), queue="fast", priority=7)
        bench.finish(ending)
        record = bench.job(moved)
        assert (record.queue, record.priority) == ("fast", 7)
        slow, fast = (Line(("slow",)),), (Line(("fast",)),)
        assert bench.taken("p1", 1, lines=fast) == [better]
        assert bench.taken("p1", lines=fast) == [moved]
        assert bench.taken("p1", lines=slow) == [other]

    def test_budgets_come_back_with_the_next_claim(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process(lease=HOUR)
        bench.finish(failed(bench.lease(), bench.now + SECOND, budgets=b'{"net":1}'))
        bench.pass_time(2 * SECOND)
        (again,) = bench.claim("p1").jobs
        assert again.budgets is not None
        assert msgspec.json.decode(again.budgets) == {"net": 1}
        # An ending that says nothing of them leaves them.
        bench.finish(snoozed(Lease(job, "p1", again.run), bench.now + SECOND))
        bench.pass_time(2 * SECOND)
        (again,) = bench.claim("p1").jobs
        assert again.budgets is not None
        assert msgspec.json.decode(again.budgets) == {"net": 1}

    @pytest.mark.parametrize("how", ["failed", "snoozed", "released", "cancelled", "parked"])
    def test_a_job_that_a_person_cancelled_is_not_tried_again(self, bench: Bench, how: str) -> None:
        (job,) = bench.add()
        bench.process(lease=HOUR)
        lease = bench.lease()
        bench.do(bench.store.cancel([job], "stop"))
        ending = every_ending(lease, bench.now + SECOND)[how]
        assert bench.finish(ending) == {lease}
        record = bench.job(job)
        assert (record.state, record.reason) == (JobState.CANCELLED, "stop")
        assert (record.failures, record.runs) == (ending.failed, (ending.entry,))
        assert record.finalized_at == bench.now
        bench.pass_time(MINUTE)
        assert bench.taken("p1") == []
        assert bench.finish(ending) == {lease}

    def test_the_first_20_and_last_80_runs_are_kept(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        for _ in range(103):
            bench.finish(released(bench.lease()))
        numbers = [line.run for line in bench.job(job).runs]
        assert numbers == [*range(1, 21), *range(24, 104)]

    def test_every_part_of_a_run_is_kept(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        lease = bench.lease()
        text = "línea\n\x00'\"; 🚢" * 10
        line = msgspec.structs.replace(
            entry(lease, Why.TIMED_OUT, "app.Error"), message=text, traceback=text
        )
        bench.finish(failed(lease, bench.now, entry=line))
        assert bench.job(job).runs == (line,)


class FenceConformance:
    """Which endings are accepted, and what a repeated or late one is answered."""

    @pytest.mark.parametrize("how", ENDINGS)
    def test_a_repeated_ending_is_answered_and_changes_nothing(
        self, bench: Bench, how: str
    ) -> None:
        (job,) = bench.add()
        bench.process()
        lease = bench.lease()
        ending = every_ending(lease, bench.now + MINUTE)[how]
        assert bench.finish(ending) == {lease}
        before = bench.job(job)
        bench.pass_time(SECOND)
        assert bench.finish(ending) == {lease}
        assert bench.job(job) == before

    @pytest.mark.parametrize("how", ENDINGS)
    def test_a_second_ending_of_a_run_changes_nothing(self, bench: Bench, how: str) -> None:
        jobs = bench.add(len(ENDINGS))
        bench.process()
        leases = bench.leases()
        bench.finish(*(every_ending(lease, bench.now + MINUTE)[how] for lease in leases))
        before = [bench.job(job) for job in jobs]
        second = [
            every_ending(lease, bench.now + HOUR)[other]
            for lease, other in zip(leases, ENDINGS, strict=True)
        ]
        bench.finish(*second)
        assert [bench.job(job) for job in jobs] == before

    @pytest.mark.parametrize("second", ENDINGS)
    @pytest.mark.parametrize("first", ["succeeded", "failed", "released"])
    def test_of_two_endings_in_one_request_the_first_counts(
        self, bench: Bench, first: str, second: str
    ) -> None:
        (job,) = bench.add()
        bench.process()
        lease = bench.lease()
        one = every_ending(lease, bench.now + MINUTE)[first]
        two = every_ending(lease, bench.now + HOUR)[second]
        assert bench.finish(one, two) == {lease}
        record = bench.job(job)
        assert (record.state, record.failures) == (one.to, one.failed)
        assert record.runs == ((one.entry,) if one.entry else ())
        assert record.result == one.result

    @pytest.mark.parametrize("how", ["succeeded", "failed"])
    def test_one_request_may_end_jobs_of_several_processes(self, bench: Bench, how: str) -> None:
        jobs = bench.add(6)
        for process in ("p1", "p2"):
            bench.process(process)
        leases = [*bench.leases("p1", 3), *bench.leases("p2", 3)]
        mixed = [leases[0], leases[3], leases[1], leases[4]]
        endings = [every_ending(lease, bench.now + MINUTE)[how] for lease in mixed]
        swapped = Lease(leases[2].job_id, "p2", leases[2].run)
        assert bench.finish(*endings, succeeded(swapped)) == frozenset(mixed)
        running = {leases[2].job_id, leases[5].job_id}
        for job in jobs:
            assert bench.state(job) is (JobState.RUNNING if job in running else endings[0].to)

    @pytest.mark.parametrize("how", ENDINGS)
    def test_a_late_ending_of_an_earlier_run_is_refused(self, bench: Bench, how: str) -> None:
        (job,) = bench.add()
        bench.process()
        old = bench.lease()
        bench.finish(released(old))
        new = bench.lease()
        before = bench.job(job)
        assert bench.finish(every_ending(old, bench.now + MINUTE)[how]) == frozenset()
        assert bench.job(job) == before
        assert bench.finish(succeeded(new)) == {new}

    @pytest.mark.parametrize("how", ENDINGS)
    def test_an_ending_by_another_process_is_refused(self, bench: Bench, how: str) -> None:
        (job,) = bench.add()
        bench.process("p1")
        bench.process("p2")
        lease = bench.lease("p1")
        before = bench.job(job)
        foreign = Lease(job, "p2", lease.run)
        assert bench.finish(every_ending(foreign, bench.now)[how]) == frozenset()
        assert bench.job(job) == before

    def test_an_ending_of_a_run_to_come_is_refused(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        lease = bench.lease()
        assert bench.finish(succeeded(Lease(job, "p1", lease.run + 1))) == frozenset()
        assert bench.state(job) is JobState.RUNNING

    def test_an_ending_of_an_unknown_job_is_refused(self, bench: Bench) -> None:
        bench.process()
        (job,) = bench.add()
        bench.do(bench.store.delete([job]))
        assert bench.finish(succeeded(Lease(job, "p1", 1))) == frozenset()

    @pytest.mark.parametrize("how", ENDINGS)
    @pytest.mark.parametrize("began", [True, False])
    def test_the_ending_of_a_rescued_run_is_refused(
        self, bench: Bench, how: str, *, began: bool
    ) -> None:
        (job,) = bench.add()
        bench.process()
        lease = bench.lease()
        bench.rescue("p1", [lease] if began else [])
        before = bench.job(job)
        assert before.state is JobState.AVAILABLE
        assert bench.finish(every_ending(lease, bench.now + MINUTE)[how]) == frozenset()
        assert bench.job(job) == before

    def test_a_refused_ending_does_not_stop_its_neighbours(self, bench: Bench) -> None:
        first, second, third = bench.add(3)
        bench.process()
        one, two, three = bench.leases()
        bench.finish(released(two))
        bench.leases()
        assert bench.finish(succeeded(one), succeeded(two), succeeded(three)) == {one, three}
        assert bench.states([first, second, third]) == [
            JobState.SUCCEEDED,
            JobState.RUNNING,
            JobState.SUCCEEDED,
        ]

    def test_after_the_lease_and_before_rescue_an_ending_counts(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        lease = bench.lease()
        bench.pass_time(LEASE + SECOND)
        assert bench.finish(succeeded(lease)) == {lease}
        assert bench.state(job) is JobState.SUCCEEDED

    def test_an_exchange_finishes_then_claims(self, bench: Bench) -> None:
        bench.process()
        (job,) = bench.add()
        lease = bench.lease()
        (following,) = bench.add()
        answer = bench.do(bench.store.exchange([succeeded(lease, b"1")], bench.request("p1", 2)))
        assert answer.held == {lease}
        assert answer.claim.live
        assert [taken.id for taken in answer.claim.jobs] == [following]
        assert bench.states([job, following]) == [JobState.SUCCEEDED, JobState.RUNNING]

    def test_an_exchange_may_claim_what_it_gave_back(self, bench: Bench) -> None:
        bench.process()
        (job,) = bench.add()
        lease = bench.lease()
        answer = bench.do(bench.store.exchange([released(lease)], bench.request("p1", 2)))
        assert answer.held == {lease}
        assert [(taken.id, taken.run) for taken in answer.claim.jobs] == [(job, 2)]

    def test_a_repeated_exchange_is_answered(self, bench: Bench) -> None:
        bench.process()
        bench.add(4)
        one, two = bench.leases("p1", 2)
        request = bench.request("p1", 1)
        endings = [succeeded(one), failed(two, bench.now + MINUTE)]
        first = bench.do(bench.store.exchange(endings, request))
        before = bench.look()
        again = bench.do(bench.store.exchange(endings, request))
        assert again.held == first.held == {one, two}
        assert again.claim.jobs == first.claim.jobs
        assert bench.look() == before

    def test_an_exchange_without_a_lease_still_takes_endings(self, bench: Bench) -> None:
        bench.process()
        job, other = bench.add(2)
        lease = bench.lease()
        bench.pass_time(LEASE + 1)
        answer = bench.do(bench.store.exchange([succeeded(lease)], bench.request("p1")))
        assert answer.held == {lease}
        assert (answer.claim.live, answer.claim.jobs) == (False, ())
        assert bench.states([job, other]) == [JobState.SUCCEEDED, JobState.AVAILABLE]

    def test_an_exchange_refuses_what_finish_refuses(self, bench: Bench) -> None:
        bench.process()
        bench.add()
        old = bench.lease()
        bench.finish(released(old))
        bench.lease()
        answer = bench.do(bench.store.exchange([succeeded(old)], bench.request("p1")))
        assert answer.held == frozenset()

    def test_an_exchange_ends_no_run_of_another_process(self, bench: Bench) -> None:
        own, foreign, waiting = bench.add(3)
        for process in ("p1", "p2"):
            bench.process(process)
        mine, other = bench.lease("p1"), bench.lease("p2")
        endings = [succeeded(mine), succeeded(Lease(foreign, "p1", other.run))]
        answer = bench.do(bench.store.exchange(endings, bench.request("p1")))
        assert answer.held == {mine}
        assert [taken.id for taken in answer.claim.jobs] == [waiting]
        assert bench.states([own, foreign]) == [JobState.SUCCEEDED, JobState.RUNNING]
        counted = bench.do(bench.store.count(Filter()))
        assert {(one.state, one.jobs) for one in counted if one.jobs} == {
            (JobState.SUCCEEDED, 1),
            (JobState.RUNNING, 2),
        }

    def test_an_exchange_ends_no_run_twice(self, bench: Bench) -> None:
        job, waiting = bench.add(2)
        bench.process()
        lease = bench.lease()
        bench.finish(failed(lease, bench.now + MINUTE))
        before = bench.job(job)
        answer = bench.do(bench.store.exchange([succeeded(lease)], bench.request("p1")))
        assert answer.held == {lease}
        assert [taken.id for taken in answer.claim.jobs] == [waiting]
        assert bench.job(job) == before

    def test_an_exchange_claims_what_it_made_due(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.add(scheduled_at=bench.now + HOUR)
        bench.process()
        lease = bench.lease()
        answer = bench.do(bench.store.exchange([failed(lease, bench.now)], bench.request("p1")))
        assert [(taken.id, taken.run) for taken in answer.claim.jobs] == [(job, 2)]

    def test_progress_is_saved_while_the_job_runs(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        lease = bench.lease()
        for progress in (Progress(1.0, 3.0, "page 1"), Progress(2.5)):
            assert bench.do(bench.store.save([Patch(lease, progress)])) == {lease}
            assert bench.job(job).progress == progress
        assert bench.state(job) is JobState.RUNNING

    def test_progress_of_another_run_is_refused(self, bench: Bench) -> None:
        ended, again, running = bench.add(3)
        bench.process()
        one, two, three = bench.leases()
        bench.finish(succeeded(one), released(two))
        bench.lease()
        late = [Patch(lease, Progress(9.0)) for lease in (one, two)]
        foreign = Patch(Lease(running, "p2", three.run), Progress(9.0))
        good = Patch(three, Progress(1.0))
        assert bench.do(bench.store.save([*late, foreign, good])) == {three}
        assert [bench.job(job).progress for job in (ended, again)] == [None, None]
        assert bench.job(running).progress == Progress(1.0)
