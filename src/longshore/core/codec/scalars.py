"""Single values that JSON has no form for, as text: moments, decimals, ids, bytes, paths.

``TEXTS`` is the table: a Python type, how it is written, how it is read. Reading may raise
``ValueError`` or ``ArithmeticError``; writing refuses with ``Unstorable``.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

import msgspec

from longshore.core.codec.refusals import Unstorable

_ZONE_MODULE: Final = "zoneinfo"


class TextForm(NamedTuple):
    """How one Python type travels as text."""

    write: Callable[[Any], str]
    read: Callable[[str], object]


def _write_datetime(value: datetime) -> str:
    text = datetime.isoformat(value)
    if value.tzinfo is None:
        return text
    if value.utcoffset() is None:
        raise Unstorable("has a time zone without an offset")
    return text + _zone_suffix(value.tzinfo)


def _read_datetime(text: str) -> datetime:
    stamp, zone = _split_zone(text)
    moment = datetime.fromisoformat(stamp)
    if zone is None:
        return moment
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError(text)
    # The wall clock is kept where the zone still agrees with the offset, also in an hour that a
    # change of the clock skips or repeats; where its rules have changed the instant is kept.
    for fold in (0, 1):
        local = moment.replace(tzinfo=zone, fold=fold)
        if local.utcoffset() == offset:
            return local
    return moment.astimezone(zone)


def _write_time(value: time) -> str:
    return time.isoformat(value) + _zone_suffix(value.tzinfo)


def _read_time(text: str) -> time:
    stamp, zone = _split_zone(text)
    moment = time.fromisoformat(stamp)
    return moment if zone is None else moment.replace(tzinfo=zone)


def _zone_suffix(zone: tzinfo | None) -> str:
    """``[Europe/Berlin]`` for a named zone; an offset alone says all there is of any other."""
    if zone is None or type(zone).__module__.partition(".")[0] != _ZONE_MODULE:
        return ""
    key = cast("str | None", getattr(zone, "key", None))
    if key is None:
        raise Unstorable("has a time zone without a name")
    return f"[{key}]"


def _split_zone(text: str) -> tuple[str, tzinfo | None]:
    stamp, bracket, name = text.partition("[")
    if not bracket:
        return stamp, None
    if not name.endswith("]"):
        raise ValueError(text)
    # Few jobs carry a zone, and the module takes milliseconds to import.
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415

    try:
        return stamp, ZoneInfo(name[:-1])
    except (ZoneInfoNotFoundError, OSError):
        raise ValueError(text) from None


def _write_duration(value: timedelta) -> str:
    return cast("str", msgspec.to_builtins(value))


def _read_duration(text: str) -> timedelta:
    try:
        return msgspec.convert(text, timedelta)
    except msgspec.ValidationError as error:
        raise ValueError(text) from error


def _write_decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise Unstorable(f"is {value}, and neither NaN nor an infinity can be stored")
    return Decimal.__str__(value)


def _read_decimal(text: str) -> Decimal:
    value = Decimal(text)
    if not value.is_finite():
        raise ValueError(text)
    return value


def _write_bytes(value: bytes | bytearray) -> str:
    return binascii.b2a_base64(value, newline=False).decode("ascii")


def _read_bytes(text: str) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True)


def _read_bytearray(text: str) -> bytearray:
    return bytearray(_read_bytes(text))


TEXTS: Final[dict[type[object], TextForm]] = {
    datetime: TextForm(_write_datetime, _read_datetime),
    date: TextForm(date.isoformat, date.fromisoformat),
    time: TextForm(_write_time, _read_time),
    timedelta: TextForm(_write_duration, _read_duration),
    Decimal: TextForm(_write_decimal, _read_decimal),
    UUID: TextForm(str, UUID),
    bytes: TextForm(_write_bytes, _read_bytes),
    bytearray: TextForm(_write_bytes, _read_bytearray),
}
