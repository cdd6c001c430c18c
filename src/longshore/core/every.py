"""Intervals as people write them: ``every("15m")``, ``every("1 day", at="04:30")``."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from longshore.core.durations import Duration, seconds
from longshore.core.wording import shown
from longshore.errors import InvalidOption, InvalidSchedule

_DAY: Final = 86_400
_LONGEST: Final = 366 * _DAY
_UNITS: Final = ((_DAY, "day"), (3600, "h"), (60, "min"), (1, "s"))
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")
_TEXT: Final = re.compile(
    r"every +(?P<interval>[^@]{1,100}?)(?: +at +(?P<at>[0-9:]{5,8}))?", re.IGNORECASE
)


class Every(msgspec.Struct, frozen=True):
    """An interval in seconds, and for whole days the second of the day at which they begin.

    Its text, such as ``every 15 min`` or ``every 1 day at 04:30``, is how it is stored.
    """

    interval: int
    at: int = 0

    def __str__(self) -> str:
        size, unit = next(unit for unit in _UNITS if self.interval % unit[0] == 0)
        count = self.interval // size
        text = f"every {count} {unit}{'s' if size == _DAY and count > 1 else ''}"
        if self.interval % _DAY == 0 and self.at:
            hours, rest = divmod(self.at, 3600)
            minutes, secs = divmod(rest, 60)
            text += f" at {hours:02d}:{minutes:02d}" + (f":{secs:02d}" if secs else "")
        return text


def every(interval: Duration, *, at: str | None = None) -> Every:
    """A schedule that comes again after an interval.

    Parameters: ``interval``, a duration of whole seconds, from one second to less than a day, or of
    whole days up to 366; ``at``, the time of day ``HH:MM`` or ``HH:MM:SS``, for whole days only,
    midnight if left out. Less than a day counts from midnight in the schedule's time zone and
    begins anew at the next; days count from Monday, 5 January 1970. Raises
    :class:`InvalidSchedule`.

    Example:
        >>> str(every("1 day", at="04:30"))
        'every 1 day at 04:30'
    """
    try:
        length = seconds(interval, field="every", minimum=1, maximum=_LONGEST)
    except InvalidOption as error:
        raise InvalidSchedule(str(error)) from None
    whole = int(length)
    if whole != length:
        raise InvalidSchedule(f"every={shown(interval)} is not a number of whole seconds.")
    if whole > _DAY and whole % _DAY:
        raise InvalidSchedule(
            f"every={shown(interval)} is longer than a day and not of whole days. Give less than a"
            " day, whole days, or a cron text."
        )
    if at is None:
        return Every(whole)
    found = _CLOCK.fullmatch(str(at))
    if found is None:
        raise InvalidSchedule(f'at={shown(at)} is no time of day. Give "HH:MM", such as "04:30".')
    if whole % _DAY:
        raise InvalidSchedule(
            f"every={shown(interval)} counts from midnight and takes no at=. Use it with whole"
            " days, or give a cron text."
        )
    hours, minutes, secs = (int(part or 0) for part in found.groups())
    return Every(whole, hours * 3600 + minutes * 60 + secs)


def read_every(text: str) -> Every | None:
    """The interval that a text such as ``every 1 day at 04:30`` says; ``None``: it says none.

    Raises:
        InvalidSchedule: it begins like one and is not.
    """
    if not text.lower().startswith("every "):
        return None
    found = _TEXT.fullmatch(text)
    if found is None:
        raise InvalidSchedule(f'{shown(text)} is no interval. Write "every 1 day at 04:30".')
    return every(found["interval"], at=found["at"])
