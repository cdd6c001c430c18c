"""The driver: found when the store is opened, its connections made alike, its errors explained.

PyMySQL, or mysqlclient where that is the one installed. Either is asked for nothing but what both
have: the DB-API, and errors whose first argument is the server's number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cache
from importlib import import_module
from typing import Any, Protocol, cast

import msgspec

from longshore.errors import (
    ConfigurationError,
    SchemaMismatch,
    StoreBusy,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnavailable,
    StoreUnfit,
    StoreUnwritable,
)
from longshore.stores.deadlines import ANSWER, CONNECT, FORSAKEN

OLDEST_MARIADB = (10, 6)
OLDEST_MYSQL = (8, 0, 11)

#: What every connection of ours is told first: the same behaviour whatever the server's defaults.
SESSION = (
    "set session transaction isolation level read committed",
    (
        "set session sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00',"
        " innodb_lock_wait_timeout = %s, completion_type = 'NO_CHAIN',"
        " sql_select_limit = 18446744073709551615"
    ),
)
#: MariaDB alone has it. Who is cut off in the middle of a transaction, on a line that the server
#: believes to live, would else hold his locks for as long as it believes that.
END_FORSAKEN = "set session idle_transaction_timeout = %s"

TOO_LARGE = (
    "a job takes more bytes than the server's max_allowed_packet; nothing was written. Make that"
    " larger, or pass a reference instead of the data."
)


class Cursor(Protocol):
    """What is used of a driver's cursor."""

    @property
    def description(self) -> object: ...
    @property
    def rowcount(self) -> int: ...
    def execute(self, query: str, args: Any = None, /) -> object: ...
    def executemany(self, query: str, args: Any, /) -> object: ...
    def fetchall(self) -> Sequence[tuple[Any, ...]]: ...
    def close(self) -> None: ...


class Connection(Protocol):
    """What is used of a driver's connection."""

    def cursor(self) -> Cursor: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def close(self) -> None: ...


class Place(msgspec.Struct, frozen=True):
    """Where the server is and who asks; the password is nowhere shown."""

    host: str
    port: int
    user: str | None
    password: str | None
    database: str
    unix_socket: str | None = None
    ssl_ca: str | None = None
    connect_timeout: int = round(CONNECT)
    #: How long to wait for the answer to a statement, seconds.
    answer: float = ANSWER

    def __repr__(self) -> str:
        return f"Place({self.shown!r})"

    @property
    def shown(self) -> str:
        """The place as people may read it."""
        who = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        where = self.unix_socket or f"{host}:{self.port}"
        return f"mysql://{who}{where}/{self.database}"


class Driver:
    """The installed driver."""

    def __init__(self) -> None:
        module = _module()
        self._connect: Any = _sharing(module.connect)
        #: mysqlclient, which is told how long to wait once and for all.
        self._is_other = module.__name__ != "pymysql"
        #: Errors of the server and of the way to it.
        self.Error: type[Exception] = module.Error
        #: How many bytes one statement may take, as the server last said.
        self.packet = 2**20

    def connect(
        self, place: Place, *, lock_wait: int, autocommit: bool, patient: bool
    ) -> Connection:
        """A new connection, told how to behave; a ``patient`` one waits for answers for ever.

        Raises:
            ConfigurationError: the certificate of ``ssl_ca`` cannot be read.
            StoreError: the server is too old.
            Exception: one of the driver's, see :func:`explained`.
        """
        options: dict[str, Any] = {
            "host": place.host,
            "port": place.port,
            "user": place.user or "",
            "password": self._password(place.password or ""),
            "database": place.database,
            "unix_socket": place.unix_socket,
            "ssl": {"ca": place.ssl_ca} if place.ssl_ca else None,
            **dict.fromkeys(_TIMES, _seconds(place.answer)),
        }
        if patient and self._is_other:
            for name in _TIMES:
                del options[name]
        try:
            connection = cast(
                "Connection",
                self._connect(
                    charset="utf8mb4",
                    autocommit=autocommit,
                    connect_timeout=place.connect_timeout,
                    **{name: value for name, value in options.items() if value is not None},
                ),
            )
        except OSError as error:
            # What the network says, the driver tells in an error of its own.
            if not place.ssl_ca:
                raise
            raise ConfigurationError(
                f"{place.shown}: ssl_ca={place.ssl_ca} cannot be used: {error.strerror or error}"
            ) from error
        try:
            cursor = connection.cursor()
            cursor.execute("select version(), @@max_allowed_packet")
            version, self.packet = cursor.fetchall()[0]
            check_version(version, place.shown)
            cursor.execute(SESSION[0])
            cursor.execute(SESSION[1], (lock_wait,))
            if is_mariadb(version) and not patient:
                cursor.execute(END_FORSAKEN, (FORSAKEN,))
            cursor.close()
            if not autocommit:
                connection.rollback()
            if patient and not self._is_other:
                # Only now: who does not even greet is not waited for.
                vars(connection).update({f"_{name}": None for name in _TIMES})
        except BaseException:
            connection.close()
            raise
        return connection

    def _password(self, text: str) -> str | bytes:
        # Text is Latin-1 for PyMySQL, and UTF-8 for the servers.
        return text if self._is_other else text.encode()


_TIMES = ("read_timeout", "write_timeout")


def _seconds(time: float) -> float:
    """As mysqlclient must have them where they are whole."""
    return int(time) if time == int(time) else time


class Fault(Enum):
    """What an error of the driver says about the operation that it ended."""

    AGAIN = "others were in the way: undone, to be tried again"
    LOST = "the connection is gone: nobody knows what was done, to be tried again"
    FINAL = "trying again would end the same way"


def fault(error: Exception) -> Fault:
    """What to do about an error."""
    number = number_of(error)
    if number in _AGAIN:
        return Fault.AGAIN
    if number in _LOST or (number == 0 and type(error).__name__ == "InterfaceError"):
        return Fault.LOST
    return Fault.FINAL


def number_of(error: Exception) -> int:
    """The server's number of an error, 0 for one without."""
    first = error.args[0] if error.args else 0
    return first if isinstance(first, int) else 0


def explained(error: Exception, address: str) -> StoreError:
    """The error to raise for one of the driver's."""
    number = number_of(error)
    match fault(error):
        case Fault.AGAIN:
            return StoreBusy(
                f"{address}: others were in the way for too long; nothing was written. Try again."
                f" ({error})"
            )
        case Fault.LOST:
            return StoreUnavailable(
                f"{address}: the server is out of reach or went away. Is it running, and is the"
                f" address right? ({error})"
            )
        case Fault.FINAL:
            kind, meaning = _KNOWN.get(number, (StoreError, "the server refused it."))
            return kind(f"{address}: {meaning} ({error})")


# Deadlock, lock wait, a record changed (MariaDB's snapshots), lock refused, statement interrupted.
_AGAIN = frozenset({1213, 1205, 1020, 3572, 1317, 1180})

# Gone, lost, cannot connect, shut down, killed, idle for too long, too many connections, aborted.
_LOST = frozenset(
    {2000, 2002, 2003, 2004, 2005, 2006, 2012, 2013, 2014, 2055, 1053, 1927, 4031, 1040, 1042, 1043}
    | {1047, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1203}
)

_NO_TABLES = (
    SchemaMismatch,
    (
        "its tables are not those of this release. Run `longshore db up`, and `longshore db verify`"
        " to see what is missing."
    ),
)
_FULL = (StoreFull, "there is no room left on its disk; nothing was written. Make room.")
_READ_ONLY = (
    StoreUnwritable,
    "it is read-only; nothing was written. Name the server that takes writes.",
)
_DENIED = (
    StoreUnwritable,
    (
        "this user may not do that; nothing was written. docs/how-to/least-privilege.md lists the"
        " rights of each role; `longshore db up` needs an address whose user may make tables."
    ),
)
_LOGIN = (StoreDenied, "the server does not let this user in. Look at user and password.")

_KNOWN: Mapping[int, tuple[type[StoreError], str]] = {
    1021: _FULL,
    1114: _FULL,
    1026: _FULL,
    1290: _READ_ONLY,
    1792: _READ_ONLY,
    1836: _READ_ONLY,
    1874: _READ_ONLY,
    1044: _LOGIN,
    1045: _LOGIN,
    1698: _LOGIN,
    1142: _DENIED,
    1143: _DENIED,
    1227: _DENIED,
    1370: _DENIED,
    1054: _NO_TABLES,
    1146: _NO_TABLES,
    1049: (
        StoreDenied,
        "there is no such database. Make it (`create database ...`) or name another.",
    ),
    1153: (StoreFull, TOO_LARGE),
    1665: (
        StoreUnwritable,
        (
            "its binlog_format is STATEMENT, with which no transaction may read what is committed"
            " while it runs. Use ROW or MIXED."
        ),
    ),
}


def _module() -> Any:
    for name in ("pymysql", "MySQLdb"):
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
    raise ConfigurationError(
        "store: a mysql:// address needs a driver that is not installed. Run"
        ' `pip install "longshore[mysql]"`.'
    )


@cache
def _sharing(ordinary: Any) -> Any:
    """The driver's connections, of which those that check no certificate share their context.

    For each one PyMySQL reads all authorities that the system trusts, 40 ms of work, even where
    it then checks none of them.
    """
    make = getattr(ordinary, "_create_ssl_ctx", None)
    if make is None:  # mysqlclient, which is quick
        return ordinary
    made: list[Any] = []

    def context(connection: Any, asked: Any) -> Any:
        if asked:
            return make(connection, asked)
        if not made:
            made.append(make(connection, asked))
        return made[0]

    return type(ordinary.__name__, (ordinary,), {make.__name__: context})


def is_mariadb(version: str) -> bool:
    """Which of the two it is, by what it says of itself."""
    return "mariadb" in version.lower()


def check_version(version: str, address: str) -> None:
    """Refuse a server without ``skip locked`` and ``json_table``."""
    mariadb = is_mariadb(version)
    # A MariaDB may introduce itself as 5.5.5-10.6.4-MariaDB, for clients that knew no 10.
    digits = version.removeprefix("5.5.5-") if mariadb else version
    found = tuple(int(part) for part in digits.split("-")[0].split(".")[:3] if part.isdigit())
    oldest = OLDEST_MARIADB if mariadb else OLDEST_MYSQL
    if found < oldest:
        name = "MariaDB" if mariadb else "MySQL"
        raise StoreUnfit(
            f"{address}: {name} {version} is too old: Longshore needs {name}"
            f" {'.'.join(map(str, oldest))} or newer."
        )
