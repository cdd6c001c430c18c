"""The times of a schedule as a system's own scheduler writes them: crontab and systemd timers.

Both know less than a cron text here; what they cannot say is refused rather than said differently.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from cronsim import CronSim

from longshore.core.cron import ALIASES
from longshore.core.every import Every, read_every
from longshore.core.zones import EPOCH
from longshore.errors import InvalidSchedule

_DAY: Final = 86_400
_HOUR: Final = 3600
#: More lines than this for one schedule nobody wants to read.
_MOST: Final = 48
_NAMES: Final = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_ALL: Final = (range(60), range(60), range(24), range(1, 32), range(1, 13), range(8))


def crontab(when: str) -> str:
    """The five fields of a crontab's line.

    Raises:
        InvalidSchedule: a crontab has no such times.

    Example:
        >>> crontab("every 1 day at 04:30")
        '30 4 * * *'
        >>> crontab("5/20 9-17 * * mon")
        '5-59/20 9-17 * * mon'
    """
    interval = read_every(when)
    if interval is not None:
        return _crontab_of(when, interval)
    fields = ALIASES.get(when.lower(), when).split()
    if len(fields) == 6:
        if fields[0] != "0":
            raise _cannot(when, "a crontab", "it has no seconds")
        fields = fields[1:]
    _, _, day, _, weekday = fields
    if "L" in f"{day}{weekday}".upper() or "#" in weekday:
        raise _cannot(when, "a crontab", "it has no L and no #")
    ends = ("59", "23", "31", "12", "7")
    return " ".join(_stepped(field, end) for field, end in zip(fields, ends, strict=True))


def calendars(when: str, tz: str) -> list[str]:
    """The ``OnCalendar=`` values of a systemd timer.

    Raises:
        InvalidSchedule: systemd has no such times.

    Example:
        >>> calendars("0 5 * * 1-5", "Europe/Paris")
        ['Mon,Tue,Wed,Thu,Fri *-*-* 05:00:00 Europe/Paris']
    """
    interval = read_every(when)
    if interval is not None:
        return [f"{each} {tz}" for each in _calendars_of(when, interval)]
    cron = CronSim(ALIASES.get(when.lower(), when), EPOCH)
    minutes, hours = _list(cron.minutes, 1), _list(cron.hours, 2)
    clock = f"{hours}:{minutes}:{_list(cron.seconds, 0)}"
    dates = _days(when, cron, _list(cron.months, 4))
    return [f"{date} {clock} {tz}" for date in dates]


def _days(when: str, cron: CronSim, months: str) -> list[str]:
    """The dates on which a cron text comes, each with its days of the week."""
    weekdays, dates = cron.weekdays, _dates(when, cron.days)
    every_date = set(_ALL[3]) <= cron.days
    every_weekday = set(range(7)) <= {day % 7 for day in weekdays if isinstance(day, int)}
    if not cron.day_and and (every_date or every_weekday):
        return [f"*-{months}-*"]
    if every_weekday:
        return [f"*-{months}{date}" for date in dates]
    named = _weekdays(when, weekdays)
    if not cron.day_and:
        return [
            *(f"*-{months}{date}" for date in dates),
            *(f"{name} *-{months}{nth}" for name, nth in named),
        ]
    return [
        f"{name} *-{months}{nth if date == '-*' else date}"
        for date in dates
        for name, nth in named
        if "-*" in (date, nth) or _refuse(when)
    ]


def _crontab_of(when: str, interval: Every) -> str:
    length, at = interval.interval, interval.at
    hours, minutes = divmod(at // 60, 60)
    if at % 60 or length % 60:
        raise _cannot(when, "a crontab", "it has no seconds")
    if length == _DAY:
        return f"{minutes} {hours} * * *"
    if length == 7 * _DAY:
        return f"{minutes} {hours} * * 1"
    if length < _HOUR and _HOUR % length == 0:
        return f"*/{length // 60} * * * *"
    if length < _DAY and length % _HOUR == 0 and _DAY % length == 0:
        return f"0 */{length // _HOUR} * * *"
    why = "it counts no days" if length > _DAY else "it does not divide an hour or a day"
    raise _cannot(when, "a crontab", why)


def _calendars_of(when: str, interval: Every) -> list[str]:
    length = interval.interval
    if length in (_DAY, 7 * _DAY):
        return [f"{'Mon ' if length > _DAY else ''}*-*-* {_clock(interval.at)}"]
    if length > _DAY:
        raise _cannot(when, "a systemd timer", "it counts no days")
    # systemd refuses a step that is as long as its field.
    if length in (60, _HOUR):
        return ["*-*-* *:00:00" if length == _HOUR else "*-*-* *:*:00"]
    if 60 % length == 0:
        return [f"*-*-* *:*:00/{length}"]
    if length % 60 == 0 and _HOUR % length == 0:
        return [f"*-*-* *:00/{length // 60}:00"]
    times = range(0, _DAY, length)
    if len(times) > _MOST:
        raise _cannot(when, "a systemd timer", f"it comes {len(times)} times a day, unevenly")
    return [f"*-*-* {_clock(time)}" for time in times]


def _clock(second: int) -> str:
    return f"{second // _HOUR:02d}:{second // 60 % 60:02d}:{second % 60:02d}"


def _stepped(field: str, end: str) -> str:
    """A field whose steps begin at a number: a crontab wants to know where they end."""
    parts = field.split(",")
    return ",".join(
        f"{start}-{end}/{step}" if step and start.isalnum() else part
        for part in parts
        for start, _, step in (part.partition("/"),)
    )


def _list(values: Iterable[int], field: int) -> str:
    found = sorted(values)
    if set(found) >= set(_ALL[field]):
        return "*"
    return ",".join(f"{value:02d}" for value in found)


def _dates(when: str, days: Iterable[int]) -> list[str]:
    """Days of the month as they stand behind the month."""
    found = sorted(days)
    if CronSim.LAST_WEEKDAY in found:
        raise _cannot(when, "a systemd timer", "it has no LW")
    plain = [day for day in found if day > 0]
    dates = [f"-{_list(plain, 3)}"] if plain else []
    return dates + (["~01"] if CronSim.LAST in found else [])


def _weekdays(when: str, days: Iterable[object]) -> list[tuple[str, str]]:
    """Days of the week, and the days of the month on which they may be."""
    found = list(days)
    plain = sorted({day % 7 for day in found if isinstance(day, int)})
    ordered = [*plain[1:], 0] if plain and plain[0] == 0 else plain
    names = [(",".join(_NAMES[day] for day in ordered), "-*")] if plain else []
    nth: Sequence[object] = [day for day in found if not isinstance(day, int)]
    for each in sorted(map(str, nth)):
        day, number = (int(part) for part in each.strip("()").split(","))
        if number == CronSim.LAST:
            names.append((_NAMES[day % 7], "~07/1"))
        elif number <= 4:
            names.append((_NAMES[day % 7], f"-{7 * number - 6:02d}..{7 * number:02d}"))
        else:
            raise _cannot(when, "a systemd timer", "it has no fifth weekday of a month")
    return names


def _refuse(when: str) -> bool:
    raise _cannot(when, "a systemd timer", "it joins no weekday of a month with days of it")


def _cannot(when: str, what: str, why: str) -> InvalidSchedule:
    return InvalidSchedule(
        f"{when!r} cannot be written for {what}: {why}. Leave this schedule to a worker."
    )
