"""What stays of batches, and for how long."""

from __future__ import annotations

from longshore.core.batches import Sort, Together
from longshore.core.store import Retention
from longshore.testing.conformance.bench import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Bench,
    cancelled,
    died,
    succeeded,
)
from longshore.testing.conformance.bundling import (
    batch,
    member,
    node,
    read,
    running,
    store,
)


class BatchKeepingConformance:
    """What stays, and for how long."""

    def test_nothing_of_an_unfinished_batch_is_pruned(self, bench: Bench) -> None:
        bench.open(Retention(0, 0, 0)).process(lease=DAY)
        new = batch(bench)
        jobs = [member(bench, new, keep_result=0) for _ in range(4)]
        store(bench, jobs, new)
        leases = running(bench)
        bench.finish(
            succeeded(leases[jobs[0].id]), died(leases[jobs[1].id]), cancelled(leases[jobs[2].id])
        )
        bench.pass_time(HOUR)
        for _ in range(3):
            assert bench.do(bench.store.prune(2)) == 0
        assert read(bench, new).total == 4

    def test_it_is_pruned_when_it_has_finished(self, bench: Bench) -> None:
        bench.open(Retention(0, 0, 0)).process(lease=DAY)
        new = batch(bench, on_success=None, on_complete=None, on_death=None)
        jobs = [member(bench, new, keep_result=0) for _ in range(2)]
        store(bench, jobs, new)
        leases = running(bench)
        bench.finish(succeeded(leases[jobs[0].id]))
        bench.pass_time(SECOND)
        bench.do(bench.store.prune(10))
        bench.finish(cancelled(leases[jobs[1].id]))
        bench.pass_time(MINUTE)
        assert bench.do(bench.store.prune(10)) == 2
        bench.do(bench.store.prune(10))
        assert bench.do(bench.store.bundles([new.id])) == ()
        assert bench.do(bench.store.members(new.id)) == ()

    def test_a_workflow_that_ended_badly_is_retried_with_all_its_members(
        self, bench: Bench
    ) -> None:
        bench.open(Retention(0, 0, DAY)).process(lease=7 * DAY)
        flow = batch(bench, sort=Sort.WORKFLOW)
        first, other = node(bench, flow, keep_result=0), node(bench, flow)
        last = node(bench, flow, takes=[first, other], cascade=True, keep_result=0)
        store(bench, [first, other, last], flow)
        leases = running(bench)
        bench.finish(succeeded(leases[first.id], b"5"))
        bench.finish(died(leases[other.id]))
        for _ in range(3):
            bench.pass_time(2 * HOUR)
            assert bench.do(bench.store.prune(1)) == 0
        assert bench.do(bench.store.retry([other.id, last.id])).changed == (other.id, last.id)
        bench.finish(succeeded(running(bench)[other.id], b"7"))
        (job,) = bench.claim("p1").jobs
        assert job.payload == b'{"v":1,"args":[5,7],"kwargs":{}}'

    def test_members_of_a_workflow_that_ended_badly_go_with_it(self, bench: Bench) -> None:
        bench.open(Retention(0, 0, DAY)).process(lease=7 * DAY)
        flow = batch(bench, sort=Sort.WORKFLOW)
        first, other = node(bench, flow, keep_result=0), node(bench, flow, keep_result=0)
        store(bench, [first, other], flow)
        leases = running(bench)
        bench.finish(succeeded(leases[first.id]), died(leases[other.id]))
        bench.pass_time(HOUR)
        assert bench.do(bench.store.prune(10)) == 0
        bench.pass_time(DAY)
        assert bench.do(bench.store.prune(10)) == 2
        bench.do(bench.store.prune(10))
        assert bench.do(bench.store.bundles([flow.id])) == ()

    def test_it_stays_as_long_as_its_worst_member(self, bench: Bench) -> None:
        bench.open(Retention(HOUR, HOUR, DAY)).process(lease=2 * DAY)
        made = [batch(bench, on_success=None, on_complete=None, on_death=None) for _ in range(2)]
        jobs = [member(bench, new, keep_result=0) for new in made]
        store(bench, jobs, *made)
        leases = running(bench)
        bench.finish(succeeded(leases[jobs[0].id]), died(leases[jobs[1].id]))
        bench.pass_time(HOUR)
        bench.do(bench.store.prune(10))
        assert [one.id for one in bench.do(bench.store.bundles())] == [made[1].id]
        bench.pass_time(DAY)
        bench.do(bench.store.prune(10))
        assert bench.do(bench.store.bundles()) == ()

    def test_a_repeated_request_keeps_it_for_no_longer(self, bench: Bench) -> None:
        new = batch(bench, on_success=None, on_complete=None)
        store(bench, [], new)
        bench.pass_time(DAY - HOUR)
        store(bench, [], new)
        bench.pass_time(HOUR)
        bench.do(bench.store.prune(10))
        assert bench.do(bench.store.bundles()) == ()

    def test_one_that_is_opened_again_stays(self, bench: Bench) -> None:
        bench.open(Retention(HOUR, HOUR, HOUR)).process(lease=DAY)
        new = batch(bench)
        job = member(bench, new)
        store(bench, [job], new)
        bench.finish(died(running(bench)[job.id]))
        bench.do(bench.store.retry([job.id]))
        bench.pass_time(2 * HOUR)
        bench.do(bench.store.prune(10))
        assert read(bench, new).live == 1

    def test_members_of_what_has_not_finished_are_not_deleted(self, bench: Bench) -> None:
        bench.process()
        new = batch(bench)
        jobs = [member(bench, new) for _ in range(2)]
        store(bench, jobs, new)
        ids = [job.id for job in jobs]
        bench.do(bench.store.cancel([ids[0]], None))
        assert bench.do(bench.store.delete(ids)).skipped == tuple(ids)
        bench.do(bench.store.cancel([ids[1]], None))
        assert bench.do(bench.store.delete(ids)).changed == tuple(ids)

    def test_an_insert_without_jobs_and_bundles_is_nothing(self, bench: Bench) -> None:
        assert list(bench.do(bench.store.insert([], Together()))) == []
