"""The one place where a statement is written in another parameter style.

A store's queries are written for its own driver: ``:name`` and ``?1`` for SQLite, ``%(name)s`` and
``%s`` for PostgreSQL and MySQL. Nearly every driver that a caller may have takes the same. asyncpg
wants ``$1``, Django's cursor for SQLite reads ``%`` as its own, and many rows are arrays in
PostgreSQL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

_PLACE = re.compile(r"%(?:\((\w+)\)s|(s)|(%))")


def numbered(text: str, params: Any) -> tuple[str, Any]:
    """A statement in the style of PostgreSQL itself, with its values in that order.

    Every place has a number of its own: one value in two places may be of two types there.

    >>> numbered("select %(a)s, %(b)s, %(a)s, 5 %% 2", {"a": 1, "b": 2})
    ('select $1, $2, $3, 5 % 2', (1, 2, 1))
    """
    written, names = _numbered(text)
    if isinstance(params, Mapping):
        values = cast("Mapping[str, Any]", params)
        return written, tuple(values[name] for name in names)
    return written, params


def rows_of(params: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Rows of values as SQLAlchemy takes them."""
    return [tuple(row) for row in params]


def takes_columns(text: str) -> bool:
    """Whether a statement takes many rows as arrays, one for each column: PostgreSQL's way."""
    return "%(c0)s" in text


def columns(rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    """Rows as such arrays. JSON, which is bytes here, is text in that database.

    >>> columns([(1, b"{}"), (2, None)])
    {'c0': [1, 2], 'c1': ['{}', None]}
    """
    return {
        f"c{number}": [v.decode() if isinstance(v, bytes) else v for v in values]
        for number, values in enumerate(zip(*rows, strict=True))
    }


def doubled(text: str) -> str:
    """A statement for a cursor that takes ``%`` for the beginning of a place."""
    return text.replace("%", "%%")


@lru_cache(maxsize=256)
def _numbered(text: str) -> tuple[str, tuple[str, ...]]:
    names: list[str] = []

    def place(found: re.Match[str]) -> str:
        if found[3]:
            return "%"
        names.append(found[1] or "")
        return f"${len(names)}"

    return _PLACE.sub(place, text), tuple(names)
