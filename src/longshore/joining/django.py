"""Connections of Django, used through Django's own cursors.

So what Django does around a statement happens for ours too: its errors, its log of queries, its
refusal to go on in a transaction that is broken.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar

from longshore.joining.styles import doubled
from longshore.joining.through import Statement, Through, memory_of, ran

_DATABASES = {"sqlite": "sqlite", "postgresql": "postgres", "mysql": "mysql"}


class ThroughDjango(Through):
    """A connection of ``django.db``; ``connection`` itself stands for the one of this thread."""

    noun: ClassVar[str] = "a Django connection"
    tells: ClassVar[bool] = True

    def __init__(self, connection: Any) -> None:
        # The proxy gives attributes of the connection that this thread or task has.
        self._connection = connection

    @property
    def database(self) -> str:
        vendor: str = self._connection.vendor
        return _DATABASES.get(vendor, vendor)

    def open(self) -> None:
        self._connection.ensure_connection()

    def execute(self, statement: Statement) -> Any:
        with self._connection.cursor() as cursor:
            return ran(cursor, statement, doubled if self.database == "sqlite" else str)

    def commits_at_once(self) -> bool:
        connection = self._connection
        return bool(connection.get_autocommit()) and not connection.in_atomic_block

    def memory(self) -> MutableMapping[Any, Any] | None:
        return memory_of(self._connection.connection)

    def after_commit(self, hook: Callable[[], None], ahook: Callable[[], Awaitable[None]]) -> None:  # noqa: ARG002 - Django calls hooks without awaiting
        self._connection.on_commit(hook)
