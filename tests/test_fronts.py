"""Lines of many queues: what is remembered of them, without a store."""

from random import Random

import pytest

from longshore.core.store import Line
from longshore.ids import new_id
from longshore.stores.sql.fronts import (
    LEAST_WORTH,
    LONG,
    REMEMBERED,
    WORTH,
    Fronts,
    id_of,
    parts_of,
    place_of,
    queue_of,
    served_of,
)

NOBODY: frozenset[str] = frozenset()


def test_places_sort_as_a_claim_does() -> None:
    random = Random(3)
    parts = [
        (priority, at, new_id(), f"q{random.randrange(1000)}")
        for priority in (-32_768, -1, 0, 9, 32_767)
        for at in (0, 7, 1_000_000, 1_795_461_608_680_688, 253_402_300_799_999_999)
        for _ in range(3)
    ]
    random.shuffle(parts)
    places = [place_of(*one) for one in parts]
    assert [parts_of(place) for place in sorted(places)] == sorted(parts)
    assert [(id_of(place), queue_of(place)) for place in places] == [one[2:] for one in parts]


@pytest.mark.parametrize(
    ("took", "remembered"),
    [
        (0, REMEMBERED),
        (5_000, REMEMBERED),
        (10_000, WORTH * 10_000),
        (40_000, LONG),
        (100_000, LEAST_WORTH * 100_000),
    ],
)
def test_a_look_is_remembered_by_what_it_took(took: int, remembered: int) -> None:
    fronts = Fronts([], NOBODY, 1_000, took / 1_000_000)
    assert fronts.hold(NOBODY, 1_000 + remembered - 1)
    assert not fronts.hold(NOBODY, 1_000 + remembered)
    assert not fronts.hold(NOBODY, 999)


def test_queues_are_taken_out_in_the_order_of_their_fronts_also_those_put_back() -> None:
    places = [place_of(0, at, new_id(), f"q{at}") for at in range(10)]
    fronts = Fronts(places, NOBODY, 0, 0.0)
    assert fronts.pop(3) == ["q0", "q1", "q2"]
    assert fronts.bound == places[3]
    early, late = place_of(0, 4, new_id(), "early"), place_of(0, 20, new_id(), "late")
    fronts.put(late)
    fronts.put(early)
    before = fronts.again()
    expected = sorted([*places[3:], early, late])
    for one in (fronts, before):
        assert one.pop(2) == [queue_of(place) for place in expected[:2]]
        assert one.bound == expected[2]
        assert one.pop(50) == [queue_of(place) for place in expected[2:]]
        assert one.bound is None
        assert one.pop(1) == []


@pytest.mark.parametrize(
    ("line", "paused", "left"),
    [
        (Line(("*",)), NOBODY, ["a", "b1", "b2"]),
        (Line(("*",)), frozenset({"a"}), ["b1", "b2"]),
        (Line(("b*",), ("b2",)), NOBODY, ["b1"]),
        (Line(("*",), ("b*",)), NOBODY, ["a"]),
        (Line(("b1", "none")), NOBODY, ["b1"]),
    ],
)
def test_a_line_serves_what_it_says_but_for_what_is_paused(
    line: Line, paused: frozenset[str], left: list[str]
) -> None:
    places = [place_of(0, 1, new_id(), queue) for queue in ("a", "b1", "b2")]
    assert [queue_of(place) for place in served_of(line, paused, places)] == left
