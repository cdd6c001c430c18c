"""Claims that stand: found too little, and answered by the next job that is stored.

A store need not let any stand. Where none does, the next claim finds the job itself: what it gets,
and what others get, is nearly the same, and these tests hold for both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from longshore.core.model import JobState
from longshore.core.store import Claim, Line, SetQueue
from longshore.testing.conformance.bench import LEASE, Bench, succeeded


class StandingConformance:
    """A claim that stands takes one job, once, and none that it would not have taken."""

    @pytest.fixture
    def stand(self, bench: Bench) -> Iterator[Any]:
        """A process whose thread waits for work, and claims that found nothing."""
        bench.process("p1")
        bench.process("p2")
        watch = bench.store.watch()

        def stand(**fields: Any) -> Claim:
            bench.store.run(bench.store.claim(bench.request("p1", 2, stand=True)))
            watch.wait(0)
            claim = bench.store.run(bench.store.claim(bench.request("p1", 2, stand=True, **fields)))
            assert claim.jobs == ()
            return claim

        yield stand
        watch.close()

    def test_the_next_claim_has_the_next_job_once(self, bench: Bench, stand: Any) -> None:
        stand()
        first, second = bench.add()[0], bench.add()[0]
        (lease,) = bench.leases("p1", 1)
        assert lease.job_id == first
        assert bench.taken("p2") == [second]
        assert bench.finish(succeeded(lease)) == {lease}
        assert bench.taken("p1") == bench.taken("p2") == []

    def test_an_answer_that_was_lost_is_given_again(self, bench: Bench, stand: Any) -> None:
        stand()
        (job,) = bench.add()
        request = bench.request("p1", 2)
        for _ in range(2):
            claim = bench.do(bench.store.claim(request))
            assert [(one.id, one.run) for one in claim.jobs] == [(job, 1)]

    def test_the_next_claim_is_followed_by_another(self, bench: Bench, stand: Any) -> None:
        """Nobody tells of what is stored between a job that was handed over and the next claim."""
        if stand().stands:
            bench.add()
            request = bench.request("p1", 2)
            assert bench.do(bench.store.claim(request)).due_in == 0
            assert bench.do(bench.store.claim(request)).due_in == 0

    def test_a_job_that_nobody_asked_for_goes_back(self, bench: Bench, stand: Any) -> None:
        stand()
        (job,) = bench.add()
        bench.beat("p1", oldest=9)
        assert bench.taken("p2") == [job]

    def test_a_claim_of_none_ends_it(self, bench: Bench, stand: Any) -> None:
        stand()
        assert bench.taken("p1", 0) == []
        (job,) = bench.add()
        assert bench.taken("p2") == [job]

    def test_a_claim_of_none_has_what_came_before_it(self, bench: Bench, stand: Any) -> None:
        if stand().stands:
            (job,) = bench.add()
            assert bench.taken("p1", 0) == [job]
        assert bench.taken("p2") == []

    def test_only_its_lines_are_served(self, bench: Bench, stand: Any) -> None:
        stand(lines=(Line(("mail",)),))
        (other,) = bench.add(queue="reports")
        assert bench.taken("p1", lines=(Line(("mail",)),)) == []
        assert bench.taken("p2") == [other]

    def test_what_waits_before_the_next_job_is_taken_first(self, bench: Bench, stand: Any) -> None:
        stand()
        (due,) = bench.add(state=JobState.SCHEDULED, scheduled_at=bench.clock.wall_us() + 1)
        bench.pass_time(2)
        (new,) = bench.add()
        assert {*bench.taken("p1"), *bench.taken("p1")} == {due, new}

    def test_a_queue_that_is_paused_is_left(self, bench: Bench, stand: Any) -> None:
        stand()
        bench.do(bench.store.set_queue(SetQueue("default", paused=True)))
        (job,) = bench.add()
        assert bench.taken("p1") == []
        assert bench.job(job).state is JobState.AVAILABLE

    def test_a_process_whose_lease_is_over_gets_nothing(self, bench: Bench, stand: Any) -> None:
        stand()
        bench.pass_time(LEASE + 1)
        bench.beat("p2")
        (job,) = bench.add()
        bench.process("p3")
        assert bench.taken("p3") == [job]
