"""The address of a store: ``scheme://user:password@host:port/path?option=value``.

A password never leaves this module by accident: it is kept apart, ``repr`` and ``str`` show
``***``, and no message repeats an address that could not be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from longshore.core.wording import did_you_mean, shown
from longshore.errors import ConfigurationError

#: Every scheme, and the store that serves it.
SCHEMES: Mapping[str, str] = {
    "memory": "memory",
    "sqlite": "sqlite",
    "postgresql": "postgres",
    "postgres": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
    "redis": "redis",
    "rediss": "redis",
    "redis+cluster": "redis",
}


def parse_url(text: str) -> StoreURL:
    """Read a store's address.

    Args:
        text: ``memory://``, ``sqlite:///relative.db``, ``sqlite:////absolute.db``, or
            ``scheme://[user[:password]@]host[:port][/path][?option=value]``. What is not a
            letter, a digit or one of ``-._~`` in user, password and options is percent-encoded.

    Raises:
        ConfigurationError: an unknown scheme, no host, a bad port, characters that are not
            percent-encoded. The message never repeats the address.

    Example:
        >>> parse_url("postgresql://app:s%40fe@db.example:5432/shop")
        StoreURL('postgresql://app:***@db.example:5432/shop')
    """
    text = text.strip()
    if text.startswith(_SHARDS):
        return shards_of(parse_url(part) for part in text.removeprefix(_SHARDS).split())
    found = _SCHEME.match(text)
    scheme = found[1].lower() if found else ""
    if text.startswith("sqlite:") and ":memory:" in text:
        raise _unreadable("sqlite", _IN_MEMORY)
    if found is None:
        raise _unreadable("", f"a store's address starts with one of {', '.join(_STARTS)}")
    if scheme not in SCHEMES:
        raise _unreadable(
            "",
            f"no store serves the scheme {shown(scheme)}.{did_you_mean(scheme, SCHEMES)}"
            f" Known: {', '.join(_STARTS)}",
        )
    rest = text[found.end() :]
    if not rest.isprintable() or " " in rest:
        raise _unreadable(scheme, "it holds a space or control character; write a space as %20")
    if "#" in rest:
        raise _unreadable(scheme, f"it holds an unencoded #. {_ENCODE}")
    match SCHEMES[scheme]:
        case "memory":
            if rest:
                raise _unreadable(scheme, "nothing may follow memory://")
            return StoreURL(scheme=scheme)
        case "sqlite":
            return _sqlite(scheme, rest)
        case _:
            return _server(scheme, rest)


def shards_of(addresses: Iterable[StoreURL]) -> StoreURL:
    """One address for several stores; as text it is ``shards: URL URL ...``."""
    return StoreURL(scheme="shards", shards=tuple(addresses))


class Password:
    """A secret text: shown as ``***`` wherever it is printed, read by :meth:`reveal` alone."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Password) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class StoreURL(msgspec.Struct, frozen=True, kw_only=True):
    """A store's address in parts, decoded. ``path`` is SQLite's file, else without a leading /."""

    scheme: str
    user: str | None = None
    password: Password | None = None
    host: str | None = None
    port: int | None = None
    path: str = ""
    query: Mapping[str, str] = {}
    shards: tuple[StoreURL, ...] = ()  # of a store that is made of several

    @property
    def store(self) -> str:
        """Which store serves it: a name of :data:`SCHEMES`, or ``shards`` for several."""
        return "shards" if self.shards else SCHEMES[self.scheme]

    @property
    def parts(self) -> tuple[StoreURL, ...]:
        """The addresses of all its shards; itself when it is one store."""
        return self.shards or (self,)

    def alike(self, other: StoreURL) -> bool:
        """Whether both lead to the same place, whoever goes there."""
        return self._place() == other._place()

    def _place(self) -> tuple[object, ...]:
        path = self.path or ("0" if self.store == "redis" else "")
        return (self.store, self.host, self.port or _PORTS.get(self.store), path)

    def reveal(self) -> str:
        """The whole address, the password included: for drivers and child processes only."""
        return self._text(reveal=True)

    def __str__(self) -> str:
        return self._text(reveal=False)

    def __repr__(self) -> str:
        return f"StoreURL({str(self)!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # The one that msgspec supplies would print every field.
        return [("", str(self))]

    def _text(self, *, reveal: bool) -> str:
        if self.shards:
            texts = [shard._text(reveal=reveal) for shard in self.shards]  # noqa: SLF001 - our own
            if len({*texts}) == 1 and not reveal:
                return f"{len(texts)} shards in {texts[0]}"
            return _SHARDS + " ".join(texts)
        who = _encoded(self.user or "")
        if self.password is not None:
            who += f":{_encoded(self.password.reveal()) if reveal else '***'}"
        host = self.host or ""
        where = f"[{host}]" if ":" in host else _encoded(host)
        if self.port is not None:
            where += f":{self.port}"
        path = _encoded(self.path, also="/")
        if self.path:
            path = f"/{path}"
        options = "&".join(
            f"{_encoded(name)}={_encoded(value) if reveal or not _SECRET.search(name) else '***'}"
            for name, value in self.query.items()
        )
        at = "@" if who else ""
        return f"{self.scheme}://{who}{at}{where}{path}{'?' if options else ''}{options}"


_PORTS: Mapping[str, int] = {"postgres": 5432, "mysql": 3306, "redis": 6379}
_SHARDS = "shards: "
_STARTS = tuple(f"{scheme}://" for scheme in SCHEMES)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30})://")
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._~%-]+))(?::(.*))?")
_PORT = re.compile(r"[0-9]{1,5}")
_PERCENT = re.compile(r"%([0-9A-Fa-f]{2})?")
_SECRET = re.compile(r"pass|secret|token|key", re.IGNORECASE)
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_IN_MEMORY = (
    "a SQLite database in memory is lost with its connection and no other process can see it."
    " Use memory:// for jobs in memory, or name a file"
)
_ENCODE = (
    "If it is part of the user name or password, write it percent-encoded:"
    " @ as %40, / as %2F, # as %23, ? as %3F, : as %3A, % as %25"
)


def _sqlite(scheme: str, rest: str) -> StoreURL:
    place, _, options = rest.partition("?")
    query = _query(scheme, options)
    if query.get("mode") == "memory" or place.startswith("/file:"):
        raise _unreadable(scheme, _IN_MEMORY)
    if not place.startswith("/"):
        raise _unreadable(
            scheme,
            "a file needs three slashes: sqlite:///jobs.db beside pyproject.toml,"
            " sqlite:////var/lib/app/jobs.db absolute",
        )
    path = _decoded(scheme, place[1:])
    if not path or path.endswith("/"):
        raise _unreadable(scheme, "it names no file: write sqlite:///jobs.db")
    return StoreURL(scheme=scheme, path=path, query=query)


def _server(scheme: str, rest: str) -> StoreURL:
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    tail = rest[len(authority) :]
    # An @ elsewhere means that a / or ? or @ of the password was taken for the end of the host.
    if "@" in tail or authority.count("@") > 1:
        raise _unreadable(scheme, f"it holds an unencoded @, / or ? before the host. {_ENCODE}")
    who, at, where = authority.rpartition("@")
    found = _HOST.fullmatch(where)
    if found is None:
        raise _unreadable(scheme, f"it names no host, or not a valid one: {scheme}://localhost/app")
    place, _, options = tail.partition("?")
    user, colon, password = who.partition(":")
    host = found[1] or _decoded(scheme, found[2])
    return StoreURL(
        scheme=scheme,
        user=_decoded(scheme, user) if at and user else None,
        password=Password(_decoded(scheme, password)) if colon else None,
        host=host if host.startswith("/") else host.lower(),  # a folder's name keeps its case
        port=_port(scheme, found[3]),
        path=_decoded(scheme, place.removeprefix("/")),
        query=_query(scheme, options),
    )


def _port(scheme: str, text: str | None) -> int | None:
    if text is None:
        return None
    if _PORT.fullmatch(text) and 1 <= int(text) <= 65_535:
        return int(text)
    # Not repeated: where the host was forgotten it is the password.
    raise _unreadable(scheme, f"the port must be a number from 1 to 65535. {_ENCODE}")


def _query(scheme: str, text: str) -> Mapping[str, str]:
    query = dict[str, str]()
    for part in text.split("&") if text else ():
        name, equals, value = part.partition("=")
        key = _decoded(scheme, name)
        if not equals or not key:
            raise _unreadable(scheme, "every option after ? has the form name=value")
        if key in query:
            raise _unreadable(scheme, "an option is given twice")
        query[key] = _decoded(scheme, value)
    return query


def _decoded(scheme: str, text: str) -> str:
    if "%" not in text:
        return text
    if any(found[1] is None for found in _PERCENT.finditer(text)):
        raise _unreadable(
            scheme, "it holds a % that is not followed by two hexadecimal digits: write %25"
        )
    coded = re.sub(rb"%(..)", lambda found: bytes.fromhex(found[1].decode()), text.encode())
    try:
        decoded = coded.decode()
    except UnicodeDecodeError:
        decoded = "\0"
    if any(c < " " or c == "\x7f" for c in decoded):
        raise _unreadable(scheme, "its percent-encoding gives a control character or is not UTF-8")
    return decoded


def _encoded(text: str, also: str = "") -> str:
    return "".join(
        c if c in _PLAIN or c in also else "".join(f"%{byte:02X}" for byte in c.encode())
        for c in text
    )


def _unreadable(scheme: str, why: str) -> ConfigurationError:
    what = f"a store's address {scheme}://*** cannot be read" if scheme else "not a store's address"
    return ConfigurationError(f"store: {what}: {why}.")
