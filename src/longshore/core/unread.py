"""Rows that become records when somebody looks at them: who has just sent the next request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar, overload

T = TypeVar("T")


class Unread(Sequence[T], Generic[T]):
    """So many records, which ``read`` makes once. It is equal to a tuple of the same ones."""

    __slots__ = ("_length", "_read", "_records")

    def __init__(self, length: int, read: Callable[[], tuple[T, ...]]) -> None:
        self._length = length
        self._read: Callable[[], tuple[T, ...]] | None = read
        self._records: tuple[T, ...] = ()

    def _all(self) -> tuple[T, ...]:
        if self._read is not None:
            self._records = self._read()
            self._read = None
        return self._records

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[T]:
        return iter(self._all())

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self._all()[index]

    def __eq__(self, other: object) -> bool:
        own = self._all()
        return own == (other._all() if isinstance(other, Unread) else other)

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return repr(self._all())
