"""What a store says of its tables: which migrations they have had, and what is wrong with them."""

from __future__ import annotations

import msgspec


class SchemaStatus(msgspec.Struct, frozen=True, gc=False):
    """Which migrations a store has had; ``pending`` in the order in which they must run."""

    applied: tuple[str, ...]
    pending: tuple[str, ...]
    unknown: tuple[str, ...]  # applied by a newer release
    breaking: tuple[str, ...] = ()  # those of the unknown that this release cannot run on
    half: tuple[str, ...] = ()  # begun and not ended, where a database ends each step by itself


class Migration(msgspec.Struct, frozen=True, gc=False):
    """One step of a store's tables; ``sql`` is all that ``migrate`` runs for it, version row too.

    ``additive``: releases that do not know it run on unharmed.
    """

    name: str
    additive: bool
    sql: str


class Difference(msgspec.Struct, frozen=True, gc=False):
    """One thing in which tables are not what their migrations make.

    ``what`` is ``table``, ``column NAME`` or ``index NAME``; ``problem`` is ``missing``, ``extra``
    or ``altered``; ``detail`` says in words what is there and what should be.
    """

    table: str
    what: str
    problem: str
    detail: str = ""
