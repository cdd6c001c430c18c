"""What stands for the output of a job that has not run, in a call that is bound before."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NoReturn, cast


class Placeholder:
    """The output of another job of the workflow; it is an argument as a whole and nothing else.

    ``mark`` is the text that stands in its place until the store copies the output there.
    """

    __slots__ = ("mark",)

    def __init__(self, mark: str) -> None:
        object.__setattr__(self, "mark", mark)

    def __getattr__(self, name: str) -> NoReturn:
        msg = (
            f"the output of a job is not there before the job has run, so it has no {name}. Give it"
            " as an argument as it is, and take it apart in the job that gets it."
        )
        raise AttributeError(msg)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        self.__getattr__(name)

    def __getitem__(self, key: object) -> NoReturn:
        self.__getattr__(f"item {key!r}")

    def __iter__(self) -> NoReturn:
        self.__getattr__("items")

    def __repr__(self) -> str:
        return f"<{self.mark}>"


class Unfilled(bytes):
    """A payload in which outputs are still to come; ``places`` are their parameters."""

    places: tuple[str, ...]

    @classmethod
    def of(cls, payload: bytes, places: Collection[str]) -> Unfilled:
        """The payload, known to be unfilled."""
        unfilled = cls(payload)
        unfilled.places = tuple(places)
        return unfilled


def as_output(value: object) -> Placeholder | None:
    """The placeholder that an argument is, if it is one."""
    return cast("Any", value) if type(value) is Placeholder else None
