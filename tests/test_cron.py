"""When schedules come: cron texts, intervals, and what becomes of both where clocks are changed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.core.cron import ALIASES, next_ticks, normal, ticks, timetable
from longshore.core.every import every, read_every
from longshore.core.zones import instant_of, offset_at, stretches, wall, zone
from longshore.errors import InvalidSchedule

RIGA = "Europe/Riga"
#: The cases that cronsim publishes around the changes of clocks in Riga in 2021: a text, the time
#: on the wall from which on it is asked, and what comes.
RIGA_2021 = [
    ("0 * * * *", "03-28 01:30", "03-28 02:00+02", "03-28 04:00+03"),
    ("0 * * * *", "10-31 01:30", "10-31 02:00+03", "10-31 03:00+03", "10-31 03:00+02",
     "10-31 04:00+02"),
    ("*/30 * * * *", "03-28 02:10", "03-28 02:30+02", "03-28 04:00+03", "03-28 04:30+03"),
    ("*/30 * * * *", "10-31 02:10", "10-31 02:30+03", "10-31 03:00+03", "10-31 03:30+03",
     "10-31 03:00+02", "10-31 03:30+02", "10-31 04:00+02"),
    ("*/15 * * * *", "03-28 02:40", "03-28 02:45+02", "03-28 04:00+03"),
    ("*/15 * * * *", "10-31 02:40", "10-31 02:45+03", "10-31 03:00+03", "10-31 03:15+03",
     "10-31 03:30+03", "10-31 03:45+03", "10-31 03:00+02", "10-31 03:15+02", "10-31 03:30+02",
     "10-31 03:45+02", "10-31 04:00+02"),
    ("0 */2 * * *", "03-28 01:30", "03-28 02:00+02", "03-28 04:00+03", "03-28 06:00+03"),
    ("0 */2 * * *", "10-31 01:30", "10-31 02:00+03", "10-31 04:00+02", "10-31 06:00+02"),
    ("30 */2 * * *", "03-28 01:30", "03-28 02:30+02", "03-28 04:30+03"),
    ("30 */2 * * *", "10-31 01:30", "10-31 02:30+03", "10-31 04:30+02"),
    ("0 */3 * * *", "10-31 01:30", "10-31 03:00+03", "10-31 03:00+02", "10-31 06:00+02"),
    ("0 1,2,3,4,5 * * *", "03-28 01:30", "03-28 02:00+02", "03-28 04:00+03", "03-28 05:00+03"),
    ("0 1,2,3,4,5 * * *", "10-31 01:30", "10-31 02:00+03", "10-31 03:00+03", "10-31 04:00+02"),
    ("30 1,2,3,4,5 * * *", "03-28 01:30", "03-28 02:30+02", "03-28 04:00+03", "03-28 04:30+03"),
    ("30 1,2,3,4,5 * * *", "10-31 01:30", "10-31 02:30+03", "10-31 03:30+03", "10-31 04:30+02"),
    ("0 2 * * *", "03-28 01:30", "03-28 02:00+02", "03-29 02:00+03"),
    ("0 2 * * *", "10-31 01:30", "10-31 02:00+03", "11-01 02:00+02"),
    ("0 3 * * *", "03-27 01:30", "03-27 03:00+02", "03-28 04:00+03", "03-29 03:00+03"),
    ("0 3 * * *", "10-31 01:30", "10-31 03:00+03", "11-01 03:00+02"),
    ("0 4 * * *", "03-27 01:30", "03-27 04:00+02", "03-28 04:00+03", "03-29 04:00+03"),
    ("0 4 * * *", "10-30 01:30", "10-30 04:00+03", "10-31 04:00+02", "11-01 04:00+02"),
    ("0 1,3,5,7,9,11,13,15,17,19,21,23 * * *", "03-28 00:30", "03-28 01:00+02", "03-28 04:00+03",
     "03-28 05:00+03"),
    ("0 1,3,5,7,9,11,13,15,17,19,21,23 * * *", "10-31 00:30", "10-31 01:00+03", "10-31 03:00+03",
     "10-31 05:00+02"),
    ("0 0-23 * * *", "03-28 01:30", "03-28 02:00+02", "03-28 04:00+03", "03-28 05:00+03"),
    ("0 0-23 * * *", "10-31 01:30", "10-31 02:00+03", "10-31 03:00+03", "10-31 04:00+02"),
    ("15 3 * * *", "03-27 00:00", "03-27 03:15+02", "03-28 04:00+03", "03-29 03:15+03"),
    ("15 3 * * *", "10-30 00:00", "10-30 03:15+03", "10-31 03:15+03", "11-01 03:15+02"),
    ("* * * * *", "03-28 02:58", "03-28 02:59+02", "03-28 04:00+03"),
    ("* * * * *", "10-31 03:58", "10-31 03:59+03", "10-31 03:00+02", "10-31 03:01+02"),
    ("* 1-6 * * *", "03-28 02:58", "03-28 02:59+02", "03-28 04:00+03"),
    ("* 1-6 * * *", "10-31 03:58", "10-31 03:59+03", "10-31 03:00+02", "10-31 03:01+02"),
]  # fmt: skip
#: Cases that it publishes of the calendar, from 2020 on.
CALENDAR = [
    ("1 1 L * *", "2020-01-31T01:01"),
    ("1 1 * * 5L", "2020-01-31T01:01", "2020-02-28T01:01", "2020-03-27T01:01", "2020-04-24T01:01"),
    ("1 1 * * 0L", "2020-01-26T01:01"),
    ("1 1 * * 7L", "2020-01-26T01:01"),
    ("1 1 * * 1#2", "2020-01-13T01:01"),
    ("1 1 1-7 * */7", "2020-01-05T01:01", "2020-02-02T01:01", "2020-03-01T01:01"),
    ("1 1 */100,1-7 * MON", "2020-01-06T01:01", "2020-02-03T01:01", "2020-03-02T01:01"),
    ("0 0 29 2 *", "2020-02-29T00:00", "2024-02-29T00:00"),
    ("0 0 1 * MON#1", "2020-01-06T00:00", "2020-02-01T00:00", "2020-02-03T00:00"),
]


def seconds(text: str, tz: str = "UTC") -> int:
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(tz))).timestamp())


def come(when: str, tz: str, after: int, count: int) -> list[int]:
    return [at // 1_000_000 for at in next_ticks(when, tz, after * 1_000_000, count)]


@pytest.mark.parametrize("case", RIGA_2021, ids=lambda case: f"{case[0]} {case[1]}")
def test_around_a_change_of_clocks(case: tuple[str, ...]) -> None:
    when, since, *comes = case
    expected = [seconds(f"2021-{text.replace(' ', 'T')}:00") for text in comes]
    assert (
        come(when, RIGA, seconds(f"2021-{since.replace(' ', 'T')}", RIGA), len(comes)) == expected
    )


@pytest.mark.parametrize("case", CALENDAR, ids=lambda case: case[0])
def test_on_a_calendar(case: tuple[str, ...]) -> None:
    when, *comes = case
    start = seconds("2020-01-01T00:00:00") - (when.startswith("0 0") and 1)
    found = come(when, "UTC", start, len(comes))
    if case[0] == "0 0 1 * MON#1":  # one of the two: it is or
        assert found[0] == seconds("2020-01-01T00:00")
        found = come(when, "UTC", start + 1, len(comes))
    assert found == [seconds(text) for text in comes]


@pytest.mark.parametrize(
    ("when", "place"),
    [
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("0 0 32 * *", "day of month"),
        ("*/0 * * * *", "minute"),
        ("* 5-1 * * *", "hour"),
        ("1,,2 * * * *", "minute"),
        ("* * * * MON-", "day of week"),
        ("0 0 * 13 *", "month"),
        ("61 0 0 * * *", "second"),
        ("1/2/3 * * * *", "minute"),
        ("* * * * 1#6", "day of week"),
        ("* * * * 5L-6", "day of week"),
        ("* * * * 5L#1", "day of week"),
        ("* * * * MONL", "day of week"),
        ("1-1_0 * * * *", "minute"),
        ("* * 1-L * *", "day of month"),
    ],
)
def test_a_text_that_cannot_be_read_says_where(when: str, place: str) -> None:
    with pytest.raises(InvalidSchedule, match=f"the {place} ") as refused:
        normal(when)
    _, text, mark, _ = str(refused.value).splitlines()
    fields = dict(zip(_places(when), when.split(), strict=True))
    assert text[mark.index("^") : mark.rindex("^") + 1] == fields[place]


@pytest.mark.parametrize(
    ("when", "place", "step", "length"),
    [
        ("*/90 * * * *", "minute", 90, 60),
        ("0 */25 * * *", "hour", 25, 24),
        ("0 0 1/45 * *", "day of month", 45, 31),
        ("0 0 1 2-5/18 *", "month", 18, 12),
        ("0 0 * * */8", "day of week", 8, 7),
        ("*/61 * * * * *", "second", 61, 60),
    ],
)
def test_a_step_over_a_whole_round_is_refused(
    when: str, place: str, step: int, length: int
) -> None:
    # Hourly is not what somebody wants who writes 90 minutes.
    with pytest.raises(InvalidSchedule, match=f"the {place} .* steps of {step} through {length}"):
        normal(when)


@pytest.mark.parametrize(
    ("when", "same"),
    [
        ("0 */24 * * *", "0 0 * * *"),
        ("*/60 * * * *", "0 * * * *"),
        ("0 0 1 */12 *", "0 0 1 1 *"),
    ],
)
def test_a_step_of_a_whole_round_comes_once_in_it(when: str, same: str) -> None:
    start = seconds("2024-02-28T12:00")
    assert come(when, "UTC", start, 3) == come(same, "UTC", start, 3)


def _places(when: str) -> list[str]:
    places = ["second", "minute", "hour", "day of month", "month", "day of week"]
    return places[6 - len(when.split()) :]


@pytest.mark.parametrize(
    ("when", "why"),
    [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("* * * * * * *", "7 fields"),
        ("\N{SUPERSCRIPT ONE} * * * *", "minute '\N{SUPERSCRIPT ONE}' cannot be read"),
        ("* \N{ARABIC-INDIC DIGIT FIVE} * * *", "hour '\N{ARABIC-INDIC DIGIT FIVE}' cannot"),
        ("@every 5m", "Did you mean every 5m?"),
        ("@fortnightly", "Did you mean @monthly"),
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 4 *", "never fires"),
        ("1 1 */31 * MON#4", "never fires"),
        ("*,*," * 100 + "* * * * *", "longer than 256"),
        ("* " * 100_000, "longer than 256"),
        ("every 0s", "out of range"),
        ("every -5m", "not a duration"),
        ("every 367 days", "out of range"),
        ("every 36h", "not of whole days"),
        ("every 500ms", "out of range"),
        ("every 1500ms", "whole seconds"),
        ("every 6h at 00:30", "takes no at="),
        ("every 1 day at 24:00", "no time of day"),
        ("every", "1 field. "),
        ("every @", "no interval"),
        (5, "says no times"),
        (None, "says no times"),
    ],
)
def test_what_says_no_times_is_refused(when: str, why: str) -> None:
    with pytest.raises(InvalidSchedule, match=why):
        normal(when)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "Europe/Berlin\0", 5, None])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidSchedule, match="is no time zone"):
        zone(name)


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_is_what_it_stands_for(alias: str) -> None:
    start = seconds("2026-01-01T00:00:00")
    assert come(alias.upper(), "UTC", start, 5) == come(ALIASES[alias], "UTC", start, 5)
    assert normal(f" {alias} ") == alias


def test_an_interval_counts_from_midnight_each_day() -> None:
    start = seconds("2026-06-01T05:00:00", "Asia/Kolkata")
    found = [
        wall(at, 19_800).strftime("%d %H:%M") for at in come("every 7h", "Asia/Kolkata", start, 5)
    ]
    assert found == ["01 07:00", "01 14:00", "01 21:00", "02 00:00", "02 07:00"]


def test_days_count_from_a_monday() -> None:
    weekly = come("every 1 week at 04:30", "UTC", seconds("2026-06-03T00:00:00"), 2)
    assert [wall(at, 0).strftime("%a %H:%M") for at in weekly] == ["Mon 04:30"] * 2
    third = come("every 3 days", "UTC", seconds("2026-06-03T00:00:00"), 3)
    assert {after - before for before, after in pairwise(third)} == {3 * 86_400}
    assert third == come("every 3 days", "UTC", third[0] - 1, 3)


def test_an_interval_on_the_days_of_a_change() -> None:
    berlin = "Europe/Berlin"
    spring = come("every 6h", berlin, seconds("2026-03-28T23:59:59", berlin), 5)
    assert [at - spring[0] for at in spring] == [0, 21_600, 43_200, 64_800, 82_800]
    autumn = come("every 6h", berlin, seconds("2026-10-24T23:59:59", berlin), 6)
    assert [at - autumn[0] for at in autumn] == [0, 21_600, 43_200, 64_800, 86_400, 90_000]


@pytest.mark.parametrize(
    ("given_", "text"),
    [
        (every("15m"), "every 15 min"),
        (every("1h30m15s"), "every 5415 s"),
        (every(86_400), "every 1 day"),
        (every("1 week", at="04:30:05"), "every 7 days at 04:30:05"),
        (every(timedelta(hours=6)), "every 6 h"),
    ],
)
def test_the_text_of_an_interval_reads_back(given_: object, text: str) -> None:
    assert (str(given_), read_every(text), normal(given_)) == (text, given_, text)


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("0 5 * * 1-5", "At 05:00 on Monday through Friday"),
        ("*/15 * * * *", "Every 15th minute of every hour"),
        ("@daily", "At 00:00 every day"),
        ("every 15 min", "Every 15 min, counted from midnight"),
        ("every 1 day at 04:30", "Every 1 day at 04:30"),
        ("every 2 days", "Every 2 days at midnight"),
    ],
)
def test_in_words(when: str, words: str) -> None:
    assert timetable(when, "UTC").explain() == words


def test_ticks_are_those_after_the_one_and_up_to_the_other() -> None:
    start = seconds("2026-01-01T00:00:00") * 1_000_000
    minute = 60_000_000
    assert ticks("* * * * *", "UTC", start, start + 3 * minute, 10) == [
        start + minute, start + 2 * minute, start + 3 * minute
    ]  # fmt: skip
    assert ticks("* * * * *", "UTC", start - 1, start, 10) == [start]
    assert ticks("* * * * *", "UTC", start, start + 100 * minute, 2) == [
        start + minute, start + 2 * minute
    ]  # fmt: skip
    assert ticks("* * * * *", "UTC", start, start + minute - 1, 10) == []


ZONES = st.sampled_from(
    [
        *("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"),
        *("America/Sao_Paulo", "Africa/Casablanca", "Asia/Kathmandu", "Antarctica/Troll"),
    ]
)
TEXTS = st.sampled_from(
    ["*/15 * * * *", "* 2 * * *", "7 * * * *", "*/10 1-3 * * *", "0 */2 * * *", "30 * 28-31 * *"]
)


@settings(max_examples=60, deadline=None)
@given(ZONES, TEXTS, st.integers(seconds("2000-01-01T00:00"), seconds("2030-01-01T00:00")))
def test_what_comes_all_the_time_comes_whenever_the_wall_shows_it(
    tz: str, when: str, start: int
) -> None:
    """Against the plain way: every minute of real time, with what the wall shows then."""
    start -= start % 60
    cron = CronSim(when, datetime(2000, 1, 1, tzinfo=UTC))

    def shown() -> Iterator[int]:
        for at in range(start + 60, start + 2 * 86_400, 60):
            local = datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(tz))
            if (
                local.second == 0
                and local.minute in cron.minutes
                and local.hour in cron.hours
                and cron.match_day(local.date())
            ):
                yield at

    expected = list(shown())
    assert come(when, tz, start, len(expected) + 1)[: len(expected)] == expected


@settings(max_examples=60, deadline=None)
@given(
    ZONES,
    st.integers(0, 23),
    st.integers(0, 59),
    st.integers(seconds("2000-01-01T00:00"), seconds("2030-01-01T00:00")),
)
def test_what_comes_at_a_time_of_the_day_comes_once_a_day(
    tz: str, hour: int, minute: int, start: int
) -> None:
    found = come(f"{minute} {hour} * * *", tz, start, 6)
    assert found == sorted(set(found))
    place = zone(tz)
    for at in found:
        local = wall(at, offset_at(place, at))
        if (local.hour, local.minute) != (hour, minute):
            # Left out: the moment before, the wall showed less than it.
            before = wall(at - 1, offset_at(place, at - 1))
            assert local - before > timedelta(seconds=1)
    days = [wall(at, offset_at(place, at)).date() for at in found]
    assert all(later - day <= timedelta(days=2) for day, later in pairwise(days))


@settings(max_examples=60, deadline=None)
@given(ZONES, st.integers(0, seconds("2035-01-01T00:00")))
def test_stretches_have_one_offset_and_no_hole(tz: str, start: int) -> None:
    place = zone(tz)
    end = start
    for stretch in islice(stretches(place, start), 30):
        assert stretch.start == end
        assert stretch.start < stretch.end
        for at in (stretch.start, (stretch.start + stretch.end) // 2, stretch.end - 1):
            assert offset_at(place, at) == stretch.offset
        end = stretch.end
        local = wall(stretch.start, stretch.offset)
        assert instant_of(place, local) <= stretch.start


def test_far_away_and_for_ever() -> None:
    leap = come("0 0 29 2 *", "Europe/Berlin", seconds("2396-03-01T00:00"), 2)
    assert [wall(at, 3600).year for at in leap] == [2400, 2404]
    assert come("* * * * *", "UTC", seconds("9989-12-31T23:59"), 5)
