"""The short way through the codec for the calls that are nearly all calls.

A job whose parameters all have names is bound by a generated struct: its constructor matches the
call to the names as Python would, its encoder writes them. What is left is to know that the types
are right, and that is looked up whole, as one tuple. The lane never explains: whatever it does not
take (``None``) the careful way of ``Signature`` does again, and says what is wrong.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from operator import attrgetter
from typing import Any, Final, Literal, Protocol, cast
from uuid import UUID

import msgspec
from msgspec.structs import asdict, astuple

from longshore.core.codec.callables import MISSING, Parameter
from longshore.core.codec.containers import Union
from longshore.core.codec.nodes import Exact, Float, Node, Text
from longshore.core.codec.refusals import DECLINED, Mismatch, Refusal, TooLarge, Walk
from longshore.core.codec.text import HEAD, NUL, check_bounds, to_json

_MANY: Final = 256

# The types of which an exact instance is always storable, by the same text as `scalars` writes.
_NATIVE_TEXTS: Final = frozenset({UUID, date})


class Envelope(Protocol):
    """A payload that was read."""

    kwargs: msgspec.Struct


class Lane:
    """Writes and reads the payloads of one signature, or declines with ``None``."""

    __slots__ = (
        "_allowed",
        "_build",
        "_checked",
        "_floats",
        "_known",
        "_loads",
        "_optional",
        "_read",
        "_types",
        "plain",
    )

    def __init__(self, parameters: Sequence[Parameter], nodes: Mapping[str, Node]) -> None:
        natives = {name: native_types(node) for name, node in nodes.items()}
        self._build = _writer(parameters)
        self._read = _reader(parameters, natives)
        # The getter gives a tuple for two names and more, so a single one is asked for twice.
        asked = (*parameters, *parameters) if len(parameters) == 1 else parameters
        self._allowed = tuple(_allowed(p, natives[p.name]) for p in asked)
        self._types = _types_getter(asked)
        self._checked = tuple((name, nodes[name]) for name, native in natives.items() if not native)
        self._floats = any(float in native for native in natives.values())
        self._known: set[tuple[type[Any], ...]] = set()
        self._loads = tuple((name, node.load) for name, node in self._checked)
        self._optional = tuple(p.name for p in parameters if not p.needed)
        #: Reads a payload whose arguments are all there as the body takes them; ``None`` if some
        #: may be missing or have to be loaded. Raises one of :data:`DECLINED`.
        self.plain = None if self._optional or self._loads else self._read

    def encode(self, args: tuple[Any, ...], kwargs: dict[str, Any], limit: int) -> bytes | None:
        """The payload of a call, or ``None``; raises ``TooLarge`` where that is plain at once."""
        try:
            call = self._build(*args, **kwargs)
            types = self._types(call)
            if types not in self._known and not self._learn(types):
                return None
            if self._floats and not all(
                value - value == 0.0 for value in astuple(call) if type(value) is float
            ):
                return None
            if self._checked:
                walk = Walk(limit)
                for name, node in self._checked:
                    value = getattr(call, name)
                    if value is not msgspec.UNSET:
                        setattr(call, name, node.dump(value, walk))
            payload = HEAD + to_json(call) + b"}"
        except TooLarge:
            # To try again would cost as much again, and end the same.
            raise
        except (TypeError, ValueError, OverflowError, Refusal):
            return None
        # `find` takes half the time of `in` here, and both are seen in the whole.
        if payload.find(NUL) >= 0 or len(payload) > limit:
            return None
        return payload

    def decode(self, payload: bytes) -> dict[str, Any] | None:
        """What to call the function with, all by name, or ``None``."""
        try:
            kwargs = asdict(self._read(payload).kwargs)
            for name in self._optional:
                if kwargs[name] is msgspec.UNSET:
                    del kwargs[name]
            if self._loads:
                check_bounds(payload, [kwargs])
                for name, load in self._loads:
                    if name in kwargs:
                        kwargs[name] = load(kwargs[name])
        except (*DECLINED, Mismatch):
            return None
        return kwargs

    def _learn(self, types: tuple[type[Any], ...]) -> bool:
        for kind, allowed in zip(types, self._allowed, strict=True):
            if allowed is not None and kind not in allowed:
                return False
        if len(self._known) < _MANY:
            self._known.add(types)
        return True


def lane_for(parameters: Sequence[Parameter], nodes: Mapping[str, Node]) -> Lane | None:
    """A lane, unless the signature takes arguments that have a position and no name."""
    taken = [parameter for parameter in parameters if not parameter.filled]
    if any(parameter.how not in ("either", "keyword-only") for parameter in taken):
        return None
    positional = [parameter for parameter in parameters if parameter.how == "either"]
    # A position that the worker fills would shift the ones behind it.
    if [p.filled for p in positional] != sorted(p.filled for p in positional):
        return None
    try:
        return Lane(taken, nodes)
    except (TypeError, ValueError):
        return None


def reader_of(
    fields: Sequence[tuple[str, bool]], defaults: Mapping[str, Any]
) -> Callable[[bytes], msgspec.Struct]:
    """What reads these arguments of a payload, sorted by name and all as plain JSON, others apart.

    ``fields`` are names, and whether a call must give them; one without a default that can be
    stored is ``UNSET``. Raises what msgspec raises for a payload that is not of a lane.
    """
    chosen = msgspec.defstruct(
        "Chosen",
        [
            (name, Any) if needed else (name, Any, _default(defaults.get(name, msgspec.UNSET)))
            for name, needed in fields
        ],
        kw_only=True,
    )
    envelope = msgspec.defstruct(
        "Envelope",
        [("v", Literal[1]), ("args", tuple[()]), ("kwargs", chosen)],
        forbid_unknown_fields=True,
    )
    read = cast("Callable[[bytes], Envelope]", msgspec.json.Decoder(envelope).decode)
    return lambda payload: read(payload).kwargs


def _default(raw: Any) -> Any:
    # Nobody changes it, so one list serves all; the factory only says that this is meant.
    return msgspec.field(default_factory=lambda: raw)


def native_types(node: Node) -> frozenset[type[Any]]:
    """The types that a node stores unchanged whatever the value, NaN excepted; empty if not all."""
    if isinstance(node, Exact):
        return frozenset({node.kind})
    if isinstance(node, Float):
        return frozenset({float})
    if isinstance(node, Text) and node.kind in _NATIVE_TEXTS:
        return frozenset({node.kind})
    if isinstance(node, Union):
        members = [native_types(member) for member in node.members]
        return frozenset[type[Any]]().union(*members) if all(members) else frozenset()
    return frozenset()


def _types_getter(
    parameters: Sequence[Parameter],
) -> Callable[[msgspec.Struct], tuple[type[Any], ...]]:
    """The types of all fields at once."""
    # Three times faster than a loop: the whole of it runs inside the interpreter.
    # An object that lies about its class is found by the encoder, which looks at the real one.
    if not parameters:
        return lambda _: ()
    return attrgetter(*(f"{parameter.name}.__class__" for parameter in parameters))


def _allowed(parameter: Parameter, native: frozenset[type[Any]]) -> frozenset[type[Any]] | None:
    if not native:
        return None
    return native if parameter.needed else native | {msgspec.UnsetType}


def _writer(parameters: Sequence[Parameter]) -> Callable[..., msgspec.Struct]:
    return _struct(parameters, lambda _: Any)


def _reader(
    parameters: Sequence[Parameter], natives: Mapping[str, frozenset[type[Any]]]
) -> Callable[[bytes], Envelope]:
    def hint(parameter: Parameter) -> Any:
        native = natives[parameter.name]
        # Members are joined by subscription: a union of classes that are not known beforehand.
        return typing.Union[tuple(native)] if native else Any  # noqa: UP007

    # The whole payload in one go; one with anything else in it is not this lane's.
    envelope = msgspec.defstruct(
        "Envelope",
        [("v", Literal[1]), ("args", tuple[()]), ("kwargs", _struct(parameters, hint))],
        forbid_unknown_fields=True,
    )
    return cast("Callable[[bytes], Envelope]", msgspec.json.Decoder(envelope).decode)


def _struct(
    parameters: Sequence[Parameter], hint: Callable[[Parameter], Any]
) -> type[msgspec.Struct]:
    """A struct of the parameters; what is not given is ``UNSET``, which is never written."""

    def fields(how: str) -> list[Any]:
        return [
            (p.name, hint(p)) if p.default is MISSING else (p.name, hint(p), msgspec.UNSET)
            for p in parameters
            if p.how == how
        ]

    positional = msgspec.defstruct("Positional", fields("either"), forbid_unknown_fields=True)
    return msgspec.defstruct(
        "Call",
        fields("keyword-only"),
        bases=(positional,),
        kw_only=True,
        forbid_unknown_fields=True,
    )
