"""Which ticks are due and what becomes of each: the pure part, without a store."""

from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.core.model import JobState, NewJob
from longshore.core.schedules import (
    CatchUp,
    Declare,
    Due,
    Entry,
    Firing,
    Outcome,
    Schedule,
    ScheduleRecord,
    SetSchedule,
    TickRecord,
)
from longshore.core.ticks import (
    IN_TIME,
    MOST_JOBS,
    MOST_TICKS,
    coming,
    declared,
    next_due,
    ordered,
    planned,
    settled,
)

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
START = 1_893_456_000 * SECOND  # an hour begins
JOB = NewJob("", "app.job", "default", b"{}", JobState.AVAILABLE, 0, 0, 0)


def ids() -> Any:
    numbers = count(1)
    return lambda: f"id-{next(numbers)}"


def record(
    watermark: int = START, entry: dict[str, Any] | None = None, **fields: Any
) -> ScheduleRecord:
    schedule = Schedule(name="s", when=fields.pop("when", "* * * * *"), job=JOB, **fields)
    return ScheduleRecord(
        name="s",
        revision=4,
        seen_at=START,
        watermark=watermark,
        last_job=None,
        last_at=None,
        fired=0,
        skipped=0,
        missed=0,
        firing=None,
        entry=Entry(**{"app": "app", "coded": schedule, **(entry or {})}),
        now=watermark,
    )


def plan(one: ScheduleRecord, now: int) -> list[tuple[int, str]]:
    firing = planned(one, now, ids())
    ticks = () if firing is None else firing.ticks
    return [((due.at - START) // MINUTE, due.outcome.value) for due in ticks]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(CatchUp),
    st.integers(0, 40 * MINUTE),
    st.none() | st.integers(1, 40 * MINUTE),
)
def test_every_tick_up_to_now_is_settled_and_no_other(
    policy: CatchUp, passed: int, max_age: int | None
) -> None:
    one = record(catch_up=policy, max_age=max_age)
    found = plan(one, START + passed)
    assert [minute for minute, _ in found] == list(range(1, passed // MINUTE + 1))
    fired = [minute for minute, outcome in found if outcome == "fired"]
    latest = passed // MINUTE
    young = [n for n in range(1, latest + 1) if max_age is None or passed - n * MINUTE <= max_age]
    expected = {CatchUp.NONE: [], CatchUp.ONE: young[-1:], CatchUp.ALL: young}[policy]
    if latest in young and passed - latest * MINUTE <= IN_TIME:
        expected = sorted({*expected, latest})
    assert fired == expected


def test_many_ticks_are_settled_in_pieces() -> None:
    one = record(when="* * * * * *", catch_up=CatchUp.NONE)
    firing = planned(one, START + 3000 * SECOND, ids())
    assert firing is not None
    assert len(firing.ticks) == MOST_TICKS
    assert {due.outcome for due in firing.ticks} == {Outcome.MISSED}
    every = planned(record(when="* * * * * *", catch_up=CatchUp.ALL), START + 3000 * SECOND, ids())
    assert every is not None
    assert len(every.ticks) == MOST_JOBS
    assert every.until == START + MOST_JOBS * SECOND


def test_one_of_a_thousand_and_one_is_the_latest_of_all() -> None:
    one = record(when="* * * * * *", catch_up=CatchUp.ONE)
    now = START + (MOST_TICKS + 1) * SECOND + IN_TIME + SECOND
    first = planned(one, now, ids())
    assert first is not None
    assert {due.outcome for due in first.ticks} == {Outcome.MISSED}


def test_a_tick_in_time_is_the_latest_that_is_not_too_old() -> None:
    one = record(catch_up=CatchUp.NONE)
    assert plan(one, START + MINUTE + IN_TIME) == [(1, "fired")]
    assert plan(one, START + MINUTE + IN_TIME + 1) == [(1, "missed")]


def test_an_age_of_less_than_what_is_in_time_holds_too() -> None:
    one = record(max_age=10 * SECOND)
    assert plan(one, START + MINUTE + 10 * SECOND) == [(1, "fired")]
    assert plan(one, START + MINUTE + 11 * SECOND) == [(1, "missed")]


def test_jobs_are_made_for_their_ticks() -> None:
    template = NewJob(
        "", "app.job", "mail", b"{}", JobState.AVAILABLE, 3, 90 * SECOND, 0, expires_at=HOUR,
        meta={"tenant": "acme"},
    )  # fmt: skip
    schedule = Schedule(name="s", when="* * * * *", job=template, catch_up=CatchUp.ALL)
    one = record(entry={"coded": schedule})
    now = START + 2 * MINUTE + SECOND
    firing = planned(one, now, ids())
    assert firing is not None
    first, second = (due.job for due in firing.ticks)
    assert first is not None
    assert second is not None
    assert (first.id, second.id, firing.id) == ("id-1", "id-2", "id-3")
    assert (first.state, first.scheduled_at) == (JobState.SCHEDULED, START + MINUTE + 90 * SECOND)
    assert (first.created_at, first.expires_at, first.queue) == (now, now + HOUR, "mail")
    assert first.meta == {"tenant": "acme", "schedule": "s", "tick": START + MINUTE}
    assert first.fresh


def test_a_retired_schedule_has_nothing_due_and_a_paused_one_skips() -> None:
    gone = record(entry={"retired_at": START})
    assert (planned(gone, START + HOUR, ids()), next_due(gone)) == (None, None)
    paused = record(entry={"paused_at": START + 2 * MINUTE})
    assert plan(paused, START + 4 * MINUTE) == [
        (1, "skipped"), (2, "skipped"), (3, "skipped"), (4, "skipped")
    ]  # fmt: skip
    assert next_due(paused) == START + MINUTE
    assert coming(paused, START + HOUR, 2) == [START + HOUR + MINUTE, START + HOUR + 2 * MINUTE]


def test_one_gap_is_kept_of_two() -> None:
    one = record(
        entry={"gap": (START, START + 2 * MINUTE, "retired"), "paused_at": START + 3 * MINUTE}
    )
    _, change = ordered(SetSchedule(name="s", verb="resume"), one, START + 5 * MINUTE)
    assert change is not None
    assert change.record.entry.gap == (START, START + 5 * MINUTE, "paused")


def test_a_declaration_that_changes_nothing_is_idle() -> None:
    one = record()
    schedule = one.schedule
    assert declared(Declare("app", (schedule,), fresh=True), {"s": one}, START + SECOND).idle
    later = declared(Declare("app", (schedule,)), {"s": one}, START + 20 * SECOND)
    assert (later.changes, later.seen) == ((), ("s",))


def test_an_unknown_order_is_a_fault_of_ours() -> None:
    with pytest.raises(ValueError, match="no order"):
        ordered(SetSchedule(name="s", verb="dance"), record(), START)
    with pytest.raises(ValueError, match="without a schedule"):
        _ = Entry(app="app").schedule


def test_what_is_settled_is_counted() -> None:
    one = record()
    ticks = [
        TickRecord(at=START + MINUTE, outcome=Outcome.MISSED),
        TickRecord(at=START + 2 * MINUTE, outcome=Outcome.FIRED, job_id="a"),
        TickRecord(at=START + 3 * MINUTE, outcome=Outcome.SKIPPED, job_id="a"),
    ]
    firing = Firing("f", "s", 4, tuple(Due(tick.at, tick.outcome) for tick in ticks))
    after = settled(firing, ticks, one)
    assert (after.fired, after.skipped, after.missed, after.revision) == (1, 1, 1, 5)
    assert (after.last_job, after.last_at, after.watermark, after.firing) == (
        "a", START + 2 * MINUTE, START + 3 * MINUTE, "f"
    )  # fmt: skip


def test_an_older_gap_that_is_settled_takes_nothing_with_it() -> None:
    entry = {"gap": (START - HOUR, START, "paused"), "paused_at": START + 2 * MINUTE}
    _, change = ordered(SetSchedule(name="s", verb="resume"), record(entry=entry), START + HOUR)
    assert change is not None
    assert change.record.entry.gap == (START + 2 * MINUTE, START + HOUR, "paused")


@pytest.mark.parametrize("stored", [{"when": "*/90 * * * * * *"}, {"tz": "Europe/Gone"}])
def test_times_that_cannot_be_read_here_can_be_corrected(stored: dict[str, str]) -> None:
    one = record(**stored)
    right = Schedule(name="s", when="0 * * * *", job=JOB)
    (change,) = declared(Declare("app", (right,), fresh=True), {"s": one}, START + HOUR).changes
    assert (change.record.schedule, change.record.watermark, change.ticks) == (
        right, START + HOUR, ()
    )  # fmt: skip
    _, added = ordered(SetSchedule(name="s", verb="add", schedule=right), one, START + HOUR)
    assert added is not None
    paused = record(entry={"paused_at": START}, **stored)
    _, resumed = ordered(SetSchedule(name="s", verb="resume"), paused, START + HOUR)
    assert resumed is not None
    assert not resumed.record.paused
