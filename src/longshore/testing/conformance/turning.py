"""Turning: values of ``fair_by`` take turns by weight inside a queue and priority."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Final

import pytest

from longshore.core.limits import TURN, Fair, Limit, Rules
from longshore.core.model import JobState, Lease, NewJob
from longshore.core.store import Line
from longshore.core.turns import Turns
from longshore.testing.conformance.bench import (
    HOUR,
    MINUTE,
    SECOND,
    Bench,
    failed,
    released,
    succeeded,
)
from longshore.testing.conformance.restraint import ACCOUNT, fair, limited, pause, rated, resume

WEIGHTS: Final = {"a": 1, "b": 2, "c": 5}

#: Whether a store has to look at each job or may know beforehand whose turn it is.
LIMITS: Final = ((), (Limit("host", "", to=100),))


class TurnConformance:
    """Whose turn it is."""

    def test_tenants_take_turns(self, bench: Bench) -> None:
        a = bench.add(4, rules=fair("a"))
        b = bench.add(2, rules=fair("b"))
        c = bench.add(3, rules=fair("c"))
        bench.process()
        assert bench.taken("p1") == [a[0], b[0], c[0], a[1], b[1], c[1], a[2], c[2], a[3]]

    @pytest.mark.parametrize("wanted", [1, 2, 3])
    def test_turns_go_on_from_claim_to_claim(self, bench: Bench, wanted: int) -> None:
        a = bench.add(4, rules=fair("a"))
        b = bench.add(4, rules=fair("b"))
        bench.process("p1")
        bench.process("p2")
        found: list[str] = []
        for number in range(8):
            found += bench.taken(f"p{number % 2 + 1}", wanted)
        assert found == [job for pair in zip(a, b, strict=True) for job in pair]

    def test_one_with_many_jobs_delays_another_by_one_turn(self, bench: Bench) -> None:
        bench.process()
        bench.drive(bench.store.insert([bench.new(rules=fair("big")) for _ in range(600)]))
        for _ in range(5):
            bench.drive(bench.store.claim(bench.request("p1", 9)))
            (job,) = bench.add(rules=fair("small"))
            assert job in bench.taken("p1", 2)

    @pytest.mark.parametrize("limits", LIMITS)
    def test_who_was_idle_has_saved_nothing_up(
        self, bench: Bench, limits: tuple[Limit, ...]
    ) -> None:
        a = bench.add(20, rules=fair("a", 1, *limits))
        b = bench.add(1, rules=fair("b", 1, *limits))
        bench.process()
        assert bench.taken("p1", 12) == [a[0], b[0], *a[1:11]]
        b = bench.add(4, rules=fair("b", 1, *limits))
        assert bench.taken("p1", 8) == [b[0], a[11], b[1], a[12], b[2], a[13], b[3], a[14]]

    def test_who_comes_first_of_two_that_start_together_is_first(self, bench: Bench) -> None:
        (b,) = bench.add(rules=fair("b"))
        (a,) = bench.add(rules=fair("a"))
        (c,) = bench.add(rules=fair("c"), scheduled_at=bench.now - SECOND)
        bench.process()
        assert bench.taken("p1") == [c, b, a]

    def test_within_a_value_the_order_is_that_of_time(self, bench: Bench) -> None:
        bench.process(lease=HOUR)
        (late,) = bench.add(rules=fair("a"), scheduled_at=bench.now + 20 * SECOND)
        (early,) = bench.add(rules=fair("a"), scheduled_at=bench.now + 10 * SECOND)
        (b,) = bench.add(rules=fair("b"), scheduled_at=bench.now + 30 * SECOND)
        bench.pass_time(MINUTE)
        assert bench.taken("p1") == [early, b, late]

    def test_a_job_that_comes_back_takes_the_next_turn_of_its_value(self, bench: Bench) -> None:
        a = bench.add(3, rules=fair("a"))
        b = bench.add(3, rules=fair("b"))
        bench.process()
        lease = bench.lease()
        bench.finish(released(lease))
        assert bench.taken("p1", 3) == [b[0], a[0], b[1]]
        bench.finish(failed(Lease(a[0], "p1", 2), bench.now))
        assert bench.taken("p1") == [a[0], b[2], a[1], a[2]]

    def test_jobs_without_a_value_are_together_one_value(self, bench: Bench) -> None:
        a = bench.add(4, rules=fair("a"))
        plain = bench.add(3)
        ruled = bench.add(rules=limited(ACCOUNT))
        b = bench.add(2, rules=fair("b"))
        bench.process()
        assert bench.taken("p1", 4) == [a[0], plain[0], b[0], a[1]]
        assert bench.taken("p1") == [plain[1], b[1], a[2], plain[2], a[3], *ruled]

    def test_an_empty_value_is_not_that_of_jobs_without_one(self, bench: Bench) -> None:
        a = bench.add(2, rules=fair(""))
        plain = bench.add(2)
        bench.process()
        assert bench.taken("p1") == [a[0], plain[0], a[1], plain[1]]

    def test_jobs_without_a_value_alone_use_no_turn(self, bench: Bench) -> None:
        first = bench.add(5)
        bench.process()
        assert bench.taken("p1", 3) == first[:3]
        a = bench.add(3, rules=fair("a"))
        assert bench.taken("p1", 9) == [first[3], a[0], first[4], a[1], a[2]]

    @pytest.mark.parametrize("wanted", [1, 9])
    def test_what_is_left_without_the_others_uses_no_turn(self, bench: Bench, wanted: int) -> None:
        """However many are claimed at once."""
        (a,) = bench.add(rules=fair("a"))
        plain = bench.add(4)
        bench.process()
        found: list[str] = []
        while len(found) < 5:
            found += bench.taken("p1", wanted)
        assert found == [a, *plain]
        # The turn of "a" is over where it began; the others have used none since.
        (plain_next,) = bench.add()
        (b,) = bench.add(rules=fair("b"))
        (a_next,) = bench.add(rules=fair("a"))
        assert bench.taken("p1") == [plain_next, b, a_next]

    def test_weights_are_kept(self, bench: Bench) -> None:
        new = [
            bench.new(rules=fair(tenant, weight))
            for tenant, weight in WEIGHTS.items()
            for _ in range(260 * weight)
        ]
        tenants = {job.id: tenant_of(job) for job in new}
        Random(3).shuffle(new)  # noqa: S311 - repeatable, not secret
        bench.drive(bench.store.insert(new))
        bench.process(lease=HOUR)
        started: Counter[str] = Counter()
        for _ in range(32):
            claim = bench.drive(bench.store.claim(bench.request("p1", 63)))
            started.update(tenants[job.id] for job in claim.jobs)
            whole = sum(started.values())
            for tenant, weight in WEIGHTS.items():
                share = whole * weight / sum(WEIGHTS.values())
                assert abs(started[tenant] - share) <= max(1.5, 0.05 * share)
        assert sum(started.values()) == 32 * 63

    @pytest.mark.parametrize("limits", LIMITS)
    def test_a_weight_below_one_waits_longer(self, bench: Bench, limits: tuple[Limit, ...]) -> None:
        a = bench.add(6, rules=fair("a", 1, *limits))
        slow = Rules(limits=limits, fair=Fair("=slow", 2 * TURN))
        s = bench.add(3, rules=slow)
        bench.process()
        assert bench.taken("p1") == [a[0], s[0], a[1], a[2], s[1], a[3], a[4], s[2], a[5]]

    def test_each_job_says_how_far_its_turn_goes(self, bench: Bench) -> None:
        """Whatever the first of its value says."""
        a = bench.add(rules=fair("a")) + bench.add(3, rules=fair("a", 2))
        b = bench.add(3, rules=fair("b"))
        bench.process()
        assert bench.taken("p1", 7) == [a[0], b[0], a[1], b[1], a[2], a[3], b[2]]

    def test_a_limit_of_one_job_is_not_that_of_the_first_of_its_value(self, bench: Bench) -> None:
        bench.add(rules=limited(ACCOUNT), priority=-1)
        bench.process()
        bench.taken("p1", 1)
        (a,) = bench.add(rules=fair("a"))
        bench.add(rules=fair("a", 1, ACCOUNT))
        b = bench.add(2, rules=fair("b"))
        assert bench.taken("p1") == [a, *b]

    def test_priorities_come_before_turns(self, bench: Bench) -> None:
        urgent = bench.add(3, rules=fair("a"), priority=-1)
        a = bench.add(2, rules=fair("a"))
        b = bench.add(2, rules=fair("b"))
        bench.process()
        assert bench.taken("p1") == [*urgent, a[0], b[0], a[1], b[1]]

    def test_each_queue_has_its_own_turns(self, bench: Bench) -> None:
        bench.process()
        bench.add(4, rules=fair("a"), queue="far")
        assert len(bench.taken("p1", lines=[Line(("far",))])) == 4
        a = bench.add(2, rules=fair("a"))
        b = bench.add(2, rules=fair("b"))
        assert bench.taken("p1") == [a[0], b[0], a[1], b[1]]

    def test_queues_of_one_line_go_by_the_place_of_their_next(self, bench: Bench) -> None:
        one, two = bench.add(2, rules=fair("a"), queue="q1")
        (x,) = bench.add(queue="q2")
        (three,) = bench.add(rules=fair("b"), queue="q1")
        (y,) = bench.add(queue="q2")
        (four,) = bench.add(rules=fair("c"), queue="q1", priority=-1)
        bench.process()
        line = Line(("q1", "q2"))
        assert bench.taken("p1", 3, lines=[line]) == [four, one, x]
        assert bench.taken("p1", lines=[line]) == [three, two, y]

    def test_strict_lines_come_before_turns(self, bench: Bench) -> None:
        a = bench.add(2, rules=fair("a"), queue="low")
        b = bench.add(2, rules=fair("a"), queue="high")
        bench.process()
        lines = [Line(("high",)), Line(("*",))]
        assert bench.taken("p1", lines=lines) == [*b, *a]

    def test_who_is_blocked_uses_no_turn(self, bench: Bench) -> None:
        a = bench.add(3, rules=fair("a", 1, ACCOUNT))
        b = bench.add(6, rules=fair("b"))
        bench.process()
        assert bench.taken("p1", 4) == [a[0], *b[:3]]
        bench.finish(succeeded(Lease(a[0], "p1", 1)))
        assert bench.taken("p1", 2) == [a[1], b[3]]
        bench.finish(succeeded(Lease(a[1], "p1", 1)))
        assert bench.taken("p1", 3) == [a[2], b[4], b[5]]

    def test_a_full_value_gives_its_turn_to_the_next(self, bench: Bench) -> None:
        mail = rated(1, HOUR).limits
        a = bench.add(3, rules=fair("a", 1, *mail))
        b = bench.add(3, rules=fair("b", 1, *mail))
        c = bench.add(3, rules=fair("c"))
        bench.process()
        assert bench.taken("p1") == [a[0], *c]
        assert bench.states(b) == [JobState.AVAILABLE] * 3

    def test_who_is_paused_or_expired_uses_no_turn(self, bench: Bench) -> None:
        a = bench.add(3, rules=fair("a"), kind="app.two")
        b = bench.add(6, rules=fair("b"))
        bench.add(3, rules=fair("c"), expires_at=bench.now + SECOND)
        bench.process(lease=HOUR)
        pause(bench, "app.two")
        bench.pass_time(MINUTE)
        assert bench.taken("p1", 3) == b[:3]
        resume(bench, "app.two")
        assert bench.taken("p1") == [a[0], a[1], b[3], a[2], b[4], b[5]]

    def test_an_exchange_takes_turns_too(self, bench: Bench) -> None:
        a = bench.add(3, rules=fair("a"))
        b = bench.add(3, rules=fair("b"))
        bench.process()
        found: list[str] = []
        ending: list[Lease] = []
        for _ in range(6):
            op = bench.store.exchange([*map(succeeded, ending)], bench.request("p1", 1))
            (job,) = bench.do(op).claim.jobs
            ending = [Lease(job.id, "p1", 1)]
            found.append(job.id)
        assert found == [a[0], b[0], a[1], b[1], a[2], b[2]]

    @pytest.mark.parametrize("seed", [1, 2])
    def test_turns_are_those_of_virtual_time(self, bench: Bench, seed: int) -> None:
        random = Random(seed)  # noqa: S311 - repeatable, not secret
        bench.process(lease=HOUR)
        waiting: list[NewJob] = []
        turns: dict[int, Turns] = {}
        weights = {"a": 1, "b": 2, "c": 3, "d": 1}
        for _ in range(30):
            for _ in range(random.randrange(9)):
                tenant = random.choice([*weights, None])
                waiting.append(
                    bench.new(
                        rules=None if tenant is None else fair(tenant, weights[tenant]),
                        priority=random.randrange(2),
                        scheduled_at=bench.now - random.randrange(3),
                    )
                )
                bench.drive(bench.store.insert(waiting[-1:]))
            bench.pass_time(SECOND)
            wanted = random.choice((1, 2, 5))
            expected = [turn(waiting, turns) for _ in range(min(wanted, len(waiting)))]
            assert bench.taken("p1", wanted) == expected


def turn(waiting: list[NewJob], turns: dict[int, Turns]) -> str:
    """Take the job whose turn it is out of those that wait in one queue."""
    priority = min(job.priority for job in waiting)
    heads: dict[str, NewJob] = {}
    for job in sorted(waiting, key=lambda job: (job.scheduled_at, job.id)):
        if job.priority == priority:
            heads.setdefault(tenant_of(job), job)
    if heads.keys() == {""}:
        next_ = heads[""]
    else:
        state = turns.setdefault(priority, Turns(0, {}))
        key = state.next({key: (job.scheduled_at, job.id) for key, job in heads.items()})
        next_ = heads[key]
        state.take(key, TURN if not next_.rules or not next_.rules.fair else next_.rules.fair.step)
    waiting.remove(next_)
    return next_.id


def tenant_of(job: NewJob) -> str:
    """The value of ``fair_by``, empty where there is none."""
    if job.rules is None or job.rules.fair is None:
        return ""
    return job.rules.fair.key.removeprefix("=")
