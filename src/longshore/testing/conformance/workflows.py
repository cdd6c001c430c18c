"""Workflows: a job waits for others, takes what they return, and goes on when all succeeded."""

from __future__ import annotations

import pytest

from longshore.core.batches import Sort, marker
from longshore.core.limits import After, Rules
from longshore.core.model import JobState
from longshore.core.store import Retention
from longshore.testing.conformance.bench import (
    HOUR,
    SECOND,
    Bench,
    cancelled,
    died,
    succeeded,
)
from longshore.testing.conformance.bundling import batch, node, read, running, store

WAITING, AVAILABLE = JobState.WAITING, JobState.AVAILABLE


class WorkflowConformance:
    """Dependencies, outputs, deaths."""

    def test_a_job_waits_until_the_other_has_succeeded(self, bench: Bench) -> None:
        bench.process()
        flow = batch(bench, sort=Sort.WORKFLOW)
        first = node(bench, flow)
        second = node(bench, flow, first)
        store(bench, [first, second], flow)
        leases = running(bench)
        assert set(leases) == {first.id}
        bench.pass_time(SECOND)
        bench.finish(succeeded(leases[first.id]))
        opened = bench.job(second.id)
        assert (opened.state, opened.scheduled_at) == (AVAILABLE, bench.now)
        assert set(running(bench)) == {second.id}

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=str)
    def test_it_waits_for_all_of_them(self, bench: Bench, order: tuple[int, int]) -> None:
        bench.process()
        flow = batch(bench, sort=Sort.WORKFLOW)
        first, second = node(bench, flow), node(bench, flow)
        last = node(bench, flow, first, second)
        store(bench, [first, second, last], flow)
        leases = running(bench)
        one, other = ((first, second)[at] for at in order)
        bench.finish(succeeded(leases[one.id]))
        assert bench.state(last.id) is WAITING
        bench.finish(succeeded(leases[other.id]))
        assert bench.state(last.id) is AVAILABLE

    def test_two_that_end_in_one_report_open_what_waits_for_both(self, bench: Bench) -> None:
        bench.process()
        flow = batch(bench, sort=Sort.WORKFLOW)
        first, second = node(bench, flow), node(bench, flow)
        last = node(bench, flow, first, second)
        store(bench, [first, second, last], flow)
        bench.finish(*(succeeded(lease) for lease in running(bench).values()))
        assert bench.state(last.id) is AVAILABLE

    def test_outputs_are_copied_into_the_arguments(self, bench: Bench) -> None:
        bench.open(Retention(0, 0, 0)).process()
        flow = batch(bench, sort=Sort.WORKFLOW)
        first, second = node(bench, flow, keep_result=0), node(bench, flow, keep_result=0)
        last = node(bench, flow, takes=[first, second])
        store(bench, [first, second, last], flow)
        leases = running(bench)
        result = '{"é":"%s 100%%1 \\\\ \\"q\\""}'.encode()
        bench.finish(succeeded(leases[first.id], result))
        bench.pass_time(SECOND)
        bench.do(bench.store.prune(10))
        bench.finish(succeeded(leases[second.id]))
        (job,) = bench.claim("p1").jobs
        assert job.payload == b'{"v":1,"args":[%b,null],"kwargs":{}}' % result

    def test_an_output_that_looks_like_another_is_given_as_it_is(self, bench: Bench) -> None:
        bench.process()
        flow = batch(bench, sort=Sort.WORKFLOW)
        first, second = node(bench, flow), node(bench, flow)
        last = node(bench, flow, takes=[first, second])
        store(bench, [first, second, last], flow)
        leases = running(bench)
        bench.finish(succeeded(leases[second.id], b'"secret"'))
        bench.finish(succeeded(leases[first.id], f'"{marker(second.id)}"'.encode()))
        (job,) = bench.claim("p1").jobs
        assert job.payload == b'{"v":1,"args":["%b","secret"],"kwargs":{}}' % (
            marker(second.id).encode()
        )

    def test_a_result_that_could_not_be_stored_opens_nobody(self, bench: Bench) -> None:
        bench.process()
        flow = batch(bench, sort=Sort.WORKFLOW)
        first = node(bench, flow)
        takes, plain = node(bench, flow, takes=[first]), node(bench, flow, first)
        store(bench, [first, takes, plain], flow)
        lease = running(bench)[first.id]
        bench.finish(type(succeeded(lease))(lease, JobState.SUCCEEDED, result_error="too large"))
        assert bench.states([takes.id, plain.id]) == [WAITING, AVAILABLE]

    def test_a_result_that_could_not_be_stored_cascades_to_who_takes_it(self, bench: Bench) -> None:
        bench.process()
        flow = batch(bench, sort=Sort.WORKFLOW)
        first = node(bench, flow)
        takes = node(bench, flow, takes=[first], cascade=True)
        plain = node(bench, flow, first, cascade=True)
        store(bench, [first, takes, plain], flow)
        lease = running(bench)[first.id]
        bench.finish(type(succeeded(lease))(lease, JobState.SUCCEEDED, result_error="too large"))
        assert bench.states([takes.id, plain.id]) == [JobState.CANCELLED, AVAILABLE]
        assert bench.job(takes.id).reason == f"dependency {first.id} has not succeeded"

    def test_a_job_that_was_there_before_its_workflow_is_refused(self, bench: Bench) -> None:
        before = bench.new()
        bench.do(bench.store.insert([before]))
        flow = batch(bench, sort=Sort.WORKFLOW)
        first, other = node(bench, flow, id=before.id), node(bench, flow)
        last = node(bench, flow, first, other)
        answers = store(bench, [first, other, last], flow)
        assert [answer.conflict for answer in answers] == [True, False, False]
        assert not any(answer.late or answer.held for answer in answers)
        assert bench.do(bench.store.get([other.id, last.id])) == {}
        assert bench.do(bench.store.bundles([flow.id])) == ()

    def test_a_workflow_that_is_stored_again_is_there_once(self, bench: Bench) -> None:
        bench.process()
        flow = batch(bench, sort=Sort.WORKFLOW)
        first = node(bench, flow)
        last = node(bench, flow, first)
        store(bench, [first, last], flow)
        bench.finish(succeeded(running(bench)[first.id]))
        answers = store(bench, [first, last], flow)
        assert [(answer.duplicate, answer.conflict) for answer in answers] == [(True, False)] * 2
        assert bench.state(last.id) is AVAILABLE
        assert read(bench, flow).total == 2

    def test_a_dead_or_cancelled_dependency_leaves_them_waiting(self, bench: Bench) -> None:
        bench.process()
        flow = batch(bench, sort=Sort.WORKFLOW)
        dead, gone = node(bench, flow), node(bench, flow)
        after_dead, after_gone = node(bench, flow, dead), node(bench, flow, gone)
        store(bench, [dead, gone, after_dead, after_gone], flow)
        leases = running(bench)
        bench.finish(died(leases[dead.id]), cancelled(leases[gone.id]))
        assert bench.states([after_dead.id, after_gone.id]) == [WAITING, WAITING]
        there = read(bench, flow)
        assert (there.live, there.finished_at) == (2, None)

    def test_retrying_a_dead_one_lets_it_go_on(self, bench: Bench) -> None:
        bench.process()
        flow = batch(bench, sort=Sort.WORKFLOW)
        first = node(bench, flow)
        last = node(bench, flow, takes=[first])
        store(bench, [first, last], flow)
        bench.finish(died(running(bench)[first.id]))
        bench.do(bench.store.retry([first.id]))
        bench.finish(succeeded(running(bench)[first.id], b"5"))
        bench.finish(succeeded(running(bench)[last.id]))
        assert bench.job(last.id).payload == b'{"v":1,"args":[5],"kwargs":{}}'
        assert read(bench, flow).finished_at == bench.now

    def test_a_death_cascades_where_that_is_wanted(self, bench: Bench) -> None:
        bench.process()
        flow = batch(bench, sort=Sort.WORKFLOW)
        first = node(bench, flow)
        second = node(bench, flow, first, cascade=True)
        third = node(bench, flow, second, cascade=True)
        other = node(bench, flow, second)
        store(bench, [first, second, third, other], flow)
        bench.finish(died(running(bench)[first.id]))
        assert bench.states([second.id, third.id, other.id]) == [
            *(JobState.CANCELLED, JobState.CANCELLED, WAITING)
        ]
        assert bench.job(second.id).reason == f"dependency {first.id} has not succeeded"
        assert bench.job(third.id).reason == f"dependency {second.id} has not succeeded"
        assert read(bench, flow).cancelled == 2

    def test_of_several_the_one_is_told_that_ended_first(self, bench: Bench) -> None:
        bench.process()
        flow = batch(bench, sort=Sort.WORKFLOW)
        one, two = node(bench, flow), node(bench, flow)
        through = node(bench, flow, one, cascade=True)
        last = node(bench, flow, through, two, cascade=True)
        store(bench, [one, two, through, last], flow)
        bench.finish(*(died(lease) for lease in running(bench).values()))
        assert bench.job(through.id).reason == f"dependency {one.id} has not succeeded"
        assert bench.job(last.id).reason == f"dependency {two.id} has not succeeded"

    def test_cancelling_one_that_waits_cascades(self, bench: Bench) -> None:
        flow = batch(bench, sort=Sort.WORKFLOW)
        first = node(bench, flow)
        second = node(bench, flow, first, cascade=True)
        store(bench, [first, second], flow)
        bench.do(bench.store.cancel([first.id], None))
        assert bench.state(second.id) is JobState.CANCELLED
        assert read(bench, flow).finished_at == bench.now

    def test_a_retried_dependant_waits_again(self, bench: Bench) -> None:
        bench.process()
        flow = batch(bench, sort=Sort.WORKFLOW)
        first = node(bench, flow)
        last = node(bench, flow, takes=[first], cascade=True)
        store(bench, [first, last], flow)
        bench.finish(died(running(bench)[first.id]))
        bench.do(bench.store.retry([last.id]))
        assert bench.state(last.id) is WAITING
        bench.do(bench.store.retry([first.id]))
        bench.finish(succeeded(running(bench)[first.id], b"5"))
        assert bench.state(last.id) is AVAILABLE
        assert bench.job(last.id).payload == b'{"v":1,"args":[5],"kwargs":{}}'

    def test_a_retried_dependant_goes_on_if_nothing_is_in_its_way(self, bench: Bench) -> None:
        bench.process()
        flow = batch(bench, sort=Sort.WORKFLOW)
        first = node(bench, flow)
        last = node(bench, flow, takes=[first])
        store(bench, [first, last], flow)
        bench.do(bench.store.cancel([last.id], None))
        bench.finish(succeeded(running(bench)[first.id], b"5"))
        assert bench.state(last.id) is JobState.CANCELLED
        bench.do(bench.store.retry([last.id]))
        assert bench.state(last.id) is AVAILABLE
        assert bench.job(last.id).payload == b'{"v":1,"args":[5],"kwargs":{}}'

    def test_of_two_that_died_one_is_retried_with_who_waited(self, bench: Bench) -> None:
        bench.process()
        flow = batch(bench, sort=Sort.WORKFLOW)
        first, other = node(bench, flow), node(bench, flow)
        last = node(bench, flow, first, other, cascade=True)
        store(bench, [first, other, last], flow)
        bench.finish(*(died(lease) for lease in running(bench).values()))
        bench.do(bench.store.retry([first.id, last.id]))
        assert bench.states([first.id, last.id]) == [AVAILABLE, WAITING]
        bench.do(bench.store.retry([other.id]))
        bench.finish(*(succeeded(lease) for lease in running(bench).values()))
        assert bench.state(last.id) is AVAILABLE

    def test_one_that_has_run_does_not_wait_when_it_is_retried(self, bench: Bench) -> None:
        bench.process()
        flow = batch(bench, sort=Sort.WORKFLOW)
        first = node(bench, flow)
        last = node(bench, flow, first)
        store(bench, [first, last], flow)
        bench.finish(succeeded(running(bench)[first.id]))
        bench.finish(died(running(bench)[last.id]))
        bench.do(bench.store.retry([first.id, last.id]))
        assert bench.states([first.id, last.id]) == [AVAILABLE, AVAILABLE]

    def test_a_job_with_a_time_of_its_own_waits_for_that_too(self, bench: Bench) -> None:
        bench.process()
        flow = batch(bench, sort=Sort.WORKFLOW)
        first = node(bench, flow)
        due = bench.now + HOUR
        last = node(bench, flow, first, scheduled_at=due)
        store(bench, [first, last], flow)
        bench.finish(succeeded(running(bench)[first.id]))
        opened = bench.job(last.id)
        assert (opened.state, opened.scheduled_at) == (JobState.SCHEDULED, due)

    def test_rules_of_a_waiting_job_say_what_it_waits_for(self, bench: Bench) -> None:
        flow = batch(bench, sort=Sort.WORKFLOW)
        first = node(bench, flow)
        last = node(bench, flow, takes=[first], cascade=True)
        store(bench, [first, last], flow)
        assert bench.job(last.id).rules == Rules(
            bundles=(flow.id,), after=(After(first.id, takes=True),), cascade=True
        )

    def test_a_workflow_in_a_batch_counts_there(self, bench: Bench) -> None:
        bench.process()
        outer = batch(bench)
        flow = batch(bench, outer, sort=Sort.WORKFLOW)
        first = node(bench, flow, rules=Rules(bundles=(flow.id, outer.id)))
        last = node(
            bench,
            flow,
            rules=Rules(bundles=(flow.id, outer.id), after=(After(first.id),)),
            state=WAITING,
        )
        store(bench, [first, last], flow, outer)
        bench.finish(succeeded(running(bench)[first.id]))
        assert read(bench, outer).live == 1
        bench.finish(succeeded(running(bench)[last.id]))
        assert read(bench, outer).finished_at == read(bench, flow).finished_at == bench.now
