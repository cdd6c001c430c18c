"""What a MariaDB or MySQL server says of itself."""

from __future__ import annotations

import time

from longshore.core.facts import Clock, Facts, Room
from longshore.stores.mysql.driver import Connection, Driver, number_of
from longshore.stores.sql.statements import Queries

#: How many connections one process of a worker holds: it claims, it looks, and a job asks.
EACH = 3

_HIDDEN = "open transactions of other users (grant process on *.*)"
#: Access denied, for want of a right.
_DENIED = 1227


def facts_of(driver: Driver, connection: Connection, queries: Queries, address: str) -> Facts:
    """Ask in a few statements."""
    cursor = connection.cursor()
    before = time.time_ns() // 1000
    cursor.execute(queries["now"].text)
    now = cursor.fetchall()[0][0]
    after = time.time_ns() // 1000
    values: dict[str, str] = {}
    for name in ("facts", "facts_status"):
        cursor.execute(queries[name].text)
        values |= {row[0].lower(): str(row[1]) for row in cursor.fetchall()}
    unseen: tuple[str, ...] = ()
    try:
        cursor.execute(queries["facts_transactions"].text)
        ((oldest,),) = cursor.fetchall()
        values["oldest_transaction"] = str(oldest or 0)
    except driver.Error as error:
        if number_of(error) != _DENIED:
            raise
        unseen = (_HIDDEN,)
    cursor.close()
    version = values.get("version", "")
    return Facts(
        store="mysql",
        address=address,
        product="MariaDB" if "mariadb" in version.lower() else "MySQL",
        version=version,
        values=values,
        unseen=unseen,
        clock=Clock.read(before, now, after),
        room=Room(int(values["max_connections"]), int(values["threads_connected"]), EACH),
    )
