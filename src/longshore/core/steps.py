"""Which steps of a job are saved, which of them this run has come to, and how far its loops are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from longshore.core.model import Step
from longshore.core.wording import shown
from longshore.errors import StepRefused

#: How many steps, loops among them, one job may have, and how long a name may be.
MAX_STEPS: Final = 1000
MAX_NAME: Final = 200
#: The most bytes that one may take, as JSON.
MAX_STEP: Final = 1_048_576
#: How often a loop saves how far it is, seconds.
SAVE_EVERY: Final = 1.0

_UNCHANGING: Final = frozenset({int, str, float, bool, bytes, type(None)})


class Position(msgspec.Struct, frozen=True):
    """What is saved of a loop: the cursor of its last item, and whether it has come to its end."""

    at: msgspec.Raw
    done: bool = False


class Cursor:
    """How far one loop of this run is. ``encode`` turns its cursor into JSON."""

    def __init__(self, name: str, encode: Callable[[Any], bytes]) -> None:
        self.name = name
        self._encode = encode
        self._at: Any = None
        self._written: bytes | None = None
        self.dirty = False

    def begin(self, at: Any) -> None:
        """Nothing behind this cursor is dealt with yet."""
        self._at, self._written, self.dirty = at, None, False

    def passed(self, at: Any) -> None:
        """The item behind which this cursor stands is dealt with."""
        self._at = at
        # The source may change a list or the like in place when it goes on to the next item, and
        # that is not dealt with. What cannot be changed is written when it is saved.
        self._written = None if type(at) in _UNCHANGING else self._encode(at)
        self.dirty = True

    def value(self, *, done: bool = False) -> bytes:
        """What to save of it."""
        written = self._encode(self._at) if self._written is None else self._written
        return msgspec.json.encode(Position(msgspec.Raw(written), done))


class Book:
    """The steps of one job as one run of it sees them; ``label`` names the job in messages."""

    def __init__(self, label: str, run: int, saved: Iterable[Step]) -> None:
        self.label = label
        self._run = run
        self._saved = {step.name: step for step in saved}
        self._used: set[str] = set()
        self._open: dict[str, Cursor] = {}

    def use(self, name: str, *, cursor: bool) -> Step | None:
        """Come to a step, or with ``cursor`` to a loop: what is saved of it.

        Raises:
            StepRefused: this run has come to that name before, the name is not allowed, there are
                too many, or it was a loop before and is a step now.
        """
        self._check(name)
        if name in self._used:
            raise StepRefused(
                f"{self.label}: this run has a step {name!r} already; a second one would be given"
                " the value of the first. Give each a name of its own, such as one with a number."
            )
        self._used.add(name)
        saved = self._saved.get(name)
        if saved is None and len(self._used | self._saved.keys()) > MAX_STEPS:
            raise StepRefused(
                f"{self.label}: {name!r} would be one more than {MAX_STEPS} steps. Put several"
                " things into one step, or use ctx.iterate, which saves one position for a loop."
            )
        if saved is not None and saved.cursor is not cursor:
            was, now = ("a loop", "a step") if saved.cursor else ("a step", "a loop")
            raise StepRefused(
                f"{self.label}: {name!r} was saved as {was} and is {now} now; its value means"
                " something else. Give it a new name."
            )
        return saved

    def forget(self, name: str) -> None:
        """A step came to nothing: this run may try it once more."""
        self._used.discard(name)

    def step(self, name: str, value: bytes, now: int, *, cursor: bool = False) -> Step:
        """A step to save."""
        step = Step(name, value, now, self._run, cursor)
        self._saved[name] = step
        return step

    def begin(self, cursor: Cursor) -> None:
        """A loop begins."""
        self._open[cursor.name] = cursor

    def end(self, cursor: Cursor) -> None:
        """A loop is over."""
        self._open.pop(cursor.name, None)

    def loose(self, now: int) -> tuple[Step, ...]:
        """How far open loops are that have gone on since it was saved."""
        dirty = [cursor for cursor in list(self._open.values()) if cursor.dirty]
        steps = tuple(self.step(one.name, one.value(), now, cursor=True) for one in dirty)
        for cursor in dirty:
            cursor.dirty = False
        return steps

    def _check(self, name: object) -> None:
        if isinstance(name, str) and 0 < len(name) <= MAX_NAME and _storable(name):
            return
        raise StepRefused(
            f"{self.label}: {shown(name)} cannot be the name of a step. Use 1 to {MAX_NAME}"
            " characters of text that can be stored."
        )


def _storable(name: str) -> bool:
    try:
        return b"\0" not in name.encode()
    except UnicodeEncodeError:  # half of a pair
        return False
