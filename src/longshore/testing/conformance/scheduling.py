"""Scheduling: what is declared and ordered, and that a tick is settled once, whoever comes."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from longshore.core.limits import Hold, OnConflict, Rules
from longshore.core.model import JobState
from longshore.core.schedules import KEPT_TICKS, Answer, CatchUp, Firing, Outcome
from longshore.core.store import Retention
from longshore.core.ticks import EDITED, HELD, OVERLAP, PAUSED, RETIRED, planned
from longshore.testing.conformance.bench import (
    HOUR,
    MINUTE,
    PAYLOAD,
    SECOND,
    Bench,
    succeeded,
)
from longshore.testing.conformance.planning import (
    catch_up,
    declare,
    due,
    fire,
    hourly,
    order,
    plan,
    read,
    schedule,
    skipping,
    ticks,
    to_half_past,
    told,
)


class DeclareConformance:
    """What becomes of schedules that code declares and people order."""

    def test_a_declared_schedule_counts_from_its_declaration(self, bench: Bench) -> None:
        declare(bench, schedule(bench, "a"), schedule(bench, "ü → b", tz="Europe/Berlin"))
        first, second = bench.do(bench.store.schedules())
        assert (first.name, second.name, second.schedule.tz) == ("a", "ü → b", "Europe/Berlin")
        assert first.watermark == first.seen_at == first.now == bench.now
        assert (first.entry.app, first.in_code, first.paused, first.retired) == (
            "app", True, False, False
        )  # fmt: skip
        assert (first.fired, first.skipped, first.missed, first.last_job) == (0, 0, 0, None)
        assert first.schedule.job.payload == PAYLOAD
        assert bench.do(bench.store.schedules(["a"])) == (first,)
        assert bench.do(bench.store.schedules(["none"])) == ()
        assert ticks(bench, "a") == ()

    def test_declaring_again_says_only_that_it_is_still_there(self, bench: Bench) -> None:
        one = schedule(bench)
        declare(bench, one)
        before = read(bench)
        for _ in range(4):
            bench.pass_time(25 * SECOND)
            declare(bench, one, fresh=False)
        after = read(bench)
        assert after.seen_at == bench.now
        assert msgspec.structs.replace(after, seen_at=before.seen_at, now=before.now) == before

    def test_an_edit_of_the_code_begins_anew_and_tells_what_was_due(self, bench: Bench) -> None:
        hourly(bench, CatchUp.ALL)
        bench.pass_time(2 * HOUR)
        declare(bench, schedule(bench, when="*/10 * * * *"))
        record = read(bench)
        assert record.watermark == bench.now
        assert record.missed == 2
        assert [tick.why for tick in ticks(bench)] == [EDITED] * 2
        bench.pass_time(10 * MINUTE)
        assert told(catch_up(bench)) == ["fired"]

    def test_an_edit_of_something_else_keeps_what_is_due(self, bench: Bench) -> None:
        hourly(bench, CatchUp.ALL)
        bench.pass_time(HOUR)
        declare(bench, schedule(bench, job={"queue": "other"}))
        assert told(catch_up(bench)) == ["fired"]
        (job,) = bench.look().values()
        assert job.queue == "other"

    def test_a_process_that_did_not_just_start_edits_nothing(self, bench: Bench) -> None:
        declare(bench, schedule(bench))
        declare(bench, schedule(bench, when="0 0 * * *"), fresh=False)
        assert read(bench).schedule.when == "0 * * * *"

    def test_an_edit_that_no_process_declares_any_more_gives_way(self, bench: Bench) -> None:
        """A deploy that is undone: its workers are gone, those of the release before go on."""
        before = schedule(bench)
        declare(bench, before)
        declare(bench, schedule(bench, when="0 0 * * *"))
        for gone in (*[False] * 5, True):
            bench.pass_time(10 * SECOND)
            declare(bench, before, fresh=False)
            assert (read(bench).schedule.when != "0 0 * * *") is gone
        record = read(bench)
        assert (record.schedule, record.seen_at, record.retired) == (before, bench.now, False)

    def test_an_edit_that_lives_stays_whatever_older_processes_declare(self, bench: Bench) -> None:
        before, after = schedule(bench), schedule(bench, when="0 0 * * *")
        declare(bench, before)
        declare(bench, after)
        for _ in range(12):
            bench.pass_time(10 * SECOND)
            declare(bench, before, fresh=False)
            declare(bench, after, fresh=False)
            assert read(bench).schedule == after

    def test_a_name_that_is_taken_over_means_what_its_new_owner_says(self, bench: Bench) -> None:
        declare(bench, schedule(bench))
        bench.pass_time(MINUTE)
        mine = schedule(bench, when="0 0 * * *")
        assert declare(bench, mine, app="other", fresh=False) == ()
        assert (read(bench).entry.app, read(bench).schedule) == ("other", mine)

    def test_what_no_process_declares_for_a_minute_is_retired(self, bench: Bench) -> None:
        hourly(bench, CatchUp.ALL)
        bench.pass_time(59 * SECOND)
        declare(bench, schedule(bench, "other"))
        assert not read(bench).retired
        bench.pass_time(2 * SECOND)
        declare(bench, schedule(bench, "other"), fresh=False)
        assert read(bench).retired
        bench.pass_time(3 * HOUR)
        assert plan(bench) is None
        # It comes back: what it did not live through is skipped and told.
        declare(bench, schedule(bench))
        assert not read(bench).retired
        assert [(tick.outcome, tick.why) for tick in catch_up(bench)] == [
            (Outcome.SKIPPED, RETIRED)
        ] * 3

    def test_an_application_retires_only_its_own(self, bench: Bench) -> None:
        declare(bench, schedule(bench))
        bench.pass_time(HOUR)
        declare(bench, schedule(bench, "t"), app="other")
        assert not read(bench).retired

    def test_a_name_belongs_to_the_application_that_lives(self, bench: Bench) -> None:
        declare(bench, schedule(bench))
        mine = schedule(bench, when="0 0 * * *")
        assert declare(bench, mine, app="other") == ("s",)
        assert read(bench).schedule.when == "0 * * * *"
        bench.pass_time(MINUTE)
        assert declare(bench, mine, app="other") == ()
        assert read(bench).entry.app == "other"

    def test_what_was_added_at_run_time_wins_until_it_is_reset(self, bench: Bench) -> None:
        declare(bench, schedule(bench))
        nightly = schedule(bench, when="0 3 * * *")
        assert order(bench, "add", schedule=nightly) is Answer.DONE
        declare(bench, schedule(bench, when="30 * * * *"))
        record = read(bench)
        assert (record.schedule.when, record.edited) == ("0 3 * * *", True)
        assert order(bench, "reset") is Answer.DONE
        record = read(bench)
        assert (record.schedule.when, record.edited) == ("30 * * * *", False)

    def test_what_was_added_at_run_time_is_never_retired(self, bench: Bench) -> None:
        order(bench, "add", schedule=schedule(bench))
        bench.pass_time(30 * HOUR)
        declare(bench)
        assert not read(bench).retired
        assert told(catch_up(bench))[-1] == "fired"

    def test_what_was_added_can_be_removed_and_what_is_in_code_cannot(self, bench: Bench) -> None:
        hourly(bench, CatchUp.ONE)
        order(bench, "add", "t", schedule=schedule(bench, "t"))
        bench.pass_time(HOUR)
        catch_up(bench, "t")
        assert order(bench, "remove", "t") is Answer.DONE
        assert order(bench, "remove", "s") is Answer.IN_CODE
        assert [one.name for one in bench.do(bench.store.schedules())] == ["s"]
        assert ticks(bench, "t") == ()
        for verb in ("remove", "pause", "resume", "reset"):
            assert order(bench, verb, "t") is Answer.UNKNOWN

    def test_what_is_removed_takes_nothing_of_others(self, bench: Bench) -> None:
        to_half_past(bench)
        for name in ("s", "t"):
            order(bench, "add", name, schedule=schedule(bench, name))
        bench.pass_time(HOUR)
        kept = [catch_up(bench, name) for name in ("s", "t")]
        order(bench, "remove", "t")
        assert list(ticks(bench)) == kept[0]
        assert ticks(bench, "t") == ()

    def test_ticks_of_a_pause_are_skipped_and_told(self, bench: Bench) -> None:
        hourly(bench, CatchUp.ALL)
        bench.pass_time(HOUR)
        assert order(bench, "pause", reason="holidays") is Answer.DONE
        assert (read(bench).paused, read(bench).entry.reason) == (True, "holidays")
        bench.pass_time(HOUR)
        # The first was due before, but nothing is fired after a pause.
        assert told(catch_up(bench)) == ["skipped", "skipped"]
        bench.pass_time(2 * HOUR)
        assert order(bench, "resume") is Answer.DONE
        bench.pass_time(HOUR)
        found = catch_up(bench)
        assert [(tick.outcome, tick.why) for tick in found] == [
            (Outcome.SKIPPED, PAUSED), (Outcome.SKIPPED, PAUSED), (Outcome.FIRED, None)
        ]  # fmt: skip
        assert not read(bench).paused

    def test_what_was_due_before_a_pause_is_caught_up_after_it(self, bench: Bench) -> None:
        hourly(bench, CatchUp.ONE)
        bench.pass_time(2 * HOUR)
        order(bench, "pause")
        bench.pass_time(2 * HOUR)
        order(bench, "resume")
        assert told(catch_up(bench)) == ["missed", "fired", "skipped", "skipped"]

    def test_what_was_due_between_two_pauses_is_caught_up(self, bench: Bench) -> None:
        hourly(bench, CatchUp.ALL)
        for verb in ("pause", "resume"):
            bench.pass_time(HOUR)
            order(bench, verb)
        catch_up(bench)
        bench.pass_time(HOUR)
        order(bench, "pause")
        order(bench, "resume")
        assert told(catch_up(bench)) == ["fired"]

    def test_a_pause_outlives_an_edit_of_the_code(self, bench: Bench) -> None:
        declare(bench, schedule(bench))
        order(bench, "pause")
        declare(bench, schedule(bench, when="*/10 * * * *"))
        assert read(bench).paused
        order(bench, "reset")
        assert not read(bench).paused


class TickConformance:
    """At most one job for a tick, ever, and a word on every tick."""

    def test_a_tick_enqueues_its_job_once(self, bench: Bench) -> None:
        to_half_past(bench)
        fields = {"queue": "mail", "priority": 3, "tags": ("a",), "timeout": 5 * SECOND}
        declare(bench, schedule(bench, job=fields))
        bench.pass_time(HOUR)
        firing = due(bench)
        again = due(bench)
        (fired,) = fire(bench, firing)
        at = firing.until
        assert at % HOUR == 0
        (job,) = bench.look().values()
        assert fired.held
        (tick,) = fired.ticks
        assert (tick.at, tick.outcome, tick.why, tick.job_id, tick.made_at) == (
            at, Outcome.FIRED, None, job.id, bench.now
        )  # fmt: skip
        assert (job.queue, job.priority, job.tags, job.timeout) == ("mail", 3, ("a",), 5 * SECOND)
        assert (job.state, job.scheduled_at, job.created_at) == (
            JobState.AVAILABLE, at, bench.now
        )  # fmt: skip
        assert job.meta == {"schedule": "s", "tick": at}
        assert job.payload == PAYLOAD
        assert ticks(bench) == fired.ticks
        record = read(bench)
        assert (record.watermark, record.fired, record.last_job) == (at, 1, job.id)
        assert record.last_at == at
        # Another worker had the same in mind.
        (late,) = fire(bench, again)
        assert not late.held
        assert list(bench.look()) == [job.id]
        assert ticks(bench) == fired.ticks

    def test_a_lost_answer_is_given_again(self, bench: Bench) -> None:
        hourly(bench, CatchUp.ALL)
        bench.pass_time(3 * HOUR)
        firing = due(bench)
        first = fire(bench, firing)
        assert told(first[0].ticks) == ["fired"] * 3
        assert fire(bench, firing) == first
        assert len(bench.look()) == 3

    def test_a_tick_is_not_fired_again_when_its_job_is_gone(self, bench: Bench) -> None:
        bench.open(Retention(succeeded=0, cancelled=0, dead=0))
        bench.process(lease=30 * HOUR)
        to_half_past(bench)
        declare(bench, schedule(bench, job={"keep_result": 0}))
        bench.pass_time(HOUR)
        firing, other = due(bench), due(bench)
        fire(bench, firing)
        bench.finish(succeeded(bench.lease()))
        bench.do(bench.store.prune(100))
        assert bench.look() == {}
        assert plan(bench) is None
        assert not fire(bench, other)[0].held
        assert bench.look() == {}

    def test_no_tick_is_fired_before_its_time_by_the_stores_clock(self, bench: Bench) -> None:
        hourly(bench, CatchUp.ONE)
        record = read(bench)
        early = planned(record, bench.now + HOUR // 2, lambda: bench.new().id)
        assert early is not None
        assert not fire(bench, early)[0].held
        assert bench.look() == {}
        bench.pass_time(HOUR // 2)
        assert fire(bench, early)[0].held

    def test_what_was_planned_before_a_pause_does_not_hold(self, bench: Bench) -> None:
        hourly(bench, CatchUp.ONE)
        bench.pass_time(HOUR)
        firing = due(bench)
        order(bench, "pause")
        assert not fire(bench, firing)[0].held
        order(bench, "resume")
        firing = due(bench)
        order(bench, "add", schedule=schedule(bench, when="0 0 * * *"))
        assert not fire(bench, firing)[0].held
        assert bench.look() == {}

    def test_a_schedule_that_is_gone_fires_nothing(self, bench: Bench) -> None:
        to_half_past(bench)
        order(bench, "add", schedule=schedule(bench))
        bench.pass_time(HOUR)
        firing = due(bench)
        order(bench, "remove")
        assert not fire(bench, firing)[0].held
        assert bench.look() == {}

    def test_a_schedule_that_was_added_anew_fires_nothing_of_before(self, bench: Bench) -> None:
        to_half_past(bench)
        order(bench, "add", schedule=schedule(bench))
        bench.pass_time(HOUR)
        planned_before = due(bench)
        removed = read(bench)
        order(bench, "remove")
        order(bench, "add", schedule=schedule(bench))
        before = read(bench)
        # Whoever knows the one that was removed sees that this is another.
        assert before.revision != removed.revision
        (fired,) = fire(bench, planned_before)
        assert (fired.held, read(bench), bench.look()) == (False, before, {})

    def test_a_firing_of_one_that_was_removed_is_not_taken_by_its_successor(
        self, bench: Bench
    ) -> None:
        to_half_past(bench)
        order(bench, "add", schedule=schedule(bench, job={"queue": "before"}))
        before = read(bench)
        bench.pass_time(SECOND)
        order(bench, "remove")
        order(bench, "add", schedule=schedule(bench, job={"queue": "after"}))
        bench.pass_time(HOUR)
        stale = planned(before, bench.now, lambda: bench.new().id)
        assert stale is not None
        assert not fire(bench, stale)[0].held
        assert told(catch_up(bench)) == ["fired"]
        (job,) = bench.look().values()
        assert job.queue == "after"

    def test_several_schedules_are_fired_at_once_each_for_itself(self, bench: Bench) -> None:
        to_half_past(bench)
        own = {name: b'{"v":1,"args":["%b"]}' % name.encode() for name in ("a", "b", "c")}
        declare(bench, *(schedule(bench, name, job={"payload": own[name]}) for name in own))
        bench.pass_time(HOUR)
        firings = [due(bench, name) for name in ("c", "a", "b")]
        order(bench, "pause", "a")
        assert [(one.name, one.held) for one in fire(bench, *firings)] == [
            ("c", True), ("a", False), ("b", True)
        ]  # fmt: skip
        jobs = {job.schedule: job.payload for job in bench.look().values()}
        assert jobs == {name: own[name] for name in ("b", "c")}

    def test_a_job_of_a_tick_may_be_delayed_and_may_expire(self, bench: Bench) -> None:
        to_half_past(bench)
        fields = {"scheduled_at": 45 * MINUTE, "expires_at": 2 * HOUR}
        declare(bench, schedule(bench, job=fields))
        bench.pass_time(HOUR)
        (tick,) = catch_up(bench)
        (job,) = bench.look().values()
        assert job.state is JobState.SCHEDULED
        assert job.scheduled_at == tick.at + 45 * MINUTE
        assert job.expires_at == bench.now + 2 * HOUR

    def test_a_tick_is_skipped_while_the_job_before_has_not_ended(self, bench: Bench) -> None:
        bench.process(lease=30 * HOUR)
        to_half_past(bench)
        declare(bench, skipping(bench))
        bench.pass_time(HOUR)
        (first,) = catch_up(bench)
        lease = bench.lease()
        assert lease.job_id == first.job_id
        bench.pass_time(HOUR)
        (second,) = catch_up(bench)
        assert (second.outcome, second.why, second.job_id) == (
            Outcome.SKIPPED, OVERLAP, first.job_id
        )  # fmt: skip
        bench.finish(succeeded(lease))
        bench.pass_time(HOUR)
        assert told(catch_up(bench)) == ["fired"]
        record = read(bench)
        assert (record.fired, record.skipped) == (2, 1)

    def test_of_ticks_that_are_caught_up_one_skips_those_behind_it(self, bench: Bench) -> None:
        to_half_past(bench)
        declare(bench, skipping(bench, catch_up=CatchUp.ALL))
        bench.pass_time(3 * HOUR)
        found = catch_up(bench)
        assert told(found) == ["fired", "skipped", "skipped"]
        assert [tick.job_id for tick in found] == [found[0].job_id] * 3
        assert list(bench.look()) == [found[0].job_id]

    @pytest.mark.parametrize("conflict", [OnConflict.RETURN, OnConflict.RAISE])
    def test_a_tick_whose_unique_key_is_held_is_skipped(
        self, bench: Bench, conflict: OnConflict
    ) -> None:
        to_half_past(bench)
        rules = Rules(hold=Hold("k", on_conflict=conflict))
        (holder,) = bench.add(rules=rules)
        declare(bench, schedule(bench, job={"rules": rules}))
        bench.pass_time(HOUR)
        (tick,) = catch_up(bench)
        assert (tick.outcome, tick.why, tick.job_id) == (Outcome.SKIPPED, HELD, holder)
        assert list(bench.look()) == [holder]
        assert read(bench).last_job is None

    def test_a_tick_may_replace_the_job_that_holds_its_key(self, bench: Bench) -> None:
        to_half_past(bench)
        rules = Rules(hold=Hold("k", on_conflict=OnConflict.REPLACE))
        (holder,) = bench.add(rules=rules, payload=b'{"v":1}')
        bench.pass_time(HOUR)
        declare(bench, schedule(bench, job={"rules": rules}))
        bench.pass_time(HOUR)
        firing = due(bench)
        (fired,) = bench.drive(bench.store.fire([firing]))
        bench.look(replaced=[holder])
        assert [(tick.outcome, tick.job_id) for tick in fired.ticks] == [(Outcome.FIRED, holder)]
        assert bench.job(holder).payload == PAYLOAD

    def test_of_three_workers_one_may_be_paused_at_its_worst_instant(self, bench: Bench) -> None:
        """Each has planned what another has done by the time it wakes; a tick has one job."""
        bench.watching = False
        declare(bench, schedule(bench, when="* * * * *", catch_up=CatchUp.ALL))
        chance = Random(7)  # noqa: S311 - the same each time
        asleep: list[tuple[int, Firing]] = []
        for minute in range(60):
            bench.pass_time(MINUTE)
            plans = [plan(bench) for _ in range(3)]
            chance.shuffle(plans)
            for number, firing in enumerate(plans):
                if firing is not None and number and chance.random() < 0.5:
                    asleep.append((minute + chance.randrange(1, 5), firing))
                elif firing is not None:
                    assert fire(bench, firing)[0].held is (number == 0)
            for waking, firing in asleep:
                assert waking > minute or not fire(bench, firing)[0].held
            asleep = [one for one in asleep if one[0] > minute]
        jobs = [job.meta["tick"] for job in bench.look().values()]
        assert len(jobs) == len(set(jobs)) == 60
        assert told(ticks(bench)) == ["fired"] * 60

    def test_the_last_thousand_ticks_are_kept(self, bench: Bench) -> None:
        minutely = {"when": "* * * * *", "catch_up": CatchUp.NONE}
        declare(bench, schedule(bench, **minutely), schedule(bench, "t", **minutely))
        bench.pass_time(1203 * MINUTE + 31 * SECOND)
        found = catch_up(bench)
        assert len(found) == 1203
        assert len(catch_up(bench, "t")) == 1203
        kept = ticks(bench)
        assert len(kept) == len(ticks(bench, "t")) == KEPT_TICKS
        assert kept == tuple(reversed(found[-KEPT_TICKS:]))
        assert ticks(bench, limit=3) == kept[:3]
        assert read(bench).missed + read(bench).fired == 1203
