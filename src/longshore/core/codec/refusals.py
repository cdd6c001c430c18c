"""How the codec says no: what is wrong, and where in the arguments it sits.

The parts of the codec raise a ``Refusal`` that knows nothing of jobs. Each container adds its step
of the path while the exception passes through it, and ``Signature`` turns the whole into the public
error of the side it is on: the caller's at enqueue, the worker's when it reads.
"""

from __future__ import annotations

from typing import Final

import msgspec

#: What reading a payload the short way raises where it has to be read the careful way.
DECLINED: Final = (msgspec.MsgspecError, ValueError, RecursionError)

MAX_DEPTH = 64
MAX_KEYS = 10_000

Step = str | int


class Refusal(Exception):
    """A value is refused; ``steps`` is its path, innermost step first."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text
        self.steps: list[Step] = []

    def under(self, step: Step) -> Refusal:
        """Add the step by which the container reached the value, and hand the refusal back."""
        self.steps.append(step)
        return self

    def where(self, root: str = "args") -> str:
        """The path from the root down, such as ``args.user.items[3]``."""
        return root + "".join(step_text(step) for step in reversed(self.steps))


class Mismatch(Refusal):
    """The value, or the call as a whole, does not fit the annotations."""

    @classmethod
    def of(cls, value: object, expected: str) -> Mismatch:
        return cls(f"is {a_type(value)}, expected `{expected}`")


class Unstorable(Refusal):
    """The value cannot travel as JSON and come back the same."""


class TooLarge(Refusal):
    """The value has no chance to fit: what was counted so far is over the limit."""

    def __init__(self, size: int) -> None:
        super().__init__(f"more than {size} bytes")
        self.size = size


class NotDecidable(Exception):
    """An annotation that JSON cannot carry without guessing; found when a signature is resolved."""


class Walk:
    """One pass over one set of arguments: how deep it is, and how much room is left.

    The room is counted on the way down, so that a small structure that refers to the same list many
    times is stopped before it is written out.
    """

    __slots__ = ("depth", "limit", "room")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.room = limit
        self.depth = 0

    def enter(self, size: int) -> None:
        """Go into a container of ``size`` items; each takes a byte or more, and a comma."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unstorable(f"is nested deeper than {MAX_DEPTH} levels, or contains itself")
        self.spend(2 * size)

    def leave(self) -> None:
        self.depth -= 1

    def spend(self, size: int) -> None:
        """Take ``size`` bytes of the room: never more than will be written."""
        self.room -= size
        if self.room < 0:
            raise TooLarge(self.limit - self.room)


def step_text(step: Step) -> str:
    """One step of a path: ``[3]``, ``.name``, or ``["any other key"]`` cut to 40 characters."""
    if isinstance(step, int):
        return f"[{step}]"
    if step.isidentifier():
        return f".{step}"
    return f"[{step[:40]!a}]"


def a_type(value: object) -> str:
    """The type of a value as a message names it; never the value, which may be a secret."""
    if value is None:
        return "None"
    return f"`{type_name(type(value))}`"


def type_name(kind: type[object]) -> str:
    """A type's name, with its module unless it is a builtin."""
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"
