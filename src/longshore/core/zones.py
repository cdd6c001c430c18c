"""Time zones: from the times on a wall to instants, exactly where the clocks are changed.

Instants are whole seconds since 1970 UTC; a time on the wall is a naive ``datetime``. A zone is a
run of *stretches* in which its offset does not change, so that whoever knows the wall can work in
one stretch after another and needs no rule for the change itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from longshore.core.wording import did_you_mean, shown
from longshore.errors import InvalidSchedule

EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - the wall of UTC
SECOND: Final = timedelta(seconds=1)
_DAY: Final = 86_400
_NEAR: Final = 30 * 3600  # further than any wall is from UTC, and less than changes are apart
#: Zones that people write most often; the others are looked up, not listed.
_USUAL: Final = (
    *("UTC", "Europe/Berlin", "Europe/London", "Europe/Paris", "America/New_York"),
    *("America/Los_Angeles", "America/Chicago", "Asia/Tokyo", "Asia/Kolkata", "Australia/Sydney"),
)


class Stretch(NamedTuple):
    """From ``start`` until before ``end`` the wall shows the instant plus ``offset``."""

    start: int
    end: int
    offset: int


def zone(name: object) -> ZoneInfo:
    """The zone of this name in the IANA database.

    Raises:
        InvalidSchedule: there is none.

    Example:
        >>> zone("Europe/Berlin").key
        'Europe/Berlin'
    """
    try:
        if isinstance(name, str) and name:
            return ZoneInfo(name)  # which keeps what it has read
    except (OSError, ValueError, LookupError):
        pass
    if isinstance(name, ZoneInfo) and name.key:
        raise InvalidSchedule(f"tz={shown(name)} is not a name. Give its name, tz={name.key!r}.")
    raise InvalidSchedule(
        f"tz={shown(name)} is no time zone.{did_you_mean(str(name), _USUAL)} Give a name of the"
        " IANA database, such as Europe/Paris; where the machine has none: pip install tzdata."
    )


def wall(instant: int, offset: int) -> datetime:
    """What the wall shows."""
    return EPOCH + timedelta(seconds=instant + offset)


def seconds_of(shown_time: datetime) -> int:
    """The seconds from 1970 to a time, both on one wall."""
    return (shown_time - EPOCH) // SECOND


def offset_at(tz: ZoneInfo, instant: int) -> int:
    """How much the wall is ahead of UTC, seconds."""
    offset = (EPOCH + timedelta(seconds=instant)).replace(tzinfo=UTC).astimezone(tz).utcoffset()
    return 0 if offset is None else offset // SECOND


def stretches(tz: ZoneInfo, start: int) -> Iterator[Stretch]:
    """The zone from an instant on, in pieces of at most a day, for ever."""
    offset = offset_at(tz, start)
    while True:
        end = start + _DAY
        after = offset_at(tz, end)
        if after != offset:
            end = _change(tz, start, end, offset)
            after = offset_at(tz, end)
        yield Stretch(start, end, offset)
        start, offset = end, after


def instant_of(tz: ZoneInfo, time: datetime) -> int:
    """When the wall shows a time; the first of two such moments, or the one after the gap.

    Example:
        >>> berlin = zone("Europe/Berlin")
        >>> wall(instant_of(berlin, datetime(2026, 3, 29, 2, 30)), 7200).isoformat()
        '2026-03-29T03:00:00'
    """
    local = seconds_of(time)
    early = offset_at(tz, local - _NEAR)
    late = offset_at(tz, local + _NEAR)
    found = [at for at in (local - early, local - late) if at + offset_at(tz, at) == local]
    if found:
        return min(found)
    # Not shown: clocks go forward over it, between the two instants that it could have been.
    low, high = sorted((local - early, local - late))
    return _change(tz, low, high, offset_at(tz, low))


def _change(tz: ZoneInfo, low: int, high: int, offset: int) -> int:
    """The first instant after ``low``, up to ``high``, at which the offset is another."""
    while high - low > 1:
        middle = (low + high) // 2
        if offset_at(tz, middle) == offset:
            low = middle
        else:
            high = middle
    return high
