"""Some arguments of each payload of one job, in one form: by name, plain, defaults applied.

Keys are made of them, for every job that is enqueued, so nearly all payloads are read by a struct
of just these names; whatever that does not take is read the careful way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final, Protocol, cast

import msgspec

from longshore.core.codec.text import to_canonical_json

_ABSENT: Final = msgspec.UNSET


class Source(Protocol):
    """What this needs of a signature."""

    def short_reader(self, names: Collection[str] | None) -> Callable[[bytes], Any] | None: ...
    def canonical(self, payload: bytes, names: Collection[str] | None = None) -> bytes: ...


class Selection:
    """Reads the arguments of these names, all of them if ``None``, from payloads of one job.

    The job's annotations are resolved at the first payload, when the names in them exist.
    """

    __slots__ = ("_names", "_read", "_resolved", "_source")

    def __init__(self, source: Source, names: Collection[str] | None) -> None:
        self._source = source
        self._names = names
        self._read: Callable[[bytes], Any] | None = None
        self._resolved = False

    def canonical(self, payload: bytes) -> bytes:
        """The arguments as JSON, sorted by name.

        Raises:
            PayloadMismatch: the payload does not fit the signature.
            UnknownPayloadVersion: a newer release wrote it.
        """
        found = self._short(payload)
        if found is not None:
            return to_canonical_json(found)
        return self._source.canonical(payload, self._names)

    def values(self, payload: bytes) -> dict[str, Any]:
        """The arguments as plain JSON values; one that is absent is not there. Raises the same."""
        found = self._short(payload)
        if found is not None:
            return {
                name: value
                for name in found.__struct_fields__
                if (value := getattr(found, name)) is not _ABSENT
            }
        plain = msgspec.json.decode(self._source.canonical(payload, self._names))
        return cast("dict[str, Any]", plain)

    def _short(self, payload: bytes) -> Any:
        if not self._resolved:
            self._read = self._source.short_reader(self._names)
            self._resolved = True
        if self._read is None:
            return None
        try:
            return self._read(payload)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
