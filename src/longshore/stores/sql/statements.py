"""What SQL stores share: statements, the files they are read from, and the history of a job.

SQL lives in ``queries/<database>/<name>.sql`` and ``migrations/<database>/NNN_<name>.sql``, written
for tables named ``longshore_...``; a store with another prefix has it put in as the file is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import json

from longshore.core.model import Run
from longshore.errors import ConfigurationError

T = TypeVar("T")

#: The body of an operation: it yields statements and is sent their rows, or for a statement
#: without rows the number of rows that it wrote.
Steps: TypeAlias = "Generator[Statement, Any, T]"

Row: TypeAlias = tuple[Any, ...]

FIRST_RUNS = 20
LAST_RUNS = 80

_HERE = Path(__file__).parent.parent
_PREFIX = re.compile(r"[a-z_][a-z0-9_]{0,47}")
_WRITTEN_FOR = "longshore_"
_READS = re.compile(r"\s*(select|with)\b", re.IGNORECASE)


class Statement:
    """One query with its values. ``many``: once for each of ``params``.

    ``whole``: where it is the first of an operation and writes a row for each of ``params``, it is
    all of it. A driver may then let it be its own transaction, which saves two steps; where it
    writes fewer it must have written none. Of an operation that only reads: it is all that is read.
    """

    __slots__ = ("many", "params", "query", "whole")

    def __init__(
        self, query: Query, params: Any = (), *, many: bool = False, whole: bool = False
    ) -> None:
        self.query = query
        self.params = params
        self.many = many
        self.whole = whole


class Query:
    """The text of one query file; calling it gives a statement."""

    __slots__ = ("name", "text", "writes")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.writes = _READS.match(text) is None

    def __call__(self, **params: Any) -> Statement:
        """Run once with named values."""
        return Statement(self, params)

    def alone(self, **params: Any) -> Statement:
        """Run once with named values, as all that an operation reads.

        First in an operation that writes: a write that may be committed by itself.
        """
        statement = self(**params)  # as each kind of query makes it
        statement.whole = True
        return statement

    def many(self, rows: Sequence[Row], *, whole: bool = False) -> Statement:
        """Run once for each row of values."""
        return Statement(self, rows, many=True, whole=whole)


#: Operations that look once, at one moment by itself: around them a transaction only costs time.
ONE_LOOK = frozenset(
    {"steps", "logs", "ticks", "schedules", "kinds", "processes", "bundles", "members"}
)

#: Not a query: undo what this operation has written so far, and go on.
UNDO = Statement(Query("undo", ""))

#: Not a query: whether an earlier try of this operation may have been committed, its reply lost.
REPEATED = Statement(Query("repeated", ""))


class Queries:
    """Every query of one database, by the name of its file."""

    def __init__(self, database: str, prefix: str) -> None:
        self._queries: Mapping[str, Query] = _read(database, prefix)

    def __getitem__(self, name: str) -> Query:
        return self._queries[name]

    def __iter__(self) -> Generator[Query]:
        read = self._queries
        yield from read.all() if isinstance(read, _Texts) else read.values()


class _Texts(dict[str, "Query"]):
    """Queries whose files have been read; each is made when it is asked for first.

    All are read at once: what the files say may change when the package does, under a process.
    """

    def __init__(self, texts: Mapping[str, str], prefix: str) -> None:
        super().__init__()
        self._texts = texts
        self._prefix = prefix

    def __missing__(self, name: str) -> Query:
        text = _without_comments(with_prefix(self._texts[name], self._prefix))
        query = self[name] = Query(name, text)
        return query

    def all(self) -> Iterator[Query]:
        """Every one of them, by name."""
        return map(self.__getitem__, sorted(self._texts))


# Whoever opens many stores reads some hundred files once.
@lru_cache(maxsize=32)
def _read(database: str, prefix: str) -> _Texts:
    with_prefix("", prefix)  # what is wrong with it is said at once
    texts: dict[str, str] = {}
    # A worker waits for this: half the price of asking paths.
    with os.scandir(_HERE / "queries" / database) as files:
        for entry in files:
            name, dot, kind = entry.name.partition(".")
            if dot + kind == ".sql":
                with open(entry.path, "rb") as file:  # noqa: PTH123
                    texts[name] = file.read().decode()
    return _Texts(texts, prefix)


def with_prefix(text: str, prefix: str) -> str:
    """Put the prefix of this store's tables into SQL.

    Raises:
        ConfigurationError: not lower-case letters, digits and ``_`` beginning with no digit: it
            becomes part of SQL, where nothing else may.
    """
    if _PREFIX.fullmatch(prefix) is None:
        raise ConfigurationError(
            f"prefix={prefix!r} cannot begin the names of tables. Use 1 to 48 lower-case letters,"
            " digits or _, and do not begin with a digit."
        )
    return text.replace(_WRITTEN_FOR, prefix)


def with_run(runs: bytes | None, run: Run) -> bytes:
    """A stored history with a line added, of which the first and the last are kept."""
    lines = [] if runs is None else _LINES.decode(runs)
    lines.append(msgspec.Raw(json.encode(run)))
    if len(lines) > FIRST_RUNS + LAST_RUNS:
        lines = lines[:FIRST_RUNS] + lines[-LAST_RUNS:]
    return json.encode(lines)


def as_json(values: Any) -> str:
    """Values as a query takes a list of them."""
    return json.encode(values).decode()


# Lines are moved as they are: a history is read only by people.
_LINES = json.Decoder(list[msgspec.Raw])


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("--")).rstrip("; \n")
