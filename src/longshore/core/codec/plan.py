"""The careful way through the codec: binds a call by hand, and says what is wrong with it.

A ``Plan`` is a signature with its annotations resolved. ``Signature`` builds it at first use; until
then nothing of what it imports is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import CoroutineType
from typing import Any, Final, cast

from longshore.core.codec.annotations import Annotations
from longshore.core.codec.callables import (
    MISSING,
    Parameter,
    hints_of,
    is_bare,
    parameters_of,
    unresolved,
)
from longshore.core.codec.containers import Union
from longshore.core.codec.lane import lane_for, reader_of
from longshore.core.codec.nodes import Exact, Node
from longshore.core.codec.outputs import Unfilled, as_output
from longshore.core.codec.references import References
from longshore.core.codec.refusals import (
    Mismatch,
    NotDecidable,
    Refusal,
    TooLarge,
    Unstorable,
    Walk,
)
from longshore.core.codec.text import (
    MAX_RESULT,
    enqueue_error,
    locate_value,
    raise_too_large,
    read_envelope,
    read_plain,
    to_canonical_json,
    write,
    write_payload,
)
from longshore.errors import AmbiguousAnnotation, ArgsMismatch, PayloadMismatch, UnstorableResult

_WHOLE: Final = frozenset({"int"})

Call = tuple[list[Any] | tuple[Any, ...], dict[str, Any]]


class Plan:
    """The parameters of one job, each with its node, and the node of what it returns."""

    def __init__(
        self,
        func: Callable[..., Any],
        *,
        kind: str,
        drop_first: bool,
        skip: Collection[str],
        references: References | None,
    ) -> None:
        self.kind = kind
        parameters = parameters_of(func, kind=kind, drop_first=drop_first, skip=skip)
        taken = [parameter for parameter in parameters if not parameter.filled]
        names = [*(parameter.name for parameter in taken), "return"]
        hints = hints_of(func, kind=kind, names=names)
        annotations = Annotations(references)
        nodes = {p.name: self._node(annotations, hints, p.name) for p in taken}
        for parameter in taken:
            # `x: int = None` is an old way to write `int | None`.
            if parameter.default is None and "null" not in nodes[parameter.name].shapes:
                nodes[parameter.name] = Union([nodes[parameter.name], Exact(type(None))])
        self._result = self._node(annotations, hints, "return")
        self._parameters = parameters
        self._by_name = {p.name: p for p in parameters if p.how in ("either", "keyword-only")}
        self._nodes = nodes
        self.returns_null = self._result.takes(None)
        self.takes_nothing = not any(parameter.needed for parameter in parameters)
        self.lane = lane_for(parameters, nodes)
        #: Whether the function cannot tell its arguments by name from those by position.
        self.by_place = (
            is_bare(func)
            and not drop_first
            and not skip
            and all(parameter.how == "either" for parameter in parameters)
        )

    def encode(self, args: tuple[Any, ...], kwargs: dict[str, Any], limit: int) -> bytes:
        """As ``Signature.encode``."""
        walk = Walk(limit)
        try:
            bound = self._bind(args, kwargs, stored=False)
            outputs = [n for n, value in bound.named.items() if as_output(value) is not None]
            if any(as_output(one) is not None for one in (*bound.positional, *bound.rest)):
                outputs.append("*")
            named = {
                name: self._dump(name, name, value, walk) for name, value in bound.named.items()
            }
            only = self._positional_only()
            positional = [
                self._dump(parameter.name, parameter.name, value, walk)
                for parameter, value in zip(only, bound.positional, strict=False)
            ]
            rest = next((p.name for p in self._parameters if p.how == "rest"), "")
            first = len(args) - len(bound.rest)
            positional += [
                self._dump(rest, first + index, value, walk)
                for index, value in enumerate(bound.rest)
            ]
            payload = write_payload(positional, named, limit)
            return Unfilled.of(payload, outputs) if outputs else payload
        except Mismatch as refusal:
            place = f"{refusal.where()} " if refusal.steps else ""
            raise ArgsMismatch(
                f"{self.kind}: {place}{refusal.text}; nothing was enqueued, correct the call."
            ) from None
        except Refusal as refusal:
            raise enqueue_error(self.kind, refusal, limit) from None

    def decode(self, payload: bytes) -> Call:
        """As ``Signature.decode``."""
        try:
            envelope = read_envelope(payload)
            bound = self._bind(envelope.args, envelope.kwargs, stored=True)
            named = {name: self._load(name, value) for name, value in bound.named.items()}
            only = self._positional_only()
            args = [
                self._load(parameter.name, value)
                for parameter, value in zip(only, bound.positional, strict=False)
            ]
            if bound.rest:
                # `*args` comes behind all that has a place, so that goes by place too.
                between = [p.name for p in self._parameters if p.how == "either"]
                args += [named.pop(name) for name in between]
                rest = next(p.name for p in self._parameters if p.how == "rest")
                args += [self._load(rest, value) for value in bound.rest]
        except Refusal as refusal:
            raise self._unreadable(refusal) from None
        return (args or ()), named

    def accepts(self, name: str, raw: object) -> bool:
        """As ``Signature.accepts``."""
        try:
            self._load(name, raw)
        except (Refusal, LookupError):
            return False
        return True

    def misfit(self, payload: bytes, mark: str, source: Plan) -> str | None:
        """As ``Signature.misfit``."""
        envelope = read_envelope(payload)
        bound = self._bind(envelope.args, envelope.kwargs, stored=True)
        names = [p.name for p in self._parameters if p.how == "positional-only"]
        rest = [p.name for p in self._parameters if p.how == "rest"]
        values = [
            *bound.named.items(),
            *zip(names, bound.positional, strict=False),
            *((name, value) for name in rest for value in bound.rest),
        ]
        given = source._result
        for name, value in values:
            node = self._node_of(name)
            shapes = node.shapes | _WHOLE if "float" in node.shapes else node.shapes
            if value == mark and not given.shapes & shapes:
                return f"`{name}` takes `{node.name}`, and job {source.kind} returns `{given.name}`"
        return None

    def encode_result(self, value: Any, limit: int) -> bytes:
        """As ``Signature.encode_result``."""
        try:
            if isinstance(value, CoroutineType):
                # Nobody will await it; closing it keeps Python from saying so later, elsewhere.
                cast("CoroutineType[object, object, object]", value).close()
                raise Unstorable("is a coroutine: declare the job with `async def`")
            raw = self._result.dump(value, Walk(limit))
            data = write(raw, lambda: locate_value(raw))
            if len(data) > limit:
                raise_too_large(len(data))
        except TooLarge as refusal:
            raise UnstorableResult(
                f"{self.kind}: the result takes {refusal.text}, the limit is {limit}. Store it "
                "elsewhere and return a reference to it."
            ) from None
        except Refusal as refusal:
            raise UnstorableResult(
                f"{self.kind}: {refusal.where('result')} {refusal.text}. Return plain values, or "
                "annotate the return type with one that can be stored."
            ) from None
        return data

    def decode_result(self, data: bytes) -> Any:
        """As ``Signature.decode_result``."""
        try:
            return self._result.load(read_plain(data))
        except Refusal as refusal:
            raise PayloadMismatch(
                f"{self.kind}: {refusal.where('result')} {refusal.text}."
            ) from None

    def canonical(self, payload: bytes, names: Collection[str] | None) -> bytes:
        """As ``Signature.canonical``."""
        try:
            envelope = read_envelope(payload)
            bound = self._bind(envelope.args, envelope.kwargs, stored=True)
        except Refusal as refusal:
            raise self._unreadable(refusal) from None
        values: dict[str, Any] = dict(bound.named)
        values.update(
            zip((p.name for p in self._positional_only()), bound.positional, strict=False)
        )
        rest = next((p.name for p in self._parameters if p.how == "rest"), None)
        if rest is not None:
            values[rest] = bound.rest
        for parameter in self._parameters:
            if parameter.name not in values and parameter.name in self._nodes:
                self._apply_default(parameter, values)
        chosen = {name: raw for name, raw in values.items() if names is None or name in names}
        return to_canonical_json(chosen)

    def named(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """What a decoded call binds by name, defaults applied."""
        places = [p.name for p in self._parameters if p.how in ("positional-only", "either")]
        if len(args) <= len(self._positional_only()):
            places = [p.name for p in self._positional_only()]
        values = {**dict(zip(places, args, strict=False)), **kwargs}
        for parameter in self._parameters:
            if parameter.how == "rest":
                values[parameter.name] = tuple(args[len(places) :])
            elif not (parameter.default is MISSING or parameter.filled):
                values.setdefault(parameter.name, parameter.default)
        return values

    def dumped(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """As ``Signature.dumped``."""
        walk = Walk(MAX_RESULT)
        try:
            raw = {name: self._dump(name, name, value, walk) for name, value in values.items()}
            write(raw, lambda: locate_value(raw))
        except Mismatch as refusal:
            raise ArgsMismatch(f"{self.kind}: {refusal.where()} {refusal.text}.") from None
        except Refusal as refusal:
            raise enqueue_error(self.kind, refusal, MAX_RESULT) from None
        return raw

    def defaults(self, names: Collection[str]) -> dict[str, Any]:
        """As ``Signature.defaults``."""
        found: dict[str, Any] = {}
        for parameter in self._parameters:
            if parameter.name in names and parameter.name in self._nodes:
                self._apply_default(parameter, found)
        return found

    def loaded(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """As ``Signature.loaded``."""
        try:
            return {name: self._load(name, value) for name, value in raw.items()}
        except Refusal as refusal:
            raise self._unreadable(refusal) from None

    def short_reader(self, names: Collection[str] | None) -> Callable[[bytes], Any] | None:
        """What reads some arguments of a payload of the lane, defaults applied; or ``None``."""
        if self.lane is None:
            return None
        taken = [p for p in self._parameters if not p.filled and (names is None or p.name in names)]
        raw = self.defaults([parameter.name for parameter in taken])
        return reader_of(sorted((p.name, p.needed) for p in taken), raw)

    def _node(self, annotations: Annotations, hints: dict[str, Any], name: str) -> Node:
        try:
            return annotations.node(hints.get(name, Any))
        except NotDecidable as refusal:
            place = "the return annotation" if name == "return" else f"`{name}`"
            raise AmbiguousAnnotation(
                f"{self.kind}: {place} cannot be stored as annotated: {refusal}. Narrow the "
                "annotation, or wrap the value in a type with named fields."
            ) from None
        except NameError as error:
            raise unresolved(self.kind, name, error) from None

    def _bind(self, args: Iterable[Any], kwargs: dict[str, Any], *, stored: bool) -> _Bound:
        """Match values to parameters as a call would.

        A stored call keeps by name what a call had in front of ``*args``, so there a place whose
        name is given takes no value.
        """
        bound = _Bound()
        has_rest = any(parameter.how == "rest" for parameter in self._parameters)
        places = [
            parameter
            for parameter in self._parameters
            if parameter.how == "positional-only"
            or (
                parameter.how == "either" and not (stored and has_rest and parameter.name in kwargs)
            )
        ]
        values = list(args)
        for parameter, value in zip(places, values, strict=False):
            if parameter.how == "positional-only":
                bound.positional.append(value)
            elif not (parameter.filled and not stored and value is parameter.default):
                self._refuse_filled(parameter)
                bound.named[parameter.name] = value
        bound.rest = values[len(places) :]
        if bound.rest and not has_rest:
            raise Mismatch(f"takes {len(places)} positional arguments, {len(values)} were given")
        for name, value in kwargs.items():
            self._bind_name(bound, name, value, stored=stored)
        self._require_all(bound)
        return bound

    def _bind_name(self, bound: _Bound, name: str, value: Any, *, stored: bool) -> None:
        parameter = self._by_name.get(name)
        if parameter is None:
            if not any(parameter.how == "extra" for parameter in self._parameters):
                known = ", ".join(n for n, p in self._by_name.items() if not p.filled)
                raise Mismatch(f"takes no argument {name!r} (by name it takes: {known or 'none'})")
        elif parameter.filled and not stored and value is parameter.default:
            return
        else:
            self._refuse_filled(parameter)
        if name in bound.named:
            raise Mismatch(f"is given `{name}` twice")
        bound.named[name] = value

    def _refuse_filled(self, parameter: Parameter) -> None:
        if parameter.filled:
            raise Mismatch(f"is given `{parameter.name}`, which the worker fills")

    def _require_all(self, bound: _Bound) -> None:
        missing = [p.name for p in self._positional_only()[len(bound.positional) :] if p.needed]
        missing += [n for n, p in self._by_name.items() if p.needed and n not in bound.named]
        if missing:
            names = ", ".join(f"`{name}`" for name in missing)
            raise Mismatch(f"lacks {names}, which it needs")

    def _positional_only(self) -> list[Parameter]:
        return [p for p in self._parameters if p.how == "positional-only"]

    def _node_of(self, name: str) -> Node:
        node = self._nodes.get(name)
        parameter = self._by_name.get(name)
        if node is not None and (parameter is not None or name not in self._extra_names()):
            return node
        return self._nodes[self._extra_names()[0]]

    def _extra_names(self) -> list[str]:
        return [p.name for p in self._parameters if p.how == "extra"]

    def _dump(self, name: str, step: str | int, value: Any, walk: Walk) -> Any:
        output = as_output(value)
        if output is not None:
            return output.mark
        try:
            return self._node_of(name).dump(value, walk)
        except Refusal as refusal:
            raise refusal.under(step) from None

    def _load(self, name: str, raw: Any) -> Any:
        try:
            return self._node_of(name).load(raw)
        except Refusal as refusal:
            raise refusal.under(name) from None

    def _apply_default(self, parameter: Parameter, values: dict[str, Any]) -> None:
        if parameter.default is MISSING:
            return
        try:
            values[parameter.name] = self._nodes[parameter.name].dump(
                parameter.default, Walk(MAX_RESULT)
            )
        except Refusal:
            # A default that could not be passed (a sentinel) is told by its absence.
            return

    def _unreadable(self, refusal: Refusal) -> PayloadMismatch:
        place = refusal.where() if refusal.steps else "the stored arguments"
        return PayloadMismatch(
            f"{self.kind}: {place} {refusal.text}. The job waits for a worker whose code fits it."
        )


class _Bound:
    """Values by the way they are passed."""

    __slots__ = ("named", "positional", "rest")

    def __init__(self) -> None:
        self.positional: list[Any] = []
        self.named: dict[str, Any] = {}
        self.rest: list[Any] = []
