"""Catching up: what was missed while nobody worked, and changes of the clocks."""

from __future__ import annotations

import pytest

from longshore.core.schedules import CatchUp
from longshore.testing.conformance.bench import (
    HOUR,
    MINUTE,
    SECOND,
    Bench,
)
from longshore.testing.conformance.golden import CHANGES, Change
from longshore.testing.conformance.planning import (
    catch_up,
    declare,
    hourly,
    instant,
    plan,
    read,
    schedule,
    ticks,
    told,
)


class CatchUpConformance:
    """Down for 24 ticks: each policy exactly, and a word on every tick."""

    @pytest.mark.parametrize(
        ("policy", "max_age", "fired"),
        [
            (CatchUp.NONE, None, []),
            (CatchUp.ONE, None, [23]),
            (CatchUp.ONE, 20 * MINUTE, []),
            (CatchUp.ALL, None, list(range(24))),
            (CatchUp.ALL, 3 * HOUR, [21, 22, 23]),
        ],
    )
    def test_down_for_a_day(
        self, bench: Bench, policy: CatchUp, max_age: int | None, fired: list[int]
    ) -> None:
        hourly(bench, policy, max_age=max_age)
        first = bench.now + HOUR // 2
        bench.pass_time(24 * HOUR)
        found = catch_up(bench)
        assert [tick.at for tick in found] == [first + hour * HOUR for hour in range(24)]
        expected = ["fired" if number in fired else "missed" for number in range(24)]
        assert told(found) == expected
        assert ticks(bench) == tuple(reversed(found))
        record = read(bench)
        assert (record.fired, record.missed, record.skipped) == (len(fired), 24 - len(fired), 0)
        jobs = sorted(bench.look().values(), key=lambda job: job.scheduled_at)
        assert [job.meta["tick"] for job in jobs] == [first + hour * HOUR for hour in fired]
        # They start in the order of their nominal times, and what comes next comes in time.
        bench.process(lease=30 * HOUR)
        assert bench.taken("p1", 30) == [job.id for job in jobs]
        bench.pass_time(HOUR // 2)
        assert told(catch_up(bench)) == ["fired"]

    def test_a_tick_in_time_is_fired_whatever_is_caught_up(self, bench: Bench) -> None:
        hourly(bench, CatchUp.NONE)
        bench.pass_time(HOUR // 2 + 10 * SECOND)
        assert told(catch_up(bench)) == ["fired"]

    def test_a_tick_in_time_may_be_older_than_its_age(self, bench: Bench) -> None:
        hourly(bench, CatchUp.ONE, max_age=5 * SECOND)
        bench.pass_time(HOUR // 2 + 10 * SECOND)
        assert told(catch_up(bench)) == ["missed"]

    @pytest.mark.parametrize("change", CHANGES, ids=lambda one: f"{one.tz} {one.when}")
    def test_a_change_of_the_clocks(self, bench: Bench, change: Change) -> None:
        bench.clock.set_wall(instant(change.since))
        declare(bench, schedule(bench, when=change.when, tz=change.tz))
        comes = [instant(text) for text in change.comes]
        for at in comes:
            bench.clock.set_wall(at - 1)
            assert plan(bench) is None
            bench.clock.set_wall(at)
            catch_up(bench)
        assert sorted(job.meta["tick"] for job in bench.look().values()) == comes
        assert [tick.at for tick in reversed(ticks(bench))] == comes
