"""What a running job leaves beside its row: steps, log lines, and a result that somebody awaits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from longshore.core.limits import Hold, OnConflict, Rules
from longshore.core.model import (
    LOG_LINES,
    RUN_LINES,
    JobState,
    Lease,
    LogLine,
    Patch,
    Progress,
    Step,
)
from longshore.core.store import Filter, Retention
from longshore.testing.conformance.bench import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Bench,
    died,
    failed,
    released,
    succeeded,
)

KEEP_NOTHING = Retention(succeeded=0, cancelled=0, dead=0)
EVERYTHING = Filter()


def step(name: str, value: bytes = b'{"paid":1.50}', *, run: int = 1, cursor: bool = False) -> Step:
    """A step of a run."""
    return Step(name, value, 1_700_000_000_000_000, run, cursor)


def line(number: int, message: str = "said", *, run: int = 1) -> LogLine:
    """A line of a run's log."""
    return LogLine(run * RUN_LINES + number, 1_700_000_000_000_000 + number, "info", message)


def save(bench: Bench, *patches: Patch) -> frozenset[Lease]:
    """Save what running jobs say."""
    return bench.do(bench.store.save(patches))


def steps(bench: Bench, job_id: str) -> tuple[Step, ...]:
    """The stored steps of one job."""
    return bench.do(bench.store.steps([job_id])).get(job_id, ())


def lines(bench: Bench, job_id: str, after: int = 0, limit: int = LOG_LINES) -> list[LogLine]:
    """The stored lines of one job."""
    return list(bench.do(bench.store.logs(job_id, after=after, limit=limit)))


def running(
    bench: Bench, count: int = 1, wanted: int | None = None, **fields: Any
) -> Sequence[Lease]:
    """So many new jobs, running in one process."""
    bench.process(lease=HOUR)
    bench.add(count, **fields)
    return bench.leases(wanted=wanted or count)


class StepConformance:
    """Durable parts of a job."""

    def test_steps_are_there_for_the_next_run(self, bench: Bench) -> None:
        (lease,) = running(bench)
        job = lease.job_id
        one, two = step("charge"), step("añb \n🚢", b"null")
        assert save(bench, Patch(lease, steps=(one,))) == {lease}
        assert save(bench, Patch(lease, steps=(two,))) == {lease}
        assert steps(bench, job) == (two, one) if two.name < one.name else (one, two)
        bench.finish(failed(lease, bench.now))
        assert set(steps(bench, job)) == {one, two}
        again = bench.lease()
        three = step("ship", run=2)
        save(bench, Patch(again, steps=(three,)))
        assert set(steps(bench, job)) == {one, two, three}
        bench.finish(succeeded(again))
        assert set(steps(bench, job)) == {one, two, three}
        assert bench.do(bench.store.steps([])) == {}

    def test_a_step_that_is_saved_again_replaces_the_one_before(self, bench: Bench) -> None:
        (lease,) = running(bench)
        for value in (b"[1]", b"[2]"):
            save(bench, Patch(lease, steps=(step("rows", value, cursor=True),)))
        assert steps(bench, lease.job_id) == (step("rows", b"[2]", cursor=True),)

    def test_steps_of_another_run_are_refused(self, bench: Bench) -> None:
        one, two, three = running(bench, 3)
        bench.finish(succeeded(one), released(two))
        bench.lease()
        foreign = Lease(three.job_id, "p2", three.run)
        late = [Patch(lease, steps=(step("a"),), lines=(line(1),)) for lease in (one, two, foreign)]
        good = Patch(three, steps=(step("b"),), lines=(line(2),))
        assert save(bench, *late, good) == {three}
        jobs = [one.job_id, two.job_id, three.job_id]
        assert bench.do(bench.store.steps(jobs)) == {three.job_id: (step("b"),)}
        assert [lines(bench, job) for job in jobs] == [[], [], [line(2)]]

    def test_a_patch_changes_only_what_it_names(self, bench: Bench) -> None:
        (lease,) = running(bench)
        save(bench, Patch(lease, Progress(1.0), (step("a"),), (line(1),)))
        save(bench, Patch(lease, steps=(step("b"),)))
        save(bench, Patch(lease, lines=(line(2),)))
        assert bench.job(lease.job_id).progress == Progress(1.0)
        assert steps(bench, lease.job_id) == (step("a"), step("b"))
        assert lines(bench, lease.job_id) == [line(1), line(2)]
        save(bench, Patch(lease, Progress(2.0)))
        assert bench.job(lease.job_id).progress == Progress(2.0)
        assert steps(bench, lease.job_id) == (step("a"), step("b"))

    def test_a_large_step_is_stored_as_it_is(self, bench: Bench) -> None:
        (lease,) = running(bench)
        large = step("large", b'"' + "é🚢".encode() * 150_000 + b'"')
        save(bench, Patch(lease, steps=(large,)))
        assert steps(bench, lease.job_id) == (large,)

    def test_a_retry_by_a_person_keeps_steps(self, bench: Bench) -> None:
        (lease,) = running(bench)
        save(bench, Patch(lease, steps=(step("charge"),), lines=(line(1),)))
        bench.finish(died(lease))
        bench.do(bench.store.retry([lease.job_id]))
        assert steps(bench, lease.job_id) == (step("charge"),)
        again = bench.lease()
        save(bench, Patch(again, lines=(line(1, run=2),)))
        assert lines(bench, lease.job_id) == [line(1), line(1, run=2)]

    def test_a_replacement_does_not_have_the_steps_of_other_arguments(self, bench: Bench) -> None:
        rules = Rules(hold=Hold("key", on_conflict=OnConflict.REPLACE))
        (lease,) = running(bench, rules=rules)
        save(bench, Patch(lease, steps=(step("charge"),)))
        bench.finish(failed(lease, bench.now + HOUR))
        (answer,) = bench.do(bench.store.insert([bench.new(rules=rules, payload=b"{}")]))
        assert (answer.id, answer.replaced) == (lease.job_id, True)
        assert steps(bench, lease.job_id) == ()


class LogConformance:
    """The log of a job."""

    def test_a_log_is_read_while_the_job_runs_and_after_it(self, bench: Bench) -> None:
        (lease,) = running(bench)
        job, wide = lease.job_id, line(2, "é🚢 \n" * 1000)
        save(bench, Patch(lease, lines=(line(1), wide)))
        save(bench, Patch(lease, lines=(line(3),)))
        assert lines(bench, job) == [line(1), wide, line(3)]
        assert lines(bench, job, after=line(1).number) == [wide, line(3)]
        assert lines(bench, job, after=line(1).number, limit=1) == [wide]
        bench.finish(failed(lease, bench.now))
        again = bench.lease()
        save(bench, Patch(again, lines=(line(1, run=2),)))
        bench.finish(succeeded(again))
        assert lines(bench, job, after=line(3).number) == [line(1, run=2)]
        assert lines(bench, job)[-1].run == 2

    def test_a_line_that_is_told_again_is_stored_once(self, bench: Bench) -> None:
        (lease,) = running(bench)
        patch = Patch(lease, lines=(line(1), line(2)))
        assert save(bench, patch) == save(bench, patch) == {lease}
        assert lines(bench, lease.job_id) == [line(1), line(2)]
        save(bench, Patch(lease, lines=(line(2), line(3))))
        assert lines(bench, lease.job_id) == [line(1), line(2), line(3)]
        other = msgspec.structs.replace(line(3), message="something else")
        assert save(bench, Patch(lease, lines=(other, line(4)))) == {lease}
        assert lines(bench, lease.job_id) == [line(1), line(2), line(3), line(4)]

    def test_the_last_lines_of_a_log_are_kept(self, bench: Bench) -> None:
        one, two = running(bench, 2)
        given = [line(number) for number in range(1, LOG_LINES + 6)]
        save(bench, Patch(one, lines=tuple(given[:600])), Patch(two, lines=(line(1),)))
        save(bench, Patch(one, lines=tuple(given[600:])))
        assert lines(bench, one.job_id) == given[5:]
        assert lines(bench, one.job_id, limit=2) == given[5:7]
        assert lines(bench, two.job_id) == [line(1)]


class KeptNotesConformance:
    """Steps and logs are there for as long as their job is."""

    def test_they_go_when_the_job_is_deleted(self, bench: Bench) -> None:
        one, two = self._noted(bench, 2)
        bench.finish(released(one), succeeded(two))
        bench.do(bench.store.delete([one.job_id, two.job_id]))
        self._assert_gone(bench, one, two)

    def test_they_go_when_the_job_is_pruned(self, bench: Bench) -> None:
        one, two, kept = self._noted(bench, 3)
        bench.finish(succeeded(one), died(two))
        bench.pass_time(365 * DAY)
        while bench.do(bench.store.prune(100)):
            pass
        self._assert_gone(bench, one, two)
        assert steps(bench, kept.job_id) == (step("a"),)
        assert lines(bench, kept.job_id) == [line(1)]

    def test_they_go_when_nothing_is_kept(self, bench: Bench) -> None:
        bench.open(KEEP_NOTHING)
        one, two = self._noted(bench, 2, keep_result=0)
        bench.finish(succeeded(one), died(two))
        self._assert_gone(bench, one, two)

    def test_another_job_of_the_same_id_has_none_of_them(self, bench: Bench) -> None:
        bench.open(KEEP_NOTHING)
        (lease,) = self._noted(bench, 1, keep_result=0)
        bench.finish(succeeded(lease))
        bench.pass_time(SECOND)
        bench.do(bench.store.insert([bench.new(id=lease.job_id)]))
        again = bench.lease()
        assert again.job_id == lease.job_id
        self._assert_gone(bench, lease)
        save(bench, Patch(again, steps=(step("b"),), lines=(line(2),)))
        assert steps(bench, lease.job_id) == (step("b"),)
        assert lines(bench, lease.job_id) == [line(2)]

    def _noted(self, bench: Bench, count: int, **fields: Any) -> Sequence[Lease]:
        leases = running(bench, count, **fields)
        noted = [Patch(lease, steps=(step("a"),), lines=(line(1),)) for lease in leases]
        save(bench, *noted)
        return leases

    def _assert_gone(self, bench: Bench, *leases: Lease) -> None:
        for lease in leases:
            assert steps(bench, lease.job_id) == ()
            assert lines(bench, lease.job_id) == []


class ExpectConformance:
    """Somebody waits for the end of a job of which nothing would be kept."""

    def test_what_becomes_of_an_expected_job_stays_for_a_while(self, bench: Bench) -> None:
        bench.open(KEEP_NOTHING)
        (ready,) = bench.add(keep_result=0)
        assert bench.do(bench.store.expect([ready], MINUTE)) == {ready}
        again, one, two, other = running(bench, 3, keep_result=0, wanted=4)
        assert again.job_id == ready
        # Of many kinds, which may be kept in different places.
        kinds = [f"app.kind{number}" for number in range(8)]
        waits = [
            bench.add(keep_result=0, kind=kind, scheduled_at=bench.now + SECOND)[0]
            for kind in kinds
        ]
        unknown = "00000000-0000-7000-8000-00000000abcd"
        live = bench.do(bench.store.expect([one.job_id, two.job_id, *waits, unknown], MINUTE))
        assert live == {one.job_id, two.job_id, *waits}
        bench.finish(succeeded(again, b"0"))
        bench.finish(succeeded(one, b"1"), died(two), succeeded(other, b"3"))
        assert bench.job(ready).result == b"0"
        assert bench.job(one.job_id).result == b"1"
        assert bench.state(two.job_id) is JobState.DEAD
        assert not bench.exists(other.job_id)
        bench.do(bench.store.cancel(waits, "enough"))
        assert set(bench.states(waits)) == {JobState.CANCELLED}
        bench.pass_time(MINUTE + 1)
        bench.do(bench.store.prune(100))
        assert not any(map(bench.exists, (ready, one.job_id, two.job_id, *waits)))

    def test_who_claims_an_expected_job_is_told_how_long_it_is_kept(self, bench: Bench) -> None:
        (lease,) = running(bench, keep_result=SECOND)
        bench.do(bench.store.expect([lease.job_id], HOUR))
        bench.finish(released(lease))
        new, ever = bench.add(2, keep_result=SECOND), bench.add(keep_result=None)
        bench.do(bench.store.expect([new[0], *ever], MINUTE))
        kept = {job.id: job.keep_result for job in bench.claim("p1").jobs}
        assert kept == {lease.job_id: HOUR, new[0]: MINUTE, new[1]: SECOND, ever[0]: None}

    def test_who_is_expected_is_not_kept_for_less(self, bench: Bench) -> None:
        bench.open(KEEP_NOTHING)
        long, ever = running(bench, 1, keep_result=HOUR)[0], None
        bench.add(keep_result=None)
        ever = bench.lease()
        bench.do(bench.store.expect([long.job_id, ever.job_id], MINUTE))
        bench.finish(succeeded(long), succeeded(ever))
        bench.pass_time(2 * MINUTE)
        bench.do(bench.store.prune(100))
        assert bench.exists(long.job_id)
        bench.pass_time(HOUR)
        bench.do(bench.store.prune(100))
        assert (bench.exists(long.job_id), bench.exists(ever.job_id)) == (False, True)

    @pytest.mark.parametrize("others", [0, HOUR])
    def test_counts_are_exact_when_results_are_awaited(self, bench: Bench, others: int) -> None:
        bench.open(KEEP_NOTHING)
        bench.add(2, keep_result=others)
        leases = running(bench, 1, wanted=3, keep_result=0)
        bench.do(bench.store.expect([leases[-1].job_id], MINUTE))
        endings = [succeeded(lease) for lease in leases]
        bench.do(bench.store.exchange(endings, bench.request("p1")))
        counted = {one.state: one.jobs for one in bench.do(bench.store.count(EVERYTHING))}
        assert counted == {JobState.SUCCEEDED: 3 if others else 1}
        assert bench.exists(leases[-1].job_id)

    def test_an_ended_job_is_not_expected(self, bench: Bench) -> None:
        (lease,) = running(bench)
        bench.finish(succeeded(lease, b"1"))
        before = msgspec.structs.replace(bench.job(lease.job_id))
        assert bench.do(bench.store.expect([lease.job_id], 10 * DAY)) == frozenset()
        assert bench.job(lease.job_id) == before
