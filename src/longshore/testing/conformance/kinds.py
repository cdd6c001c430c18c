"""Kinds: what is paused in all queues; and what people see of limits and of paused kinds."""

from __future__ import annotations

import pytest

from longshore.core.limits import BLOCKED, KindRecord, Limit, LimitRecord, SetLimit, Setting
from longshore.core.model import JobState, Lease
from longshore.core.store import Line, SetQueue
from longshore.testing.conformance.bench import (
    HOUR,
    MINUTE,
    SECOND,
    Bench,
    failed,
    parked,
    succeeded,
)
from longshore.testing.conformance.restraint import (
    ACCOUNT,
    HOST,
    PARKED,
    kinds,
    limited,
    limits,
    pause,
    rated,
    resume,
    set_limit,
)


class KindConformance:
    """Pausing a kind."""

    def test_nothing_of_a_paused_kind_is_claimed_until_it_is_resumed(self, bench: Bench) -> None:
        first = bench.add(2, kind="app.two")
        (other,) = bench.add()
        far = bench.add(kind="app.two", queue="far")
        bench.process(lease=HOUR)
        pause(bench, "app.two")
        assert bench.taken("p1") == [other]
        later = bench.add(kind="app.two")
        bench.pass_time(MINUTE)
        assert bench.taken("p1") == []
        assert bench.taken("p1", lines=[Line(("far",))]) == []
        resume(bench, "app.two")
        assert bench.taken("p1") == [*first, *far, *later]

    def test_those_that_run_go_on(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        lease = bench.lease()
        pause(bench)
        assert bench.finish(succeeded(lease)) == {lease}
        assert bench.state(job) is JobState.SUCCEEDED

    def test_what_comes_back_waits(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        lease = bench.lease()
        pause(bench)
        bench.finish(failed(lease, bench.now))
        assert bench.taken("p1") == []
        bench.do(bench.store.retry([job]))
        assert bench.taken("p1") == []
        resume(bench)
        assert bench.taken("p1") == [job]

    def test_what_falls_due_waits(self, bench: Bench) -> None:
        (job,) = bench.add(scheduled_at=bench.now + SECOND)
        bench.process()
        pause(bench)
        bench.pass_time(2 * SECOND)
        assert bench.taken("p1") == []
        resume(bench)
        assert bench.taken("p1") == [job]

    def test_a_pause_with_an_end_ends_by_itself(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process(lease=HOUR)
        pause(bench, pause_for=MINUTE)
        assert bench.claim("p1").due_in == MINUTE
        bench.pass_time(MINUTE - 1)
        claim = bench.claim("p1")
        assert (claim.jobs, claim.due_in) == ((), 1)
        bench.pass_time(1)
        assert bench.taken("p1") == [job]
        assert kinds(bench) == ()

    def test_a_pause_replaces_the_one_before(self, bench: Bench) -> None:
        bench.add()
        bench.process(lease=HOUR)
        pause(bench, pause_for=SECOND)
        assert bench.taken("p1") == []
        pause(bench, reason="b")
        assert bench.claim("p1").due_in is None
        bench.pass_time(MINUTE)
        assert bench.taken("p1") == []
        pause(bench, pause_for=SECOND)
        assert bench.claim("p1").due_in == SECOND
        bench.pass_time(SECOND)
        assert len(bench.taken("p1")) == 1

    def test_a_queue_and_a_kind_are_paused_apart(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        pause(bench)
        bench.do(bench.store.set_queue(SetQueue("default", paused=True)))
        assert bench.taken("p1") == []
        resume(bench)
        assert bench.taken("p1") == []
        pause(bench)
        bench.do(bench.store.set_queue(SetQueue("default", paused=False)))
        assert bench.taken("p1") == []
        resume(bench)
        assert bench.taken("p1") == [job]

    def test_a_parked_job_of_a_paused_kind_waits(self, bench: Bench) -> None:
        (job,) = bench.add(kind="app.new")
        bench.process()
        bench.finish(parked(bench.lease(), "d1"))
        pause(bench, "app.new")
        assert bench.taken("p1", **PARKED) == []
        resume(bench, "app.new")
        assert bench.taken("p1", **PARKED) == [job]

    def test_a_repeated_claim_is_answered(self, bench: Bench) -> None:
        bench.add(2)
        bench.process()
        request = bench.request("p1", 1)
        first = bench.do(bench.store.claim(request))
        pause(bench)
        assert bench.do(bench.store.claim(request)).jobs == first.jobs

    def test_an_exchange_takes_nothing_of_a_paused_kind(self, bench: Bench) -> None:
        bench.add(2)
        bench.process()
        lease = bench.lease()
        pause(bench)
        answer = bench.do(bench.store.exchange([succeeded(lease)], bench.request("p1")))
        assert answer.held == {lease}
        assert answer.claim.jobs == ()

    def test_who_waits_may_be_cancelled_deleted_and_moved(self, bench: Bench) -> None:
        one, two, three, four = bench.add(4, expires_at=bench.now + HOUR)
        bench.process(lease=2 * HOUR)
        pause(bench)
        assert bench.taken("p1") == []
        assert bench.job(one).blocked_by == "k:app.job"
        (queue,) = bench.do(bench.store.queues())
        assert queue.depth == 4
        assert bench.do(bench.store.cancel([one], None)).changed == (one,)
        assert bench.do(bench.store.delete([two])).changed == (two,)
        assert bench.do(bench.store.move([three], "far")).changed == (three,)
        bench.pass_time(HOUR)
        bench.do(bench.store.promote(10))
        assert bench.states([one, three, four]) == [JobState.CANCELLED] * 3
        resume(bench)
        assert bench.taken("p1") == []

    def test_a_paused_kind_and_a_full_limit_both_count(self, bench: Bench) -> None:
        first, second = bench.add(2, rules=limited(ACCOUNT))
        bench.process()
        lease = bench.lease()
        assert lease.job_id == first
        assert bench.taken("p1") == []
        pause(bench)
        bench.finish(succeeded(lease))
        assert bench.taken("p1") == []
        resume(bench)
        assert bench.taken("p1") == [second]

    def test_thousands_of_a_paused_kind_hold_back_nobody_and_all_come_back(
        self, bench: Bench
    ) -> None:
        bench.process(lease=HOUR)
        waiting = [bench.new(kind="app.two") for _ in range(BLOCKED + 200)]
        free = bench.new(priority=1)
        pause(bench, "app.two", pause_for=MINUTE)
        bench.drive(bench.store.insert([*waiting, free]))
        found = [
            job.id
            for _ in range(2)
            for job in bench.drive(bench.store.claim(bench.request("p1", 9))).jobs
        ]
        assert found == [free.id]
        bench.pass_time(MINUTE)
        back: list[str] = []
        for _ in range(5):
            claim = bench.drive(bench.store.claim(bench.request("p1", 600)))
            back += [job.id for job in claim.jobs]
        assert back == [job.id for job in waiting]

    def test_paused_kinds_are_shown_by_name(self, bench: Bench) -> None:
        assert kinds(bench) == ()
        pause(bench, "app.b", reason="provider down", pause_for=MINUTE)
        pause(bench, "app.a")
        resume(bench, "app.never")
        until = bench.now + MINUTE
        a = KindRecord(kind="app.a", reason=None, resumes_at=None)
        b = KindRecord(kind="app.b", reason="provider down", resumes_at=until)
        assert kinds(bench) == (a, b)
        resume(bench, "app.a")
        assert kinds(bench) == (b,)
        bench.pass_time(MINUTE)
        assert kinds(bench) == ()


class LimitRecordConformance:
    """What people see of limits."""

    def test_an_empty_store_has_no_limits_to_show(self, bench: Bench) -> None:
        assert limits(bench) == {}
        assert limits(bench, ["c:account:7"]) == {}

    def test_a_limit_is_shown_with_its_holders(self, bench: Bench) -> None:
        jobs = bench.add(5, rules=limited(Limit("account", "7:é", 2)))
        bench.process()
        assert bench.taken("p1") == jobs[:2]
        assert limits(bench) == {
            "c:account:7:é": LimitRecord(
                key="c:account:7:é",
                name="account",
                value="7:é",
                to=2,
                per=None,
                used=2,
                blocked=3,
                holders=tuple(jobs[:2]),
                opens_at=None,
                setting=None,
            )
        }

    def test_a_rate_is_shown_with_its_opening(self, bench: Bench) -> None:
        bench.add(5, rules=rated(2, MINUTE))
        bench.process(lease=HOUR)
        began = bench.now
        assert len(bench.taken("p1")) == 2
        bench.pass_time(SECOND)
        (record,) = limits(bench).values()
        assert (record.key, record.name, record.value) == ("r:mail:", "mail", "")
        assert (record.to, record.per, record.used, record.blocked) == (2, MINUTE, 2, 3)
        assert (record.holders, record.opens_at) == ((), began + MINUTE)
        bench.pass_time(MINUTE)
        assert sum(record.used for record in limits(bench).values()) == 0

    @pytest.mark.parametrize("limit", [ACCOUNT, Limit("account", "7", 1, per=MINUTE)])
    def test_what_is_set_is_shown(self, bench: Bench, limit: Limit) -> None:
        set_limit(bench, "account", to=5, per=SECOND)
        setting = Setting(5, SECOND)
        (record,) = limits(bench).values()
        assert (record.key, record.name, record.value) == ("", "account", "")
        assert (record.used, record.holders, record.setting) == (0, (), setting)
        assert (record.to, record.per) == (5, SECOND)
        bench.add(rules=limited(limit))
        bench.process()
        bench.lease()
        (record,) = limits(bench).values()
        assert (record.key, record.used, record.setting) == (limit.key, 1, setting)
        assert (record.to, record.per) == (5, SECOND if limit.per else None)
        bench.do(bench.store.set_limit(SetLimit("account", None)))
        (record,) = limits(bench).values()
        assert (record.to, record.per, record.setting) == (1, limit.per, None)

    def test_limits_come_by_key_and_as_many_as_asked_for(self, bench: Bench) -> None:
        keys = ("b", "a", "c", "ä", "B")
        for value in keys:
            bench.add(rules=limited(Limit("account", value, 1), HOST))
            set_limit(bench, "host", to=9)
        bench.process()
        bench.leases()
        found = [record.key for record in bench.do(bench.store.limits())]
        assert found == [*(f"c:account:{key}" for key in sorted(keys)), "c:host:"]
        some = bench.do(bench.store.limits(["c:host:", "c:account:b", "c:none:"]))
        assert [record.key for record in some] == ["c:account:b", "c:host:"]
        assert [record.used for record in some] == [1, 5]
        few = bench.do(bench.store.limits(limit=2))
        assert [record.key for record in few] == ["c:account:B", "c:account:a"]

    def test_the_first_ten_holders_are_named(self, bench: Bench) -> None:
        jobs = bench.add(14, rules=limited(Limit("account", "7", 12)))
        bench.process()
        assert len(bench.taken("p1", 20)) == 12
        (record,) = limits(bench).values()
        assert (record.used, record.holders) == (12, tuple(jobs[:10]))
        bench.finish(*(succeeded(Lease(job, "p1", 1)) for job in jobs[:11]))
        (record,) = limits(bench).values()
        assert record.holders == (jobs[11],)

    def test_a_limit_that_nobody_uses_is_not_shown_as_used(self, bench: Bench) -> None:
        bench.add(2, rules=limited(ACCOUNT))
        bench.process()
        bench.finish(succeeded(bench.lease()))
        assert sum(record.used for record in limits(bench).values()) == 0
