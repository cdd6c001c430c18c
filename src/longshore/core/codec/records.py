"""Classes with named fields: dataclasses, structs, attrs, named tuples, typed dicts, pydantic.

All but pydantic's travel as an object of their fields, each by its own annotation. Which library a
class comes from is told by the marks it leaves on the class, so none is imported for the question.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, cast

import msgspec

from longshore.core.codec.nodes import Node
from longshore.core.codec.refusals import Mismatch, Refusal, Unstorable, Walk
from longshore.core.codec.text import read_plain

_MISSING: Final = object()
_OBJECT: Final = frozenset({"object"})


class FieldShape(msgspec.Struct, frozen=True):
    """One field as its class declares it.

    ``key`` names it in JSON, ``attribute`` on the value, ``argument`` in the constructor: ``None``
    for a field that the constructor does not take, which is set afterwards.
    """

    attribute: str
    key: str
    argument: str | None
    required: bool


class Field(msgspec.Struct, frozen=True):
    """A field and the node of its annotation."""

    shape: FieldShape
    node: Node


class Record(Node):
    """A value of exactly one class, field by field."""

    shapes = _OBJECT

    def __init__(self, kind: type[Any], tag: tuple[str, str | int] | None = None) -> None:
        self.kind = kind
        self.name = kind.__qualname__
        self.tag = tag
        self.fields: dict[str, Field] = {}

    def takes(self, value: Any) -> bool:
        return isinstance(value, self.kind)

    def dump(self, value: Any, walk: Walk) -> Any:
        if type(value) is not self.kind:
            if isinstance(value, self.kind):
                raise Unstorable(
                    f"is a `{type(value).__qualname__}`, which would come back as `{self.name}`"
                )
            raise Mismatch.of(value, self.name)
        walk.enter(0)
        out: dict[str, Any] = {}
        if self.tag is not None:
            out[self.tag[0]] = self.tag[1]
        for key, field in self.fields.items():
            item = getattr(value, field.shape.attribute, _MISSING)
            if item is _MISSING or item is msgspec.UNSET:
                continue
            try:
                out[key] = field.node.dump(item, walk)
            except Refusal as refusal:
                raise refusal.under(field.shape.attribute) from None
        walk.spend(2 * len(out))
        walk.leave()
        return out

    def load(self, raw: Any) -> Any:
        values = load_fields(self.name, self.fields, raw, self.tag)
        given: dict[str, Any] = {}
        later: dict[str, Any] = {}
        for key, value in values.items():
            shape = self.fields[key].shape
            if shape.argument is None:
                later[shape.attribute] = value
            else:
                given[shape.argument] = value
        try:
            record = self.kind(**given)
            for attribute, value in later.items():
                object.__setattr__(record, attribute, value)
        except Exception as error:  # noqa: BLE001 - a class may raise anything from its constructor
            raise Mismatch(
                f"does not make a `{self.name}` any more ({type(error).__qualname__})"
            ) from None
        return record


class Tagged(Node):
    """A union of structs that carry tags."""

    shapes = _OBJECT

    def __init__(self, members: list[Record], field: str) -> None:
        self.field = field
        self.members = {record.tag[1]: record for record in members if record.tag}
        self.kinds = {record.kind: record for record in members}
        self.name = " | ".join(record.name for record in members)

    def takes(self, value: Any) -> bool:
        return type(value) in self.kinds

    def dump(self, value: object, walk: Walk) -> Any:
        record = self.kinds.get(type(value))
        if record is None:
            raise Mismatch.of(value, self.name)
        return record.dump(value, walk)

    def load(self, raw: Any) -> Any:
        tag: object = cast("dict[str, object]", raw).get(self.field) if type(raw) is dict else None
        record = self.members.get(tag) if isinstance(tag, str | int) else None
        if record is None:
            raise Mismatch(f"is none of `{self.name}`")
        return record.load(raw)


class Keys(Node):
    """A ``TypedDict``: a plain dictionary of known keys."""

    shapes = _OBJECT

    def __init__(self, kind: type[Any]) -> None:
        self.name = kind.__qualname__
        self.fields: dict[str, Field] = {}

    def takes(self, value: Any) -> bool:
        return isinstance(value, dict)

    def dump(self, value: Any, walk: Walk) -> Any:
        if not isinstance(value, dict):
            raise Mismatch.of(value, self.name)
        given = cast("dict[Any, object]", value)
        _check_keys(self.name, self.fields, given)
        walk.enter(len(given))
        out: dict[str, Any] = {}
        for key, item in given.items():
            try:
                out[key] = self.fields[key].node.dump(item, walk)
            except Refusal as refusal:
                raise refusal.under(key) from None
        walk.leave()
        return out

    def load(self, raw: Any) -> Any:
        return load_fields(self.name, self.fields, raw, None)


class ModelClass(Protocol):
    """What the codec needs of a pydantic model class."""

    def model_validate_json(self, json_data: bytes) -> object:
        """Build the model from JSON."""
        ...


class Model(Node):
    """A pydantic model, by its own JSON; refused at enqueue if that does not give it back."""

    shapes = _OBJECT

    def __init__(self, kind: type[Any]) -> None:
        self.kind = kind
        self.name = kind.__qualname__
        self.model = cast("ModelClass", kind)

    def takes(self, value: Any) -> bool:
        return isinstance(value, self.kind)

    def dump(self, value: Any, walk: Walk) -> Any:
        if type(value) is not self.kind:
            raise Mismatch.of(value, self.name)
        try:
            written = cast("str", value.model_dump_json(by_alias=True, round_trip=True))
            again = self.model.model_validate_json(written.encode())
        except Exception as error:  # noqa: BLE001 - a model may raise anything of its own
            raise Unstorable(
                f"is a `{self.name}` that has no JSON form ({type(error).__qualname__})"
            ) from None
        if again != value:
            raise Unstorable(f"is a `{self.name}` that its own JSON does not give back unchanged")
        walk.spend(len(written))
        walk.enter(0)
        raw = read_plain(written.encode())
        walk.leave()
        return raw

    def load(self, raw: Any) -> Any:
        if type(raw) is not dict:
            raise Mismatch.of(raw, self.name)
        try:
            return self.model.model_validate_json(msgspec.json.encode(raw))
        except Exception as error:  # noqa: BLE001 - as above
            raise Mismatch(
                f"does not make a `{self.name}` any more ({type(error).__qualname__})"
            ) from None


def load_fields(
    name: str, fields: Mapping[str, Field], raw: Any, tag: tuple[str, str | int] | None
) -> dict[str, Any]:
    """The values of an object's fields; an unknown field is a newer release's, and refused."""
    if type(raw) is not dict:
        raise Mismatch.of(raw, name)
    given = cast("dict[str, Any]", raw)
    if tag is not None:
        if given.get(tag[0], tag[1]) != tag[1]:
            raise Mismatch(f"is no `{name}` by its tag")
        given = {key: value for key, value in given.items() if key != tag[0]}
    _check_keys(name, fields, given)
    out: dict[str, Any] = {}
    for key, item in given.items():
        try:
            out[key] = fields[key].node.load(item)
        except Refusal as refusal:
            raise refusal.under(key) from None
    return out


def _check_keys(name: str, fields: Mapping[str, Field], given: Mapping[Any, Any]) -> None:
    for key in given:
        if key not in fields:
            raise Mismatch(f"has {ascii(key)[:42]}, which `{name}` does not have")
    for key, field in fields.items():
        if field.shape.required and key not in given:
            raise Mismatch(f"has no {key!r}, which `{name}` needs")


def is_model(kind: type[Any]) -> bool:
    """Whether a class is a pydantic model."""
    return hasattr(kind, "__pydantic_validator__") and hasattr(kind, "model_validate_json")


def fields_of(kind: type[Any]) -> list[FieldShape] | None:
    """The fields of a struct, dataclass, attrs class or named tuple; ``None`` for any other.

    Raises:
        TypeError: the class takes something in its constructor that it does not keep.
    """
    for mark, read in _FAMILIES:
        if hasattr(kind, mark):
            return read(kind)
    return None


def _struct_fields(kind: type[Any]) -> list[FieldShape]:
    return [
        FieldShape(field.name, field.encode_name, field.name, field.required)
        for field in msgspec.structs.fields(kind)
    ]


def _dataclass_fields(kind: type[Any]) -> list[FieldShape]:
    from dataclasses import MISSING, fields  # noqa: PLC0415 - loaded already where one is declared

    kept = fields(kind)
    every = cast("dict[str, Any]", kind.__dataclass_fields__)
    for name in every.keys() - {field.name for field in kept}:
        if "InitVar" in str(every[name].type):
            raise TypeError(f"`{kind.__qualname__}.{name}` is an InitVar, which it does not keep")
    return [
        FieldShape(
            field.name,
            field.name,
            field.name if field.init else None,
            required=field.init and field.default is MISSING and field.default_factory is MISSING,
        )
        for field in kept
    ]


class _Attribute(Protocol):
    name: str
    alias: str | None
    init: bool
    default: object


def _attrs_fields(kind: type[Any]) -> list[FieldShape]:
    nothing: object = vars(sys.modules["attr"])["NOTHING"]
    return [
        FieldShape(
            field.name,
            field.name,
            (field.alias or field.name.lstrip("_")) if field.init else None,
            required=field.init and field.default is nothing,
        )
        for field in cast("tuple[_Attribute, ...]", kind.__attrs_attrs__)
    ]


def _named_tuple_fields(kind: type[Any]) -> list[FieldShape]:
    names = cast("tuple[str, ...]", kind._fields)
    defaults = cast("dict[str, object]", kind._field_defaults)
    return [FieldShape(name, name, name, name not in defaults) for name in names]


_FAMILIES: Final[tuple[tuple[str, Callable[[type[Any]], list[FieldShape]]], ...]] = (
    ("__struct_fields__", _struct_fields),
    ("__dataclass_fields__", _dataclass_fields),
    ("__attrs_attrs__", _attrs_fields),
    ("_field_defaults", _named_tuple_fields),
)
