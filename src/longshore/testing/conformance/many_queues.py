"""Lines of so many queues that a store may remember where each of them begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from longshore.core.model import NewJob
from longshore.core.store import Line, Retention, SetQueue
from longshore.testing.conformance.bench import HOUR, MINUTE, SECOND, Bench, succeeded

#: More than any store looks at one by one, also when half of them are empty.
QUEUES = [f"q{number:03}" for number in range(150)]

#: Longer than anything is remembered.
LATER = MINUTE


class ManyQueuesConformance:
    """That a line of many queues has one order, and misses nothing."""

    def test_many_queues_have_one_order(self, bench: Bench) -> None:
        jobs = _scattered(bench, 450)
        bench.process()
        taken = [job_id for some in _drained(bench, 7) for job_id in some]
        assert taken == [job.id for job in sorted(jobs, key=_place)]

    def test_claims_of_any_size_take_each_job_once(self, bench: Bench) -> None:
        jobs = _scattered(bench, 400)
        bench.process()
        random = Random(5)  # noqa: S311 - not for secrets
        taken: list[str] = []
        while some := bench.taken("p1", random.choice((1, 3, 60, 120))):
            taken += some
        assert taken == [job.id for job in sorted(jobs, key=_place)]

    def test_one_long_queue_among_many_short_ones_keeps_its_place(self, bench: Bench) -> None:
        long = bench.add(120, queue=QUEUES[50])
        bench.pass_time(SECOND)
        others = [bench.add(queue=queue)[0] for queue in QUEUES]
        bench.process()
        assert [job for some in _drained(bench, 30) for job in some] == [*long, *others]

    def test_what_others_have_taken_meanwhile_is_passed_over(self, bench: Bench) -> None:
        first = [bench.add(queue=queue)[0] for queue in QUEUES]
        second = [bench.add(queue=queue)[0] for queue in QUEUES]
        bench.process("p1")
        bench.process("p2")
        assert bench.taken("p1", 10) == first[:10]
        # Another line goes its own way.
        far = (Line(tuple(QUEUES[5:30])),)
        assert bench.taken("p2", 30, lines=far) == [*first[10:30], *second[5:15]]
        assert bench.taken("p1", 125) == [*first[30:], *second[:5]]
        assert bench.taken("p1", 200) == second[15:]

    def test_a_better_job_that_arrives_is_taken_before_long(self, bench: Bench) -> None:
        first = [bench.add(queue=queue)[0] for queue in QUEUES]
        bench.process(lease=HOUR)
        assert bench.taken("p1", 10) == first[:10]
        (urgent,) = bench.add(queue=QUEUES[80], priority=-1)
        (new,) = bench.add(queue="quick", priority=-2)
        bench.pass_time(LATER)
        assert bench.taken("p1", 10) == [new, urgent, *first[10:18]]

    def test_when_all_that_was_known_is_taken_what_arrived_is_found(self, bench: Bench) -> None:
        first = [bench.add(queue=queue)[0] for queue in QUEUES]
        bench.process()
        assert bench.taken("p1", 70) == first[:70]
        later = bench.add(3, queue="new") + bench.add(2, queue=QUEUES[0])
        urgent = bench.add(queue="new", priority=-1)
        assert bench.taken("p1", 100) == [*urgent, *first[70:], *later]
        assert bench.taken("p1", 5) == []

    def test_a_queue_that_is_paused_is_left_at_once(self, bench: Bench) -> None:
        first = [bench.add(queue=queue)[0] for queue in QUEUES]
        bench.process()
        assert bench.taken("p1", 10) == first[:10]
        bench.do(bench.store.set_queue(SetQueue(QUEUES[10], paused=True)))
        assert bench.taken("p1", 2) == first[11:13]
        bench.do(bench.store.set_queue(SetQueue(QUEUES[10], paused=False)))
        assert bench.taken("p1", 2) == [first[10], first[13]]

    def test_a_line_leaves_out_what_it_excludes(self, bench: Bench) -> None:
        first = [bench.add(queue=queue)[0] for queue in QUEUES]
        other = bench.add(2, queue="other", priority=-1)
        bench.process()
        lines = (Line(("q*",), (QUEUES[2],)),)
        assert bench.taken("p1", 4, lines=lines) == [*first[:2], *first[3:5]]
        assert bench.taken("p1", 145, lines=lines) == first[5:]
        assert bench.taken("p1", 5) == [*other, first[2]]

    def test_two_lines_of_many_queues_are_served_in_their_order(self, bench: Bench) -> None:
        first = [bench.add(queue=queue)[0] for queue in QUEUES]
        others = [bench.add(queue=f"x{queue}", priority=-1)[0] for queue in QUEUES]
        bench.process()
        lines = (Line(("q*",)), Line(("*",)))
        taken = [job for some in _drained(bench, 30, lines) for job in some]
        assert taken == [*first, *others]

    def test_what_one_line_has_taken_is_not_there_for_the_next(self, bench: Bench) -> None:
        first = [bench.add(queue=queue)[0] for queue in QUEUES]
        more = bench.add(6, queue=QUEUES[3])
        bench.process()
        lines = (Line((QUEUES[3],)), Line(("*",)))
        assert bench.taken("p1", 10, lines=lines) == [first[3], *more, *first[:3]]
        assert bench.taken("p1", 10, lines=lines) == first[4:14]

    def test_what_comes_back_is_taken_in_its_old_place_before_long(self, bench: Bench) -> None:
        first = [bench.add(queue=queue)[0] for queue in QUEUES]
        bench.process("p1")
        bench.process("p2")
        assert bench.taken("p1", 10) == first[:10]
        assert bench.taken("p2", 10) == first[10:20]
        assert len(bench.rescue("p1").leases) == 10
        bench.pass_time(LATER)
        bench.process("p3")
        assert bench.taken("p3", 12) == [*first[:10], *first[20:22]]

    def test_of_many_queues_that_are_empty_nothing_is_left(self, bench: Bench) -> None:
        bench.open(Retention(succeeded=0, cancelled=0, dead=0))
        for queue in QUEUES:
            bench.add(queue=queue, keep_result=0)
        bench.process()
        assert {stat.name for stat in bench.do(bench.store.queues())} == set(QUEUES)
        bench.finish(*(succeeded(one) for one in bench.leases("p1", len(QUEUES))))
        bench.do(bench.store.prune(1000))
        assert bench.do(bench.store.queues()) == ()

    def test_ends_are_reported_along_with_such_claims(self, bench: Bench) -> None:
        first = [bench.add(queue=queue)[0] for queue in QUEUES]
        bench.process()
        leases = bench.leases("p1", 10)
        request = bench.request("p1", 10)
        answer = bench.do(bench.store.exchange([succeeded(one) for one in leases], request))
        assert len(answer.held) == 10
        assert [job.id for job in answer.claim.jobs] == first[10:20]


def _scattered(bench: Bench, count: int) -> Sequence[NewJob]:
    """Jobs of two priorities in random queues; a few queues have many of them."""
    random = Random(7)  # noqa: S311 - not for secrets
    jobs = [
        bench.new(
            queue=random.choice(QUEUES if number % 3 else QUEUES[:4]),
            priority=random.choice((0, 0, 0, 3)),
        )
        for number in range(count)
    ]
    bench.do(bench.store.insert(jobs))
    return jobs


def _place(job: NewJob) -> tuple[int, int, str]:
    return job.priority, job.scheduled_at, job.id


def _drained(
    bench: Bench, wanted: int, lines: Sequence[Line] = (Line(("*",)),)
) -> Iterator[list[str]]:
    """What claims of one size take until nothing is left."""
    while some := bench.taken("p1", wanted, lines=lines):
        yield some
