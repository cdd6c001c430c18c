"""The nodes that hold others: arrays, mappings and unions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, cast

import msgspec

from longshore.core.codec.nodes import SHAPE_OF, Exact, Float, Node, Opaque, Plain
from longshore.core.codec.refusals import (
    MAX_KEYS,
    Mismatch,
    NotDecidable,
    Refusal,
    Unstorable,
    Walk,
)
from longshore.core.codec.text import check_plain, to_json

_TEXT: Final = frozenset({"str"})


class Items(Node):
    """A list, set or frozenset, or a tuple of any length; all travel as an array."""

    shapes = frozenset({"array"})

    def __init__(
        self,
        name: str,
        item: Node,
        *,
        accepts: tuple[type[Any], ...],
        build: Callable[[Iterable[Any]], Any],
        ordered: bool = True,
    ) -> None:
        self.name = name
        self.item = item
        self.accepts = accepts
        self.build = build
        self.ordered = ordered
        self.is_plain = isinstance(item, Plain)

    def takes(self, value: Any) -> bool:
        return isinstance(value, self.accepts)

    def dump(self, value: Any, walk: Walk) -> Any:
        if not isinstance(value, self.accepts):
            raise Mismatch.of(value, self.name)
        if self.is_plain and type(value) is list:
            plain = cast("list[object]", value)
            check_plain(plain, walk)
            return plain
        items: Sequence[Any] = value
        walk.enter(len(items))
        dump = self.item.dump
        out: list[Any] = []
        try:
            for item in items:
                out.append(dump(item, walk))  # noqa: PERF401 - its length is the path's step
        except Refusal as refusal:
            raise refusal.under(len(out)) from None
        walk.leave()
        # A set has another order in each process; equal calls must make equal payloads.
        return out if self.ordered else _sorted_by_json(out)

    def load(self, raw: Any) -> Any:
        if type(raw) is not list:
            raise Mismatch.of(raw, self.name)
        load = self.item.load
        out: list[Any] = []
        try:
            for item in cast("list[object]", raw):
                out.append(load(item))  # noqa: PERF401 - as above
        except Refusal as refusal:
            raise refusal.under(len(out)) from None
        try:
            return self.build(out)
        except TypeError:
            raise Mismatch(f"holds values that cannot be in a `{self.name}`") from None


class Places(Node):
    """``tuple[int, str]``: so many items, each of its own type."""

    shapes = frozenset({"array"})

    def __init__(self, items: Sequence[Node]) -> None:
        self.items = tuple(items)
        self.name = f"tuple[{', '.join(item.name for item in items) or '()'}]"

    def takes(self, value: Any) -> bool:
        return isinstance(value, tuple)

    def dump(self, value: Any, walk: Walk) -> Any:
        if not isinstance(value, tuple):
            raise Mismatch.of(value, self.name)
        items = cast("tuple[object, ...]", value)
        walk.enter(len(items))
        out = self._each(items, lambda node, item: node.dump(item, walk))
        walk.leave()
        return out

    def load(self, raw: Any) -> Any:
        if type(raw) is not list:
            raise Mismatch.of(raw, self.name)
        return tuple(self._each(cast("list[object]", raw), lambda node, item: node.load(item)))

    def _each(self, values: Sequence[Any], step: Callable[[Node, Any], Any]) -> list[Any]:
        if len(values) != len(self.items):
            raise Mismatch(f"has {len(values)} items, expected `{self.name}`")
        out: list[Any] = []
        try:
            for node, value in zip(self.items, values, strict=True):
                out.append(step(node, value))
        except Refusal as refusal:
            raise refusal.under(len(out)) from None
        return out


class Mapping(Node):
    """``dict[K, V]``: an object, whose keys are texts in JSON and ``K`` again afterwards."""

    shapes = frozenset({"object"})

    def __init__(self, key: Node, value: Node, accepts: tuple[type[Any], ...]) -> None:
        self.name = f"dict[{key.name}, {value.name}]"
        self.accepts = accepts
        self.key = Key(key)
        self.is_plain = isinstance(value, Plain) and self.key.node.plain and self.key.is_text
        self.value = value

    def takes(self, value: Any) -> bool:
        return isinstance(value, self.accepts)

    def dump(self, value: Any, walk: Walk) -> Any:
        if not isinstance(value, self.accepts):
            raise Mismatch.of(value, self.name)
        mapping = cast("dict[Any, Any]", value)
        if self.is_plain and type(mapping) is dict:
            check_plain(mapping, walk)
            return mapping
        if len(mapping) > MAX_KEYS:
            raise Unstorable(f"has {len(mapping)} keys, the limit is {MAX_KEYS}")
        walk.enter(len(mapping))
        out: dict[str, Any] = {}
        for key, item in mapping.items():
            text = self.key.dump(key, walk)
            if text in out:
                raise Unstorable(f"has two keys that are both {text[:40]!a} in JSON")
            try:
                out[text] = self.value.dump(item, walk)
            except Refusal as refusal:
                raise refusal.under(text) from None
        walk.leave()
        return out

    def load(self, raw: Any) -> Any:
        if type(raw) is not dict:
            raise Mismatch.of(raw, self.name)
        out: dict[Any, Any] = {}
        for text, item in cast("dict[str, Any]", raw).items():
            try:
                out[self.key.load(text)] = self.value.load(item)
            except Refusal as refusal:
                raise refusal.under(text) from None
        if len(out) != len(cast("dict[str, Any]", raw)):
            raise Mismatch("has two keys that are equal once read")
        return out


class Key:
    """The keys of a mapping: a node whose JSON is one text, or one number written as text."""

    def __init__(self, node: Node) -> None:
        # Keys without annotation are texts: there is nothing else that JSON could mean by them.
        self.node = Exact(str) if isinstance(node, Plain) else node
        if self.node.shapes not in (_TEXT, frozenset({"int"}), frozenset({"float"})):
            raise NotDecidable(
                f"keys of type `{node.name}` are texts in JSON and cannot be told apart there"
            )
        self.is_text = self.node.shapes == _TEXT

    def dump(self, key: Any, walk: Walk) -> str:
        try:
            raw = self.node.dump(key, walk)
        except Refusal as refusal:
            refusal.text = f"has a key that {refusal.text}"
            raise
        return cast("str", raw) if self.is_text else to_json(raw).decode("ascii")

    def load(self, text: str) -> Any:
        if self.is_text:
            return self.node.load(text)
        try:
            return self.node.load(msgspec.json.decode(text))
        except (msgspec.MsgspecError, ValueError):
            raise Mismatch(f"has a key that is no `{self.node.name}`") from None


class Union(Node):
    """Several types whose JSON shapes are apart; the value chooses one way, its shape the other."""

    def __init__(self, members: Sequence[Node]) -> None:
        self.name = " | ".join(member.name for member in members)
        # A float also takes whole numbers, so it comes last.
        self.members = sorted(members, key=lambda node: isinstance(node, Float))
        self.plain = all(member.plain for member in members)
        self.by_shape: dict[str, list[Node]] = {}
        for member in self.members:
            for shape in member.shapes:
                others = self.by_shape.setdefault(shape, [])
                for other in others:
                    if not (member.plain and other.plain):
                        raise NotDecidable(f"JSON cannot tell `{other.name}` from `{member.name}`")
                others.append(member)
        self.shapes = frozenset(self.by_shape)
        if "float" in self.by_shape:
            self.by_shape.setdefault("int", self.by_shape["float"])

    def takes(self, value: Any) -> bool:
        return any(member.takes(value) for member in self.members)

    def dump(self, value: Any, walk: Walk) -> Any:
        for member in self.members:
            if member.takes(value):
                return member.dump(value, walk)
        opaque = [member for member in self.members if isinstance(member, Opaque)]
        if opaque:
            return opaque[0].dump(value, walk)
        raise Mismatch.of(value, self.name)

    def load(self, raw: Any) -> Any:
        candidates = self.by_shape.get(SHAPE_OF[type(raw)], [])
        for member in candidates[:-1]:
            if member.takes(raw):
                return member.load(raw)
        if not candidates:
            raise Mismatch.of(raw, self.name)
        return candidates[-1].load(raw)


def _sorted_by_json(items: list[Any]) -> list[Any]:
    try:
        return sorted(items, key=to_json)
    except (UnicodeEncodeError, ValueError):
        # It cannot be written at all; the writer finds the place and says so.
        return items
