"""What is kept with a job: its rules, what identifies it, and that it may run but once."""

from __future__ import annotations

import pytest

from longshore.core.limits import Fair, Hold, Limit, OnConflict, Rules
from longshore.core.model import JobState, Why
from longshore.core.store import Filter, Rescue
from longshore.testing.conformance.bench import (
    HOUR,
    LEASE,
    MINUTE,
    Bench,
    cancelled,
    died,
    failed,
    interrupted,
    succeeded,
)
from longshore.testing.conformance.restraint import (
    ACCOUNT,
    BACK,
    found,
    limited,
    offer,
)


class IdentityConformance:
    """Jobs are found by what identifies them."""

    def test_jobs_are_found_by_identity_in_every_state(self, bench: Bench) -> None:
        jobs: list[str] = []
        bench.process(lease=HOUR)
        for make in (succeeded, died, cancelled):
            jobs += bench.add(identity="user-7")
            bench.finish(make(bench.lease()))
        jobs += bench.add(identity="user-7")
        bench.finish(failed(bench.lease(), bench.now + HOUR))
        jobs += bench.add(identity="user-7")
        bench.lease()
        jobs += bench.add(identity="user-7")
        jobs += bench.add(identity="user-7", scheduled_at=bench.now + HOUR)
        bench.add(identity="user-8")
        bench.add()
        assert found(bench, "user-7") == jobs[::-1]
        assert len(found(bench, "user-7", "user-8")) == 8
        assert found(bench, "user-9") == []
        assert {bench.job(job).identity for job in jobs} == {"user-7"}

    def test_identity_goes_with_the_other_filters(self, bench: Bench) -> None:
        (job,) = bench.add(identity="a", queue="mail", kind="app.mail")
        bench.add(identity="a", queue="far", kind="app.mail")
        bench.add(identity="b", queue="mail", kind="app.mail")
        where = Filter(identities=("a",), queues=("mail",), kinds=("app.mail",))
        page = bench.do(bench.store.find(where, limit=10))
        assert [record.id for record in page.records] == [job]
        where = Filter(identities=("a",), states=frozenset({JobState.RUNNING}))
        assert bench.do(bench.store.find(where, limit=10)).records == ()
        where = Filter(identities=("a",), ids=(job, "none"))
        (record,) = bench.do(bench.store.find(where, limit=10)).records
        assert record.id == job
        counted = bench.do(bench.store.count(Filter(identities=("a",))))
        assert {(one.queue, one.jobs) for one in counted if one.jobs} == {("mail", 1), ("far", 1)}

    @pytest.mark.parametrize("oldest", [True, False])
    def test_pages_by_identity_hold_every_job_once(self, bench: Bench, *, oldest: bool) -> None:
        bench.process()
        mine: list[str] = []
        for number in range(8):
            (job,) = bench.add(identity=f"user-{number % 2}")
            mine += [job] if number % 2 else []
            if number < 4:
                bench.finish(succeeded(bench.lease()))
        seen: list[str] = []
        cursor = None
        for _ in range(4):
            page = bench.do(
                bench.store.find(
                    Filter(identities=("user-1",)), limit=1, cursor=cursor, oldest_first=oldest
                )
            )
            seen += [record.id for record in page.records]
            cursor = page.cursor
        assert seen == (mine if oldest else mine[::-1])

    def test_a_job_that_is_gone_is_not_found(self, bench: Bench) -> None:
        (job,) = bench.add(identity="a")
        bench.do(bench.store.move([job], "far"))
        assert found(bench, "a") == [job]
        bench.do(bench.store.delete([job]))
        assert found(bench, "a") == []


class OnceConformance:
    """Jobs that may run at most once."""

    ONCE = Rules(at_most_once=True)

    @pytest.mark.parametrize("way", ["interrupted", "process dead, started", "lease lost"])
    def test_an_interrupted_job_is_dead(self, bench: Bench, way: str) -> None:
        (job,) = bench.add(rules=self.ONCE)
        (other,) = bench.add()
        bench.process("p2", lease=HOUR)
        bench.process()
        lease, _ = bench.leases()
        BACK[way](bench, lease)
        record = bench.job(job)
        assert (record.state, record.reason) == (JobState.DEAD, "interrupted")
        assert (record.interruptions, record.failures) == (1, 0)
        assert [(line.run, line.why) for line in record.runs] == [(1, Why.INTERRUPTED)]
        assert record.finalized_at == bench.now
        assert bench.state(other) is not JobState.DEAD
        bench.pass_time(LEASE)
        assert job not in bench.taken("p2")

    def test_a_rescue_tells_of_it_as_of_others(self, bench: Bench) -> None:
        bench.add(rules=self.ONCE)
        bench.add(rules=self.ONCE)
        bench.process()
        started, not_started = bench.leases()
        rescued = bench.rescue("p1", [started])
        assert dict(zip(rescued.leases, rescued.interrupted, strict=True)) == {
            started: True,
            not_started: False,
        }
        assert bench.state(started.job_id) is JobState.DEAD
        assert bench.state(not_started.job_id) is JobState.AVAILABLE

    def test_one_whose_body_was_over_does_not_run_again(self, bench: Bench) -> None:
        (job,) = bench.add(rules=self.ONCE)
        bench.process()
        lease = bench.lease()
        run = frozenset({(lease.job_id, lease.run)})
        rescued = bench.do(bench.store.rescue(Rescue("p1", run, over=run)))
        assert rescued.interrupted == (True,)
        record = bench.job(job)
        assert (record.state, record.reason) == (JobState.DEAD, "interrupted")
        assert record.interruptions == 1

    @pytest.mark.parametrize("way", ["released", "process dead, not started", "claim not reached"])
    def test_what_had_not_started_runs_later(self, bench: Bench, way: str) -> None:
        (job,) = bench.add(rules=self.ONCE)
        bench.process("p2", lease=HOUR)
        bench.process()
        BACK[way](bench, bench.lease())
        assert bench.taken("p2") == [job]

    @pytest.mark.parametrize("way", ["interrupted", "process dead, started"])
    def test_a_cancel_wins(self, bench: Bench, way: str) -> None:
        (job,) = bench.add(rules=self.ONCE)
        bench.process()
        lease = bench.lease()
        bench.do(bench.store.cancel([job], "stop"))
        BACK[way](bench, lease)
        record = bench.job(job)
        assert (record.state, record.reason) == (JobState.CANCELLED, "stop")
        assert record.interruptions == 1

    def test_it_gives_back_its_key_and_its_slot(self, bench: Bench) -> None:
        rules = Rules(Hold("key"), (ACCOUNT,), at_most_once=True)
        bench.add(rules=rules)
        (next_,) = bench.add(rules=limited(ACCOUNT))
        bench.process("p2")
        bench.process()
        lease = bench.lease()
        bench.rescue("p1", [lease])
        assert bench.taken("p2") == [next_]
        assert not offer(bench, rules=rules).held

    def test_failed_attempts_are_retried(self, bench: Bench) -> None:
        (job,) = bench.add(rules=self.ONCE)
        bench.process()
        bench.finish(failed(bench.lease(), bench.now))
        assert bench.taken("p1") == [job]

    def test_a_person_may_retry_it(self, bench: Bench) -> None:
        (job,) = bench.add(rules=self.ONCE)
        bench.process()
        bench.finish(interrupted(bench.lease()))
        assert bench.do(bench.store.retry([job])).changed == (job,)
        assert bench.taken("p1") == [job]
        assert bench.job(job).reason is None


class RulesConformance:
    """Rules are kept with the job, whatever becomes of it."""

    def test_rules_and_identity_are_stored_as_given(self, bench: Bench) -> None:
        rules = Rules(
            hold=Hold("k\u00e9y", until_started=True, on_conflict=OnConflict.REPLACE, ttl=MINUTE),
            limits=(Limit("account", "7:é", 3), Limit("mail", "", 10, per=MINUTE)),
            fair=Fair("=tenant", 250_000),
            at_most_once=True,
        )
        (job,) = bench.add(rules=rules, identity="user-7")
        (plain,) = bench.add()
        bench.process()
        assert (bench.job(job).rules, bench.job(job).identity) == (rules, "user-7")
        assert (bench.job(plain).rules, bench.job(plain).identity) == (None, None)
        leases = bench.leases()
        assert bench.job(job).rules == rules
        bench.finish(*map(succeeded, leases))
        assert (bench.job(job).rules, bench.job(job).identity) == (rules, "user-7")
        assert (bench.job(plain).rules, bench.job(plain).identity) == (None, None)
        bench.do(bench.store.retry([job]))
        assert (bench.job(job).rules, bench.job(job).identity) == (rules, "user-7")
