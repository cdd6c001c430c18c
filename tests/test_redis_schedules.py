"""Schedules on Redis and Valkey: many who settle the same ticks at the same moment."""

from tests.schedule_races import Crew, crews_on, many_declare, many_fire, one_edits, one_pauses

crew = crews_on("redis", "valkey")


def test_many_fire_at_once_and_one_does(crew: Crew) -> None:
    many_fire(crew)


def test_many_declare_the_same_at_once(crew: Crew) -> None:
    many_declare(crew)


def test_a_pause_holds_for_who_fires_at_the_same_moment(crew: Crew) -> None:
    one_pauses(crew)


def test_an_edit_beside_a_firing_takes_nothing_back(crew: Crew) -> None:
    one_edits(crew)
