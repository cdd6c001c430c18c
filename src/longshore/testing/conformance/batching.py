"""Batches: three callbacks, each once, and counts that are those of the members."""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.core.batches import Sort, Together
from longshore.core.limits import Hold, OnConflict, Rules
from longshore.core.model import JobState, Lease
from longshore.core.store import Retention
from longshore.testing.conformance.bench import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Bench,
    cancelled,
    died,
    failed,
    interrupted,
    released,
    succeeded,
)
from longshore.testing.conformance.bundling import (
    CALLBACKS,
    batch,
    fired,
    member,
    node,
    read,
    running,
    store,
)


class BatchConformance:
    """Callbacks when members end."""

    def test_success_and_completion_come_with_the_last_success(self, bench: Bench) -> None:
        bench.process()
        new = batch(bench)
        first, second = member(bench, new), member(bench, new)
        store(bench, [first, second], new)
        leases = running(bench)
        bench.finish(succeeded(leases[first.id]))
        assert fired(bench) == []
        there = read(bench, new)
        assert (there.live, there.succeeded, there.total, there.finished_at) == (1, 1, 2, None)
        bench.finish(succeeded(leases[second.id], b"7"))
        assert fired(bench) == ["on_complete", "on_success"]
        assert read(bench, new).finished_at == bench.now

    def test_the_callbacks_are_jobs_that_can_be_claimed(self, bench: Bench) -> None:
        bench.process(lease=HOUR)
        new = batch(bench)
        job = member(bench, new)
        store(bench, [job], new)
        bench.pass_time(MINUTE)
        bench.finish(succeeded(running(bench)[job.id]))
        assert new.on_success is not None
        callback = bench.job(new.on_success.id)
        assert callback.state is JobState.AVAILABLE
        assert (callback.created_at, callback.scheduled_at) == (bench.now, bench.now)
        assert callback.payload == new.on_success.payload
        assert set(running(bench)) == {new.on_success.id, *_ids(new.on_complete)}

    def test_the_delay_of_a_callback_counts_from_its_turn(self, bench: Bench) -> None:
        """It was bound with one, long before; its expiry counts from there too."""
        bench.process(lease=HOUR)
        given = {"kind": "on_complete", "queue": "callbacks"}
        late = bench.new(**given, scheduled_at=bench.now + SECOND, expires_at=bench.now + MINUTE)
        new = batch(bench, on_success=None, on_death=None, on_complete=late)
        job = member(bench, new)
        store(bench, [job], new)
        bench.pass_time(MINUTE)
        bench.finish(succeeded(running(bench)[job.id]))
        there = bench.job(late.id)
        assert (there.state, there.created_at) == (JobState.SCHEDULED, bench.now)
        assert there.scheduled_at == bench.now + SECOND
        assert there.expires_at == bench.now + MINUTE
        assert running(bench) == {}
        bench.pass_time(SECOND)
        assert set(running(bench)) == {late.id}

    def test_a_callback_expires_some_time_after_its_turn(self, bench: Bench) -> None:
        bench.process(lease=HOUR)
        given = {"kind": "on_complete", "queue": "callbacks"}
        soon = bench.new(**given, expires_at=bench.now + SECOND)
        new = batch(bench, on_success=None, on_death=None, on_complete=soon)
        job = member(bench, new)
        store(bench, [job], new)
        bench.pass_time(MINUTE)
        bench.finish(succeeded(running(bench)[job.id]))
        bench.do(bench.store.promote(10))
        assert bench.job(soon.id).state is JobState.AVAILABLE
        bench.pass_time(SECOND)
        bench.do(bench.store.promote(10))
        assert bench.job(soon.id).state is JobState.CANCELLED

    def test_a_callback_with_a_moment_comes_then(self, bench: Bench) -> None:
        """It was bound as if made at that moment, so that it is no delay."""
        bench.process(lease=HOUR)
        given = {"kind": "on_complete", "queue": "callbacks", "state": JobState.SCHEDULED}
        for wait, state in ((HOUR, JobState.SCHEDULED), (SECOND, JobState.AVAILABLE)):
            at = bench.now + wait
            then = bench.new(**given, scheduled_at=at, created_at=at)
            new = batch(bench, on_success=None, on_death=None, on_complete=then)
            job = member(bench, new)
            store(bench, [job], new)
            bench.pass_time(MINUTE)
            bench.finish(succeeded(running(bench)[job.id]))
            there = bench.job(then.id)
            assert (there.state, there.scheduled_at) == (state, max(at, bench.now))

    def test_one_job_twice_in_a_request_is_one_member(self, bench: Bench) -> None:
        bench.process()
        new = batch(bench)
        job = member(bench, new)
        first, second = bench.do(bench.store.insert([job, job], Together((new,))))
        assert (first.duplicate, second.duplicate) == (False, True)
        assert (read(bench, new).live, read(bench, new).total) == (1, 1)
        bench.finish(succeeded(running(bench)[job.id]))
        assert fired(bench) == ["on_complete", "on_success"]

    def test_a_death_is_told_at_once_and_once(self, bench: Bench) -> None:
        bench.process()
        new = batch(bench)
        jobs = [member(bench, new) for _ in range(3)]
        store(bench, jobs, new)
        leases = running(bench)
        bench.finish(died(leases[jobs[0].id]))
        assert fired(bench) == ["on_death"]
        bench.finish(died(leases[jobs[1].id]))
        assert fired(bench) == ["on_death"]
        assert read(bench, new).total == 3

    def test_two_deaths_of_one_report_are_told_once(self, bench: Bench) -> None:
        bench.process()
        new = batch(bench)
        jobs = [member(bench, new) for _ in range(2)]
        store(bench, jobs, new)
        bench.finish(*(died(lease) for lease in running(bench).values()))
        assert fired(bench) == ["on_complete", "on_death"]
        assert read(bench, new).dead == 2

    def test_a_cancelled_member_counts_as_ended_but_is_no_success(self, bench: Bench) -> None:
        bench.process()
        new = batch(bench)
        jobs = [member(bench, new) for _ in range(3)]
        store(bench, jobs, new)
        leases = running(bench)
        bench.finish(succeeded(leases[jobs[0].id]), cancelled(leases[jobs[1].id]))
        assert fired(bench) == []
        bench.finish(succeeded(leases[jobs[2].id]))
        assert fired(bench) == ["on_complete"]

    def test_cancelling_the_last_one_that_waits_completes(self, bench: Bench) -> None:
        new = batch(bench)
        job = member(bench, new)
        store(bench, [job], new)
        beside = batch(bench)
        store(bench, [member(bench, beside)], beside)
        bench.do(bench.store.cancel([job.id], "enough"))
        assert fired(bench) == ["on_complete"]
        assert read(bench, new).cancelled == 1

    def test_a_member_that_expires_has_ended(self, bench: Bench) -> None:
        new = batch(bench)
        store(bench, [member(bench, new, expires_at=bench.now + SECOND)], new)
        bench.pass_time(SECOND)
        bench.do(bench.store.promote(10))
        assert fired(bench) == ["on_complete"]

    def test_a_retry_is_no_end(self, bench: Bench) -> None:
        bench.process()
        new = batch(bench)
        job = member(bench, new)
        store(bench, [job], new)
        bench.finish(failed(running(bench)[job.id], bench.now + SECOND))
        assert read(bench, new).live == 1
        bench.pass_time(SECOND)
        bench.finish(interrupted(running(bench)[job.id]))
        assert fired(bench) == []
        bench.finish(succeeded(running(bench)[job.id]))
        assert fired(bench) == ["on_complete", "on_success"]

    def test_an_ending_that_is_refused_counts_nothing(self, bench: Bench) -> None:
        bench.process()
        new = batch(bench)
        job = member(bench, new)
        store(bench, [job], new)
        lease = running(bench)[job.id]
        stale = Lease(lease.job_id, "p2", lease.run)
        assert bench.finish(succeeded(stale)) == frozenset()
        assert read(bench, new).live == 1
        assert fired(bench) == []

    def test_a_repeated_report_counts_once(self, bench: Bench) -> None:
        bench.process()
        new = batch(bench)
        jobs = [member(bench, new), member(bench, new)]
        store(bench, jobs, new)
        lease = running(bench)[jobs[0].id]
        for _ in range(3):
            assert bench.finish(succeeded(lease)) == {lease}
        assert read(bench, new).succeeded == 1

    def test_one_that_must_not_run_twice_dies_with_its_process(self, bench: Bench) -> None:
        bench.process(lease=SECOND)
        new = batch(bench)
        job = member(bench, new, rules=Rules(at_most_once=True))
        store(bench, [job], new)
        running(bench)
        bench.pass_time(2 * SECOND)
        bench.rescue()
        assert fired(bench) == ["on_complete", "on_death"]

    def test_a_rescued_member_is_live(self, bench: Bench) -> None:
        bench.process(lease=SECOND)
        new = batch(bench)
        job = member(bench, new)
        store(bench, [job], new)
        running(bench)
        bench.pass_time(2 * SECOND)
        bench.rescue()
        assert (read(bench, new).live, fired(bench)) == (1, [])

    def test_an_exchange_counts_too(self, bench: Bench) -> None:
        bench.process()
        new = batch(bench)
        jobs = [member(bench, new) for _ in range(2)]
        store(bench, jobs, new)
        endings = [succeeded(lease) for lease in running(bench).values()]
        answer = bench.do(bench.store.exchange(endings, bench.request("p1")))
        assert len(answer.held) == 2
        assert sorted(job.kind for job in answer.claim.jobs) == ["on_complete", "on_success"]
        assert read(bench, new).succeeded == 2


class BatchOrderConformance:
    """What is stored together, what comes late, what a person orders."""

    def test_an_empty_batch_completes_at_once(self, bench: Bench) -> None:
        new = batch(bench)
        store(bench, [], new)
        bench.look()
        assert fired(bench) == ["on_complete", "on_success"]
        store(bench, [], new)
        bench.look()
        assert fired(bench) == ["on_complete", "on_success"]
        assert read(bench, new).finished_at == bench.now

    def test_an_empty_batch_asked_for_again_calls_nobody_again(self, bench: Bench) -> None:
        bench.process()
        new = batch(bench)
        store(bench, [], new)
        for lease in running(bench).values():
            bench.finish(succeeded(lease))
        store(bench, [], new)
        assert running(bench) == {}
        assert fired(bench) == ["on_complete", "on_success"]

    def test_a_repeated_request_changes_nothing(self, bench: Bench) -> None:
        new = batch(bench)
        jobs = [member(bench, new) for _ in range(2)]
        store(bench, jobs, new)
        assert all(answer.duplicate for answer in store(bench, jobs, new))
        assert read(bench, new).total == 2

    def test_a_repeated_request_does_not_come_too_late(self, bench: Bench) -> None:
        bench.process()
        outer = batch(bench)
        inner = batch(bench, outer)
        first, job = member(bench, outer), member(bench, inner, outer)
        store(bench, [first], outer)
        lease = running(bench)[first.id]
        store(bench, [job], inner, lease=lease)
        bench.finish(succeeded(lease), succeeded(running(bench)[job.id]))
        assert read(bench, outer).finished_at == bench.now
        (answer,) = store(bench, [job], inner, lease=lease)
        assert (answer.duplicate, answer.conflict) == (True, False)
        late = member(bench, inner, outer)
        assert [one.late for one in store(bench, [job, late], inner, lease=lease)] == [True, True]
        assert read(bench, outer).total == 2

    def test_who_is_late_is_told_so_whatever_else_is_wrong(self, bench: Bench) -> None:
        rules = Rules(hold=Hold("k", on_conflict=OnConflict.RAISE))
        bench.add(rules=rules)
        new = batch(bench)
        store(bench, [], new)
        (answer,) = store(bench, [member(bench, new, rules=rules)])
        assert (answer.conflict, answer.late) == (True, True)

    def test_a_conflict_stores_nothing_of_it(self, bench: Bench) -> None:
        new = batch(bench)
        (there,) = bench.add()
        other = member(bench, new, id=there, kind="app.other")
        assert store(bench, [member(bench, new), other], new)[1].conflict
        assert bench.do(bench.store.bundles([new.id])) == ()
        assert len(bench.look()) == 1

    def test_a_member_adds_more_before_it_ends(self, bench: Bench) -> None:
        bench.process()
        new = batch(bench)
        job = member(bench, new)
        store(bench, [job], new)
        lease = running(bench)[job.id]
        late = member(bench, new)
        (answer,) = store(bench, [late], lease=lease)
        assert not answer.conflict
        bench.finish(succeeded(lease))
        assert (read(bench, new).total, fired(bench)) == (2, [])
        bench.finish(succeeded(running(bench)[late.id]))
        assert fired(bench) == ["on_complete", "on_success"]

    def test_who_has_lost_his_lease_adds_nothing(self, bench: Bench) -> None:
        bench.process()
        new = batch(bench)
        jobs = [member(bench, new), member(bench, new)]
        store(bench, jobs, new)
        lease = running(bench)[jobs[0].id]
        bench.finish(succeeded(lease))
        late = member(bench, new)
        (answer,) = store(bench, [late], lease=lease)
        assert (answer.conflict, answer.late) == (True, True)
        assert not bench.exists(late.id)
        assert read(bench, new).total == 2

    def test_an_earlier_run_adds_nothing(self, bench: Bench) -> None:
        bench.process()
        new = batch(bench)
        job = member(bench, new)
        store(bench, [job], new)
        lease = running(bench)[job.id]
        bench.finish(released(lease))
        again = running(bench)[job.id]
        assert [one.late for one in store(bench, [member(bench, new)], lease=lease)] == [True]
        assert [one.late for one in store(bench, [member(bench, new)], lease=again)] == [False]
        assert read(bench, new).total == 2

    def test_nobody_adds_to_what_has_finished_or_is_not_there(self, bench: Bench) -> None:
        new = batch(bench)
        store(bench, [], new)
        for bundle in (new, batch(bench)):
            late = member(bench, bundle)
            (answer,) = store(bench, [late])
            assert answer.late
            assert not bench.exists(late.id)

    def test_a_batch_in_a_batch_holds_the_outer_one_back(self, bench: Bench) -> None:
        bench.process()
        outer = batch(bench)
        inner = batch(bench, outer)
        mine, deep = member(bench, outer), member(bench, inner, outer)
        store(bench, [mine, deep], outer, inner)
        leases = running(bench)
        bench.finish(succeeded(leases[mine.id]))
        assert fired(bench) == []
        bench.finish(died(leases[deep.id]))
        assert fired(bench) == ["on_complete", "on_complete", "on_death", "on_death"]
        assert (read(bench, outer).total, read(bench, inner).total) == (2, 1)

    def test_a_retried_death_opens_the_batch_again(self, bench: Bench) -> None:
        bench.process()
        new = batch(bench)
        job = member(bench, new)
        store(bench, [job], new)
        bench.finish(died(running(bench)[job.id]))
        assert fired(bench) == ["on_complete", "on_death"]
        bench.do(bench.store.retry([job.id]))
        there = read(bench, new)
        assert (there.live, there.dead, there.finished_at) == (1, 0, None)
        bench.finish(succeeded(running(bench)[job.id]))
        # Each exactly once: completion has been told.
        assert fired(bench) == ["on_complete", "on_death", "on_success"]
        assert read(bench, new).finished_at == bench.now

    def test_a_second_death_after_a_retry_is_not_told(self, bench: Bench) -> None:
        bench.process()
        new = batch(bench)
        job = member(bench, new)
        store(bench, [job], new)
        for _ in range(2):
            bench.finish(died(running(bench)[job.id]))
            bench.do(bench.store.retry([job.id]))
        assert fired(bench) == ["on_complete", "on_death"]

    def test_a_callback_that_is_gone_does_not_come_again(self, bench: Bench) -> None:
        bench.open(Retention(0, 0, DAY)).process()
        callbacks: dict[str, Any] = {
            name: bench.new(kind=name, queue="callbacks", keep_result=0) for name in CALLBACKS
        }
        new = batch(bench, **callbacks)
        job = member(bench, new)
        store(bench, [job], new)
        bench.finish(died(running(bench)[job.id]))
        bench.finish(*(succeeded(lease) for lease in running(bench).values()))
        assert fired(bench) == []
        bench.do(bench.store.retry([job.id]))
        bench.finish(succeeded(running(bench)[job.id]))
        assert fired(bench) == ["on_success"]

    def test_a_job_whose_key_is_held_is_no_member(self, bench: Bench) -> None:
        rules = Rules(hold=Hold("k"))
        bench.add(rules=rules)
        new = batch(bench)
        (answer,) = store(bench, [member(bench, new, rules=rules)], new)
        bench.look()
        assert answer.held
        assert read(bench, new).total == 0
        assert fired(bench) == ["on_complete", "on_success"]

    def test_a_member_is_not_replaced(self, bench: Bench) -> None:
        rules = Rules(hold=Hold("k", on_conflict=OnConflict.REPLACE))
        new = batch(bench)
        job = member(bench, new, rules=rules)
        store(bench, [job], new)
        other = bench.new(rules=rules, payload=b'{"v":1,"args":[2]}')
        (answer,) = bench.do(bench.store.insert([other]))
        assert (answer.id, answer.duplicate, answer.replaced) == (job.id, True, False)
        assert bench.job(job.id).payload == job.payload
        assert read(bench, new).total == 1

    def test_a_member_that_replaces_another_job_takes_it_into_nothing(self, bench: Bench) -> None:
        bench.process()
        rules = Rules(hold=Hold("k", on_conflict=OnConflict.REPLACE))
        (there,) = bench.add(rules=rules)
        new = batch(bench)
        job = member(bench, new, rules=rules, payload=b'{"v":1,"args":[2]}')
        (answer,) = store(bench, [job, member(bench, new)], new)[:1]
        assert (answer.id, answer.duplicate, answer.replaced) == (there, True, True)
        assert bench.job(there).payload == job.payload
        assert bench.job(there).rules == rules
        bench.finish(died(running(bench)[there]))
        counts = read(bench, new)
        assert (counts.total, counts.live, counts.dead) == (1, 1, 0)
        assert fired(bench) == []

    def test_what_waits_for_others_replaces_nobody(self, bench: Bench) -> None:
        rules = Rules(hold=Hold("k", on_conflict=OnConflict.REPLACE))
        (there,) = bench.add(rules=rules)
        flow = batch(bench, sort=Sort.WORKFLOW)
        first = node(bench, flow)
        last = node(bench, flow, takes=[first])
        held = msgspec.structs.replace(last.rules or Rules(), hold=rules.hold)
        last = msgspec.structs.replace(last, rules=held)
        answer = store(bench, [first, last], flow)[1]
        assert (answer.id, answer.duplicate, answer.replaced) == (there, True, False)
        assert bench.job(there).payload != last.payload

    def test_bundles_are_listed_the_newest_first(self, bench: Bench) -> None:
        made = [batch(bench) for _ in range(3)]
        for new in made:
            store(bench, [member(bench, new)], new)
        found = bench.do(bench.store.bundles(limit=2))
        assert [one.id for one in found] == [made[2].id, made[1].id]
        found = bench.do(bench.store.bundles(cursor=found[-1].id))
        assert [one.new for one in found] == [made[0]]

    def test_members_are_read_in_pages(self, bench: Bench) -> None:
        bench.process()
        new = batch(bench)
        jobs = [member(bench, new) for _ in range(3)]
        store(bench, jobs, new)
        ids = [job.id for job in jobs]
        bench.finish(succeeded(running(bench)[ids[0]]))
        assert bench.do(bench.store.members(new.id, limit=2)) == (ids[0], ids[1])
        assert bench.do(bench.store.members(new.id, after=ids[1])) == (ids[2],)
        assert bench.do(bench.store.members(new.id, live=True)) == (ids[1], ids[2])


def _ids(*jobs: object) -> set[str]:
    return {str(getattr(job, "id", "")) for job in jobs}
