"""Durations as people write them, and as people read them.

A duration is a number of seconds, a ``timedelta``, or text such as ``"10m"``, ``"1h30m"``,
``"2 days"``. Text without a unit is refused: nobody can tell seconds from minutes in ``"5"``.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TypeAlias

from longshore.core.wording import shown
from longshore.errors import InvalidOption

Duration: TypeAlias = float | timedelta | str

#: The longest duration accepted anywhere unless a lower maximum is given: a hundred years.
LONGEST = 100 * 365.25 * 86_400

ACCEPTED = 'a number of seconds, a timedelta, or text such as "10m", "1h30m", "2 days", "500ms"'


def seconds(
    value: Duration, *, field: str, minimum: float = 0.0, maximum: float = LONGEST
) -> float:
    """Read a duration as seconds.

    Args:
        value: a number of seconds, a ``timedelta``, or text with a unit to every number, the
            larger unit first: ``w``, ``d``, ``h``, ``m``, ``s``, ``ms``, ``us`` or their names.
        field: what the duration is for, used in the message.
        minimum: the least that is accepted, seconds.
        maximum: the most that is accepted, seconds.

    Raises:
        InvalidOption: not a duration (a bool, NaN, text without a unit), or outside the range.

    Example:
        >>> seconds("1h30m", field="delay")
        5400.0
    """
    # Numbers come by the hundred thousand. A NaN or a huge int fails the comparison.
    if (type(value) is float or type(value) is int) and minimum <= value <= maximum:
        return float(value)
    return _read(value, field, minimum, maximum)


def microseconds(
    value: Duration, *, field: str, minimum: float = 0.0, maximum: float = LONGEST
) -> int:
    """Read a duration as whole microseconds, the unit of every record; see :func:`seconds`.

    Example:
        >>> microseconds("500ms", field="delay")
        500000
    """
    return round(seconds(value, field=field, minimum=minimum, maximum=maximum) * 1_000_000)


def describe(us: int) -> str:
    """A duration in microseconds as people read it: its two largest units, the rest cut off.

    The text reads back: :func:`seconds` accepts it unless it is negative.

    Example:
        >>> describe(5_400_000_000)
        '1 h 30 min'
        >>> describe(1_250_000)
        '1.25 s'
    """
    if us < 0:
        return f"-{describe(-us)}"
    if not us:
        return "0 s"
    if us < _MINUTE:
        return _below_a_minute(us)
    parts = list[str]()
    for size, one, many in _LARGE:
        count, rest = divmod(us, size)
        if count:
            parts.append(f"{count} {one if count == 1 else many}")
            us = rest
        # The next unit only: "2 days 5 s" is more exact than anybody reads.
        if len(parts) == 2 or (parts and not count):
            break
    return " ".join(parts)


_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_WEEK = 7 * _DAY

_LARGE = (
    (_DAY, "day", "days"),
    (_HOUR, "h", "h"),
    (_MINUTE, "min", "min"),
    (_SECOND, "s", "s"),
)

_NAMES: dict[int, str] = {
    _WEEK: "w week weeks",
    _DAY: "d day days",
    _HOUR: "h hr hrs hour hours",
    _MINUTE: "m min mins minute minutes",
    _SECOND: "s sec secs second seconds",
    1_000: "ms msec msecs millisecond milliseconds",
    1: "us \N{MICRO SIGN}s microsecond microseconds",
}
_UNITS = {name: size for size, names in _NAMES.items() for name in names.split()}

_PART = re.compile(r" *([0-9]{1,18}(?:\.[0-9]{1,18})?) *([a-z\N{MICRO SIGN}]{1,12}) *")
_LONGEST_TEXT = 100  # also bounds the time that a hostile text takes


def _read(value: object, field: str, minimum: float, maximum: float) -> float:
    found = _number(value)
    if found is None:
        raise InvalidOption(f"{field}={shown(value)} is not a duration. Give {ACCEPTED}.")
    if not minimum <= found <= maximum:
        raise InvalidOption(
            f"{field}={shown(value)} is out of range: it must be a duration"
            f" >= {_plain(minimum)} and <= {_plain(maximum)}. Give {ACCEPTED}."
        )
    return float(found)


def _number(value: object) -> float | None:
    match value:
        case bool():
            return None
        case int():
            return value
        case float():
            return None if value != value else value  # noqa: PLR0124 - true of NaN alone
        case timedelta():
            return value.total_seconds()
        case str():
            return _from_text(value)
        case _:
            return None


def _from_text(text: str) -> float | None:
    if len(text) > _LONGEST_TEXT:
        return None
    text = text.lower()
    total, position, last = 0.0, 0, _WEEK + 1
    while position < len(text):
        part = _PART.match(text, position)
        if part is None:
            return None
        size = _UNITS.get(part[2])
        # Falling units only: "5m 5m" and "30m 1h" are more often slips than meant.
        if size is None or size >= last:
            return None
        total += float(part[1]) * size
        position, last = part.end(), size
    return total / _SECOND if position else None


def _plain(value: float) -> str:
    return describe(round(value * _SECOND)) if value else "0"


def _below_a_minute(us: int) -> str:
    size, name = next(
        ((size, name) for size, name in ((_SECOND, "s"), (1_000, "ms")) if us >= size), (1, "us")
    )
    whole, rest = divmod(us, size)
    # Three significant digits at most, cut and not rounded, so that 59.999 s never reads "60 s".
    digits = 3 - len(str(whole))
    decimals = f"{rest * 10**digits // size:0{digits}d}".rstrip("0") if digits and rest else ""
    return f"{whole}.{decimals} {name}" if decimals else f"{whole} {name}"
