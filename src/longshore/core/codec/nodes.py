"""What an annotation becomes: a tree of nodes that write values as plain JSON and read them back.

A node checks what it is given against its annotation in both directions and guesses nothing. It
also says in which JSON shapes its values travel; a union is decidable if and only if its members'
shapes are apart. Containers and unions are in ``containers``, dataclasses and their like in
``records``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

import msgspec

from longshore.core.codec.references import References
from longshore.core.codec.refusals import (
    Mismatch,
    NotDecidable,
    Unstorable,
    Walk,
    a_type,
    type_name,
)
from longshore.core.codec.scalars import TextForm
from longshore.core.codec.text import check_finite, check_plain

SHAPES: Final = frozenset({"null", "bool", "int", "float", "str", "array", "object"})
SHAPE_OF: Final[dict[type[object], str]] = {
    type(None): "null",
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    list: "array",
    dict: "object",
}


class Node(ABC):
    """One annotation, or a part of one.

    ``plain`` says that a value and its JSON are one and the same thing.
    """

    name: str
    shapes: frozenset[str]
    plain: bool = False

    @abstractmethod
    def takes(self, value: Any) -> bool:
        """Whether a value is of this node's type, seen from outside."""

    @abstractmethod
    def dump(self, value: Any, walk: Walk) -> Any:
        """The value as plain JSON; raises ``Refusal``."""

    @abstractmethod
    def load(self, raw: Any) -> Any:
        """The value that was written; raises ``Mismatch``."""


class Plain(Node):
    """``Any``, ``object`` or no annotation: plain JSON and nothing else."""

    name = "plain JSON"
    shapes = SHAPES
    plain = True

    def takes(self, value: Any) -> bool:
        return type(value) in SHAPE_OF

    def dump(self, value: Any, walk: Walk) -> Any:
        check_plain(value, walk)
        return value

    def load(self, raw: Any) -> Any:
        return raw


class Exact(Node):
    """``int``, ``str``, ``bool`` or ``None``: JSON's own. ``bool`` does not pass for ``int``."""

    plain = True

    def __init__(self, kind: type[Any]) -> None:
        self.kind = kind
        self.name = "None" if kind is type(None) else kind.__name__
        self.shapes = frozenset({SHAPE_OF[kind]})

    def takes(self, value: object) -> bool:
        # Not `isinstance`: a proxy passes for what it stands in front of, and cannot be written.
        kind = type(value)
        return issubclass(kind, self.kind) and (self.kind is bool or kind is not bool)

    def dump(self, value: Any, walk: Walk) -> Any:
        if not self.takes(value):
            raise Mismatch.of(value, self.name)
        if self.kind is str:
            walk.spend(len(value))
            return value if type(value) is str else str.__str__(value)
        if self.kind is int:
            return value if type(value) is int else int.__int__(value)
        return value

    def load(self, raw: Any) -> Any:
        if type(raw) is not self.kind:
            raise Mismatch.of(raw, self.name)
        return raw


class Float(Node):
    """``float``; a whole number passes where a float holds it exactly."""

    name = "float"
    shapes = frozenset({"float"})
    plain = True

    def takes(self, value: object) -> bool:
        kind = type(value)
        return issubclass(kind, float | int) and kind is not bool

    def dump(self, value: Any, walk: Walk) -> Any:
        del walk
        if not self.takes(value):
            raise Mismatch.of(value, self.name)
        if isinstance(value, int):
            return self._from_int(value)
        check_finite(value)
        return float.__float__(value)

    def load(self, raw: Any) -> Any:
        if type(raw) is int:
            return self._from_int(raw)
        if type(raw) is not float:
            raise Mismatch.of(raw, self.name)
        return raw

    def _from_int(self, value: int) -> float:
        try:
            number = float(value)
        except OverflowError:
            number = 0.0
        if number != value:
            raise Mismatch("is a whole number that no float holds exactly")
        return number


class Text(Node):
    """A type that travels as text, by one row of ``scalars.TEXTS``."""

    shapes = frozenset({"str"})

    def __init__(self, kind: type[Any], form: TextForm, but_not: tuple[type[Any], ...]) -> None:
        self.kind = kind
        self.name = kind.__qualname__
        self.form = form
        self.but_not = but_not

    def takes(self, value: Any) -> bool:
        return isinstance(value, self.kind) and not isinstance(value, self.but_not)

    def dump(self, value: Any, walk: Walk) -> Any:
        if not self.takes(value):
            raise Mismatch.of(value, self.name)
        # Bytes are counted before they are written out, in case they are far too many.
        counted = len(value) if isinstance(value, bytes | bytearray) else 0
        walk.spend(counted)
        text = self.form.write(value)
        walk.spend(len(text) - counted)
        return text

    def load(self, raw: Any) -> Any:
        if type(raw) is not str:
            raise Mismatch.of(raw, self.name)
        try:
            return self.form.read(raw)
        except (ValueError, ArithmeticError):
            raise Mismatch(f"is a text that is no `{self.name}`") from None


class Member(Node):
    """An enum, by value; by name where a value is not plain JSON (a tuple, a class)."""

    def __init__(self, kind: type[Enum]) -> None:
        self.kind = kind
        self.name = kind.__qualname__
        values: list[Any] = [member.value for member in kind]
        self.by_value = all(type(value) in SHAPE_OF and _is_single(value) for value in values)
        if self.by_value:
            self.shapes = frozenset(SHAPE_OF[type(value)] for value in values) or SHAPES
        else:
            self.shapes = frozenset({"str"})

    def takes(self, value: Any) -> bool:
        return isinstance(value, self.kind)

    def dump(self, value: Any, walk: Walk) -> Any:
        if not isinstance(value, self.kind):
            raise Mismatch.of(value, self.name)
        raw: Any = value.value if self.by_value else value.name
        if type(raw) not in SHAPE_OF:
            raise Unstorable(f"is a `{self.name}` whose value is {a_type(raw)}")
        check_plain(raw, walk)
        return raw

    def load(self, raw: Any) -> Any:
        try:
            return self.kind(raw) if self.by_value else self.kind[raw]
        except (ValueError, KeyError, TypeError):
            raise Mismatch(f"is no member of `{self.name}`") from None


class Choice(Node):
    """``Literal[...]``: the values themselves, enum members by value."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.name = f"Literal[{', '.join(repr(value) for value in values)}]"
        self.choices: list[tuple[Any, Any]] = []
        for value in values:
            raw: Any = value.value if isinstance(value, Enum) else value
            if type(raw) not in SHAPE_OF or not _is_single(raw):
                raise NotDecidable(f"`{value!r}` in a Literal has no plain JSON form")
            if any(_same(raw, other) for _, other in self.choices):
                raise NotDecidable(f"two values of {self.name} have one form in JSON")
            self.choices.append((value, raw))
        self.shapes = frozenset(SHAPE_OF[type(raw)] for _, raw in self.choices)
        self.plain = not any(isinstance(value, Enum) for value in values)

    def takes(self, value: Any) -> bool:
        return any(_same(choice, value) for choice, _ in self.choices)

    def dump(self, value: Any, walk: Walk) -> Any:
        del walk
        for choice, raw in self.choices:
            if _same(choice, value):
                return raw
        raise Mismatch(f"is {a_type(value)}, expected one of `{self.name}`")

    def load(self, raw: Any) -> Any:
        for choice, known in self.choices:
            if _same(known, raw):
                return choice
        raise Mismatch(f"is none of `{self.name}`")


class Opaque(Node):
    """A type that JSON cannot carry: stored by reference if it is registered, else refused."""

    shapes = SHAPES - {"null"}

    def __init__(self, annotation: object, references: References | None) -> None:
        self.kind = annotation if isinstance(annotation, type) else None
        self.name = type_name(self.kind) if self.kind else str(annotation)
        self.references = references

    def takes(self, value: Any) -> bool:
        return self.kind is not None and isinstance(value, self.kind)

    def dump(self, value: Any, walk: Walk) -> Any:
        if self.kind and not isinstance(value, self.kind):
            raise Mismatch.of(value, self.name)
        if self.kind and self.references is not None and self.references.knows(self.kind):
            raw = self.references.dump(value)
            check_plain(raw, walk)
            return raw
        raise Unstorable(
            f"is {a_type(value)}, and `{self.name}` is not a type that can be stored (pass its id, "
            "or register the type with `jobs.references`)"
        )

    def load(self, raw: Any) -> Any:
        if self.kind and self.references is not None and self.references.knows(self.kind):
            return self.references.load(self.kind, raw)
        raise Mismatch(f"is a `{self.name}`, which this process cannot read")


class Constrained(Node):
    """``Annotated[T, msgspec.Meta(...)]``: ``T`` within bounds."""

    def __init__(self, node: Node, annotation: Any) -> None:
        self.node = node
        self.annotation = annotation
        self.name = node.name
        self.shapes = node.shapes

    def takes(self, value: Any) -> bool:
        return self.node.takes(value)

    def dump(self, value: Any, walk: Walk) -> Any:
        raw = self.node.dump(value, walk)
        self._check(value)
        return raw

    def load(self, raw: Any) -> Any:
        value = self.node.load(raw)
        self._check(value)
        return value

    def _check(self, value: Any) -> None:
        try:
            msgspec.convert(value, self.annotation)
        except msgspec.ValidationError as error:
            raise Mismatch(f"is out of bounds ({error})") from None


class Deferred(Node):
    """A node still being built: what a recursive type refers to inside itself."""

    def __init__(self, name: str, shapes: frozenset[str]) -> None:
        self.name = name
        self.shapes = shapes
        self.node: Node = Plain()

    def takes(self, value: Any) -> bool:
        return self.node.takes(value)

    def dump(self, value: Any, walk: Walk) -> Any:
        return self.node.dump(value, walk)

    def load(self, raw: Any) -> Any:
        return self.node.load(raw)


def _same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and left == right


def _is_single(value: object) -> bool:
    return not isinstance(value, list | dict)
