"""From annotations to nodes: what each kind of type hint means to the codec."""

from __future__ import annotations

import sys
import typing
from collections import abc
from collections.abc import Callable, Iterable
from enum import Enum
from types import GenericAlias, NoneType, UnionType
from typing import Any, Final, Protocol, TypeVar, cast

import msgspec

from longshore.core.codec.containers import Items, Mapping, Places, Union
from longshore.core.codec.nodes import (
    SHAPES,
    Choice,
    Constrained,
    Deferred,
    Exact,
    Float,
    Member,
    Node,
    Opaque,
    Plain,
    Text,
)
from longshore.core.codec.records import (
    Field,
    FieldShape,
    Keys,
    Model,
    Record,
    Tagged,
    fields_of,
    is_model,
)
from longshore.core.codec.references import References
from longshore.core.codec.refusals import NotDecidable
from longshore.core.codec.scalars import TEXTS, TextForm

_TypeArgs = tuple[Any, ...]


class Annotations:
    """Builds nodes for the annotations of one signature; a recursive type becomes a loop of nodes.

    Raises ``NotDecidable`` where JSON would have to guess, ``NameError`` where a class of fields
    has an annotation that names nothing.
    """

    def __init__(self, references: References | None) -> None:
        self._references = references
        self._known: dict[Any, Node] = {}

    def node(self, annotation: Any) -> Node:
        """The node of one annotation."""
        origin: Any = typing.get_origin(annotation) or annotation
        form = _FORMS.get(origin) if isinstance(origin, abc.Hashable) else None
        if form is not None:
            return form(self, annotation, typing.get_args(annotation))
        known = self._known.get(annotation)
        if known is not None:
            return known
        if isinstance(origin, type):
            return self._of_class(annotation, cast("type[Any]", origin))
        return self._of_special(annotation)

    def _of_special(self, annotation: Any) -> Node:
        if isinstance(annotation, TypeVar):
            return self.node(annotation.__bound__ or Any)
        if hasattr(annotation, "__supertype__"):
            return self.node(annotation.__supertype__)
        if type(annotation).__name__ == "TypeAliasType":
            deferred = Deferred(annotation.__name__, SHAPES)
            self._known[annotation] = deferred
            deferred.node = self.node(annotation.__value__)
            deferred.shapes = deferred.node.shapes
            deferred.plain = deferred.node.plain
            return deferred
        if isinstance(annotation, typing.ParamSpecArgs | typing.ParamSpecKwargs):
            return Plain()
        return Opaque(annotation, self._references)

    def _of_class(self, annotation: Any, kind: type[Any]) -> Node:
        if self._references is not None and self._references.knows(kind):
            return Opaque(kind, self._references)
        if kind in TEXTS:
            but_not = tuple(
                other for other in TEXTS if other is not kind and issubclass(other, kind)
            )
            return Text(kind, TEXTS[kind], but_not)
        if issubclass(kind, Enum):
            return Member(kind)
        if _is_path(kind):
            return Text(kind, TextForm(str, kind), ())
        if is_model(kind):
            return Model(kind)
        return self._of_fields(annotation, kind)

    def _of_fields(self, annotation: Any, kind: type[Any]) -> Node:
        if hasattr(kind, "__required_keys__"):
            keys = Keys(kind)
            self._known[annotation] = keys
            self._fill(keys.fields, annotation, kind, None)
            return keys
        try:
            shapes = fields_of(kind)
        except TypeError as error:
            raise NotDecidable(str(error)) from None
        if shapes is None:
            return Opaque(annotation, self._references)
        record = Record(kind, _tag_of(kind))
        self._known[annotation] = record
        self._fill(record.fields, annotation, kind, shapes)
        return record

    def _fill(
        self,
        fields: dict[str, Field],
        annotation: Any,
        kind: type[Any],
        shapes: list[FieldShape] | None,
    ) -> None:
        hints = typing.get_type_hints(kind, include_extras=True)
        types = dict(zip(_parameters(kind), typing.get_args(annotation), strict=False))
        for shape in _key_shapes(kind, hints) if shapes is None else shapes:
            hint = _with_types(hints.get(shape.attribute, Any), types)
            try:
                node = self.node(hint)
            except NotDecidable as refusal:
                raise NotDecidable(f"{kind.__qualname__}.{shape.attribute}: {refusal}") from None
            fields[shape.key] = Field(shape, node)

    def union(self, _annotation: Any, args: _TypeArgs) -> Node:
        members = [self.node(arg) for arg in args if arg is not msgspec.UnsetType]
        tagged = [node for node in members if isinstance(node, Record) and node.tag is not None]
        tag_fields = {node.tag[0] for node in tagged if node.tag is not None}
        if len(tagged) > 1 and len(tag_fields) == 1:
            others = [node for node in members if node not in tagged]
            members = [*others, Tagged(tagged, tag_fields.pop())]
        if len(members) == 1:
            return members[0]
        if any(isinstance(node, Plain) for node in members) and all(n.plain for n in members):
            return Plain()
        return Union(members)

    def annotated(self, annotation: Any, args: _TypeArgs) -> Node:
        node = self.node(args[0])
        if any(isinstance(extra, msgspec.Meta) for extra in args[1:]):
            return Constrained(node, annotation)
        return node

    def items(
        self,
        args: _TypeArgs,
        name: str,
        accepts: tuple[type[Any], ...],
        build: Callable[[Iterable[Any]], Any],
    ) -> Node:
        item = self.node(args[0]) if args else Plain()
        ordered = build not in (set, frozenset)
        return Items(f"{name}[{item.name}]", item, accepts=accepts, build=build, ordered=ordered)

    def tuple(self, annotation: Any, args: _TypeArgs) -> Node:
        if len(args) == 2 and args[1] is Ellipsis:
            item = self.node(args[0])
            name = f"tuple[{item.name}, ...]"
            return Items(name, item, accepts=(tuple,), build=tuple)
        # `tuple[()]` is the empty tuple, `tuple` any.
        if not args and not isinstance(annotation, GenericAlias):
            return Items("tuple", Plain(), accepts=(tuple,), build=tuple)
        return Places([self.node(arg) for arg in args])

    def mapping(self, _annotation: Any, args: _TypeArgs) -> Node:
        key, value = args or (str, Any)
        return Mapping(self.node(key), self.node(value), (dict,))


_Form = Callable[[Annotations, Any, _TypeArgs], Node]


def _plain(_annotations: Annotations, _annotation: Any, _args: _TypeArgs) -> Node:
    return Plain()


def _float(_annotations: Annotations, _annotation: Any, _args: _TypeArgs) -> Node:
    return Float()


def _exact(_annotations: Annotations, annotation: Any, _args: _TypeArgs) -> Node:
    return Exact(NoneType if annotation is None else annotation)


def _literal(_annotations: Annotations, _annotation: Any, args: _TypeArgs) -> Node:
    return Choice(args)


def _inner(annotations: Annotations, _annotation: Any, args: _TypeArgs) -> Node:
    return annotations.node(args[0]) if args else Plain()


def _items(
    name: str, accepts: tuple[type[Any], ...], build: Callable[[Iterable[Any]], Any]
) -> _Form:
    def form(annotations: Annotations, _annotation: Any, args: _TypeArgs) -> Node:
        return annotations.items(args, name, accepts, build)

    return form


_FORMS: Final[dict[Any, _Form]] = {
    Any: _plain,
    object: _plain,
    typing.Unpack: _plain,
    typing.Never: _plain,
    typing.NoReturn: _plain,
    None: _exact,
    NoneType: _exact,
    bool: _exact,
    int: _exact,
    str: _exact,
    float: _float,
    typing.Literal: _literal,
    typing.Union: Annotations.union,
    UnionType: Annotations.union,
    typing.Annotated: Annotations.annotated,
    typing.Required: _inner,
    typing.NotRequired: _inner,
    typing.Final: _inner,
    list: _items("list", (list,), list),
    abc.Sequence: _items("Sequence", (list, tuple), list),
    abc.MutableSequence: _items("MutableSequence", (list,), list),
    abc.Collection: _items("Collection", (list, tuple), list),
    abc.Iterable: _items("Iterable", (list, tuple), list),
    set: _items("set", (set,), set),
    abc.Set: _items("Set", (set, frozenset), set),
    abc.MutableSet: _items("MutableSet", (set,), set),
    frozenset: _items("frozenset", (frozenset,), frozenset),
    tuple: Annotations.tuple,
    dict: Annotations.mapping,
    abc.Mapping: Annotations.mapping,
    abc.MutableMapping: Annotations.mapping,
}


class _Generic(Protocol):
    def __getitem__(self, types: _TypeArgs, /) -> object: ...


def _is_path(kind: type[Any]) -> bool:
    # Where the annotation is a path, its module is loaded.
    module = sys.modules.get("pathlib")
    return module is not None and issubclass(kind, module.PurePath)


def _tag_of(kind: type[Any]) -> tuple[str, str | int] | None:
    config = getattr(kind, "__struct_config__", None)
    if config is None or config.tag is None:
        return None
    return config.tag_field, config.tag


def _parameters(kind: type[Any]) -> _TypeArgs:
    return cast("_TypeArgs", getattr(kind, "__parameters__", ()))


def _with_types(hint: Any, types: dict[Any, Any]) -> Any:
    """A field's hint with the type variables of its class filled in."""
    if isinstance(hint, TypeVar):
        return types.get(hint, hint)
    parameters = () if isinstance(hint, type) else _parameters(hint)
    if not types or not parameters:
        return hint
    generic = cast("_Generic", hint)
    return generic[tuple(types.get(parameter, Any) for parameter in parameters)]


def _key_shapes(kind: type[Any], hints: dict[str, Any]) -> list[FieldShape]:
    """The keys of a ``TypedDict``."""
    # The class's own list is wrong where its annotations are text: marks in the hints win.
    required = cast("frozenset[str]", kind.__required_keys__)
    marks = {typing.Required: True, typing.NotRequired: False}
    return [
        FieldShape(key, key, key, marks.get(typing.get_origin(hint), key in required))
        for key, hint in hints.items()
    ]
