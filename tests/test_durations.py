"""Durations: what is read, what is refused and how, and what is shown (rows B17, B21, B36)."""

import math
from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.core.durations import LONGEST, describe, microseconds, seconds
from longshore.errors import InvalidOption


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0.0),
        (5, 5.0),
        (2.5, 2.5),
        (timedelta(minutes=3), 180.0),
        (timedelta(microseconds=1), 1e-6),
        ("10m", 600.0),
        ("1h30m", 5400.0),
        ("2 days", 172_800.0),
        ("500ms", 0.5),
        ("1.5h", 5400.0),
        ("1 h 30 min", 5400.0),
        ("  15s  ", 15.0),
        ("10 Minutes", 600.0),
        ("1w2d", 777_600.0),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("0s", 0.0),
    ],
)
def test_accepted_forms(value, expected):
    assert seconds(value, field="delay") == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "value",
    [
        "5",
        "5 parsecs",
        "1h30",
        "",
        " ",
        "h",
        "1,5h",
        "-5s",
        "1e3s",
        "30m1h",
        "5m 5m",
        "\N{ARABIC-INDIC DIGIT FIVE}s",
        "1" * 100_000,
        "1s" + " " * 100_000,
        True,
        False,
        None,
        b"5s",
        [5],
        Fraction(5),
        math.nan,
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_not_a_duration_is_refused(value):
    with pytest.raises(InvalidOption) as caught:
        seconds(value, field="delay")
    message = str(caught.value)
    assert message.startswith("delay=")
    assert repr(value)[:20] in message
    assert '"10m", "1h30m", "2 days"' in message
    assert len(message) < 400


@pytest.mark.parametrize("value", [-5, -0.001, timedelta(seconds=-1), math.inf, 10**400, "200000d"])
def test_what_is_out_of_range_is_refused(value):
    with pytest.raises(InvalidOption, match=r"delay=.*duration >= 0 and <= 36525 days"):
        seconds(value, field="delay")


def test_a_range_can_be_narrower():
    assert seconds("3s", field="lease", minimum=3, maximum=60) == 3.0
    for value in ("2s", 61):
        with pytest.raises(InvalidOption, match=r"lease=.*>= 3 s and <= 1 min"):
            seconds(value, field="lease", minimum=3, maximum=60)


def test_a_value_whose_repr_raises_is_still_refused_with_the_field():
    class Rude:
        def __repr__(self):
            raise RuntimeError

    with pytest.raises(InvalidOption, match="delay=<Rude>"):
        seconds(Rude(), field="delay")


@given(st.integers(0, int(LONGEST) * 1_000_000))
def test_microseconds_of_a_timedelta_are_exact(us):
    assert microseconds(timedelta(microseconds=us), field="delay") == us


@given(st.integers(0, 999), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_text_means_the_sum_of_its_parts(days, hours, minutes, secs):
    text = f"{days}d{hours}h{minutes}m{secs}s"
    expected = timedelta(days=days, hours=hours, minutes=minutes, seconds=secs)
    assert microseconds(text, field="delay") == expected // timedelta(microseconds=1)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    try:
        found = seconds(text, field="delay")
    except InvalidOption:
        return
    assert 0 <= found <= LONGEST


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0 s"),
        (1, "1 us"),
        (1_234, "1.23 ms"),
        (100_000, "100 ms"),
        (1_250_000, "1.25 s"),
        (59_999_999, "59.9 s"),
        (60_000_000, "1 min"),
        (90_000_000, "1 min 30 s"),
        (3_605_000_000, "1 h"),
        (5_400_000_000, "1 h 30 min"),
        (86_400_000_000, "1 day"),
        (180_000_000_000, "2 days 2 h"),
        (-5_000_000, "-5 s"),
    ],
)
def test_what_people_read(us, text):
    assert describe(us) == text


@given(st.integers(0, int(LONGEST) * 1_000_000))
def test_what_people_read_can_be_read_back(us):
    back = microseconds(describe(us), field="delay")
    assert back <= us
    assert us - back <= max(us * 0.05, 1)
