"""Every type that a job may take goes out as JSON and comes back equal and of the same type."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    Optional,
)
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.core.codec import encode_literal
from longshore.errors import (
    ArgsMismatch,
)
from tests.codec_samples import (
    LIMIT,
    Access,
    Box,
    Cat,
    Colour,
    Dog,
    Level,
    Line,
    Loose,
    Options,
    Order,
    Pair,
    Parcel,
    Person,
    Point,
    Shape,
    Tree,
    UserId,
    Word,
    takes,
)


def there_and_back(annotation: Any, value: Any) -> Any:
    job = takes(annotation)
    payload = job.encode((value,), {}, limit=LIMIT)
    json.loads(payload)
    args, kwargs = job.decode(payload)
    assert not args
    assert same(job.decode_result(job.encode_result(value)), kwargs["user"])
    # The careful way, which calls with places take, must read the same.
    assert same(job.decode(b" " + payload)[1]["user"], kwargs["user"])
    return kwargs["user"]


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and repr(one) == repr(other) and one == other


BERLIN = ZoneInfo("Europe/Berlin")
ORDER = Order(1, (Line(Decimal("1.10")), Line(Decimal(2), datetime(2026, 1, 1, tzinfo=UTC), ["a"])))

CASES = [
    (None, None),
    (bool, True),
    (float, 1e308),
    (float, -0.0),
    (float, 5e-324),
    (datetime, datetime(2026, 11, 20, 10, 0, 0, 123)),  # noqa: DTZ001
    (datetime, datetime(2026, 11, 20, 10, tzinfo=UTC)),
    (datetime, datetime(2026, 11, 20, 10, tzinfo=timezone(timedelta(hours=-3, minutes=-30)))),
    (datetime, datetime(2026, 11, 20, 10, tzinfo=BERLIN)),
    (datetime, datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)),
    (datetime, datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)),
    (datetime, datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN)),
    (datetime, datetime(1880, 1, 1, tzinfo=BERLIN)),
    (datetime, datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC"))),
    (datetime, datetime.max.replace(tzinfo=UTC)),
    (time, time(1, 2, 3)),
    (time, time(1, 2, 3, tzinfo=UTC)),
    (time, time(1, 2, 3, tzinfo=BERLIN)),
    (date, date.min),
    (timedelta, timedelta.min),
    (timedelta, timedelta(microseconds=-1)),
    (Decimal, Decimal("1.10")),
    (Decimal, Decimal("-0E-30")),
    (UUID, UUID(int=5)),
    (bytes, bytes(range(256))),
    (bytes, b""),
    (bytearray, bytearray(b"\0\xff")),
    (Path, Path("/tmp/ä b")),
    (PurePath, PurePath("a/b")),
    (PurePosixPath, PurePosixPath("a/b")),
    (PureWindowsPath, PureWindowsPath("c:\\a\\b")),
    (Colour, Colour.RED),
    (Colour, Colour.NONE),
    (Colour, Colour.ONE),
    (Level, Level.LOW),
    (Word, Word.YES),
    (Access, Access.READ | Access.WRITE),
    (Shape, Shape.LONG),
    (Line, ORDER.lines[1]),
    (Order, ORDER),
    (Tree, Tree("a", [Tree("b"), Tree("c", [Tree("d")])])),
    (Box[int], Box(1, [2])),
    (Box[Line], Box(ORDER.lines[0], [])),
    (Box[list[UUID]], Box([UUID(int=1)], [[UUID(int=2)]])),
    (Point, Point(1)),
    (Point, Point(1, 2.5, "here")),
    (Cat | Dog, Cat(3)),
    (Cat | Dog | None, Dog("rex")),
    (Cat | Dog | None, None),
    (list[Cat | Dog], [Cat(), Dog("rex")]),
    (Parcel, Parcel(Decimal("2.5"), [UUID(int=1)])),
    (
        Person,
        Person(fullName="A", born=date(2000, 1, 1), friends=[Person(fullName="B", born=date.max)]),
    ),
    (list[Person], [Person(fullName="A", born=date(2000, 1, 1))]),
    (Pair, Pair(UUID(int=1), 2)),
    (Pair | None, None),
    (Options, {"when": date(2026, 1, 1)}),
    (Options, {"when": date(2026, 1, 1), "size": 3}),
    (Loose, {"name": "x"}),
    (list, [1, "a", None]),
    (dict, {"a": [1.5]}),
    (tuple, (1, "a")),
    (tuple[()], ()),
    (tuple[int, UUID], (1, UUID(int=1))),
    (tuple[date, ...], (date.min, date.max)),
    (set[Decimal], {Decimal(1), Decimal("2.0")}),
    (set, {1}),
    (frozenset[int], frozenset({1, 2})),
    (AbstractSet[str], {"a"}),
    (Sequence[date], [date.min]),
    (Iterable[int], [1]),
    (Mapping[str, date], {"a": date.min}),
    (dict[int, date], {1: date.min, 2**70: date.max}),
    (dict[UUID, int], {UUID(int=1): 1}),
    (dict[date, list[int]], {date.min: [1]}),
    (dict[float, int], {1.0: 1, 1.5: 2}),
    (dict[Level, int], {Level.LOW: 1}),
    (dict[Path, int], {Path("a"): 1}),
    (dict[Any, Any], {"a": 1}),
    (dict[str, dict[str, list[Line]]], {"a": {"b": [ORDER.lines[0]]}}),
    (int | str, 1),
    (int | str, "1"),
    (int | float, 1),
    (int | float, 1.0),
    (bool | int, True),
    (bool | int, 1),
    (date | int | None, date.min),
    (date | int | None, 3),
    (list[int] | dict[str, int] | str, {"a": 1}),
    (Optional[UUID], None),  # noqa: UP045
    (Optional[UUID], UUID(int=3)),  # noqa: UP045
    (str | Literal["a"], "b"),  # noqa: PYI051
    (Literal["a", 1, True], True),
    (Literal["a", 1] | None, None),
    (Literal[Colour.RED], Colour.RED),
    (Any | None, [1]),
    (object, {"a": [None]}),
    (UserId, 5),
    (Annotated[UUID, "doc"], UUID(int=1)),
    (Annotated[int, msgspec.Meta(ge=0)], 3),
    (Final[int], 3),
]


@pytest.mark.parametrize(("annotation", "value"), CASES, ids=lambda case: str(case)[:40])
def test_comes_back_the_same(annotation, value):
    assert same(there_and_back(annotation, value), value)


def plain(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(children, max_size=4) | st.dictionaries(TEXT, children, max_size=4)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
ZONES = st.none() | st.timezones() | st.just(UTC)
LEAVES = {
    bool: st.booleans(),
    int: st.integers(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: TEXT,
    datetime: st.datetimes(timezones=ZONES, allow_imaginary=True),
    date: st.dates(),
    time: st.times(timezones=ZONES),
    timedelta: st.timedeltas(),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    UUID: st.uuids(),
    bytes: st.binary(max_size=50),
}


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)
@given(st.data())
def test_any_value_comes_back_alone_and_in_containers(kind, data):
    value = data.draw(LEAVES[kind])
    if kind is time or (
        kind is datetime and value.utcoffset() == value.replace(fold=0).utcoffset()
    ):
        # A fold that changes no offset says nothing, and is not kept.
        value = value.replace(fold=0)
    assert same(there_and_back(kind, value), value)
    assert same(there_and_back(kind | None, value), value)
    assert same(there_and_back(list[kind], [value, value]), [value, value])
    assert same(there_and_back(dict[str, kind], {"k": value}), {"k": value})
    assert there_and_back(tuple[kind, set[kind]], (value, {value})) == (value, {value})
    if kind is not bool:
        assert there_and_back(dict[kind, int], {value: 1}) == {value: 1}


@given(st.recursive(st.none() | LEAVES[bool] | LEAVES[int] | LEAVES[float] | TEXT, plain))
def test_plain_json_comes_back_unannotated_and_pushed(value):
    assert same(there_and_back(Any, value), value)
    payload = encode_literal([value], {}, limit=LIMIT)
    assert same(takes(Any).decode(payload)[1]["user"], value)


@given(st.builds(Order, st.integers(), st.lists(st.builds(Line, LEAVES[Decimal])).map(tuple)))
def test_records_come_back(order):
    assert there_and_back(Order, order) == order


@pytest.mark.parametrize(
    ("annotation", "given_value", "arrives"),
    [
        (float, 3, 3.0),
        (str, Word.YES, "yes"),
        (int, Level.LOW, 1),
        (dict[str, int], defaultdict(int, a=1), {"a": 1}),
        (list[int], type("Rows", (list,), {})([1]), [1]),
        (Sequence[int], (1, 2), [1, 2]),
        (Path, PurePosixPath("x"), None),
        (datetime, type("Fake", (datetime,), {})(2026, 1, 1), datetime(2026, 1, 1)),  # noqa: DTZ001
    ],
    ids=str,
)
def test_what_fits_the_annotation_arrives_as_annotated(annotation, given_value, arrives):
    if arrives is None:
        with pytest.raises(ArgsMismatch):
            there_and_back(annotation, given_value)
    else:
        assert same(there_and_back(annotation, given_value), arrives)
