"""Holding: at most one live job of a key, for how long, and what the next insert is told."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from longshore.core.limits import OnConflict
from longshore.core.model import LIVE, Inserted, JobState, Lease, NewJob
from longshore.core.store import Changed
from longshore.testing.conformance.bench import (
    HOUR,
    MINUTE,
    PAYLOAD,
    SECOND,
    Bench,
    cancelled,
    died,
    failed,
    released,
    snoozed,
    succeeded,
)
from longshore.testing.conformance.restraint import (
    BACK,
    OTHER,
    WAITING,
    at_once,
    offer,
    replacing,
    unique,
    waiting,
)


class HoldConformance:
    """A unique key: who holds it, how long, and what the next insert is told."""

    def test_the_next_job_of_a_key_is_told_who_holds_it(self, bench: Bench) -> None:
        (holder,) = bench.add(rules=unique())
        answer = offer(bench, rules=unique(), payload=OTHER)
        assert answer == Inserted(holder, duplicate=True, held=True)
        assert set(bench.look()) == {holder}
        assert bench.job(holder).payload == PAYLOAD

    def test_keys_are_apart(self, bench: Bench) -> None:
        jobs = [bench.add(rules=unique(key))[0] for key in ("a", "b", "a ", "A", "ä", "")]
        jobs += bench.add(2)
        assert set(bench.look()) == set(jobs)

    def test_a_key_is_held_whatever_the_kind_and_the_queue(self, bench: Bench) -> None:
        (holder,) = bench.add(rules=unique())
        answer = offer(bench, rules=unique(), kind="app.other", queue="far", priority=3)
        assert answer == Inserted(holder, duplicate=True, held=True)

    def test_who_wants_to_be_refused_writes_nothing(self, bench: Bench) -> None:
        (holder,) = bench.add(rules=unique())
        refused = bench.new(rules=unique(on_conflict=OnConflict.RAISE))
        answers = bench.do(bench.store.insert([bench.new(), refused, bench.new()]))
        assert answers[1] == Inserted(holder, conflict=True, held=True)
        assert [answer.conflict for answer in answers] == [False, True, False]
        assert set(bench.look()) == {holder}

    def test_who_would_be_refused_is_stored_where_nobody_holds(self, bench: Bench) -> None:
        rules = unique(on_conflict=OnConflict.RAISE)
        answer = offer(bench, rules=rules)
        assert (answer.held, answer.conflict) == (False, False)
        assert bench.job(answer.id).rules == rules

    def test_in_one_request_the_first_of_a_key_wins(self, bench: Bench) -> None:
        first, second, other = (bench.new(rules=unique(key)) for key in ("a", "a", "b"))
        answers = bench.do(bench.store.insert([first, second, other]))
        held = Inserted(first.id, duplicate=True, held=True)
        assert list(answers) == [Inserted(first.id), held, Inserted(other.id)]
        assert set(bench.look()) == {first.id, other.id}

    def test_in_one_request_the_last_of_a_key_replaces(self, bench: Bench) -> None:
        first = bench.new(rules=replacing())
        second = bench.new(rules=replacing(), payload=OTHER)
        third = bench.new(rules=replacing(), payload=b"{}")
        answers = bench.do(bench.store.insert([first, second, third]))
        held = Inserted(first.id, duplicate=True, held=True, replaced=True)
        assert list(answers) == [Inserted(first.id), held, held]
        assert {job.id: job.payload for job in bench.look().values()} == {first.id: b"{}"}

    def test_in_one_request_a_refusal_writes_nothing(self, bench: Bench) -> None:
        first = bench.new(rules=unique())
        second = bench.new(rules=unique(on_conflict=OnConflict.RAISE))
        answers = bench.do(bench.store.insert([first, second]))
        assert answers[1] == Inserted(first.id, conflict=True, held=True)
        assert bench.look() == {}

    def test_a_refused_request_replaces_nothing(self, bench: Bench) -> None:
        (one,) = bench.add(rules=unique("a"))
        bench.add(rules=unique("b"))
        new = bench.new(rules=replacing("a"), payload=OTHER)
        refused = bench.new(rules=unique("b", on_conflict=OnConflict.RAISE))
        answers = bench.do(bench.store.insert([new, refused]))
        assert answers[1].conflict
        assert bench.job(one).payload == PAYLOAD

    def test_an_id_is_looked_at_before_its_key(self, bench: Bench) -> None:
        known = bench.new(rules=unique())
        bench.do(bench.store.insert([known]))
        assert list(bench.do(bench.store.insert([known]))) == [Inserted(known.id, duplicate=True)]
        other = msgspec.structs.replace(known, payload=OTHER, rules=unique("free"))
        (answer,) = bench.do(bench.store.insert([other]))
        assert answer == Inserted(known.id, conflict=True)
        assert offer(bench, rules=unique("free")).held is False

    @pytest.mark.parametrize("way", WAITING)
    def test_whoever_waits_holds(self, bench: Bench, way: str) -> None:
        job = waiting(bench, way, unique())
        assert offer(bench, rules=unique()) == Inserted(job, duplicate=True, held=True)

    @pytest.mark.parametrize("way", ["available", "scheduled", "blocked", "kind paused"])
    def test_whoever_has_never_started_holds(self, bench: Bench, way: str) -> None:
        job = waiting(bench, way, unique(until_started=True))
        assert offer(bench, rules=unique()) == Inserted(job, duplicate=True, held=True)

    def test_a_key_is_held_until_the_end(self, bench: Bench) -> None:
        (job,) = bench.add(rules=unique())
        bench.process(lease=HOUR)
        held = Inserted(job, duplicate=True, held=True)
        lease = bench.lease()
        assert offer(bench, rules=unique()) == held
        bench.finish(failed(lease, bench.now + SECOND))
        assert offer(bench, rules=unique()) == held
        bench.pass_time(2 * SECOND)
        lease = bench.lease()
        assert offer(bench, rules=unique()) == held
        bench.finish(released(lease))
        assert offer(bench, rules=unique()) == held
        bench.finish(succeeded(bench.lease()))
        assert not offer(bench, rules=unique()).held

    @pytest.mark.parametrize("way", ["succeeded", "dead", "cancelled", "deleted", "expired", "end"])
    def test_whoever_has_ended_holds_nothing(self, bench: Bench, way: str) -> None:
        (job,) = bench.add(rules=unique(), expires_at=bench.now + MINUTE)
        bench.process()
        match way:
            case "deleted":
                bench.do(bench.store.delete([job]))
            case "expired":
                bench.pass_time(MINUTE + 1)
                bench.do(bench.store.promote(10))
            case "end":
                bench.do(bench.store.cancel([job], "stop"))
            case _:
                make = {"succeeded": succeeded, "dead": died, "cancelled": cancelled}[way]
                bench.finish(make(bench.lease()))
        answer = offer(bench, rules=unique())
        assert answer == Inserted(answer.id)
        assert answer.id != job
        held = Inserted(answer.id, duplicate=True, held=True)
        assert offer(bench, rules=unique()) == held

    def test_who_has_expired_before_its_start_holds_nothing(self, bench: Bench) -> None:
        """Though nobody has looked at it yet: it would never run, nor would who was sent to it."""
        gone, other = (
            bench.add(rules=unique(key, ttl=ttl), expires_at=bench.now + MINUTE)[0]
            for key, ttl in (("a", None), ("b", HOUR))
        )
        begun = bench.add(rules=unique("c"), expires_at=bench.now + MINUTE, priority=-1)[0]
        bench.process(lease=HOUR)
        bench.finish(failed(bench.lease(), bench.now + HOUR))
        bench.pass_time(MINUTE)
        for key, job in (("a", gone), ("b", other)):
            answer = offer(bench, rules=unique(key))
            assert answer == Inserted(answer.id)
            assert answer.id != job
            assert offer(bench, rules=unique(key)).id == answer.id
        assert offer(bench, rules=unique("c")) == Inserted(begun, duplicate=True, held=True)
        bench.do(bench.store.promote(10))
        assert bench.job(gone).reason == bench.job(other).reason == "expired"

    def test_the_first_claim_frees_a_key_held_until_started(self, bench: Bench) -> None:
        rules = unique(until_started=True)
        (job,) = bench.add(rules=rules)
        bench.process()
        lease = bench.lease()
        answer = offer(bench, rules=rules)
        assert answer.id != job
        assert not answer.held
        # What comes back takes nothing from who holds now.
        bench.finish(released(lease))
        held = Inserted(answer.id, duplicate=True, held=True)
        assert offer(bench, rules=rules) == held

    @pytest.mark.parametrize("way", ["failed", "snoozed", *BACK])
    def test_a_key_that_was_given_up_is_not_taken_again(self, bench: Bench, way: str) -> None:
        rules = unique(until_started=True)
        bench.add(rules=rules)
        bench.process("p2", lease=HOUR)
        bench.process()
        lease = bench.lease()
        if way == "failed":
            bench.finish(failed(lease, bench.now))
        elif way == "snoozed":
            bench.finish(snoozed(lease, bench.now + SECOND))
        else:
            BACK[way](bench, lease)
        assert not offer(bench, rules=rules).held

    def test_an_exchange_frees_the_key_of_what_it_ends(self, bench: Bench) -> None:
        (job,) = bench.add(rules=unique())
        bench.process()
        ending = succeeded(bench.lease())
        bench.do(bench.store.exchange([ending], bench.request("p1")))
        assert bench.state(job) is JobState.SUCCEEDED
        assert not offer(bench, rules=unique()).held

    def test_a_late_ending_frees_nothing(self, bench: Bench) -> None:
        (job,) = bench.add(rules=unique())
        bench.process()
        lease = bench.lease()
        bench.finish(succeeded(lease))
        holder = offer(bench, rules=unique()).id
        bench.finish(succeeded(lease))
        bench.finish(died(Lease(holder, "p1", 1)), succeeded(Lease(job, "p1", 7)))
        bench.do(bench.store.delete([job]))
        assert offer(bench, rules=unique()).id == holder

    def test_a_moved_job_holds_on(self, bench: Bench) -> None:
        (job,) = bench.add(rules=unique())
        bench.do(bench.store.move([job], "far"))
        assert offer(bench, rules=unique()) == Inserted(job, duplicate=True, held=True)

    def test_many_who_insert_at_once_find_one_holder(self, bench: Bench) -> None:
        store = bench.store
        for number in range(3):
            rules = unique(f"key-{number}")
            ops = [store.insert([bench.new(rules=rules)]) for _ in range(8)]
            answers = [answer for (answer,) in at_once(ops, store.run)]
            told = Counter((answer.held, answer.duplicate) for answer in answers)
            assert told == {(False, False): 1, (True, True): 7}
            (holder,) = {answer.id for answer in answers}
            assert bench.job(holder).rules == rules
        assert len(bench.look()) == 3

    def test_requests_with_the_same_keys_do_not_hinder_each_other(self, bench: Bench) -> None:
        keys = [f"key-{number}" for number in range(12)]
        store = bench.store
        new = [
            [bench.new(rules=unique(key)) for key in (keys, keys[::-1])[turned]]
            for turned in (False, True) * 3
        ]
        held: dict[str, set[str]] = {}
        answers = at_once([store.insert(jobs) for jobs in new], store.run)
        for jobs, told in zip(new, answers, strict=True):
            for job, answer in zip(jobs, told, strict=True):
                held.setdefault(key_of(job), set()).add(answer.id)
        assert held.keys() == set(keys)
        assert {len(ids) for ids in held.values()} == {1}
        assert set(bench.look()) == {job for ids in held.values() for job in ids}


class KeptKeyConformance:
    """How long a hold lasts by itself, and how a person's retry takes a key again."""

    def test_a_hold_whose_time_is_over_goes_to_the_next(self, bench: Bench) -> None:
        (job,) = bench.add(rules=unique(ttl=MINUTE))
        bench.pass_time(MINUTE - 1)
        assert offer(bench, rules=unique()).id == job
        bench.pass_time(1)
        before = bench.job(job)
        answer = offer(bench, rules=unique())
        assert answer.id != job
        assert not answer.held
        assert bench.job(job) == before
        bench.process(lease=HOUR)
        assert bench.taken("p1") == [job, answer.id]
        bench.finish(succeeded(Lease(job, "p1", 1)))
        assert offer(bench, rules=unique()).id == answer.id

    def test_the_time_of_a_hold_runs_on_while_the_job_runs(self, bench: Bench) -> None:
        (job,) = bench.add(rules=unique(ttl=MINUTE))
        bench.process(lease=HOUR)
        lease = bench.lease()
        bench.pass_time(MINUTE)
        assert not offer(bench, rules=unique()).held
        assert bench.finish(succeeded(lease)) == {lease}
        assert bench.state(job) is JobState.SUCCEEDED
        assert offer(bench, rules=unique()).held

    def test_the_time_counts_from_the_insert(self, bench: Bench) -> None:
        rules = unique(ttl=MINUTE)
        new = bench.new(rules=rules, created_at=bench.now - HOUR, scheduled_at=bench.now + HOUR)
        bench.do(bench.store.insert([new]))
        bench.pass_time(MINUTE - 1)
        assert offer(bench, rules=rules).held
        bench.pass_time(1)
        assert not offer(bench, rules=rules).held

    def test_the_ttl_of_who_comes_does_not_count(self, bench: Bench) -> None:
        bench.add(rules=unique())
        bench.pass_time(HOUR)
        assert offer(bench, rules=unique(ttl=SECOND)).held

    @pytest.mark.parametrize("on_conflict", [OnConflict.RAISE, OnConflict.REPLACE])
    def test_a_hold_whose_time_is_over_hinders_nobody(
        self, bench: Bench, on_conflict: OnConflict
    ) -> None:
        (job,) = bench.add(rules=unique(ttl=MINUTE))
        bench.pass_time(MINUTE)
        answer = offer(bench, rules=unique(on_conflict=on_conflict), payload=OTHER)
        assert answer == Inserted(answer.id)
        assert bench.job(job).payload == PAYLOAD
        assert len(bench.look()) == 2

    def test_a_retried_job_takes_its_key_again(self, bench: Bench) -> None:
        (job,) = bench.add(rules=unique())
        bench.process()
        bench.finish(died(bench.lease()))
        assert bench.do(bench.store.retry([job])).changed == (job,)
        assert offer(bench, rules=unique()) == Inserted(job, duplicate=True, held=True)
        assert bench.taken("p1") == [job]

    def test_a_job_whose_key_is_held_is_not_retried(self, bench: Bench) -> None:
        (job,) = bench.add(rules=unique())
        bench.process()
        bench.finish(died(bench.lease()))
        (other,) = bench.add()
        bench.finish(died(bench.lease()))
        holder = offer(bench, rules=unique()).id
        before = bench.job(job)
        changed = bench.do(bench.store.retry([job, other]))
        assert changed == Changed(changed=(other,), held=(job,))
        assert bench.job(job) == before
        assert offer(bench, rules=unique()).id == holder
        bench.do(bench.store.delete([holder]))
        assert bench.do(bench.store.retry([job])).changed == (job,)

    def test_of_two_that_are_retried_the_first_takes_the_key(self, bench: Bench) -> None:
        bench.process()
        jobs: list[str] = []
        for _ in range(2):
            jobs += bench.add(rules=unique())
            bench.finish(died(bench.lease()))
        changed = bench.do(bench.store.retry(jobs[::-1]))
        assert changed == Changed(changed=(jobs[1],), held=(jobs[0],))

    def test_a_retried_job_that_had_started_takes_no_key(self, bench: Bench) -> None:
        rules = unique(until_started=True)
        (job,) = bench.add(rules=rules)
        bench.process()
        bench.finish(died(bench.lease()))
        holder = offer(bench, rules=rules).id
        assert bench.do(bench.store.retry([job])).changed == (job,)
        assert offer(bench, rules=rules).id == holder
        bench.do(bench.store.delete([holder]))
        assert not offer(bench, rules=rules).held

    def test_a_retried_job_that_had_never_started_takes_its_key(self, bench: Bench) -> None:
        rules = unique(until_started=True)
        (job,) = bench.add(rules=rules)
        bench.do(bench.store.cancel([job], None))
        holder = offer(bench, rules=rules).id
        assert bench.do(bench.store.retry([job])).held == (job,)
        bench.do(bench.store.delete([holder]))
        assert bench.do(bench.store.retry([job])).changed == (job,)
        assert offer(bench, rules=rules).id == job

    def test_a_retry_leaves_a_hold_whose_time_is_over(self, bench: Bench) -> None:
        (job,) = bench.add(rules=unique())
        bench.do(bench.store.cancel([job], None))
        (holder,) = bench.add(rules=unique(ttl=MINUTE))
        bench.pass_time(HOUR)
        assert bench.do(bench.store.retry([job])).held == (job,)
        assert bench.state(holder) is JobState.AVAILABLE

    def test_a_job_due_later_is_retried_with_its_key(self, bench: Bench) -> None:
        (job,) = bench.add(rules=unique(), scheduled_at=bench.now + HOUR)
        assert bench.do(bench.store.retry([job])) == Changed(changed=(job,))
        assert offer(bench, rules=unique()).id == job

    def test_keys_held_are_those_of_live_jobs(self, bench: Bench) -> None:
        ends = (succeeded, died, cancelled, released)
        bench.process(lease=HOUR)
        for number in range(12):
            bench.add(rules=unique(f"key-{number}"))
        for number, lease in enumerate(bench.leases("p1", 8)):
            bench.finish(ends[number % 4](lease))
        live = {
            job.rules.hold.key
            for job in bench.look().values()
            if job.rules is not None and job.rules.hold is not None and job.state in LIVE
        }
        assert len(live) == 6
        for number in range(12):
            key = f"key-{number}"
            assert offer(bench, rules=unique(key)).held is (key in live)


def key_of(job: NewJob) -> str:
    """The key that a job would hold."""
    assert job.rules is not None
    assert job.rules.hold is not None
    return job.rules.hold.key
