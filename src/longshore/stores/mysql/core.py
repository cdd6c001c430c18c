"""What a MariaDB or MySQL database does otherwise than other SQL stores: lists, counts, reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from longshore.core.model import JobRecord
from longshore.core.store import Retention
from longshore.stores.clock import Clock
from longshore.stores.mysql.text import MySQLQueries
from longshore.stores.sql.core import Core
from longshore.stores.sql.inspect import Inspecting
from longshore.stores.sql.statements import Row, Steps


class MySQLCore(Core):
    """The hooks of :class:`longshore.stores.sql.core.Core`."""

    database: ClassVar[str] = "mysql"

    def __init__(self, retention: Retention, clock: Clock | None, prefix: str) -> None:
        super().__init__(retention, clock, prefix)
        self.sql: MySQLQueries = MySQLQueries(prefix)

    def listed(self, values: Sequence[Any]) -> Any:
        """A list as the drivers write it."""
        return tuple(values)


class MySQLInspecting(MySQLCore, Inspecting):
    """What people ask, where this database can do it in fewer statements."""

    def records(self, ids: Sequence[str]) -> Steps[Mapping[str, JobRecord]]:
        # In one statement: a job that ends between two looks would be seen by neither.
        rows: list[Row] = yield self.sql["get"](ids=self.ids(list(dict.fromkeys(ids))))
        return {row[0]: self.record(row) for row in rows}
