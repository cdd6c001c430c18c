"""Limiting: never more than N running of a key, and the next starts as soon as one has ended."""

from __future__ import annotations

from collections import Counter

import pytest

from longshore.core.limits import BLOCKED, Limit, SetLimit, Setting
from longshore.core.model import JobState, Lease
from longshore.testing.conformance.bench import (
    HOUR,
    MINUTE,
    SECOND,
    Bench,
    died,
    lease_of,
    parked,
    released,
    succeeded,
)
from longshore.testing.conformance.restraint import (
    ACCOUNT,
    HOST,
    OTHER_ACCOUNT,
    PARKED,
    limited,
    set_limit,
    used,
)


class LimitConformance:
    """How many run at once, and who they are."""

    @pytest.mark.parametrize("to", [1, 3])
    def test_no_more_than_the_limit_run_at_once(self, bench: Bench, to: int) -> None:
        jobs = bench.add(5, rules=limited(Limit("account", "7", to)))
        bench.process()
        assert bench.taken("p1") == jobs[:to]
        assert bench.taken("p1") == []
        assert bench.states(jobs[to:]) == [JobState.AVAILABLE] * (5 - to)
        assert used(bench) == to

    def test_a_limit_counts_over_processes_and_claims(self, bench: Bench) -> None:
        jobs = bench.add(5, rules=limited(Limit("account", "7", 3)))
        bench.process("p1")
        bench.process("p2")
        assert bench.taken("p1", 1) == jobs[:1]
        assert bench.taken("p2", 9) == jobs[1:3]
        assert bench.taken("p1") == []
        assert used(bench) == 3

    def test_jobs_with_one_limit_and_with_several_count_alike(self, bench: Bench) -> None:
        wide = Limit("account", "7", 2)
        (both,) = bench.add(rules=limited(wide, Limit("other", "", 5)))
        jobs = bench.add(3, rules=limited(wide))
        bench.process()
        assert bench.taken("p1", 1) == [both]
        assert bench.taken("p1", 1) == jobs[:1]
        assert bench.taken("p1", 1) == []
        assert used(bench, wide) == 2

    def test_jobs_with_several_limits_give_back_their_own_slots(self, bench: Bench) -> None:
        wide = Limit("account", "7", 5)
        bench.add(3, rules=limited(wide, Limit("other", "", 5)))
        bench.process()
        leases = bench.leases()
        for number, end in enumerate((released, succeeded)):
            bench.finish(end(leases[number]))
            assert used(bench, wide) == 2 - number

    def test_jobs_behind_are_not_held_back(self, bench: Bench) -> None:
        first, *waiting = bench.add(4, rules=limited(ACCOUNT))
        other = bench.add(2, rules=limited(OTHER_ACCOUNT))
        free = bench.add(2)
        late = bench.add(priority=9)
        bench.process()
        assert bench.taken("p1") == [first, other[0], *free, *late]
        assert bench.states(waiting) == [JobState.AVAILABLE] * 3

    def test_keys_are_apart(self, bench: Bench) -> None:
        names = (("a", "1"), ("a", "2"), ("b", "1"), ("a", ""), ("A", "1"), ("a", "1 "), ("a", "é"))
        jobs = [bench.add(rules=limited(Limit(*name, 1)))[0] for name in names]
        bench.process()
        assert bench.taken("p1") == jobs

    def test_each_job_goes_by_its_own_limit(self, bench: Bench) -> None:
        wide = bench.add(2, rules=limited(Limit("account", "7", 3)))
        (narrow,) = bench.add(rules=limited(ACCOUNT))
        more = bench.add(2, rules=limited(Limit("account", "7", 3)))
        bench.process()
        assert bench.taken("p1") == [*wide, more[0]]
        assert bench.state(narrow) is JobState.AVAILABLE

    def test_each_job_says_how_many_may_run_beside_it(self, bench: Bench) -> None:
        (first,) = bench.add(rules=limited(Limit("account", "7", 2)))
        more = bench.add(3, rules=limited(Limit("account", "7", 9)))
        (last,) = bench.add(rules=limited(Limit("account", "7", 2)))
        bench.process()
        assert bench.taken("p1") == [first, *more]
        assert bench.states([last]) == [JobState.AVAILABLE]

    def test_several_limits_are_taken_all_or_none(self, bench: Bench) -> None:
        (one,) = bench.add(rules=limited(HOST))
        (both,) = bench.add(rules=limited(ACCOUNT, HOST))
        (account,) = bench.add(rules=limited(ACCOUNT))
        bench.process()
        assert bench.taken("p1") == [one, account]
        assert (used(bench, ACCOUNT), used(bench, HOST)) == (1, 1)
        bench.finish(succeeded(Lease(one, "p1", 1)))
        assert bench.taken("p1") == []
        assert used(bench, HOST) == 0
        bench.finish(succeeded(Lease(account, "p1", 1)))
        assert bench.taken("p1") == [both]
        assert (used(bench, ACCOUNT), used(bench, HOST)) == (1, 1)
        bench.finish(succeeded(Lease(both, "p1", 1)))
        assert (used(bench, ACCOUNT), used(bench, HOST)) == (0, 0)

    def test_jobs_that_name_the_same_limits_in_any_order_all_run(self, bench: Bench) -> None:
        jobs: list[str] = []
        for _ in range(5):
            jobs += bench.add(rules=limited(ACCOUNT, HOST))
            jobs += bench.add(rules=limited(HOST, ACCOUNT))
            jobs += bench.add(rules=limited(HOST))
        bench.process(lease=HOUR)
        for job in jobs:
            lease = bench.lease()
            assert lease.job_id == job
            bench.finish(succeeded(lease))

    def test_jobs_that_wait_for_the_same_limits_in_any_order_do_not_rouse_each_other(
        self, bench: Bench
    ) -> None:
        for limit in (ACCOUNT, HOST):
            bench.add(rules=limited(limit), priority=-1)
        bench.process()
        one, other = bench.leases()
        first, *_ = [
            bench.add(rules=limited(*limits))[0]
            for limits in ((ACCOUNT, HOST), (HOST, ACCOUNT)) * 3
        ]
        (free,) = bench.add()
        claim = bench.claim("p1")
        assert ([job.id for job in claim.jobs], claim.due_in) == ([free], None)
        bench.finish(succeeded(one))
        assert bench.claim("p1").due_in is None
        bench.finish(succeeded(other))
        assert bench.taken("p1") == [first]

    def test_those_that_waited_start_in_their_order(self, bench: Bench) -> None:
        rules = limited(ACCOUNT)
        (running,) = bench.add(rules=rules, priority=-9)
        bench.process(lease=HOUR)
        lease = bench.lease()
        assert lease.job_id == running
        new = [
            bench.new(rules=rules, priority=number % 3, scheduled_at=bench.now - number % 5)
            for number in range(12)
        ]
        bench.do(bench.store.insert(new[::-1]))
        assert bench.taken("p1") == []
        order = sorted(new, key=lambda job: (job.priority, job.scheduled_at, job.id))
        for job in order:
            bench.finish(succeeded(lease))
            lease = bench.lease()
            assert lease.job_id == job.id
            assert bench.taken("p1") == []

    def test_who_comes_later_stands_where_its_place_is(self, bench: Bench) -> None:
        rules = limited(ACCOUNT)
        _, waited = bench.add(2, rules=rules)
        bench.process()
        lease = bench.lease()
        assert bench.taken("p1") == []
        (behind,) = bench.add(rules=rules)
        (urgent,) = bench.add(rules=rules, priority=-1)
        for job in (urgent, waited, behind):
            bench.finish(succeeded(lease))
            lease = bench.lease()
            assert lease.job_id == job

    def test_a_repeated_claim_takes_nothing_anew(self, bench: Bench) -> None:
        jobs = bench.add(4, rules=limited(Limit("account", "7", 2)))
        bench.process()
        request = bench.request("p1")
        first = bench.do(bench.store.claim(request))
        assert [job.id for job in first.jobs] == jobs[:2]
        again = bench.do(bench.store.claim(request))
        assert sorted(job.id for job in again.jobs) == jobs[:2]
        assert used(bench) == 2

    def test_an_exchange_takes_the_place_of_what_it_ends(self, bench: Bench) -> None:
        jobs = bench.add(4, rules=limited(ACCOUNT))
        bench.process()
        lease = bench.lease()
        assert bench.taken("p1") == []
        for job in jobs[1:]:
            op = bench.store.exchange([succeeded(lease)], bench.request("p1"))
            (taken,) = bench.do(op).claim.jobs
            assert taken.id == job
            lease = lease_of("p1", taken)

    def test_a_parked_job_is_under_its_limit_too(self, bench: Bench) -> None:
        (job,) = bench.add(rules=limited(ACCOUNT), kind="app.new")
        bench.process()
        bench.finish(parked(bench.lease(), "d1"))
        (other,) = bench.add(rules=limited(ACCOUNT))
        lease = bench.lease()
        assert lease.job_id == other
        assert bench.taken("p1", **PARKED) == []
        bench.finish(succeeded(lease))
        assert bench.taken("p1", **PARKED) == [job]
        assert used(bench) == 1
        bench.add(rules=limited(ACCOUNT))
        assert bench.taken("p1") == []

    def test_a_job_made_to_run_again_is_under_its_limit(self, bench: Bench) -> None:
        first, second = bench.add(2, rules=limited(ACCOUNT))
        bench.process()
        bench.finish(died(bench.lease()))
        lease = bench.lease()
        bench.do(bench.store.retry([first]))
        assert bench.taken("p1") == []
        bench.finish(succeeded(lease))
        assert lease.job_id == second
        assert bench.taken("p1") == [first]

    def test_a_job_whose_time_comes_is_under_its_limit(self, bench: Bench) -> None:
        (planned,) = bench.add(rules=limited(ACCOUNT), scheduled_at=bench.now + MINUTE)
        bench.add(rules=limited(ACCOUNT))
        bench.process(lease=HOUR)
        lease = bench.lease()
        bench.pass_time(2 * MINUTE)
        assert bench.taken("p1") == []
        bench.finish(succeeded(lease))
        assert bench.taken("p1") == [planned]

    def test_who_waits_for_a_limit_is_available_to_people(self, bench: Bench) -> None:
        jobs = bench.add(3, rules=limited(ACCOUNT))
        bench.process(lease=HOUR)
        bench.lease()
        bench.pass_time(SECOND)
        assert bench.taken("p1") == []
        bench.pass_time(SECOND)
        assert bench.job(jobs[1]).blocked_by == ACCOUNT.key
        assert bench.job(jobs[0]).blocked_by is None
        (queue,) = bench.do(bench.store.queues())
        assert (queue.depth, queue.running, queue.latency) == (2, 1, 2 * SECOND)
        changed = bench.do(bench.store.cancel(jobs[1:2], "stop"))
        assert changed.changed == (jobs[1],)
        assert bench.job(jobs[1]).blocked_by is None
        (queue,) = bench.do(bench.store.queues())
        assert queue.depth == 1

    def test_who_waits_for_a_limit_expires(self, bench: Bench) -> None:
        first, second = bench.add(2, rules=limited(ACCOUNT), expires_at=bench.now + MINUTE)
        bench.process(lease=HOUR)
        lease = bench.lease()
        assert bench.taken("p1") == []
        bench.pass_time(MINUTE)
        bench.do(bench.store.promote(100))
        record = bench.job(second)
        assert (record.state, record.reason) == (JobState.CANCELLED, "expired")
        bench.finish(released(lease))
        assert bench.taken("p1") == [first]


class Steps:
    """Counts the statements of claims."""

    def __init__(self) -> None:
        self.claims: list[int] = []

    def __call__(self, operation: str, number: int) -> None:
        if operation == "claim" and number:
            self.claims[-1] += 1


class BlockedConformance:
    """A claim does not look again and again at what cannot run."""

    def test_what_is_free_is_found_behind_thousands_that_are_not(self, bench: Bench) -> None:
        steps = Steps()
        bench.open(on_statement=steps)
        bench.process(lease=HOUR)
        first, *waiting = [bench.new(rules=limited(ACCOUNT)) for _ in range(2_501)]
        free, urgent, last = (bench.new(priority=number) for number in (1, -1, 9))

        def taken(wanted: int = 10) -> tuple[list[str], int | None, int]:
            steps.claims.append(0)
            claim = bench.drive(bench.store.claim(bench.request("p1", wanted)))
            return [job.id for job in claim.jobs], claim.due_in, steps.claims[-1]

        bench.drive(bench.store.insert([first]))
        assert taken(1)[0] == [first.id]
        bench.drive(bench.store.insert([urgent]))
        _, _, few = taken()
        bench.drive(bench.store.insert([*waiting, free]))
        found, due_in, _ = taken()
        for _ in range(1 + len(waiting) // BLOCKED):
            if not found:
                assert due_in == 0
                found, due_in, _ = taken()
        assert found == [free.id]
        bench.drive(bench.store.insert([last]))
        found, _, steps_now = taken()
        assert found == [last.id]
        assert steps_now <= few
        # The next is known at once, though thousands wait.
        bench.drive(bench.store.finish([succeeded(Lease(first.id, "p1", 1))]))
        assert taken()[0] == [waiting[0].id]


class SettingConformance:
    """What a person sets at run time holds from the next claim on."""

    def test_a_higher_limit_lets_more_start_at_once(self, bench: Bench) -> None:
        jobs = bench.add(5, rules=limited(ACCOUNT))
        bench.process()
        assert bench.taken("p1") == jobs[:1]
        set_limit(bench, "account", to=3)
        assert bench.taken("p1") == jobs[1:3]
        assert bench.taken("p1") == []

    def test_a_lower_limit_lets_those_that_run_go_on(self, bench: Bench) -> None:
        jobs = bench.add(6, rules=limited(Limit("account", "7", 3)))
        bench.process()
        leases = bench.leases()
        assert len(leases) == 3
        set_limit(bench, "account", to=1)
        for lease in leases:
            assert bench.taken("p1") == []
            bench.finish(succeeded(lease))
        assert bench.taken("p1") == jobs[3:4]
        assert bench.taken("p1") == []

    def test_nothing_starts_under_a_limit_of_zero(self, bench: Bench) -> None:
        jobs = bench.add(3, rules=limited(ACCOUNT))
        (free,) = bench.add()
        bench.process()
        set_limit(bench, "account", to=0)
        assert bench.taken("p1") == [free]
        assert bench.taken("p1") == []
        bench.do(bench.store.set_limit(SetLimit("account", None)))
        assert bench.taken("p1") == jobs[:1]

    def test_a_limit_that_is_given_back_is_that_of_the_code(self, bench: Bench) -> None:
        jobs = bench.add(6, rules=limited(Limit("account", "7", 2)))
        bench.process()
        set_limit(bench, "account", to=3)
        leases = bench.leases()
        assert len(leases) == 3
        bench.do(bench.store.set_limit(SetLimit("account", None)))
        for left in (leases[0], leases[1]):
            assert bench.taken("p1") == []
            bench.finish(succeeded(left))
        assert bench.taken("p1") == jobs[3:4]

    def test_a_name_that_was_set_counts_for_each_of_its_keys(self, bench: Bench) -> None:
        set_limit(bench, "account", to=2)
        mine = bench.add(3, rules=limited(ACCOUNT))
        yours = bench.add(3, rules=limited(OTHER_ACCOUNT))
        bench.process()
        assert bench.taken("p1") == [*mine[:2], *yours[:2]]

    def test_only_the_name_that_was_set_changes(self, bench: Bench) -> None:
        names = ("account", "account2", "a_count", "axcount", "account:7")
        for name in names:
            bench.add(2, rules=limited(Limit(name, "7", 1)))
        for name in ("a_count", "account"):
            set_limit(bench, name, to=2)
        bench.process()
        started = Counter(
            limit.name
            for job in bench.claim("p1", 20).jobs
            if (rules := bench.job(job.id).rules) is not None
            for limit in rules.limits
        )
        assert started == {**dict.fromkeys(names, 1), "a_count": 2, "account": 2}

    def test_setting_a_name_again_replaces_what_was_set(self, bench: Bench) -> None:
        jobs = bench.add(4, rules=limited(ACCOUNT))
        bench.process()
        set_limit(bench, "account", to=0)
        set_limit(bench, "account", to=2)
        assert bench.taken("p1") == jobs[:2]
        (record,) = bench.do(bench.store.limits([ACCOUNT.key]))
        assert (record.to, record.setting) == (2, Setting(2))
