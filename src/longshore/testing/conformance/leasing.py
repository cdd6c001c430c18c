"""Leases: who is alive, what a beat brings, and how jobs come back from the dead."""

from __future__ import annotations

from longshore.core.model import JobState, Lease, Why
from longshore.core.store import Rescue
from longshore.testing.conformance.bench import (
    HOUR,
    LEASE,
    MINUTE,
    PAYLOAD,
    SECOND,
    Bench,
    failed,
    lease_of,
    parked,
    released,
    succeeded,
)


class BeatConformance:
    """What a supervisor's sign of life does."""

    def test_a_beat_renews_a_live_lease(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        bench.pass_time(LEASE - SECOND)
        assert bench.beat("p1").lost == frozenset()
        bench.pass_time(LEASE - SECOND)
        assert bench.taken("p1") == [job]

    def test_a_beat_that_only_listens_renews_nothing(self, bench: Bench) -> None:
        bench.process()
        bench.pass_time(LEASE - SECOND)
        assert bench.beat("p1", lease=None).lost == frozenset()
        bench.pass_time(2 * SECOND)
        assert not bench.claim("p1").live
        assert bench.beat("p1", lease=None).lost == frozenset()
        assert not bench.claim("p1").live

    def test_a_beat_renews_a_lease_that_ran_out_while_nobody_took_its_jobs(
        self, bench: Bench
    ) -> None:
        (job,) = bench.add()
        bench.process()
        lease = bench.lease()
        bench.pass_time(3 * LEASE)
        assert not bench.claim("p1").live
        assert bench.beat("p1").lost == frozenset()
        assert bench.rescue().leases == ()
        assert bench.claim("p1").live
        assert bench.finish(succeeded(lease)) == {lease}
        assert bench.state(job) is JobState.SUCCEEDED

    def test_a_lease_of_which_some_jobs_were_taken_is_lost(self, bench: Bench) -> None:
        jobs = bench.add(3)
        bench.process()
        leases = bench.leases()
        bench.pass_time(LEASE + 1)
        taken = bench.rescue(limit=1).leases
        assert len(taken) == 1
        assert bench.beat("p1").lost == {"p1"}
        assert bench.beat("p1").lost == {"p1"}
        assert not bench.claim("p1").live
        assert {*taken, *bench.rescue().leases} == {*leases}
        assert bench.states(jobs) == [JobState.AVAILABLE] * 3

    def test_a_lease_stays_while_only_jobs_of_others_were_taken(self, bench: Bench) -> None:
        bench.add(2)
        bench.process("p1")
        bench.process("p2")
        bench.lease("p1")
        bench.lease("p2")
        bench.pass_time(LEASE + 1)
        (taken,) = bench.rescue(limit=1).leases
        (other,) = {"p1", "p2"} - {taken.process_id}
        assert bench.beat("p1", "p2").lost == {taken.process_id}
        assert bench.claim(other).live
        assert bench.rescue().leases == ()

    def test_a_beat_after_the_jobs_were_given_away_is_lost(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process("p1")
        bench.process("p2", lease=HOUR)
        bench.lease("p1")
        bench.pass_time(LEASE + 1)
        bench.rescue()
        lease = bench.lease("p2")
        assert bench.beat("p1").lost == {"p1"}
        assert not bench.claim("p1").live
        record = bench.job(job)
        assert (record.claimed_by, record.run) == ("p2", lease.run)

    def test_a_beat_for_a_process_that_was_given_up_is_lost(self, bench: Bench) -> None:
        bench.process()
        bench.rescue(dead="p1")
        assert bench.beat("p1").lost == {"p1"}
        assert not bench.claim("p1").live

    def test_one_beat_speaks_for_all_children(self, bench: Bench) -> None:
        bench.process("p1")
        bench.process("p2", lease=LEASE * 2)
        bench.process("p3", lease=SECOND)
        bench.pass_time(2 * SECOND)
        assert bench.beat("p1", "p2", "p3", "p4").lost == {"p4"}
        bench.pass_time(LEASE - SECOND)
        names = ("p1", "p2", "p3", "p4")
        assert [bench.claim(process).live for process in names] == [True, True, True, False]

    def test_a_beat_renews_nobody_else(self, bench: Bench) -> None:
        bench.process("p1")
        bench.process("p2")
        bench.pass_time(LEASE - SECOND)
        bench.beat("p1")
        bench.pass_time(2 * SECOND)
        assert [bench.claim(process).live for process in ("p1", "p2")] == [True, False]

    def test_claims_that_never_arrived_go_back_uncounted(self, bench: Bench) -> None:
        lost, open_ = bench.add(2)
        bench.process()
        bench.claim("p1", 1, claim_id=4)
        bench.claim("p1", 1, claim_id=5)
        bench.beat("p1", oldest=5)
        assert bench.states([lost, open_]) == [JobState.AVAILABLE, JobState.RUNNING]
        record = bench.job(lost)
        assert (record.failures, record.interruptions) == (0, 0)
        assert {line.why for line in record.runs} <= {Why.RELEASED}
        assert bench.finish(succeeded(Lease(lost, "p1", 1))) == frozenset()
        (again,) = bench.claim("p1", claim_id=6).jobs
        assert (again.id, again.run, again.attempt) == (lost, 2, 1)

    def test_a_beat_that_only_listens_gives_lost_claims_back_too(self, bench: Bench) -> None:
        (lost,) = bench.add()
        bench.process()
        bench.claim("p1", 1, claim_id=4)
        bench.beat("p1", lease=None, oldest=5)
        assert bench.state(lost) is JobState.AVAILABLE

    def test_a_cancel_wins_over_a_claim_that_never_arrived(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        bench.claim("p1", 1, claim_id=4)
        bench.do(bench.store.cancel([job], "stop"))
        assert bench.beat("p1", oldest=5).cancels == ()
        record = bench.job(job)
        assert (record.state, record.reason) == (JobState.CANCELLED, "stop")

    def test_claims_of_other_processes_do_not_go_back(self, bench: Bench) -> None:
        jobs = bench.add(2)
        bench.process("p1")
        bench.process("p2")
        bench.claim("p1", 1, claim_id=3)
        bench.claim("p2", 1, claim_id=3)
        bench.beat("p1", oldest=9)
        assert sorted(bench.states(jobs)) == [JobState.AVAILABLE, JobState.RUNNING]
        assert bench.job(jobs[1]).claimed_by == "p2"

    def test_a_job_that_goes_back_keeps_its_place(self, bench: Bench) -> None:
        jobs = bench.add(2)
        bench.process()
        bench.claim("p1", 1)
        bench.pass_time(SECOND)
        bench.beat("p1", oldest=2)
        assert bench.taken("p1") == jobs

    def test_a_beat_brings_cancels_of_running_jobs(self, bench: Bench) -> None:
        _, second, third, queued = bench.add(4)
        bench.process("p1")
        bench.process("p2")
        one, two = bench.leases("p1", 2)
        other = bench.lease("p2")
        bench.do(bench.store.cancel([second, third, queued], "stop"))
        assert bench.beat("p1").cancels == (two,)
        assert bench.beat("p2", lease=None).cancels == (other,)
        assert set(bench.beat("p1", "p2").cancels) == {two, other}
        bench.finish(succeeded(one), succeeded(two))
        assert bench.beat("p1").cancels == ()

    def test_a_beat_says_how_many_have_a_lease(self, bench: Bench) -> None:
        bench.process("p1")
        assert bench.beat("p1").processes == 1
        bench.process("p2", lease=LEASE + SECOND)
        bench.process("p3", lease=HOUR)
        assert bench.beat("p1").processes == 3
        assert bench.beat("p1", lease=None).processes == 3
        bench.pass_time(LEASE)
        # Renewed by this beat, and alive for another second, and for nearly an hour.
        assert bench.beat("p1").processes == 3
        bench.pass_time(SECOND)
        assert bench.beat("p1").processes == 2

    def test_a_beat_names_the_kinds_of_parked_jobs(self, bench: Bench) -> None:
        bench.process()
        assert bench.beat("p1").parked_kinds == frozenset()
        bench.add(kind="app.new")
        bench.finish(parked(bench.lease(), "d1"))
        bench.add(kind="app.known")
        assert bench.beat("p1").parked_kinds == {"app.new"}
        assert bench.beat("p1", lease=None).parked_kinds == {"app.new"}


class RescueConformance:
    """How jobs come back when their process is gone."""

    def test_a_live_process_keeps_its_jobs(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        lease = bench.lease()
        bench.pass_time(LEASE - 1)
        assert bench.rescue().leases == ()
        bench.beat("p1")
        bench.pass_time(LEASE - 1)
        assert bench.rescue().leases == ()
        assert bench.state(job) is JobState.RUNNING
        assert bench.finish(succeeded(lease)) == {lease}

    def test_whether_a_lease_has_passed_is_judged_when_applied(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        bench.lease()
        late = bench.store.rescue(Rescue())
        bench.pass_time(LEASE - SECOND)
        bench.beat("p1")
        bench.pass_time(2 * SECOND)
        assert bench.do(late).leases == ()
        assert bench.state(job) is JobState.RUNNING

    def test_at_the_instant_a_lease_ends_it_is_either_live_or_not(self, bench: Bench) -> None:
        bench.add(2)
        bench.process()
        lease = bench.lease()
        bench.pass_time(LEASE)
        live = bench.claim("p1").live
        assert (lease in bench.rescue().leases) is not live

    def test_jobs_of_an_expired_process_come_back_counted(self, bench: Bench) -> None:
        jobs = bench.add(2)
        bench.process("p1")
        bench.process("p2", lease=HOUR)
        gone, kept = bench.lease("p1"), bench.lease("p2")
        bench.pass_time(LEASE + 1)
        rescued = bench.rescue()
        assert (rescued.leases, rescued.interrupted) == ((gone,), (True,))
        assert bench.states(jobs) == [JobState.AVAILABLE, JobState.RUNNING]
        record = bench.job(jobs[0])
        assert (record.interruptions, record.failures, record.attempt) == (1, 0, 1)
        assert [(line.run, line.process, line.why) for line in record.runs] == [
            (gone.run, "p1", Why.INTERRUPTED)
        ]
        assert bench.rescue().leases == ()
        (again,) = bench.claim("p2").jobs
        assert (again.interruptions, again.run, again.payload) == (1, 2, PAYLOAD)
        assert bench.finish(succeeded(kept), succeeded(lease_of("p2", again)))

    def test_of_a_dead_child_only_started_jobs_are_counted(self, bench: Bench) -> None:
        begun, not_begun = bench.add(2)
        bench.process()
        one, two = bench.leases()
        rescued = bench.rescue("p1", [one])
        assert dict(zip(rescued.leases, rescued.interrupted, strict=True)) == {
            one: True,
            two: False,
        }
        first, second = bench.job(begun), bench.job(not_begun)
        assert (first.state, first.interruptions) == (JobState.AVAILABLE, 1)
        assert (second.state, second.interruptions) == (JobState.AVAILABLE, 0)
        assert [line.why for line in first.runs] == [Why.INTERRUPTED]
        assert {line.why for line in second.runs} <= {Why.RELEASED}

    def test_a_start_seen_in_an_earlier_run_does_not_count(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        old = bench.lease()
        bench.finish(released(old))
        bench.lease()
        assert bench.rescue("p1", [old]).interrupted == (False,)
        assert bench.job(job).interruptions == 0

    def test_where_nobody_saw_every_job_counts(self, bench: Bench) -> None:
        jobs = bench.add(2)
        bench.process()
        bench.leases()
        assert bench.rescue("p1").interrupted == (True, True)
        assert [bench.job(job).interruptions for job in jobs] == [1, 1]

    def test_a_dead_child_takes_no_jobs_of_others_with_it(self, bench: Bench) -> None:
        jobs = bench.add(2)
        bench.process("p1")
        bench.process("p2")
        one = bench.lease("p1")
        bench.lease("p2")
        assert bench.rescue(dead="p1").leases == (one,)
        assert bench.job(jobs[1]).claimed_by == "p2"
        assert bench.rescue(dead="p1").leases == ()

    def test_jobs_of_a_dead_child_come_back_at_once_and_in_place(self, bench: Bench) -> None:
        first, second, third = bench.add(3)
        bench.process("p1")
        bench.process("p2", lease=HOUR)
        bench.leases("p1", 2)
        bench.pass_time(SECOND)
        bench.rescue("p1", [])
        assert bench.taken("p2") == [first, second, third]

    def test_rescue_is_bounded_and_leaves_nothing_behind(self, bench: Bench) -> None:
        jobs = bench.add(5)
        bench.process("p1")
        bench.process("p2", lease=HOUR)
        leases = bench.leases("p1")
        part = bench.rescue(dead="p1", limit=2)
        assert len(part.leases) == 2
        # The other three are not lost with the record of their process.
        bench.pass_time(LEASE + 1)
        rest = [*bench.rescue(limit=2).leases, *bench.rescue(limit=2).leases]
        assert len(rest) == 3
        assert sorted([*part.leases, *rest], key=lambda lease: lease.job_id) == leases
        assert bench.taken("p2") == jobs

    def test_interruptions_are_counted_apart_from_failures(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process("p1", lease=HOUR)
        bench.process("p2")
        bench.finish(failed(bench.lease("p1"), bench.now + SECOND))
        bench.pass_time(2 * SECOND)
        lease = bench.lease("p2")
        bench.rescue("p2", [lease])
        record = bench.job(job)
        assert (record.failures, record.interruptions, record.run) == (1, 1, 2)
        assert [line.why for line in record.runs] == [Why.FAILED, Why.INTERRUPTED]

    def test_a_cancel_wins_over_coming_back(self, bench: Bench) -> None:
        jobs = bench.add(2)
        bench.process("p1")
        bench.process("p2", lease=HOUR)
        one, _ = bench.leases("p1")
        bench.do(bench.store.cancel(jobs, "stop"))
        bench.rescue("p1", [one])
        assert bench.states(jobs) == [JobState.CANCELLED] * 2
        assert [bench.job(job).finalized_at for job in jobs] == [bench.now] * 2
        assert bench.taken("p2") == []

    def test_an_ended_job_is_not_rescued(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        bench.finish(succeeded(bench.lease()))
        bench.pass_time(LEASE + 1)
        assert bench.rescue().leases == ()
        assert bench.rescue(dead="p1").leases == ()
        record = bench.job(job)
        assert (record.state, record.interruptions) == (JobState.SUCCEEDED, 0)

    def test_a_released_job_is_not_rescued_from_its_last_process(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process()
        bench.finish(released(bench.lease()))
        bench.pass_time(MINUTE)
        assert bench.rescue().leases == ()
        assert bench.job(job).interruptions == 0


PATIENCE = LEASE // 3


class PatienceConformance:
    """Who seems dead is looked at twice: perhaps it was the store that was away."""

    def test_an_expiry_is_looked_at_twice(self, bench: Bench) -> None:
        jobs = bench.add(3)
        bench.process()
        leases = bench.leases("p1", 3)
        bench.pass_time(LEASE + 1)
        for _ in range(3):
            look = bench.rescue(patience=PATIENCE)
            assert (look.leases, look.withheld) == ((), 3)
        bench.pass_time(PATIENCE - 1)
        assert bench.rescue(patience=PATIENCE).leases == ()
        bench.pass_time(1)
        look = bench.rescue(patience=PATIENCE)
        assert (sorted(look.leases, key=lambda one: one.job_id), look.withheld) == (leases, 0)
        assert bench.states(jobs) == [JobState.AVAILABLE] * 3
        assert bench.beat("p1").lost == {"p1"}

    def test_who_beats_between_the_looks_keeps_its_jobs(self, bench: Bench) -> None:
        bench.add(3)
        bench.process("p1")
        bench.process("p2")
        mine, _ = bench.leases("p1", 2)
        gone = bench.lease("p2")
        bench.pass_time(LEASE + 1)
        assert bench.rescue(patience=PATIENCE).withheld == 3
        assert bench.beat("p1").lost == frozenset()
        assert bench.claim("p1").live
        bench.pass_time(PATIENCE)
        assert bench.rescue(patience=PATIENCE).leases == (gone,)
        assert bench.finish(succeeded(mine)) == {mine}

    def test_a_doubt_is_over_with_the_beat_that_ends_it(self, bench: Bench) -> None:
        bench.add(2)
        bench.process()
        bench.leases("p1", 2)
        bench.pass_time(LEASE + 1)
        assert bench.rescue(patience=PATIENCE).withheld == 2
        bench.beat("p1")
        bench.pass_time(LEASE + 1)
        assert bench.rescue(patience=PATIENCE).withheld == 2

    def test_each_process_is_doubted_from_when_it_was_found(self, bench: Bench) -> None:
        bench.add(2)
        bench.process("p1")
        bench.process("p2", lease=LEASE + SECOND)
        first, second = bench.lease("p1"), bench.lease("p2")
        bench.pass_time(LEASE + 1)
        assert bench.rescue(patience=PATIENCE).withheld == 1
        bench.pass_time(SECOND)
        look = bench.rescue(patience=PATIENCE)
        assert (look.leases, look.withheld) == ((), 2)
        bench.pass_time(PATIENCE - SECOND)
        look = bench.rescue(patience=PATIENCE)
        assert (look.leases, look.withheld) == ((first,), 1)
        bench.pass_time(SECOND)
        assert bench.rescue(patience=PATIENCE).leases == (second,)

    def test_an_idle_process_is_forgotten_at_the_second_look(self, bench: Bench) -> None:
        bench.process("p1")
        bench.process("p2")
        bench.pass_time(LEASE + 1)
        bench.rescue(patience=PATIENCE)
        assert bench.beat("p1").lost == frozenset()
        bench.pass_time(PATIENCE)
        bench.rescue(patience=PATIENCE)
        assert [one.id for one in bench.do(bench.store.processes())] == ["p1"]

    def test_who_has_a_lease_does_not_believe_it_of_others(self, bench: Bench) -> None:
        bench.add(2)
        bench.process("p1")
        bench.process("p2")
        first, second = bench.lease("p1"), bench.lease("p2")
        bench.pass_time(LEASE + 1)
        assert bench.beat("p1").lost == frozenset()
        look = bench.rescue(patience=PATIENCE)
        assert (look.leases, look.withheld) == ((), 1)
        assert bench.beat("p2").lost == frozenset()
        bench.pass_time(PATIENCE)
        assert bench.rescue(patience=PATIENCE).leases == ()
        assert bench.finish(succeeded(first), succeeded(second)) == {first, second}

    def test_a_store_whose_clock_leaps_gives_nothing_away(self, bench: Bench) -> None:
        bench.add(2)
        bench.process("p1")
        bench.process("p2")
        first, second = bench.lease("p1"), bench.lease("p2")
        bench.clock.set_wall(bench.now + HOUR)
        assert bench.beat("p1").lost == frozenset()
        assert bench.rescue(patience=PATIENCE).leases == ()
        assert bench.beat("p2").lost == frozenset()
        bench.pass_time(PATIENCE)
        assert bench.rescue(patience=PATIENCE).leases == ()
        assert bench.finish(succeeded(first), succeeded(second)) == {first, second}

    def test_a_doubt_is_no_longer_for_a_clock_that_was_set_back(self, bench: Bench) -> None:
        bench.add()
        bench.process()
        gone = bench.lease()
        bench.pass_time(LEASE + 1)
        assert bench.rescue(patience=PATIENCE).withheld == 1
        bench.clock.set_wall(bench.now - HOUR)
        assert bench.rescue(patience=PATIENCE).leases == ()
        bench.pass_time(PATIENCE)
        assert bench.rescue(patience=PATIENCE).leases == (gone,)

    def test_without_patience_and_of_a_dead_child_all_go_back(self, bench: Bench) -> None:
        bench.add(4)
        bench.process("p1")
        bench.process("p2")
        bench.leases("p1", 2)
        bench.leases("p2", 2)
        bench.pass_time(LEASE + 1)
        assert len(bench.rescue("p1", patience=PATIENCE).leases) == 2
        assert len(bench.rescue().leases) == 2
