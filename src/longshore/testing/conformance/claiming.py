"""Claiming: whose turn it is, who gets it, and that nobody else does."""

from __future__ import annotations

from functools import partial
from random import Random

import msgspec
import pytest

from longshore.core.model import JobState
from longshore.core.store import Claim, Filter, Line, SetQueue
from longshore.testing.conformance.bench import (
    HOUR,
    LEASE,
    MINUTE,
    PAYLOAD,
    SECOND,
    Bench,
    failed,
    lease_of,
    released,
    snoozed,
    succeeded,
)


class OrderConformance:
    """In which order ``claim`` takes jobs, and which it leaves."""

    def test_lower_priority_numbers_run_first(self, bench: Bench) -> None:
        (late,) = bench.add(priority=9)
        (first,) = bench.add(priority=-5)
        (middle,) = bench.add(priority=0)
        bench.process()
        assert bench.taken("p1", 1) == [first]
        assert bench.taken("p1") == [middle, late]

    def test_within_a_priority_the_longest_due_runs_first(self, bench: Bench) -> None:
        (younger,) = bench.add(scheduled_at=bench.now + 2 * SECOND)
        (older,) = bench.add(scheduled_at=bench.now + SECOND)
        bench.pass_time(MINUTE)
        (last,) = bench.add()
        bench.process()
        assert bench.taken("p1", 2) == [older, younger]
        assert bench.taken("p1", 2) == [last]

    def test_jobs_due_together_run_in_the_order_of_creation(self, bench: Bench) -> None:
        new = [bench.new() for _ in range(5)]
        bench.do(bench.store.insert(new[::-1]))
        bench.process()
        assert bench.taken("p1", 2) == [job.id for job in new[:2]]
        assert bench.taken("p1") == [job.id for job in new[2:]]

    def test_priority_comes_before_time(self, bench: Bench) -> None:
        (old,) = bench.add(priority=1)
        bench.pass_time(HOUR)
        (urgent,) = bench.add(priority=0)
        bench.process()
        assert bench.taken("p1") == [urgent, old]

    def test_a_retried_job_stands_where_its_new_time_puts_it(self, bench: Bench) -> None:
        bench.process(lease=HOUR)
        (again,) = bench.add()
        bench.finish(failed(bench.lease(), bench.now + MINUTE))
        (before,) = bench.add(scheduled_at=bench.now + MINUTE - SECOND)
        (after,) = bench.add(scheduled_at=bench.now + MINUTE + SECOND)
        bench.pass_time(2 * MINUTE)
        assert bench.taken("p1") == [before, again, after]

    def test_lines_are_served_strictly_in_the_order_given(self, bench: Bench) -> None:
        (low,) = bench.add(queue="low", priority=-9)
        bench.pass_time(SECOND)
        high = bench.add(2, queue="high", priority=9)
        bench.process()
        lines = (Line(("high",)), Line(("low",)))
        assert bench.taken("p1", 3, lines=lines) == [*high, low]

    def test_a_line_of_two_queues_has_one_order(self, bench: Bench) -> None:
        (third,) = bench.add(queue="a", priority=3)
        (first,) = bench.add(queue="b", priority=1)
        (second,) = bench.add(queue="a", priority=2)
        bench.process()
        assert bench.taken("p1", lines=(Line(("a", "b")),)) == [first, second, third]

    @pytest.mark.parametrize("line", [Line(("a", "b", "c")), Line(("*",), excludes=("d",))])
    def test_one_full_queue_of_a_line_fills_the_claim(self, bench: Bench, line: Line) -> None:
        jobs = bench.add(20, queue="a")
        bench.add(1, queue="d")
        bench.process()
        lines = (line, Line(("d",)))
        assert bench.taken("p1", 10, lines=lines) == jobs[:10]
        bench.add(2, queue="b", priority=1)
        assert bench.taken("p1", 10, lines=lines) == jobs[10:]

    @pytest.mark.parametrize(
        ("line", "served"),
        [
            (Line(("*",)), "01234"),
            (Line(("*",), excludes=("q0",)), "1234"),
            (Line(("q4",)), "4"),
            (Line(("q1", "q4")), "14"),
            (Line(("q*",), excludes=("q1", "q2", "q3", "q4")), "0"),
            (Line(("q0", "q1", "q2", "q3", "q4")), "01234"),
        ],
        ids=repr,
    )
    def test_every_line_has_one_order(self, bench: Bench, line: Line, served: str) -> None:
        random = Random(7)  # noqa: S311 - repeatable, not secret
        new = [
            bench.new(
                queue=f"q{random.choice((0, 1, 2, 3, 4, 4, 4, 4))}",
                priority=random.randrange(4),
                scheduled_at=bench.now + random.randrange(20),
            )
            for _ in range(150)
        ]
        bench.do(bench.store.insert(new))
        bench.pass_time(SECOND)
        bench.process()
        waiting = sorted(
            (job for job in new if job.queue[1:] in served),
            key=lambda job: (job.priority, job.scheduled_at, job.id),
        )
        for wanted in (1, 2, 3, 7, 13, 40, 60, 100):
            turn, waiting = waiting[:wanted], waiting[wanted:]
            assert bench.taken("p1", wanted, lines=(line,)) == [job.id for job in turn]

    def test_a_wildcard_is_one_line_over_all_its_queues(self, bench: Bench) -> None:
        (third,) = bench.add(queue="a", priority=3)
        (first,) = bench.add(queue="b", priority=1)
        (second,) = bench.add(queue="c", priority=2)
        bench.process()
        assert bench.taken("p1", 2) == [first, second]
        assert bench.taken("p1", 2) == [third]

    def test_only_queues_asked_for_are_served(self, bench: Bench) -> None:
        bench.add(queue="other")
        bench.process()
        assert bench.taken("p1", lines=(Line(("default",)),)) == []
        assert bench.taken("p1", lines=()) == []

    def test_a_prefix_takes_its_queues_and_no_others(self, bench: Bench) -> None:
        (low,) = bench.add(queue="mail_low")
        (bare,) = bench.add(queue="mail_")
        # An underscore is a letter here, not "any character".
        bench.add(queue="mailxlow")
        bench.add(queue="email_low")
        bench.process()
        assert bench.taken("p1", lines=(Line(("mail_*",)),)) == [low, bare]

    def test_excluded_queues_are_left(self, bench: Bench) -> None:
        (taken,) = bench.add(queue="mail")
        bench.add(queue="audit")
        bench.add(queue="slow.a")
        bench.add(queue="slow.b")
        bench.process()
        line = Line(("*",), excludes=("audit", "slow.*"))
        assert bench.taken("p1", lines=(line,)) == [taken]

    def test_a_queue_in_two_lines_is_taken_once(self, bench: Bench) -> None:
        (urgent,) = bench.add(queue="mail")
        (other,) = bench.add(queue="a")
        bench.process()
        lines = (Line(("mail",)), Line(("*",)))
        assert bench.taken("p1", lines=lines) == [urgent, other]

    def test_no_more_than_wanted_are_taken(self, bench: Bench) -> None:
        jobs = bench.add(5)
        bench.process()
        assert bench.taken("p1", 0) == []
        assert bench.taken("p1", 3) == jobs[:3]
        assert bench.states(jobs[3:]) == [JobState.AVAILABLE] * 2

    def test_many_jobs_may_be_taken_at_once(self, bench: Bench) -> None:
        jobs = bench.add(1500)
        bench.process()
        assert bench.taken("p1", 1500) == jobs

    def test_a_paused_queue_starts_nothing_until_resumed(self, bench: Bench) -> None:
        (mail,) = bench.add(queue="mail")
        (other,) = bench.add(queue="other")
        bench.process(lease=HOUR)
        bench.do(bench.store.set_queue(SetQueue("mail", paused=True)))
        assert bench.taken("p1") == [other]
        assert bench.taken("p1", lines=(Line(("mail",)),)) == []
        bench.pass_time(MINUTE)
        assert bench.taken("p1") == []
        bench.do(bench.store.set_queue(SetQueue("mail", paused=False)))
        assert bench.taken("p1") == [mail]

    def test_a_pause_with_an_end_ends(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process(lease=HOUR)
        pause = SetQueue("default", paused=True, pause_for=MINUTE)
        bench.do(bench.store.set_queue(pause))
        bench.pass_time(MINUTE - 1)
        assert bench.taken("p1") == []
        bench.pass_time(2)
        assert bench.taken("p1") == [job]

    def test_a_pause_without_end_replaces_one_with_an_end(self, bench: Bench) -> None:
        bench.add()
        bench.process(lease=HOUR)
        bench.do(bench.store.set_queue(SetQueue("default", paused=True, pause_for=SECOND)))
        bench.do(bench.store.set_queue(SetQueue("default", paused=True)))
        bench.pass_time(MINUTE)
        assert bench.taken("p1") == []

    def test_a_pause_leaves_running_jobs_alone(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        lease = bench.lease()
        bench.do(bench.store.set_queue(SetQueue("default", paused=True)))
        assert bench.finish(succeeded(lease)) == {lease}
        assert bench.state(job) is JobState.SUCCEEDED

    def test_no_job_starts_before_it_is_due(self, bench: Bench) -> None:
        (job,) = bench.add(scheduled_at=bench.now + MINUTE)
        bench.process(lease=HOUR)
        bench.pass_time(MINUTE - 1)
        assert bench.taken("p1") == []
        bench.pass_time(2)
        assert bench.taken("p1") == [job]

    def test_a_snoozed_job_waits_again(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process(lease=HOUR)
        bench.finish(snoozed(bench.lease(), bench.now + MINUTE))
        assert bench.taken("p1") == []
        bench.pass_time(MINUTE + 1)
        assert bench.taken("p1") == [job]

    def test_no_job_starts_after_it_has_expired(self, bench: Bench) -> None:
        (kept,) = bench.add(expires_at=bench.now + HOUR)
        (expired,) = bench.add(expires_at=bench.now + MINUTE)
        (late,) = bench.add(expires_at=bench.now + MINUTE, scheduled_at=bench.now + 2 * MINUTE)
        bench.process(lease=HOUR)
        bench.pass_time(3 * MINUTE)
        assert bench.taken("p1") == [kept]
        assert JobState.RUNNING not in bench.states([expired, late])

    def test_however_many_have_expired_none_of_them_starts(self, bench: Bench) -> None:
        bench.add(700, expires_at=bench.now + SECOND)
        (kept,) = bench.add(priority=1)
        bench.process(lease=HOUR)
        bench.pass_time(MINUTE)
        assert set(bench.taken("p1", 1000)) <= {kept}
        assert bench.state(kept) in {JobState.RUNNING, JobState.AVAILABLE}


class ClaimConformance:
    """What a claim hands out, to whom, and how it is repeated."""

    def test_what_else_there_is_to_do_is_done_by_the_time_of_the_answer(self, bench: Bench) -> None:
        bench.process()
        asked = [bench.store.insert([bench.new()]), bench.store.claim(bench.request("p1"))]
        done: list[str] = []
        for op in (*asked, bench.store.count(Filter())):
            op.meanwhile = partial(done.append, op.name)
            bench.store.run(op)
        assert set(done) == {"insert", "claim", "count"}

    def test_a_claim_hands_out_the_job(self, bench: Bench) -> None:
        new = bench.new(
            priority=4, max_attempts=7, timeout=9, keep_result=8, tags=("t",), meta={"a": [1]}
        )
        bench.do(bench.store.insert([new]))
        bench.process()
        claim = bench.claim("p1", 1)
        assert claim.live
        (job,) = claim.jobs
        for field in ("id", "kind", "queue", "payload", "priority", "max_attempts", "timeout"):
            assert getattr(job, field) == getattr(new, field), field
        assert (job.keep_result, job.tags) == (8, ("t",))
        assert (job.scheduled_at, job.created_at) == (new.scheduled_at, new.created_at)
        assert job.meta is not None
        assert msgspec.json.decode(job.meta) == {"a": [1]}
        assert (job.run, job.failures, job.interruptions, job.budgets) == (1, 0, 0, None)
        assert job.claimed_at == bench.now
        record = bench.job(new.id)
        assert (record.state, record.claimed_by, record.run) == (JobState.RUNNING, "p1", 1)
        assert (record.claimed_at, record.attempted_at) == (bench.now, bench.now)

    def test_a_claimed_job_is_not_claimed_again(self, bench: Bench) -> None:
        jobs = bench.add(6)
        bench.process("p1")
        bench.process("p2")
        taken = [bench.taken("p1", 2), bench.taken("p2", 2), bench.taken("p1", 9)]
        assert [*taken[0], *taken[1], *taken[2]] == jobs
        assert bench.taken("p2") == []

    def test_each_claim_has_a_higher_run_number(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process("p1")
        bench.process("p2")
        runs: list[int] = []
        for process in ("p1", "p2", "p2", "p1"):
            lease = bench.lease(process)
            runs.append(lease.run)
            bench.finish(released(lease))
        assert runs == [1, 2, 3, 4]
        assert bench.job(job).run == 4

    def test_the_time_of_the_first_claim_is_kept(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process(lease=HOUR)
        first = bench.now
        bench.finish(released(bench.lease()))
        bench.pass_time(MINUTE)
        (again,) = bench.claim("p1").jobs
        assert again.claimed_at == first + MINUTE
        record = bench.job(job)
        assert (record.attempted_at, record.claimed_at) == (first, first + MINUTE)

    def test_the_payload_is_the_same_at_every_run(self, bench: Bench) -> None:
        bench.add()
        bench.process(lease=HOUR)
        for _ in range(3):
            (job,) = bench.claim("p1").jobs
            assert job.payload == PAYLOAD
            bench.finish(failed(lease_of("p1", job), bench.now + SECOND))
            bench.pass_time(2 * SECOND)

    def test_a_repeated_claim_returns_the_same_jobs(self, bench: Bench) -> None:
        bench.add(5)
        bench.process()
        request = bench.request("p1", 3)
        first = bench.do(bench.store.claim(request))
        again = bench.do(bench.store.claim(request))
        assert again.live
        assert again.jobs == first.jobs
        assert len(bench.taken("p1")) == 2

    def test_a_repeated_claim_is_answered_though_the_queue_is_paused(self, bench: Bench) -> None:
        bench.add(2)
        bench.process()
        request = bench.request("p1", 3)
        first = bench.do(bench.store.claim(request))
        bench.do(bench.store.set_queue(SetQueue("default", paused=True)))
        assert bench.do(bench.store.claim(request)).jobs == first.jobs

    def test_a_repeated_claim_leaves_out_what_has_ended(self, bench: Bench) -> None:
        _, second = bench.add(2)
        bench.process()
        request = bench.request("p1", 2)
        first, _ = bench.do(bench.store.claim(request)).jobs
        bench.finish(released(lease_of("p1", first)))
        assert [job.id for job in bench.do(bench.store.claim(request)).jobs] == [second]

    def test_the_same_number_of_another_process_is_another_claim(self, bench: Bench) -> None:
        one, two = bench.add(2)
        bench.process("p1")
        bench.process("p2")
        assert bench.taken("p1", 1, claim_id=7) == [one]
        assert bench.taken("p2", 1, claim_id=7) == [two]
        assert bench.taken("p1", 1, claim_id=7) == [one]
        assert bench.taken("p2", 1, claim_id=7) == [two]

    def test_a_process_that_was_never_registered_gets_nothing(self, bench: Bench) -> None:
        (job,) = bench.add()
        assert bench.claim("nobody") == Claim(live=False)
        assert bench.state(job) is JobState.AVAILABLE

    def test_a_process_whose_lease_has_passed_gets_nothing(self, bench: Bench) -> None:
        jobs = bench.add(2)
        bench.process()
        request = bench.request("p1", 1)
        bench.do(bench.store.claim(request))
        bench.pass_time(LEASE + 1)
        assert bench.claim("p1") == Claim(live=False)
        # Not even what it holds: it may be somebody else's at any moment.
        assert bench.do(bench.store.claim(request)) == Claim(live=False)
        assert bench.states(jobs) == [JobState.RUNNING, JobState.AVAILABLE]

    def test_a_lease_lasts_as_long_as_it_was_given_for(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process(lease=LEASE)
        bench.pass_time(LEASE - 1)
        assert bench.taken("p1") == [job]

    def test_a_process_that_was_given_up_gets_nothing(self, bench: Bench) -> None:
        bench.process()
        bench.rescue(dead="p1")
        (job,) = bench.add()
        assert bench.claim("p1") == Claim(live=False)
        assert bench.state(job) is JobState.AVAILABLE

    def test_an_answer_with_room_says_when_the_next_job_is_due(self, bench: Bench) -> None:
        bench.process(lease=HOUR)
        assert bench.claim("p1").due_in is None
        bench.add(scheduled_at=bench.now + 9 * SECOND, queue="other")
        bench.add(scheduled_at=bench.now + 5 * SECOND, queue="other")
        bench.add()
        bench.pass_time(SECOND)
        claim = bench.claim("p1", 2)
        assert (len(claim.jobs), claim.due_in) == (1, 4 * SECOND)
        bench.pass_time(6 * SECOND)
        claim = bench.claim("p1", 2)
        assert (len(claim.jobs), claim.due_in) == (1, 2 * SECOND)

    def test_a_job_to_be_retried_is_due_too(self, bench: Bench) -> None:
        bench.process()
        bench.add()
        bench.finish(failed(bench.lease(), bench.now + 3 * SECOND))
        assert bench.claim("p1").due_in == 3 * SECOND
