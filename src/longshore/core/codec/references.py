"""The place where types that are stored by reference join the codec."""

from __future__ import annotations

from typing import Protocol


class References(Protocol):
    """Types stored by reference: a record's key travels, and the record is loaded again."""

    def knows(self, kind: type[object], /) -> bool:
        """Whether values of this type are stored by reference."""
        ...

    def dump(self, value: object, /) -> object:
        """The reference as plain JSON, never ``null``."""
        ...

    def load(self, kind: type[object], data: object, /) -> object:
        """The record that a reference names."""
        ...
