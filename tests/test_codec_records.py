"""What does not fit an annotation, or cannot come back by it, and types stored by reference."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import (
    Annotated,
    Any,
    Literal,
    Unpack,
)
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest

from longshore.core.codec import Signature
from longshore.errors import (
    AmbiguousAnnotation,
    ArgsMismatch,
    PayloadMismatch,
    UnresolvedAnnotation,
    UnstorableArgument,
)
from tests.codec_samples import (
    LIMIT,
    Access,
    Box,
    Cat,
    Colour,
    Dog,
    Guarded,
    Level,
    Line,
    Loose,
    Options,
    Order,
    Pair,
    Parcel,
    Person,
    Point,
    Seeded,
    Shape,
    SpecialLine,
    Tree,
    Unknown,
    takes,
)

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (Line, SpecialLine(Decimal(1)), "would come back as `Line`"),
        (Guarded, Guarded(secret=pydantic.SecretStr("x")), "does not give back"),
        (Decimal, Decimal("NaN"), "NaN"),
        (list[Decimal], [Decimal(1), Decimal("-Infinity")], r"user\[1\]"),
        (Order, Order(1, (Line(Decimal("sNaN")),)), r"user\.lines\[0\]\.price"),
        (Line, Line(Decimal(1), tags=["ok", "\ud800"]), r"user\.tags\[1\]"),
        (dict[float, int], {1: 1, float("inf"): 2}, "key"),
        (dict[Level | Literal[2], int] | None, {}, None),
        (type, int, "cannot be stored|not a type"),
        (ZoneInfo, BERLIN, "not a type that can be stored"),
    ],
    ids=str,
)
def test_refused_with_the_path(annotation, value, message):
    if message is None:
        with pytest.raises(AmbiguousAnnotation, match="tell"):
            takes(annotation).resolve()
        return
    with pytest.raises(UnstorableArgument, match=message):
        takes(annotation).encode((value,), {}, limit=LIMIT)


def test_a_recursive_record_may_be_deep_but_not_endless():
    loop = Tree("a")
    loop.children.append(loop)
    with pytest.raises(UnstorableArgument, match="deeper than 64"):
        takes(Tree).encode((loop,), {}, limit=LIMIT)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (Order, Order("1", ()), r"user\.number is `str`"),  # type: ignore[arg-type]
        (Line, {"price": 1}, "expected `Line`"),
        (Options, {"size": 1}, "has no 'when'"),
        (Options, {"when": date.min, "colour": 1}, "'colour', which `Options` does not have"),
        (Loose, {"size": 1}, "has no 'name'"),
        (Pair, (1, 2), "expected `Pair`"),
        (Cat | Dog, Point(1), "expected"),
        (Annotated[int, msgspec.Meta(ge=0)], -1, "out of bounds"),
        (Colour, "red", "expected `Colour`"),
        (Box[int], Box("a", []), r"user\.content"),
        (Point, Point("1"), r"user\.x_axis"),  # type: ignore[arg-type]
    ],
    ids=str,
)
def test_a_mismatch_inside_has_its_path(annotation, value, message):
    with pytest.raises(ArgsMismatch, match=message):
        takes(annotation).encode((value,), {}, limit=LIMIT)


@pytest.mark.parametrize(
    ("annotation", "raw"),
    [
        (datetime, b'"2026-13-01T00:00:00"'),
        (datetime, b'"2026-01-01T00:00:00+01:00[Mars/Olympus]"'),
        (datetime, b'"2026-01-01T00:00:00[Europe/Berlin]"'),
        (datetime, b'"2026-01-01T00:00:00+00:00[../../etc/passwd]"'),
        (datetime, b"1"),
        (date, b'"x"'),
        (UUID, b'"x"'),
        (Decimal, b'"NaN"'),
        (Decimal, b'"x"'),
        (bytes, b'"?"'),
        (timedelta, b'"10m"'),
        (Colour, b'"blue"'),
        (Shape, b'"ROUND"'),
        (Access, b"99"),
        (Line, b'{"price":"1","unknown":1}'),
        (Line, b"{}"),
        (Line, b'{"price":1}'),
        (Person, b'{"fullName":1}'),
        (Cat | Dog, b'{"type":"Cow"}'),
        (Cat | Dog, b"{}"),
        (Parcel, b"[]"),
        (tuple[int, int], b"[1]"),
        (list[int], b"{}"),
        (set[Any], b"[[1]]"),
        (dict[int, int], b'{"x":1}'),
        (dict[Decimal, int], b'{"1":1,"1.0":2}'),
        (Literal["a"], b'"b"'),
        (int | str, b"1.5"),
        (ZoneInfo, b'"Europe/Berlin"'),
        (Annotated[int, msgspec.Meta(ge=0)], b"-1"),
    ],
    ids=str,
)
def test_what_does_not_fit_any_more_is_a_mismatch(annotation, raw):
    with pytest.raises(PayloadMismatch, match=r"app\.job"):
        takes(annotation).decode(b'{"v":1,"args":[],"kwargs":{"user":%b}}' % raw)
    with pytest.raises(PayloadMismatch, match=r"app\.job"):
        takes(annotation).decode_result(raw)


def test_a_field_with_a_default_may_be_missing_in_an_older_payload():
    payload = b'{"v":1,"args":[],"kwargs":{"user":{"price":"1"}}}'
    assert takes(Line).decode(payload)[1] == {"user": Line(Decimal(1))}


@pytest.mark.parametrize("annotation", [Seeded, Box[UUID | str]])
def test_a_class_that_cannot_be_rebuilt_is_refused_when_resolved(annotation):
    with pytest.raises(AmbiguousAnnotation, match="`user`"):
        takes(annotation).resolve()


def test_a_field_that_names_nothing_is_refused_when_resolved():
    with pytest.raises(UnresolvedAnnotation, match=r"`user`.*DoesNotExist"):
        takes(Unknown).resolve()


def test_keyword_arguments_and_old_style_defaults():
    def job(when: date = None, *args: Any, **options: Unpack[Loose]): ...  # noqa: RUF013

    signature = Signature.of(job, kind="app.job")
    for when in (None, date.min):
        payload = signature.encode((), {"when": when, "size": 1}, limit=LIMIT)
        assert signature.decode(payload)[1] == {"when": when, "size": 1}


def test_a_set_is_stored_in_one_order_in_every_process():
    payload = takes(set[str]).encode(({"b", "c", "a"},), {}, limit=LIMIT)
    assert b'["a","b","c"]' in payload


def test_zones_are_readable_in_the_payload():
    payload = takes(datetime).encode((datetime(2026, 11, 20, 10, tzinfo=BERLIN),), {}, limit=LIMIT)
    assert b'"2026-11-20T10:00:00+01:00[Europe/Berlin]"' in payload


class Rows:
    """Registered types by their id."""

    def __init__(self) -> None:
        self.rows: dict[int, ZoneInfo] = {7: BERLIN}

    def knows(self, kind: type[object], /) -> bool:
        return kind is ZoneInfo

    def dump(self, value: object, /) -> object:
        return next(key for key, row in self.rows.items() if row is value)

    def load(self, kind: type[object], data: object, /) -> object:
        assert kind is ZoneInfo
        return self.rows[data]  # type: ignore[index]


def test_registered_types_travel_by_reference():
    def job(row: ZoneInfo, rows: list[ZoneInfo] | None = None) -> ZoneInfo: ...

    signature = Signature.of(job, kind="app.job", references=Rows())
    payload = signature.encode((BERLIN, [BERLIN]), {}, limit=LIMIT)
    assert payload == b'{"v":1,"args":[],"kwargs":{"row":7,"rows":[7]}}'
    assert signature.decode(payload)[1] == {"row": BERLIN, "rows": [BERLIN]}
    assert signature.decode_result(signature.encode_result(BERLIN)) is BERLIN
    with pytest.raises(ArgsMismatch, match="ZoneInfo"):
        signature.encode((str(uuid4()),), {}, limit=LIMIT)
