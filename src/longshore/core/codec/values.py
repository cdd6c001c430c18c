"""Single values as JSON and back: what a step returns, and how far a loop has come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from longshore.core.codec.annotations import Annotations
from longshore.core.codec.callables import hints_of, parameters_of, unresolved
from longshore.core.codec.nodes import Node
from longshore.core.codec.refusals import NotDecidable, Refusal, TooLarge, Walk
from longshore.core.codec.text import locate_value, raise_too_large, read_plain, write
from longshore.errors import (
    AmbiguousAnnotation,
    NotAJobFunction,
    StepRefused,
    UnstorableResult,
)


class Values:
    """Values of one annotation; ``what`` names them in messages."""

    def __init__(self, what: str, annotation: Any) -> None:
        self.what = what
        try:
            self._node: Node = Annotations(None).node(annotation)
        except NotDecidable as refusal:
            raise AmbiguousAnnotation(
                f"{what} cannot be stored as annotated: {refusal}. Narrow the annotation, or wrap"
                " the value in a type with named fields."
            ) from None
        except NameError as error:
            raise unresolved(what, "return", error) from None

    @classmethod
    def returned(cls, what: str, func: Callable[..., Any]) -> Values:
        """What a function returns, by its annotation; anything that JSON has if it has none.

        Raises:
            UnresolvedAnnotation: its annotation names something that does not exist.
            AmbiguousAnnotation: JSON cannot tell apart what the annotation allows.
        """
        hints = hints_of(func, kind=what, names=("return",))
        return cls(what, hints.get("return", Any))

    @classmethod
    def taken(cls, what: str, func: Callable[..., Any], given: object) -> Values:
        """What a function of one argument takes, by its annotation, else like ``given``."""
        annotation: Any = Any if given is None else type(given)
        try:
            parameters = parameters_of(func, kind=what, drop_first=False, skip=())
        except NotAJobFunction:  # a callable that tells nothing of itself
            parameters = ()
        if parameters:
            name = parameters[0].name
            annotation = hints_of(func, kind=what, names=(name,)).get(name, annotation)
        return cls(what, annotation)

    def encode(self, value: Any, limit: int) -> bytes:
        """A value as JSON.

        Raises:
            UnstorableResult: it cannot be stored, or takes more than ``limit`` bytes.
        """
        try:
            raw = self._node.dump(value, Walk(limit))
            data = write(raw, lambda: locate_value(raw))
            if len(data) > limit:
                raise_too_large(len(data))
        except TooLarge as refusal:
            raise UnstorableResult(
                f"{self.what}: the value takes {refusal.text}, the limit is {limit}. Store it"
                " elsewhere and return a reference to it."
            ) from None
        except Refusal as refusal:
            raise UnstorableResult(
                f"{self.what}: {refusal.where('value')} {refusal.text}. Use plain values, or"
                " annotate with a type that can be stored."
            ) from None
        return data

    def decode(self, data: bytes) -> Any:
        """The value that :meth:`encode` wrote.

        Raises:
            StepRefused: it does not fit the annotation (any more).
        """
        try:
            return self._node.load(read_plain(data))
        except Refusal as refusal:
            raise StepRefused(
                f"{self.what}: its stored {refusal.where('value')} {refusal.text}. The annotation"
                " has changed since it was saved: give it a new name, or change it back."
            ) from None
