"""When a schedule comes: cron texts and intervals, turned into instants of a time zone.

What a cron text means on a calendar is the library ``cronsim``'s to say, which is asked without a
zone; where the clocks are changed is decided here, over the stretches of the zone:

* a text with a fixed minute and hour (neither begins with ``*``) comes once a day whatever the
  clocks do: a time that is left out comes right after the gap, one that is shown twice only first;
* any other text comes whenever the wall shows it;
* an interval of less than a day counts what has passed since midnight, and begins anew at the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from longshore.core.every import Every, read_every
from longshore.core.wording import did_you_mean, shown
from longshore.core.zones import SECOND, instant_of, offset_at, seconds_of, stretches, wall, zone
from longshore.errors import InvalidSchedule

LONGEST: Final = 256
_DAY: Final = 86_400
_MICRO: Final = 1_000_000
#: A Monday, from which days are counted.
_MONDAY: Final = datetime(1970, 1, 5)  # noqa: DTZ001 - on the wall of the schedule
_LAST: Final = datetime(9990, 1, 1)  # noqa: DTZ001
_NEVER: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - any: in fifty years every date has come

ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS: Final = ("second", "minute", "hour", "day of month", "month", "day of week")


class Timetable(Protocol):
    """The instants of one schedule."""

    def after(self, instant: int) -> Iterator[int]:
        """The instants after one, in order, seconds since 1970 UTC; perhaps for ever."""
        ...

    def explain(self) -> str:
        """In words."""
        ...


@lru_cache(maxsize=1024)
def timetable(when: str, tz: str) -> Timetable:
    """Read what a schedule says of its times.

    Args:
        when: a cron text of 5 fields, or 6 with seconds first; an alias such as ``@daily``; or an
            interval such as ``every 15 min``.
        tz: a name of the IANA database.

    Raises:
        InvalidSchedule: it says no times, or none that ever comes.

    Example:
        >>> timetable("0 5 * * 1-5", "Europe/Paris").explain()
        'At 05:00 on Monday through Friday'
    """
    text = _read(when)
    found = zone(tz)
    interval = read_every(text)
    if interval is None:
        return Cron(text, found)
    return Days(interval, found) if interval.interval % _DAY == 0 else Part(interval, found)


def normal(when: object) -> str:
    """The text of a schedule as it is stored.

    Raises:
        InvalidSchedule: it says no times, or none that ever comes.

    Example:
        >>> normal("0  5 * * mon-fri")
        '0 5 * * mon-fri'
    """
    text = _read(when)
    # What is stored is read without this: it comes as it always did.
    if read_every(text) is None:
        _check_steps(_expanded(text))
    return text


def _read(when: object) -> str:
    """The text of a schedule, once it is known to say times."""
    if isinstance(when, Every):
        return str(when)
    if not isinstance(when, str):
        raise InvalidSchedule(f'{shown(when)} says no times. Give a cron text or every("15m").')
    if len(when) > LONGEST:
        raise InvalidSchedule(
            f"{shown(when)} is longer than {LONGEST} characters. Use ranges and steps, or several"
            " schedules."
        )
    text = " ".join(when.split())
    interval = read_every(text)
    if interval is not None:
        return str(interval)
    _check(text, _expanded(text))
    return text


def ticks(when: str, tz: str, after: int, until: int, most: int) -> list[int]:
    """The nominal times after one instant and up to another, at most so many; microseconds."""
    found: list[int] = []
    for second in timetable(when, tz).after(after // _MICRO):
        if second * _MICRO > until or len(found) >= most:
            break
        found.append(second * _MICRO)
    return found


def next_ticks(when: str, tz: str, after: int, count: int) -> list[int]:
    """The next nominal times after an instant; microseconds."""
    return [second * _MICRO for second in islice(timetable(when, tz).after(after // _MICRO), count)]


class Cron:
    """A cron text in a zone."""

    def __init__(self, text: str, tz: ZoneInfo) -> None:
        self._text = _expanded(text)
        self._tz = tz
        *seconds, minute, hour, _, _, _ = self._text.split()
        #: Whether it says times of the day, each of which comes once.
        self._fixed = not any(field.startswith("*") for field in (*seconds, minute, hour))

    def after(self, instant: int) -> Iterator[int]:
        """The instants after one, in order."""
        return self._once(instant) if self._fixed else self._shown(instant)

    def explain(self) -> str:
        """In words."""
        return CronSim(self._text, _NEVER).explain()

    def _once(self, instant: int) -> Iterator[int]:
        # Two days back: a time before a gap of a day comes after it.
        time = wall(instant, offset_at(self._tz, instant)) - timedelta(days=2)
        for time in CronSim(self._text, time):  # noqa: B020 - from there on
            if time > _LAST:
                return
            at = instant_of(self._tz, time)
            if at > instant:  # of two times in one gap the second is no other
                yield at
                instant = at

    def _shown(self, instant: int) -> Iterator[int]:
        pieces = stretches(self._tz, instant + 1)
        while True:
            start, end, offset = next(pieces)
            first = wall(start, offset)
            for time in CronSim(self._text, first - SECOND):
                at = seconds_of(time) - offset
                if at >= end:
                    break
                yield at
            else:
                return
            if time > _LAST:
                return
            if at > end + 3 * _DAY:
                # Nothing for days: no need to walk through them.
                pieces = stretches(self._tz, at - 2 * _DAY)


class Part:
    """An interval of less than a day, counted from each midnight."""

    def __init__(self, interval: Every, tz: ZoneInfo) -> None:
        self._interval = interval
        self._tz = tz

    def after(self, instant: int) -> Iterator[int]:
        """The instants after one, in order."""
        midnight = wall(instant, offset_at(self._tz, instant)).replace(hour=0, minute=0, second=0)
        step = self._interval.interval
        start = instant_of(self._tz, midnight)
        while midnight < _LAST:
            midnight += timedelta(days=1)
            end = instant_of(self._tz, midnight)
            first = start if start > instant else start + (instant - start) // step * step + step
            yield from range(first, end, step)
            start = end

    def explain(self) -> str:
        """In words."""
        return f"{str(self._interval).capitalize()}, counted from midnight"


class Days:
    """An interval of whole days, at one time of the day."""

    def __init__(self, interval: Every, tz: ZoneInfo) -> None:
        self._interval = interval
        self._tz = tz

    def after(self, instant: int) -> Iterator[int]:
        """The instants after one, in order."""
        days = self._interval.interval // _DAY
        today = wall(instant, offset_at(self._tz, instant))
        number = ((today - _MONDAY).days - 2) // days * days
        day = _MONDAY + timedelta(days=number)
        while day < _LAST:
            at = instant_of(self._tz, day + timedelta(seconds=self._interval.at))
            if at > instant:
                yield at
                instant = at
            day += timedelta(days=days)

    def explain(self) -> str:
        """In words."""
        text = str(self._interval).capitalize()
        return text if " at " in text else f"{text} at midnight"


def _expanded(text: str) -> str:
    return ALIASES.get(text.lower(), text)


def _check(given: str, text: str) -> None:
    """Say where a cron text is wrong, with a mark under the place."""
    fields = text.split()
    if text.startswith("@"):
        near = did_you_mean(text, ALIASES)
        if text.lower().startswith("@every "):
            near = f" Did you mean {text[1:]}?"
        raise InvalidSchedule(f"{shown(given)} is no schedule.{near} Known: {', '.join(ALIASES)}.")
    if len(fields) not in (5, 6):
        raise InvalidSchedule(
            f"{shown(given)} has {len(fields)} field{'' if len(fields) == 1 else 's'}. A cron text"
            " has 5 (minute, hour, day of month, month, day of week), or 6 with seconds before"
            ' them; an interval is written every("15m").'
        )
    names = _FIELDS[6 - len(fields) :]
    for place, field in enumerate(fields):
        alone = ["*"] * len(fields)
        alone[place] = field
        if not _reads(alone):
            raise InvalidSchedule(
                f"the {names[place]} {shown(field)} cannot be read:\n{_marked(text, place)}"
                f"{_HELP[names[place]]}"
            )
    try:
        next(CronSim(text, _NEVER))
    except (CronSimError, StopIteration):
        raise InvalidSchedule(
            f"{shown(given)} never fires: no year has such a day. Check day of month, month and"
            " day of week."
        ) from None


def _check_steps(text: str) -> None:
    """Refuse a step that is longer than what it goes through."""
    fields = text.split()
    for place, (name, field) in enumerate(zip(_FIELDS[6 - len(fields) :], fields, strict=True)):
        if (step := _step(field)) > (length := _LENGTHS[name]):
            raise InvalidSchedule(
                f"the {name} {shown(field)} takes steps of {step} through {length}: each round"
                f" begins anew, so it would not come every {step}.\n{_marked(text, place)}"
                'An interval is written every("90m"), every("3 days").'
            )


def _marked(text: str, place: int) -> str:
    """A cron text, and below it a mark under one of its fields."""
    fields = text.split()
    start = len(" ".join(fields[:place])) + (place > 0)
    return f"  {text}\n  {' ' * start}{'^' * len(fields[place])}\n"


def _step(field: str) -> int:
    """The step of a field that can be read and says nothing else; 0 if it has none.

    In a list it may stand for its star: ``*/100,1-7`` with ``MON`` is a month's first Monday.
    """
    step = "" if "," in field else field.partition("/")[2]
    return int(step or 0)


def _reads(fields: list[str]) -> bool:
    if not all(field.isascii() for field in fields):
        return False
    try:
        CronSim(" ".join(fields), _NEVER)
    except (CronSimError, AssertionError, ValueError, IndexError, TypeError):
        return False
    return True


#: How many of each there are; a step of as many comes once a round, as who writes it means.
_LENGTHS: Final = dict(zip(_FIELDS, (60, 60, 24, 31, 12, 7), strict=True))
_SIXTY: Final = "Give 0-59, a range 5-10, a list 1,2 or steps */15."
_HELP: Final[dict[str, Any]] = {
    "second": _SIXTY,
    "minute": _SIXTY,
    "hour": "Give 0-23, a range 9-17, a list 6,18 or steps */2.",
    "day of month": "Give 1-31, L for the last day, LW for the last weekday, ranges or steps.",
    "month": "Give 1-12 or JAN-DEC, ranges or steps.",
    "day of week": "Give 0-7 or SUN-SAT (0 and 7 are Sunday), 1#2 for the second Monday, 5L for the"
    " last Friday.",
}
