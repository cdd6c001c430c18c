"""Jobs and types that the tests of the codec share."""

import dataclasses
import enum
from datetime import date, datetime
from decimal import Decimal
from typing import (
    Any,
    Generic,
    NamedTuple,
    NewType,
    NotRequired,
    Required,
    TypedDict,
    TypeVar,
)
from uuid import UUID

import attrs
import msgspec
import pydantic

from longshore.core.codec import Signature

LIMIT = 1_048_576
T = TypeVar("T")
UserId = NewType("UserId", int)


class Colour(enum.Enum):
    RED = "red"
    NONE = None
    ONE = 1


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    YES = "yes"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Shape(enum.Enum):
    SQUARE = (1, 1)
    LONG = (1, 9)


@dataclasses.dataclass
class Line:
    price: Decimal
    at: datetime | None = None
    tags: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    number: int
    lines: tuple[Line, ...]
    total: Decimal = dataclasses.field(init=False, default=Decimal(0))


@dataclasses.dataclass
class Tree:
    name: str
    children: list["Tree"] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Box(Generic[T]):
    content: T
    more: list[T]


@dataclasses.dataclass
class Seeded:
    seed: dataclasses.InitVar[int]
    value: int = 0


@dataclasses.dataclass
class SpecialLine(Line):
    extra: int = 0


class Point(msgspec.Struct, rename="camel", frozen=True):
    x_axis: int
    y_axis: float = 0.0
    label: str | msgspec.UnsetType = msgspec.UNSET


class Cat(msgspec.Struct, tag=True):
    lives: int = 9


class Dog(msgspec.Struct, tag=True):
    name: str


@attrs.define
class Parcel:
    _weight: Decimal
    stops: list[UUID] = attrs.Factory(list)
    seen: int = attrs.field(default=0, init=False)


class Person(pydantic.BaseModel):
    name: str = pydantic.Field(alias="fullName")
    born: date
    friends: list["Person"] = []


class Guarded(pydantic.BaseModel):
    secret: pydantic.SecretStr


class Pair(NamedTuple):
    left: UUID
    right: int = 0


class Options(TypedDict):
    when: date
    size: NotRequired[int]


class Loose(TypedDict, total=False):
    name: Required[str]
    size: int


class Unknown(msgspec.Struct):
    thing: "DoesNotExist"  # type: ignore[name-defined]  # noqa: F821


class Items:
    pass


def circle():
    value: list[Any] = []
    value.append({"again": value})
    return value


def send(user_id: int, *, locale: str = "en") -> str: ...


def anything(first, second=None): ...


def positions(a: int, b: str = "b", /, c: float = 0.5) -> None: ...


def rest(a: int, b: int = 5, *more: int, flag: bool = False) -> None: ...


def extra(a: int, /, **options: int) -> None: ...


def nothing() -> None: ...


async def with_context(url: str, ctx: object = None) -> bytes: ...


def rebuild(ctx: object, report_id: int) -> None: ...


def signature(func: Any, **options: Any) -> Signature:
    return Signature.of(func, kind="app.job", **options)


def encode(func: Any, *args: Any, **kwargs: Any) -> bytes:
    return signature(func).encode(args, kwargs, limit=LIMIT)


def takes(annotation: Any) -> Signature:
    def job(user): ...

    job.__annotations__ = {"user": annotation, "return": annotation}
    return signature(job)
