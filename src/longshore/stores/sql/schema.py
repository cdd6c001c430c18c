"""Migrations of SQL stores: which there are, which have run, and whether the tables are theirs.

A migration is a file ``migrations/<database>/NNN_<name>.sql`` of plain statements, each ending with
``;`` at the end of a line. One whose head has a line ``-- Additive: ...`` adds something that
releases before it do not look at: they go on beside newer ones. Any other stops them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import msgspec

from longshore.core.schema import Difference, SchemaStatus
from longshore.errors import SchemaMismatch
from longshore.stores.sql.statements import with_prefix

#: For how long a store relies on its last look at the version table, seconds.
FRESH: Final = 5.0

_HERE: Final = Path(__file__).parent.parent
_VERSIONS: Final = "migration"  # the end of the version table's name
_ADDITIVE: Final = re.compile(r"^--\s*Additive\b", re.MULTILINE)


class Known(msgspec.Struct, frozen=True):
    """A migration of this release: its text with the store's prefix in it."""

    name: str
    text: str
    additive: bool


#: What a table consists of, in the words of its database: columns and indexes by name.
Parts: TypeAlias = "Mapping[str, str]"
#: Tables by name.
Shape: TypeAlias = "Mapping[str, Parts]"


@lru_cache(maxsize=32)
def read(database: str, prefix: str) -> Mapping[str, Known]:
    """The migrations of a database by name, in the order in which they must run."""
    return {
        path.stem: Known(
            path.stem, with_prefix(text, prefix), additive=_ADDITIVE.search(text) is not None
        )
        for path in sorted((_HERE / "migrations" / database).glob("[0-9][0-9][0-9]_*.sql"))
        for text in (path.read_text("utf-8"),)
    }


def status_of(rows: Iterable[tuple[str, bool, bool]], known: Mapping[str, Known]) -> SchemaStatus:
    """What the version table says; ``rows`` are name, additive, done."""
    rows = sorted(rows)
    applied = tuple(name for name, _, done in rows if done)
    return SchemaStatus(
        applied=applied,
        pending=tuple(name for name in known if name not in applied),
        unknown=tuple(name for name, _, _ in rows if name not in known),
        breaking=tuple(name for name, additive, _ in rows if name not in known and not additive),
        half=tuple(name for name, _, done in rows if not done),
    )


def next_of(status: SchemaStatus) -> tuple[str, ...]:
    """What to run in the next transaction: one migration, or all where there was none before.

    Who looks at a new database meanwhile sees none of the tables or all of them.
    """
    return status.pending[:1] if status.applied else status.pending


class Migrates(Protocol):
    """What :func:`looked_at` needs of a store."""

    @property
    def address(self) -> str: ...
    def schema(self) -> SchemaStatus: ...
    def migrate(self) -> tuple[str, ...]: ...


def looked_at(store: Migrates, *, first: bool) -> float:
    """Look at the tables, and the first time make them in a database that has none of ours.

    Returns when to look again, by the monotonic clock: a newer release may change them meanwhile.

    Raises:
        SchemaMismatch: as :func:`checked`.
    """
    status = store.schema()
    if first and not (status.applied or status.half):
        store.migrate()
        status = store.schema()
    checked(status, store.address)
    return time.monotonic() + FRESH


def checked(status: SchemaStatus, address: str) -> None:
    """Refuse tables that this release cannot run on.

    Raises:
        SchemaMismatch: they are older, half-way, or newer in a way that older releases cannot
            live with.
    """
    if status.breaking:
        raise SchemaMismatch(
            f"{address}: a newer release of Longshore has changed its tables"
            f" ({', '.join(status.breaking)}) in a way that this one cannot live with. Nothing was"
            " written. Use that release or a newer one here too."
        )
    begun = [name for name in status.half if name in status.pending]
    if begun:
        raise SchemaMismatch(
            f"{address}: the migration {begun[0]} has run in part. Run `longshore db up`, which"
            " goes on where it ended; `longshore db verify` names what is missing."
        )
    if status.pending:
        raise SchemaMismatch(
            f"{address}: its tables are older than this release; missing:"
            f" {', '.join(status.pending)}. Run `longshore db up`."
        )


def split(script: str) -> list[str]:
    """The statements of a migration: each ends with ``;`` at the end of a line."""
    statements: list[str] = []
    lines: list[str] = []
    for line in script.splitlines():
        if line.startswith("--") or not line.strip():
            continue
        lines.append(line)
        if line.rstrip().endswith(";"):
            statements.append("\n".join(lines).rstrip().removesuffix(";"))
            lines = []
    if lines:
        statements.append("\n".join(lines))
    return statements


def due_shape(status: SchemaStatus, known: Mapping[str, Known]) -> list[Known]:
    """The migrations whose work should be there: those applied and those begun."""
    return [known[name] for name in known if name in status.applied or name in status.half]


def own_tables(prefix: str, names: Iterable[str]) -> list[str]:
    """The tables of a prefix, without those of a longer one that begins like it."""
    mine = sorted(name for name in names if name.startswith(prefix))
    others = tuple(
        other
        for name in mine
        for other in (name.removesuffix(_VERSIONS),)
        if name.endswith(_VERSIONS) and other != prefix
    )
    return [name for name in mine if not (others and name.startswith(others))]


def differences(expected: Shape, actual: Shape, *, newer: bool = False) -> tuple[Difference, ...]:
    """What is missing, extra or altered, by table; the parts of a missing table are not named.

    ``newer``: a newer release has added to the tables, so that what is extra is not named.
    """
    found: list[Difference] = []
    for table in sorted({*expected, *actual}):
        if table not in actual:
            found.append(Difference(table, "table", "missing"))
        elif table not in expected:
            found.append(Difference(table, "table", "extra"))
        else:
            found += _differing(table, expected[table], actual[table])
    return tuple(one for one in found if not (newer and one.problem == "extra"))


def _differing(table: str, expected: Parts, actual: Parts) -> list[Difference]:
    found: list[Difference] = []
    for what in sorted({*expected, *actual}):
        is_, should = actual.get(what), expected.get(what)
        if is_ is None:
            found.append(Difference(table, what, "missing", f"should be {should}"))
        elif should is None:
            found.append(Difference(table, what, "extra", f"is {is_}"))
        elif is_ != should:
            found.append(Difference(table, what, "altered", f"is {is_}, should be {should}"))
    return found
