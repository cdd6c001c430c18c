"""The rules of limits and turns by themselves: keys, settings, windows, virtual time."""

from collections import Counter
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.core.limits import (
    BURST,
    PARTS,
    TURN,
    Fair,
    Hold,
    Limit,
    OnConflict,
    Rules,
    Setting,
    effective,
    kind_key,
    opens_at,
    part_of,
    started,
)
from longshore.core.turns import Turns

SECOND = 1_000_000
NOW = 1_893_456_000_000_000
PERIODS = st.one_of(st.integers(1, 1000), st.sampled_from([SECOND, 60 * SECOND, 86_400 * SECOND]))
HUNDREDTHS = st.integers(0, 3 * PARTS)


class Book:
    """The starts of one key as every store keeps them: one entry for each part of the period."""

    def __init__(self, per: int) -> None:
        self.per = per
        self.parts: dict[int, tuple[int, int]] = {}

    @property
    def ledger(self) -> list[tuple[int, int]]:
        return sorted(self.parts.values())

    def start(self, now: int, count: int) -> None:
        at, starts = self.parts.get(part_of(now, self.per), (now, 0))
        if count:
            self.parts[part_of(now, self.per)] = (max(at, now), starts + count)

    def seen(self, now: int) -> int:
        return started(self.ledger, self.per, now)

    def opens(self, now: int) -> int | None:
        return opens_at(self.ledger, self.per, now)


# --- what things are called, and what is set ----------------------------------------------------


def test_a_key_says_what_is_counted_and_under_which_name():
    limits = [Limit("a", "1", 3), Limit("a", "1", 3, per=9), Limit("a", "", 1), Limit("b", "1", 1)]
    keys = [limit.key for limit in limits]
    assert keys == ["c:a:1", "r:a:1", "c:a:", "c:b:1"]
    assert kind_key("app.sync") not in keys
    assert Limit("a", "1", 7).key == keys[0], "the number is no part of the key"
    assert Limit("a", "1", 3, per=99).key == keys[1]


@pytest.mark.parametrize(
    ("limit", "setting", "expected"),
    [
        (Limit("a", "1", 3), None, Limit("a", "1", 3)),
        (Limit("a", "1", 3), Setting(5), Limit("a", "1", 5)),
        (Limit("a", "1", 3), Setting(0), Limit("a", "1", 0)),
        (Limit("a", "1", 3), Setting(5, per=60), Limit("a", "1", 5)),
        (Limit("a", "1", 3, per=10), Setting(5), Limit("a", "1", 5, per=10)),
        (Limit("a", "1", 3, per=10), Setting(5, per=60), Limit("a", "1", 5, per=60)),
    ],
)
def test_what_is_set_wins_but_makes_no_rate_of_a_limit(limit, setting, expected):
    assert effective(limit, setting) == expected
    assert effective(limit, setting).key == limit.key


def test_rules_are_stored_and_read_again():
    rules = Rules(
        hold=Hold("k", until_started=True, on_conflict=OnConflict.REPLACE, ttl=60),
        limits=(Limit("a", "é", 3), Limit("b", "", 1, per=9)),
        fair=Fair("=tenant", TURN // 3),
        at_most_once=True,
    )
    for one in (rules, Rules()):
        assert msgspec.json.decode(msgspec.json.encode(one), type=Rules) == one
    assert msgspec.json.encode(Rules()) == b"{}"


# --- windows ------------------------------------------------------------------------------------


@given(
    st.integers(1, 7),
    PERIODS,
    st.lists(st.tuples(HUNDREDTHS, st.integers(0, 999), st.integers(0, 9)), max_size=60),
)
def test_no_window_sees_more_starts_than_allowed(to, per, steps):
    book, now, starts = Book(per), NOW, list[int]()
    for hundredths, odd, wanted in steps:
        now += per * hundredths // PARTS + odd * per // 100_000
        count = min(wanted, max(0, to - book.seen(now)))
        book.start(now, count)
        starts += [now] * count
    for first, one_too_many in zip(starts, starts[to:], strict=False):
        assert one_too_many >= first + per


@given(st.integers(1, 7), PERIODS, st.lists(st.tuples(HUNDREDTHS, st.integers(0, 9)), max_size=60))
def test_a_start_counts_a_hundredth_of_the_period_too_long_at_most(to, per, steps):
    """Whoever is refused could not have started a hundredth of the period later."""
    book, now, starts = Book(per), NOW, list[int]()
    for hundredths, wanted in steps:
        now += per * hundredths // PARTS
        inside = sum(start > now - per - per // PARTS for start in starts)
        assert book.seen(now) <= inside
        count = min(wanted, max(0, to - book.seen(now)))
        book.start(now, count)
        starts += [now] * count


@given(st.integers(1, 7), PERIODS, st.lists(HUNDREDTHS, min_size=1, max_size=60))
def test_a_full_key_opens_when_there_is_room_again(to, per, steps):
    book, now = Book(per), NOW
    for hundredths in steps:
        now += per * hundredths // PARTS
        book.start(now, min(1, to - book.seen(now)))
    at = book.opens(now)
    if not book.seen(now):
        assert at is None
        return
    assert at is not None
    assert at > now
    assert book.seen(at) < book.seen(now)
    first = min(entry for entry, _ in book.ledger if entry + per > now)
    close = max(1, per // PARTS, min(per // 10, BURST))
    assert first + per <= at <= first + per + close


@given(st.integers(1, 20), PERIODS, st.integers(1, 400))
def test_who_comes_when_told_to_needs_no_longer_than_the_rate_allows(to, per, jobs):
    book, now, left, asked = Book(per), NOW, jobs, 0
    while left:
        count = min(left, to - book.seen(now))
        book.start(now, count)
        left -= count
        asked += 1
        now = now if not left else book.opens(now) or now
    rounds = -(-jobs // to)
    assert asked == rounds
    assert now - NOW == (rounds - 1) * per


def test_a_burst_opens_as_one():
    book = Book(10 * SECOND)
    for number in range(100):
        book.start(NOW + number * SECOND // 1000, 1)
    last = NOW + 99 * SECOND // 1000
    assert book.opens(last) == last + 10 * SECOND
    assert book.seen(last + 10 * SECOND) == 0


@pytest.mark.parametrize("back", [1, SECOND, 3600 * SECOND])
def test_a_clock_that_steps_back_makes_no_room(back):
    book = Book(10 * SECOND)
    book.start(NOW, 3)
    assert book.seen(NOW - back) == 3
    book.start(NOW - back, 1)
    assert book.seen(NOW - back) == 4
    opens = book.opens(NOW - back)
    assert opens is not None
    assert opens >= NOW - back + 10 * SECOND


@given(st.integers(100, 86_400 * SECOND), st.lists(st.integers(0, 10**12), max_size=300))
def test_a_key_has_few_entries_however_many_start(per, times):
    book = Book(per)
    for time in sorted(times):
        book.start(NOW + time, 1)
        inside = [at for at, _ in book.ledger if at + per > NOW + time]
        # A period that is no multiple of a hundred has parts a little shorter.
        assert len(inside) <= per // (per // PARTS) + 1
    assert sum(starts for _, starts in book.ledger) == len(times)


@given(PERIODS, st.integers(0, 10**15), st.integers(0, 10**12))
def test_parts_follow_each_other(per, at, later):
    assert part_of(at, per) <= part_of(at + later, per)
    assert part_of(at, per) < part_of(at + per, per)


# --- turns --------------------------------------------------------------------------------------


def run(turns: Turns, weights: dict[str, float], count: int) -> list[str]:
    """The values of so many jobs in the order of turns; each value has jobs without end."""
    heads = {key: (0, key) for key in weights}
    order: list[str] = []
    for _ in range(count):
        order.append(turns.next(heads))
        turns.take(order[-1], round(TURN / weights[order[-1]]))
    return order


WEIGHTS = st.dictionaries(
    st.sampled_from("abcdefgh"), st.sampled_from([0.5, 1, 2, 3, 5, 10]), min_size=1
)


@settings(max_examples=20, deadline=None)
@given(WEIGHTS)
def test_turns_are_by_weight(weights):
    order = run(Turns(0, {}), weights, 10_000)
    whole = sum(weights.values())
    for key, count in Counter(order).items():
        assert count == pytest.approx(10_000 * weights[key] / whole, rel=0.05)


@settings(max_examples=20, deadline=None)
@given(WEIGHTS)
def test_nobody_starves(weights):
    """Between two turns of a value no other has had more than its weight's share, and one."""
    order = run(Turns(0, {}), weights, 2_000)
    for key, weight in weights.items():
        places = [place for place, value in enumerate(order) if value == key]
        assert places
        assert places[0] <= sum(-(-other // weight) for other in weights.values())
        for before, after in pairwise(places):
            between = Counter(order[before + 1 : after])
            for other, count in between.items():
                assert count <= weights[other] / weight + 1


def test_a_tenant_with_many_jobs_delays_another_by_one_turn():
    turns = Turns(0, {})
    run(turns, {"big": 1}, 100_000)
    assert turns.next({"big": (0, "a"), "small": (NOW, "z")}) == "small"


def test_who_was_idle_has_saved_nothing_up():
    turns = Turns(0, {})
    run(turns, {"a": 1, "b": 1}, 2)
    run(turns, {"a": 1}, 1000)
    assert Counter(run(turns, {"a": 1, "b": 1}, 10)) == {"a": 5, "b": 5}


def test_of_those_that_start_together_the_first_job_is_first():
    assert Turns(0, {}).next({"a": (2, "x"), "b": (1, "z"), "c": (1, "y")}) == "c"
    assert Turns(5, {"c": 6}).next({"a": (2, "x"), "b": (1, "z"), "c": (1, "y")}) == "b"
    assert Turns(5, {"a": 7, "b": 6}).next({"a": (1, "x"), "b": (2, "y")}) == "b"


def test_looking_uses_no_turn():
    turns = Turns(0, {})
    heads = {"a": (1, "x"), "b": (2, "y")}
    assert {turns.next(heads) for _ in range(3)} == {"a"}
    assert (turns.clock, turns.ends) == (0, {})


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9 * TURN)),
    st.integers(0, 9 * TURN),
    st.lists(st.tuples(st.sets(st.sampled_from("abcdef"), min_size=1), st.integers(1, 2 * TURN))),
)
def test_what_is_tidied_told_nothing(ends, clock, steps):
    kept, tidied = Turns(clock, ends), Turns(clock, ends)
    tidied.tidy()
    for keys, step in steps:
        heads = {key: (ord(key), key) for key in keys}
        key = kept.next(heads)
        assert tidied.next(heads) == key
        for turns in (kept, tidied):
            turns.take(key, step)
        tidied.tidy()
        assert len(tidied.ends) <= len(kept.ends)
        assert all(end > tidied.clock for end in tidied.ends.values())


def test_the_clock_never_goes_back():
    turns = Turns(0, {})
    clocks = []
    for key in "abacabadabb":
        turns.take(key, TURN)
        clocks.append(turns.clock)
    assert clocks == sorted(clocks)
