"""Rating: never more than N starts in a period, by the store's clock, and no needless wait."""

from __future__ import annotations

from random import Random

import pytest

from longshore.core.limits import BLOCKED, PARTS, Limit, SetLimit
from longshore.core.model import JobState, Lease
from longshore.core.store import Line
from longshore.testing.conformance.bench import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Bench,
    failed,
    lease_of,
    parked,
    released,
    succeeded,
)
from longshore.testing.conformance.restraint import (
    ACCOUNT,
    BACK,
    GONE,
    PARKED,
    limited,
    limits,
    rated,
    set_limit,
    used,
)

PER = 10 * SECOND
RATE = Limit("mail", "", 2, PER)


class RateConformance:
    """When jobs under a rate may start."""

    def test_the_first_start_at_once_and_the_next_when_the_window_is_over(
        self, bench: Bench
    ) -> None:
        jobs = bench.add(7, rules=rated(3))
        bench.process(lease=HOUR)
        claim = bench.claim("p1")
        assert [job.id for job in claim.jobs] == jobs[:3]
        assert claim.due_in == PER
        bench.pass_time(PER - 1)
        claim = bench.claim("p1")
        assert (claim.jobs, claim.due_in) == ((), 1)
        bench.pass_time(1)
        claim = bench.claim("p1")
        assert [job.id for job in claim.jobs] == jobs[3:6]
        assert claim.due_in == PER
        bench.pass_time(HOUR - PER - 1)
        assert bench.taken("p1") == jobs[6:]

    def test_each_start_leaves_the_window_by_itself(self, bench: Bench) -> None:
        jobs = bench.add(4, rules=rated(2))
        bench.process(lease=HOUR)
        assert bench.taken("p1", 1) == jobs[:1]
        bench.pass_time(4 * SECOND)
        claim = bench.claim("p1")
        assert [job.id for job in claim.jobs] == jobs[1:2]
        assert claim.due_in == 6 * SECOND
        bench.pass_time(6 * SECOND)
        claim = bench.claim("p1")
        assert [job.id for job in claim.jobs] == jobs[2:3]
        assert claim.due_in == 4 * SECOND

    def test_starts_that_nearly_coincide_leave_the_window_together(self, bench: Bench) -> None:
        jobs = bench.add(5, rules=rated(2))
        bench.process(lease=HOUR)
        assert bench.taken("p1", 1) == jobs[:1]
        bench.pass_time(PER // PARTS // 2)
        claim = bench.claim("p1")
        assert [job.id for job in claim.jobs] == jobs[1:2]
        assert claim.due_in == PER
        bench.pass_time(PER)
        assert bench.taken("p1") == jobs[2:4]

    def test_starts_of_a_tenth_of_a_short_period_leave_the_window_together(
        self, bench: Bench
    ) -> None:
        jobs = bench.add(6, rules=rated(3, SECOND))
        bench.process(lease=HOUR)
        assert bench.taken("p1", 1) == jobs[:1]
        bench.pass_time(SECOND // 10)
        assert bench.taken("p1", 1) == jobs[1:2]
        part = SECOND // PARTS
        bench.pass_time(part)
        claim = bench.claim("p1")
        assert [job.id for job in claim.jobs] == jobs[2:3]
        assert claim.due_in == SECOND - part
        bench.pass_time(SECOND - part)
        assert bench.taken("p1") == jobs[3:5]

    def test_jobs_behind_are_not_held_back(self, bench: Bench) -> None:
        first, second = bench.add(2, rules=rated(1))
        free = bench.add(2)
        (other,) = bench.add(rules=rated(1, value="b"))
        bench.process()
        assert bench.taken("p1") == [first, *free, other]
        assert bench.state(second) is JobState.AVAILABLE

    @pytest.mark.parametrize("way", [*GONE, *BACK])
    def test_a_start_is_never_given_back(self, bench: Bench, way: str) -> None:
        bench.add(3, rules=rated(1, HOUR))
        bench.process("p2", lease=HOUR)
        bench.process("p1")
        lease = bench.lease("p1")
        {**GONE, **BACK}[way](bench, lease)
        assert bench.taken("p2") == []
        assert used(bench, Limit("mail", "", 1, HOUR)) == 1
        bench.beat("p2", lease=DAY)
        bench.pass_time(HOUR)
        assert len(bench.taken("p2")) == 1

    def test_no_attempt_is_used_by_waiting(self, bench: Bench) -> None:
        jobs = bench.add(3, rules=rated(1))
        bench.process(lease=HOUR)
        for number in range(3):
            assert bench.taken("p1") == jobs[number : number + 1]
            assert bench.taken("p1") == []
            bench.pass_time(PER)
        records = [bench.job(job) for job in jobs]
        assert [(one.run, one.failures, one.runs) for one in records] == [(1, 0, ())] * 3

    def test_a_rate_and_a_limit_are_taken_all_or_none(self, bench: Bench) -> None:
        rules = limited(RATE, ACCOUNT)
        first, second, third = bench.add(3, rules=rules)
        bench.process(lease=HOUR)
        lease = bench.lease()
        assert lease.job_id == first
        assert bench.taken("p1") == []
        assert (used(bench, RATE), used(bench, ACCOUNT)) == (1, 1)
        bench.finish(succeeded(lease))
        lease = bench.lease()
        assert lease.job_id == second
        bench.finish(succeeded(lease))
        assert bench.taken("p1") == []
        assert (used(bench, RATE), used(bench, ACCOUNT)) == (2, 0)
        bench.pass_time(PER)
        assert bench.taken("p1") == [third]

    def test_several_rates_hold_together(self, bench: Bench) -> None:
        short, long = Limit("mail", "short", 2, SECOND), Limit("mail", "long", 3, MINUTE)
        jobs = bench.add(6, rules=limited(short, long))
        bench.process(lease=HOUR)
        assert bench.taken("p1") == jobs[:2]
        bench.pass_time(SECOND)
        claim = bench.claim("p1")
        assert [job.id for job in claim.jobs] == jobs[2:3]
        assert claim.due_in == MINUTE - SECOND
        bench.pass_time(MINUTE - SECOND)
        assert bench.taken("p1") == jobs[3:5]

    def test_the_earliest_to_open_is_told(self, bench: Bench) -> None:
        bench.add(2, rules=rated(1, MINUTE, value="slow"))
        bench.add(2, rules=rated(1, 5 * SECOND, value="quick"))
        bench.add(scheduled_at=bench.now + 20 * SECOND)
        bench.process(lease=HOUR)
        assert bench.claim("p1").due_in == 5 * SECOND
        bench.pass_time(5 * SECOND)
        claim = bench.claim("p1")
        assert (len(claim.jobs), claim.due_in) == (1, 15 * SECOND)

    def test_a_repeated_claim_starts_nothing_anew(self, bench: Bench) -> None:
        jobs = bench.add(5, rules=rated(3))
        bench.process()
        request = bench.request("p1", 2)
        first = bench.do(bench.store.claim(request))
        again = bench.do(bench.store.claim(request))
        assert sorted(again.jobs, key=lambda job: job.id) == list(first.jobs)
        assert used(bench, Limit("mail", "", 3, PER)) == 2
        assert bench.taken("p1") == jobs[2:3]

    def test_an_exchange_counts_its_starts(self, bench: Bench) -> None:
        bench.add(3, rules=rated(2))
        bench.process()
        lease = bench.lease()
        for taken in (1, 0):
            op = bench.store.exchange([succeeded(lease)], bench.request("p1"))
            answer = bench.do(op)
            assert len(answer.claim.jobs) == taken
            lease = lease_of("p1", answer.claim.jobs[0]) if taken else lease

    def test_a_parked_job_is_under_its_rate_too(self, bench: Bench) -> None:
        jobs = bench.add(3, rules=rated(4), kind="app.new")
        bench.process(lease=HOUR)
        bench.finish(*(parked(lease, "d1") for lease in bench.leases()))
        assert bench.taken("p1", **PARKED) == jobs[:1]
        assert bench.taken("p1", **PARKED) == []
        bench.pass_time(PER)
        assert bench.taken("p1", free=1, **PARKED) == jobs[1:2]
        assert bench.taken("p1", free=1, **PARKED) == jobs[2:]

    @pytest.mark.parametrize(
        ("free", "expected"),
        [(0, "p"), (1, "p r"), (2, "p r r"), (3, "p r r r p"), (9, "p r r r p")],
    )
    def test_jobs_with_a_rate_come_only_for_free_slots(
        self, bench: Bench, free: int, expected: str
    ) -> None:
        jobs = [bench.add()[0], *bench.add(3, rules=rated(9)), bench.add()[0]]
        bench.process()
        assert bench.taken("p1", free=free) == jobs[: len(expected.split())]
        assert used(bench, Limit("mail", "", 9, PER)) == expected.count("r")

    def test_a_full_rate_does_not_end_a_claim_with_no_slot_free(self, bench: Bench) -> None:
        bench.process()
        bench.add(rules=rated(1))
        bench.lease()
        bench.add(2, rules=rated(1))
        (behind,) = bench.add()
        assert bench.taken("p1", free=0) == [behind]

    def test_a_full_rate_behind_the_last_free_slot_does_not_end_a_claim(self, bench: Bench) -> None:
        bench.process()
        bench.add(rules=rated(1))
        bench.lease()
        (first,) = bench.add(rules=rated(9, value="other"))
        bench.add(2, rules=rated(1))
        (behind,) = bench.add()
        assert bench.taken("p1", free=1) == [first, behind]

    def test_in_no_window_start_more_than_allowed(self, bench: Bench) -> None:
        random = Random(5)  # noqa: S311 - repeatable, not secret
        to, per = 5, SECOND
        bench.process(lease=HOUR)
        bench.drive(bench.store.insert([bench.new(rules=rated(to, per)) for _ in range(400)]))
        started: list[int] = []
        for _ in range(220):
            bench.pass_time(random.choice((1, 999, 5_003, 33_333, 100_001, 250_000)))
            request = bench.request("p1", random.choice((1, 2, 9)))
            started += [bench.now] * len(bench.drive(bench.store.claim(request)).jobs)
        for number, at in enumerate(started[to:]):
            assert at >= started[number] + per, "the one that came N before it is still inside"
        whole = (started[-1] - started[0]) // per
        assert len(started) >= to * whole * 0.9

    def test_who_comes_when_told_to_starts_all_without_delay(self, bench: Bench) -> None:
        to, per, count = 10, SECOND, 120
        bench.process(lease=HOUR)
        bench.drive(bench.store.insert([bench.new(rules=rated(to, per)) for _ in range(count)]))
        began, started, claims = bench.now, 0, 0
        while started < count:
            request = bench.request("p1", 7)
            claim = bench.drive(bench.store.claim(request))
            claims += 1
            started += len(claim.jobs)
            if not claim.jobs:
                assert claim.due_in is not None
                assert claim.due_in > 0
                bench.pass_time(claim.due_in)
        assert bench.now - began == (count // to - 1) * per
        assert claims <= 4 * count // to

    @pytest.mark.parametrize("jump", [-MINUTE, -PER // 2])
    def test_a_clock_that_steps_back_fills_nothing_twice(self, bench: Bench, jump: int) -> None:
        bench.add(6, rules=rated(2))
        bench.process(lease=DAY)
        began = bench.now
        assert len(bench.taken("p1")) == 2
        bench.clock.set_wall(bench.now + jump)
        claim = bench.claim("p1")
        for _ in range(12):
            if claim.jobs:
                break
            assert claim.due_in is not None
            bench.pass_time(min(claim.due_in, 7 * SECOND))
            claim = bench.claim("p1")
        assert len(claim.jobs) == 2
        assert bench.now >= began + PER

    def test_what_waits_behind_a_full_rate_is_found_when_it_opens(self, bench: Bench) -> None:
        """Whichever queue is served: the key opens for each of them."""
        bench.add(2, rules=rated(1))
        (mail,) = bench.add(rules=rated(1), queue="mail")
        bench.process(lease=HOUR)
        assert len(bench.taken("p1")) == 1
        bench.pass_time(PER)
        bench.do(bench.store.promote(100))
        assert bench.taken("p1", lines=[Line(("mail",))]) == [mail]

    def test_a_key_that_opened_in_part_opens_again_for_who_was_not_there(
        self, bench: Bench
    ) -> None:
        """Though only claims of another queue came when it opened first."""
        jobs = bench.add(12, rules=rated(4))
        bench.process(lease=HOUR)
        assert bench.taken("p1", 2) == jobs[:2]
        bench.pass_time(5 * SECOND)
        assert bench.taken("p1") == jobs[2:4]
        bench.pass_time(5 * SECOND)
        assert bench.taken("p1", lines=[Line(("other",))]) == []
        bench.pass_time(5 * SECOND)
        assert bench.taken("p1") == jobs[4:8]

    def test_thousands_that_wait_for_a_rate_open_in_bounded_steps(self, bench: Bench) -> None:
        bench.process(lease=HOUR)
        new = [bench.new(rules=rated(5)) for _ in range(BLOCKED + 300)]
        free = bench.new()
        bench.drive(bench.store.insert([*new, free]))
        ids: list[str] = []
        for _ in range(2):
            claim = bench.drive(bench.store.claim(bench.request("p1", 9)))
            ids += [job.id for job in claim.jobs]
        assert ids == [*(job.id for job in new[:5]), free.id]
        claim = bench.drive(bench.store.claim(bench.request("p1", 9)))
        assert claim.due_in == PER
        bench.pass_time(PER)
        claim = bench.drive(bench.store.claim(bench.request("p1", 9)))
        assert [job.id for job in claim.jobs] == [job.id for job in new[5:10]]


class RateSettingConformance:
    """Rates that a person changes at run time."""

    def test_a_higher_rate_lets_more_start_at_once(self, bench: Bench) -> None:
        jobs = bench.add(8, rules=rated(2))
        bench.process(lease=HOUR)
        assert bench.taken("p1") == jobs[:2]
        set_limit(bench, "mail", to=5)
        assert bench.taken("p1") == jobs[2:5]
        assert bench.taken("p1") == []

    def test_a_lower_rate_counts_what_has_started(self, bench: Bench) -> None:
        jobs = bench.add(8, rules=rated(3))
        bench.process(lease=HOUR)
        assert bench.taken("p1") == jobs[:3]
        set_limit(bench, "mail", to=1)
        bench.pass_time(PER - 1)
        assert bench.taken("p1") == []
        bench.pass_time(1)
        assert bench.taken("p1") == jobs[3:4]

    def test_nothing_starts_at_a_rate_of_zero(self, bench: Bench) -> None:
        jobs = bench.add(3, rules=rated(2))
        bench.process(lease=HOUR)
        set_limit(bench, "mail", to=0)
        claim = bench.claim("p1")
        assert (claim.jobs, claim.due_in) == ((), None)
        bench.pass_time(MINUTE)
        assert bench.taken("p1") == []
        bench.do(bench.store.set_limit(SetLimit("mail", None)))
        assert bench.taken("p1") == jobs[:2]

    def test_a_longer_period_counts(self, bench: Bench) -> None:
        jobs = bench.add(3, rules=rated(1))
        bench.process(lease=HOUR)
        set_limit(bench, "mail", to=1, per=MINUTE)
        assert bench.taken("p1") == jobs[:1]
        assert bench.claim("p1").due_in == MINUTE
        bench.pass_time(MINUTE - 1)
        assert bench.taken("p1") == []
        bench.pass_time(1)
        assert bench.taken("p1") == jobs[1:2]

    @pytest.mark.parametrize("wanted", [1, 2])
    def test_a_longer_period_counts_what_the_declared_one_would_forget(
        self, bench: Bench, wanted: int
    ) -> None:
        jobs = bench.add(3, rules=rated(2))
        bench.process(lease=HOUR)
        set_limit(bench, "mail", to=2, per=MINUTE)
        assert bench.taken("p1", 1) == jobs[:1]
        bench.pass_time(2 * PER)
        assert bench.taken("p1", wanted) == jobs[1:2]
        bench.pass_time(PER)
        bench.add(rules=rated(2))
        assert bench.taken("p1") == []
        bench.pass_time(MINUTE - 3 * PER)
        assert bench.taken("p1") == jobs[2:3]

    def test_a_shorter_period_opens_at_once(self, bench: Bench) -> None:
        jobs = bench.add(3, rules=rated(1))
        bench.process(lease=HOUR)
        assert bench.taken("p1") == jobs[:1]
        assert bench.taken("p1") == []
        bench.pass_time(2 * SECOND)
        set_limit(bench, "mail", to=1, per=SECOND)
        assert bench.taken("p1") == jobs[1:2]

    def test_a_period_says_nothing_about_a_limit_of_running_jobs(self, bench: Bench) -> None:
        bench.add(3, rules=limited(ACCOUNT))
        bench.process(lease=HOUR)
        set_limit(bench, "account", to=2, per=SECOND)
        assert len(bench.taken("p1")) == 2
        bench.pass_time(MINUTE)
        assert bench.taken("p1") == []

    def test_starts_are_forgotten_when_they_count_no_more(self, bench: Bench) -> None:
        for value in ("a", "b"):
            bench.add(rules=rated(1, value=value))
        bench.process(lease=HOUR)
        assert len(bench.taken("p1")) == 2
        assert limits(bench).keys() == {"r:mail:a", "r:mail:b"}
        bench.pass_time(PER + 1)
        bench.finish(*(succeeded(Lease(job, "p1", 1)) for job in bench.seen))
        bench.do(bench.store.prune(1000))
        assert limits(bench) == {}

    def test_failed_attempts_count_as_starts(self, bench: Bench) -> None:
        (job,) = bench.add(rules=rated(2, HOUR))
        bench.process(lease=DAY)
        for _ in range(2):
            lease = bench.lease()
            bench.finish(failed(lease, bench.now))
        assert bench.taken("p1") == []
        bench.pass_time(HOUR)
        lease = bench.lease()
        assert (lease.job_id, lease.run) == (job, 3)
        bench.finish(released(lease))
