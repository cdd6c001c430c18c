"""Inspecting: what people see is what is stored, in full and counted exactly."""

from __future__ import annotations

from collections import Counter

import pytest

from longshore.core.model import ENDED, JobRecord, JobState
from longshore.core.store import Demand, Filter, QueueRecord, SetQueue
from longshore.testing.conformance.bench import (
    HOUR,
    LEASE,
    MINUTE,
    SECOND,
    Bench,
    one_of_each,
    parked,
    succeeded,
)
from longshore.testing.conformance.restraint import ACCOUNT, fair, limited


class FindConformance:
    """``get``, ``find`` and ``count``."""

    def everything(self, bench: Bench, where: Filter, limit: int, *, oldest: bool) -> list[str]:
        """Walk all pages; fails on an endless walk."""
        found: list[str] = []
        cursor = None
        for _ in range(100):
            page = bench.do(
                bench.store.find(where, limit=limit, cursor=cursor, oldest_first=oldest)
            )
            assert len(page.records) <= limit
            found += [record.id for record in page.records]
            cursor = page.cursor
            if cursor is None:
                return found
        pytest.fail("find gave a hundred pages for a dozen jobs")

    def test_live_and_ended_jobs_are_found_by_id(self, bench: Bench) -> None:
        jobs = one_of_each(bench)
        unknown = bench.new().id
        found = bench.do(bench.store.get([*jobs.values(), unknown]))
        assert {record.id: record.state for record in found.values()} == {
            job: state for state, job in jobs.items()
        }
        assert set(found) == set(jobs.values())
        assert bench.do(bench.store.get([])) == {}

    def test_a_store_always_tells_the_same_id(self, bench: Bench) -> None:
        first = bench.do(bench.store.identity())
        assert isinstance(first, str)
        assert first
        one_of_each(bench)
        assert bench.do(bench.store.identity()) == first

    def test_get_and_find_tell_the_same(self, bench: Bench) -> None:
        jobs = one_of_each(bench)
        found = bench.do(bench.store.get(list(jobs.values())))
        page = bench.do(bench.store.find(Filter(), limit=100))
        assert {record.id: record for record in page.records} == found

    @pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
    @pytest.mark.parametrize("oldest", [True, False])
    def test_pages_hold_every_job_once_and_in_order(
        self, bench: Bench, limit: int, *, oldest: bool
    ) -> None:
        jobs = sorted(one_of_each(bench).values(), reverse=not oldest)
        assert self.everything(bench, Filter(), limit, oldest=oldest) == jobs

    @pytest.mark.parametrize("oldest", [True, False])
    def test_a_walk_sees_what_was_there_all_the_time(self, bench: Bench, *, oldest: bool) -> None:
        jobs = bench.add(6)
        op = bench.store.find(Filter(), limit=3, oldest_first=oldest)
        first = bench.do(op)
        seen = [record.id for record in first.records]
        # Jobs that go from the table of the living to that of the ended are not met twice.
        bench.process()
        for lease in bench.leases():
            bench.finish(succeeded(lease))
        bench.do(bench.store.delete([seen[0]]))
        page = bench.do(
            bench.store.find(Filter(), limit=9, cursor=first.cursor, oldest_first=oldest)
        )
        seen += [record.id for record in page.records]
        assert sorted(seen) == jobs

    @pytest.mark.parametrize(
        "where",
        [
            Filter(states=frozenset({JobState.RUNNING})),
            Filter(states=frozenset({JobState.DEAD, JobState.AVAILABLE, JobState.SCHEDULED})),
            Filter(states=ENDED),
            Filter(queues=("mail",)),
            Filter(queues=("low", "mail", "none")),
            Filter(queues=("none",)),
            Filter(kinds=("app.b",)),
            Filter(kinds=("app.a", "app.b")),
            Filter(queues=("mail",), kinds=("app.a",)),
            Filter(queues=("low",), kinds=("app.a",), states=frozenset({JobState.DEAD})),
        ],
        # The order of a set is not that of the next process, and ids must be.
        ids=lambda where: "-".join([*sorted(where.states), *where.queues, *where.kinds]),
    )
    def test_a_filter_takes_what_matches_all_of_it(self, bench: Bench, where: Filter) -> None:
        one_of_each(bench)
        jobs = bench.look().values()
        expected = sorted(job.id for job in jobs if matches(where, job))
        for limit in (2, 100):
            assert self.everything(bench, where, limit, oldest=True) == expected
        counted = bench.do(bench.store.count(where))
        assert {(c.queue, c.kind, c.state): c.jobs for c in counted if c.jobs} == Counter(
            (job.queue, job.kind, job.state) for job in jobs if matches(where, job)
        )

    @pytest.mark.parametrize("oldest", [True, False])
    def test_a_few_among_many_are_found_by_what_sets_them_apart(
        self, bench: Bench, *, oldest: bool
    ) -> None:
        bench.process()
        bench.add(60)
        (rare,) = bench.add(queue="rare")
        (odd,) = bench.add(kind="app.odd")
        bench.finish(*map(succeeded, bench.leases("p1", 100)))
        (gone,) = bench.add()
        bench.do(bench.store.cancel([gone], None))
        for where, job in (
            (Filter(queues=("rare",)), rare),
            (Filter(kinds=("app.odd",)), odd),
            (Filter(states=frozenset({JobState.CANCELLED})), gone),
        ):
            assert self.everything(bench, where, 5, oldest=oldest) == [job]

    def test_a_filter_by_ids_takes_those_that_match_the_rest(self, bench: Bench) -> None:
        jobs = one_of_each(bench)
        ids = (jobs[JobState.DEAD], jobs[JobState.RUNNING], bench.new().id)
        assert self.everything(bench, Filter(ids=ids), 1, oldest=True) == sorted(ids[:2])
        where = Filter(ids=ids, states=ENDED)
        assert self.everything(bench, where, 9, oldest=False) == [ids[0]]

    def test_an_empty_store_has_nothing_to_show(self, bench: Bench) -> None:
        page = bench.do(bench.store.find(Filter(), limit=10))
        assert (page.records, page.cursor) == ((), None)
        assert [c for c in bench.do(bench.store.count(Filter())) if c.jobs] == []
        assert bench.do(bench.store.queues()) == ()
        assert bench.do(bench.store.processes()) == ()


def matches(where: Filter, job: JobRecord) -> bool:
    """What a filter without ids means."""
    return (
        (not where.states or job.state in where.states)
        and (not where.queues or job.queue in where.queues)
        and (not where.kinds or job.kind in where.kinds)
    )


class QueueConformance:
    """Figures of queues and processes."""

    def queues(self, bench: Bench) -> dict[str, QueueRecord]:
        return {record.name: record for record in bench.do(bench.store.queues())}

    def test_a_queue_is_shown_with_its_figures(self, bench: Bench) -> None:
        one_of_each(bench)
        bench.add(2, queue="mail")
        bench.add(queue="mail", scheduled_at=bench.now + HOUR)
        records = bench.do(bench.store.queues())
        assert [record.name for record in records] == ["low", "mail"]
        low, mail = records
        assert (low.depth, low.scheduled, low.running) == (0, 1, 1)
        assert (mail.depth, mail.scheduled, mail.running) == (3, 2, 0)
        assert not low.paused
        assert (low.reason, low.resumes_at) == (None, None)

    def test_latency_is_how_long_the_first_job_has_been_due(self, bench: Bench) -> None:
        bench.add(priority=1)
        bench.pass_time(3 * SECOND)
        bench.add(priority=5)
        bench.add(scheduled_at=bench.now + HOUR, queue="later")
        bench.pass_time(SECOND)
        records = self.queues(bench)
        assert records["default"].latency == 4 * SECOND
        assert records["later"].latency == 0

    def test_a_paused_queue_is_shown_though_it_is_empty(self, bench: Bench) -> None:
        request = SetQueue("mail", paused=True, reason="provider down", pause_for=MINUTE)
        bench.do(bench.store.set_queue(request))
        record = self.queues(bench)["mail"]
        assert (record.paused, record.reason) == (True, "provider down")
        assert record.resumes_at == bench.now + MINUTE
        assert (record.depth, record.scheduled, record.running, record.latency) == (0, 0, 0, 0)
        bench.pass_time(MINUTE + 1)
        assert not any(queue.paused for queue in self.queues(bench).values())

    def test_a_resumed_queue_is_as_if_it_had_never_been_paused(self, bench: Bench) -> None:
        bench.add()
        bench.do(bench.store.set_queue(SetQueue("default", paused=True, reason="x")))
        bench.do(bench.store.set_queue(SetQueue("default", paused=False)))
        bench.do(bench.store.set_queue(SetQueue("other", paused=False)))
        records = self.queues(bench)
        assert set(records) == {"default"}
        assert not records["default"].paused
        assert (records["default"].reason, records["default"].resumes_at) == (None, None)

    def test_what_wants_a_worker_is_ready_to_run_or_parked(self, bench: Bench) -> None:
        assert bench.do(bench.store.demand()) == Demand((), {})
        bench.process()
        bench.add(queue="taken", kind="app.taken")
        bench.add(queue="odd", kind="app.odd")
        bench.add(queue="odd", kind="app.odd")
        bench.finish(*(parked(lease, "d") for lease in bench.leases("p1", 3)[1:]))
        bench.add(2, queue="ready")
        bench.add(queue="later", scheduled_at=bench.now + HOUR)
        bench.add(queue="held")
        bench.add(2, queue="turns", rules=fair("a"))
        bench.do(bench.store.set_queue(SetQueue("held", paused=True, pause_for=SECOND)))
        found = bench.do(bench.store.demand())
        assert found == Demand(("ready", "turns"), {"app.odd": 2})
        bench.pass_time(SECOND + 1)
        assert bench.do(bench.store.demand()).queues == ("held", "ready", "turns")
        bench.leases("p1", 4)
        assert len(bench.do(bench.store.demand()).queues) == 1

    def test_what_waits_for_a_limit_wants_a_worker_too(self, bench: Bench) -> None:
        bench.process()
        bench.add(2, queue="limited", rules=limited(ACCOUNT))
        bench.leases("p1", 2)
        assert bench.do(bench.store.demand()) == Demand(("limited",), {})

    def test_a_store_says_what_it_is(self, bench: Bench) -> None:
        for facts in bench.store.facts():
            assert facts.store
            assert facts.product
            assert facts.clock is None or abs(facts.clock.ahead) < HOUR

    def test_processes_are_shown_as_they_registered(self, bench: Bench) -> None:
        bench.process(
            "p1", pid=77, queues=("a", "b*"), slots=3, host="h1", embedded=True, version="1.2"
        )
        started = bench.now
        bench.add(3)
        bench.leases("p1", 2)
        bench.pass_time(SECOND)
        bench.process("p2")
        records = {record.id: record for record in bench.do(bench.store.processes())}
        assert set(records) == {"p1", "p2"}
        one = records["p1"]
        assert (one.app, one.name, one.host, one.pid) == ("app", "p1", "h1", 77)
        assert (one.queues, one.kinds, one.slots) == (("a", "b*"), ("app.job",), 3)
        assert (one.embedded, records["p2"].embedded) == (True, False)
        assert (one.version, records["p2"].version) == ("1.2", "")
        assert (one.started_at, one.lease_left, one.running) == (started, LEASE - SECOND, 2)
        assert records["p2"].running == 0

    def test_a_beat_is_seen(self, bench: Bench) -> None:
        bench.process()
        for lease in (LEASE, None):
            bench.pass_time(SECOND)
            bench.beat("p1", lease=lease)
        (record,) = bench.do(bench.store.processes())
        assert record.lease_left == LEASE - SECOND
        assert record.seen_at >= bench.now - SECOND

    def test_a_process_that_was_given_up_is_not_shown(self, bench: Bench) -> None:
        bench.process("p1")
        bench.process("p2")
        bench.rescue(dead="p1")
        assert [record.id for record in bench.do(bench.store.processes())] == ["p2"]
