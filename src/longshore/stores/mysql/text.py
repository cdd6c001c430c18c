"""The queries of this database, and how many rows travel in one of them.

Files in ``queries/mysql`` have the placeholders of the drivers: ``%s`` and ``%(name)s``. A list is
written ``in %(ids)s``: the driver puts parentheses around it. Many rows travel in one statement: as
``values`` of an insert, or as one JSON text ``%(rows)s`` that the server reads as a table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

from msgspec import json

from longshore.stores.sql.statements import Queries, Query, Row, Statement

#: How many rows one statement carries at most, and about how many bytes.
MOST_ROWS = 1000
MOST_BYTES = 400_000

_VALUES = re.compile(r"(?P<head>.*\bvalues\s*)(?P<row>\((?:%s(?:,\s*)?)+\))\Z", re.DOTALL)
_LIST = re.compile(r"\bin %\((\w+)\)s")
_TABLE = re.compile(r"\bjson_table\(%\((\w+)\)s")
_ESCAPED = re.compile(r"[\0\n\r\x1a\"'\\]")
_NOTHING = (None,)
#: What a row takes beside its texts: numbers, quotes, commas.
_ROW = 150


class Rows(Statement):
    """One query with many rows, sent in as few statements as carry them."""

    __slots__ = ("also", "pieces", "steps")

    def __init__(
        self, query: RowsQuery, rows: Sequence[Row], also: Mapping[str, Any], *, whole: bool
    ) -> None:
        super().__init__(query, rows, many=True, whole=whole)
        self.also = also
        #: Of several queries the last one tells how many rows were written.
        self.steps = query.steps
        self.pieces = (rows,) if len(rows) == 1 else tuple(_pieces(rows))

    def fits(self, packet: int) -> bool:
        """Whether a packet of so many bytes carries each statement."""
        return all(
            len(rows) > 1 or 4 * _size(rows[0]) < packet or _written(rows[0]) < packet
            for rows in self.pieces
            if rows
        )

    def texts(self) -> Iterator[tuple[str, Any]]:
        """Text and values of each statement to send."""
        query = self.query
        for rows in self.pieces:
            if not isinstance(query, InsertQuery):
                values = {"rows": _as_table(rows), **self.also}
                for text in self.steps:
                    yield text, values
            elif len(rows) == 1:
                yield query.text, rows[0]
            else:
                text = query.head + ",".join([query.row] * len(rows))
                yield text, [value for row in rows for value in row]


class ListQuery(Query):
    """A query that takes lists of values: an empty one, and none, is a list with null in it."""

    __slots__ = ("lists",)

    def __init__(self, name: str, text: str, lists: Sequence[str]) -> None:
        super().__init__(name, text)
        self.lists = lists

    def __call__(self, **params: Any) -> Statement:
        """Run once with named values."""
        for name in self.lists:
            params[name] = params[name] or _NOTHING
        return Statement(self, params)


class TableQuery(Query):
    """A query that takes a list of rows, which the server reads as a table."""

    __slots__ = ("table",)

    def __init__(self, name: str, text: str, table: str) -> None:
        super().__init__(name, text)
        self.table = table

    def __call__(self, **params: Any) -> Statement:
        """Run once with named values."""
        rows = params[self.table]
        if not isinstance(rows, str):
            params[self.table] = _as_table(rows)
        return Statement(self, params)


class QueuesQuery(Query):
    """A query of the first jobs of one queue, for several of them in one statement."""

    __slots__ = ()

    def __call__(self, **params: Any) -> Statement:
        """Run once for ``each`` of the first jobs of these ``queues``."""
        queues = params["queues"] or ("",)
        return joined(self, [(queue, params["each"]) for queue in queues])


class ValuesQuery(Query):
    """A query of the first jobs of one value, for several of them in one statement."""

    __slots__ = ()

    def __call__(self, **params: Any) -> Statement:
        """Run once for ``each`` of the first jobs of these ``values`` of a queue and priority."""
        return joined(
            self,
            [
                (turns_line(queue, fair_key), priority, params["each"])
                for queue, priority, fair_key in params["values"]
            ],
        )


class AdmitQuery(Query):
    """The query that lets blocked jobs of one key and queue in."""

    __slots__ = ()

    def many(self, rows: Sequence[Row], *, whole: bool = False) -> Statement:
        """Run once for each key, queue and number of jobs."""
        return super().many(
            [(blocked_line(key, queue), jobs) for key, queue, jobs in rows], whole=whole
        )


class RowsQuery(Query):
    """A query that takes many rows at once, or several such queries with the same rows."""

    __slots__ = ("steps",)

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, text)
        #: Queries to send one after another.
        self.steps = tuple(text.split(";\n"))

    def many(self, rows: Sequence[Row], *, whole: bool = False, **also: Any) -> Statement:
        """Run once for all rows, with values that they share."""
        return Rows(self, rows, also, whole=whole)


class InsertQuery(RowsQuery):
    """``insert ... values (...)``, which may be followed by more of its kind."""

    __slots__ = ("head", "row")

    def __init__(self, name: str, text: str, head: str, row: str) -> None:
        super().__init__(name, text)
        self.head = head
        self.row = row


class JobsQuery(InsertQuery):
    """The inserts of jobs: beside what is given, each row says in which line the job stands."""

    __slots__ = ()

    def many(self, rows: Sequence[Row], *, whole: bool = False, **also: Any) -> Statement:
        """Insert jobs; a row begins with id, state, queue and priority."""
        return super().many([(*row, *_line(*row[1:4])) for row in rows], whole=whole, **also)


class RichJobsQuery(InsertQuery):
    """As :class:`JobsQuery`, of jobs that may take turns or hold a key."""

    __slots__ = ()

    def many(self, rows: Sequence[Row], *, whole: bool = False, **also: Any) -> Statement:
        """Insert jobs; a row ends with identity, unique key, until when, fair key and rules."""
        return super().many(
            [
                (*row[:15], fair_key, rules, *_line(row[1], row[2], row[3], fair_key))
                for row in rows
                for fair_key, rules in (row[17:],)
            ],
            whole=whole,
            **also,
        )


class MySQLQueries(Queries):
    """The queries of ``queries/mysql``."""

    def __init__(self, prefix: str) -> None:
        super().__init__("mysql", prefix)
        self._queries = _read_sorted(prefix)

    def heads(self, queues: Sequence[str], each: int) -> Statement:
        """The query ``ready_head`` for each of these queues, in one statement."""
        return joined(self["ready_head"], [(queue, each) for queue in queues])

    def fronts(self, rows: Sequence[Row]) -> Statement:
        """The query ``ready_queue`` for each of these rows of values, in one statement."""
        return joined(self["ready_queue"], rows)


@lru_cache(maxsize=32)
def _read_sorted(prefix: str) -> Mapping[str, Query]:
    return {query.name: _sorted(query) for query in Queries("mysql", prefix)}


def joined(query: Query, rows: Sequence[Row]) -> Statement:
    """A query for each of these rows of values, in one statement."""
    if len(rows) == 1:
        return Statement(query, rows[0])
    text = "\nunion all\n".join([f"({query.text})"] * len(rows))
    return Statement(Query(query.name, text), tuple(value for row in rows for value in row))


def turns_line(queue: str, fair_key: str) -> str:
    """Where jobs stand that are ready and take turns, as the migration explains."""
    return f"+{_digits(queue, 32)}{_digits(fair_key, 31)}"


def blocked_line(key: str, queue: str) -> str:
    """Where jobs of a queue stand that a key has blocked."""
    return f"!{_digits(key, 32)}{_digits(queue, 31)}"


def _digits(text: str, number: int) -> str:
    return sha256(text.encode()).hexdigest()[:number]


def _sorted(query: Query) -> Query:
    own = _OWN.get(query.name)
    if own is not None:
        return own(query.name, query.text)
    found = _VALUES.match(query.text)
    if found is not None:
        kind = _INSERTS.get(query.name, InsertQuery)
        return kind(query.name, query.text, found["head"], found["row"])
    if "%(rows)s" in query.text:
        return RowsQuery(query.name, query.text)
    table = _TABLE.search(query.text)
    if table is not None:
        return TableQuery(query.name, query.text, table[1])
    lists = sorted(set(_LIST.findall(query.text)))
    return ListQuery(query.name, query.text, lists) if lists else query


_OWN: Mapping[str, type[Query]] = {
    "ready_heads": QueuesQuery,
    "fair_heads": ValuesQuery,
    "admit": AdmitQuery,
}
_INSERTS: Mapping[str, type[InsertQuery]] = {"insert": RichJobsQuery, "insert_plain": JobsQuery}


def _line(state: str, queue: str, priority: int, fair_key: str | None = None) -> tuple[str, int]:
    """Where a new job stands, as the migration explains."""
    match state:
        case "available":
            return queue if fair_key is None else turns_line(queue, fair_key), priority
        case "scheduled" | "retrying":
            return "#due", 0
        case _:
            return f"#{state}", 0


def _pieces(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Rows in pieces that a statement can carry; nearly always one piece."""
    start = size = 0
    for position, row in enumerate(rows):
        length = _size(row)
        if position > start and (size + length > MOST_BYTES or position - start == MOST_ROWS):
            yield rows[start:position]
            start, size = position, 0
        size += length
    yield rows[start:]


def _size(row: Row) -> int:
    """About how many bytes a row takes."""
    size = _ROW
    for value in row:
        if isinstance(value, (str, bytes)):
            size += len(value)
    return size


def _written(row: Row) -> int:
    """How many bytes a row takes in a statement, where quotes and the like take two."""
    size = _ROW
    for value in row:
        match value:
            case str():
                size += len(value.encode()) + len(_ESCAPED.findall(value))
            case bytes():
                size += len(value) + len(_ESCAPED.findall(value.decode("latin-1")))
            case _:
                pass
    return size


def _as_table(rows: Sequence[Row]) -> str:
    """Rows as JSON; bytes of ours are JSON text themselves and travel as such."""
    return json.encode(
        [[value.decode() if isinstance(value, bytes) else value for value in row] for row in rows]
    ).decode()
