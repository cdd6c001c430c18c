"""Replacing: the holder of a key gets the arguments and the time of who came after it."""

from __future__ import annotations

import pytest

from longshore.core.limits import Fair, Hold, OnConflict, Rules
from longshore.core.model import Inserted, JobState
from longshore.core.store import Filter
from longshore.testing.conformance.bench import (
    HOUR,
    MINUTE,
    PAYLOAD,
    SECOND,
    Bench,
    succeeded,
)
from longshore.testing.conformance.restraint import (
    ACCOUNT,
    OTHER,
    WAITING,
    found,
    limited,
    offer,
    replacing,
    resume,
    unique,
    waiting,
)


class ReplaceConformance:
    """The holder of a key gets the arguments and the time of who came after it."""

    @pytest.mark.parametrize("way", WAITING)
    def test_whoever_waits_is_replaced(self, bench: Bench, way: str) -> None:
        job = waiting(bench, way, unique())
        before = bench.job(job)
        bench.pass_time(SECOND)
        new = bench.new(
            rules=replacing(),
            payload=OTHER,
            queue="far",
            priority=9,
            identity="other",
            tags=("new",),
        )
        (answer,) = bench.do(bench.store.insert([new]))
        assert answer == Inserted(job, duplicate=True, held=True, replaced=True)
        after = bench.job(job)
        assert (after.payload, after.rules, after.identity) == (OTHER, new.rules, "other")
        assert (after.state, after.scheduled_at) == (JobState.AVAILABLE, new.scheduled_at)
        assert (after.parked, after.blocked_by) == (None, None)
        kept = (
            *("id", "kind", "queue", "priority", "created_at", "attempted_at", "run", "runs"),
            *("failures", "interruptions"),
        )
        assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]
        assert not bench.exists(new.id)

    @pytest.mark.parametrize("way", [way for way in WAITING if way != "kind paused"])
    def test_who_was_replaced_runs_once_at_its_new_time(self, bench: Bench, way: str) -> None:
        job = waiting(bench, way, unique(), kind="app.two")
        offer(bench, rules=replacing(), payload=OTHER, scheduled_at=bench.now + MINUTE)
        assert bench.taken("p1") == []
        assert bench.state(job) is JobState.SCHEDULED
        bench.pass_time(MINUTE)
        (taken,) = bench.claim("p1").jobs
        assert (taken.id, taken.payload, taken.kind) == (job, OTHER, "app.two")
        assert offer(bench, rules=replacing()) == Inserted(job, duplicate=True, held=True)

    def test_a_paused_kind_stays_paused_for_who_was_replaced(self, bench: Bench) -> None:
        job = waiting(bench, "kind paused", unique())
        offer(bench, rules=replacing())
        assert bench.taken("p1") == []
        resume(bench)
        assert bench.taken("p1") == [job]

    def test_who_runs_is_not_replaced(self, bench: Bench) -> None:
        (job,) = bench.add(rules=unique())
        bench.process()
        lease = bench.lease()
        answer = offer(bench, rules=replacing(), payload=OTHER)
        assert answer == Inserted(job, duplicate=True, held=True)
        assert bench.job(job).payload == PAYLOAD
        assert bench.finish(succeeded(lease)) == {lease}

    def test_each_new_time_puts_it_off(self, bench: Bench) -> None:
        job = offer(bench, rules=replacing(), scheduled_at=bench.now + MINUTE).id
        bench.process(lease=HOUR)
        for _ in range(4):
            bench.pass_time(MINUTE - SECOND)
            assert bench.taken("p1") == []
            answer = offer(bench, rules=replacing(), scheduled_at=bench.now + MINUTE)
            assert (answer.id, answer.replaced) == (job, True)
        bench.pass_time(MINUTE)
        assert bench.taken("p1") == [job]

    def test_the_new_expiry_counts(self, bench: Bench) -> None:
        job = offer(bench, rules=replacing(), expires_at=bench.now + SECOND).id
        offer(bench, rules=replacing(), expires_at=bench.now + HOUR)
        bench.process(lease=HOUR)
        bench.pass_time(MINUTE)
        bench.do(bench.store.promote(10))
        assert bench.taken("p1") == [job]
        job = offer(bench, rules=replacing("b"), expires_at=bench.now + HOUR).id
        offer(bench, rules=replacing("b"), expires_at=bench.now + SECOND)
        bench.pass_time(MINUTE)
        bench.do(bench.store.promote(10))
        assert bench.state(job) is JobState.CANCELLED

    def test_the_new_limits_and_turn_count(self, bench: Bench) -> None:
        bench.process()
        bench.add(rules=limited(ACCOUNT))
        bench.lease()
        job = offer(bench, rules=replacing()).id
        rules = Rules(Hold("key", on_conflict=OnConflict.REPLACE), (ACCOUNT,), Fair("=a"))
        assert offer(bench, rules=rules).replaced
        assert bench.taken("p1") == []
        assert offer(bench, rules=replacing()).replaced
        assert bench.taken("p1") == [job]

    def test_the_new_way_of_holding_counts(self, bench: Bench) -> None:
        job = offer(bench, rules=unique()).id
        offer(bench, rules=replacing(until_started=True))
        bench.process()
        assert bench.taken("p1") == [job]
        assert not offer(bench, rules=unique()).held

    def test_a_replacement_begins_a_new_ttl(self, bench: Bench) -> None:
        job = offer(bench, rules=replacing(ttl=MINUTE)).id
        bench.pass_time(MINUTE - SECOND)
        assert offer(bench, rules=replacing(ttl=MINUTE)).replaced
        bench.pass_time(MINUTE - SECOND)
        assert offer(bench, rules=unique()).id == job
        bench.pass_time(SECOND)
        assert not offer(bench, rules=unique()).held

    def test_a_replaced_job_is_found_by_its_new_identity_alone(self, bench: Bench) -> None:
        job = offer(bench, rules=replacing(), identity="old").id
        offer(bench, rules=replacing(), identity="new")
        assert found(bench, "old") == []
        assert found(bench, "new") == [job]

    def test_figures_follow_a_replacement(self, bench: Bench) -> None:
        offer(bench, rules=replacing(), queue="mail")
        offer(bench, rules=replacing(), scheduled_at=bench.now + MINUTE)
        (queue,) = bench.do(bench.store.queues())
        assert (queue.name, queue.depth, queue.scheduled) == ("mail", 0, 1)
        counted = [one for one in bench.do(bench.store.count(Filter())) if one.jobs]
        assert [(one.state, one.jobs) for one in counted] == [(JobState.SCHEDULED, 1)]
        offer(bench, rules=replacing())
        (queue,) = bench.do(bench.store.queues())
        assert (queue.depth, queue.scheduled, queue.latency) == (1, 0, 0)
