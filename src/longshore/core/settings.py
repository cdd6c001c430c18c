"""An application's settings: one frozen object, validated at once, each value with its origin.

Pure: ``longshore.config`` reads the environment and files and hands them over as layers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal, TypeAlias, cast

import msgspec

from longshore.core.durations import ACCEPTED, describe, seconds
from longshore.core.keyring import Key, read_keys
from longshore.core.options import check_queue
from longshore.core.shards import MOST_SHARDS, ShardBy
from longshore.core.store import Retention
from longshore.core.store_url import StoreURL, parse_url, shards_of
from longshore.core.wording import did_you_mean, shown
from longshore.errors import ConfigurationError, InvalidOption

VARIABLE_PREFIX = "LONGSHORE_"

#: A supervisor beats once a second; a lease must survive two beats that are late or lost.
HEARTBEAT = 1.0
SHORTEST_LEASE = 3 * HEARTBEAT

PAYLOADS = (1_024, 64 * 1_048_576)

Durability: TypeAlias = Literal["full", "normal", "replicated"]

DEFAULTS: Mapping[str, object] = {
    "store": "sqlite:///longshore.db",
    "lease": "15s",
    "poll_interval": "1s",
    "shutdown_timeout": "25s",
    "keep_succeeded": "1d",
    "keep_cancelled": "7d",
    "keep_dead": "90d",
    "max_payload": 1_048_576,
    "default_queue": "default",
    "prefix": "longshore_",
    "durability": "full",
    "outbox": None,
    "shards": None,
    "shard_by": "kind",
    "encryption_keys": (),
}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How an application runs its jobs. Durations in seconds; ``None`` keeps for ever."""

    store: StoreURL
    lease: float
    poll_interval: float
    shutdown_timeout: float
    keep_succeeded: float | None
    keep_cancelled: float | None
    keep_dead: float | None
    max_payload: int  # bytes
    default_queue: str
    prefix: str  # of tables or keys
    durability: Durability
    outbox: StoreURL | None = (
        None  # a SQL database of the application, where the store is elsewhere
    )
    shards: int = 0  # how many stores `store` is made of; none: it is one
    shard_by: ShardBy = "kind"
    encryption_keys: tuple[Key, ...] = ()  # the first encrypts, all decrypt
    sources: Mapping[str, str]  # where each value came from, by name

    @property
    def retention(self) -> Retention:
        """How long ended jobs stay, as the stores want it."""
        return Retention(
            succeeded=_microseconds(self.keep_succeeded),
            cancelled=_microseconds(self.keep_cancelled),
            dead=_microseconds(self.keep_dead),
        )

    def rows(self) -> tuple[tuple[str, str, str], ...]:
        """Name, value and origin of every setting as people read them, no password among them."""
        return tuple((name, _readable(name, self), self.sources[name]) for name in DEFAULTS)


class Layer(msgspec.Struct, frozen=True):
    """Settings of one origin. ``text``: every value is text, as in the environment."""

    source: str
    values: Mapping[str, object]
    text: bool = False

    def origin(self, name: str) -> str:
        return f"{VARIABLE_PREFIX}{name.upper()}" if self.text else self.source


def build(layers: Sequence[Layer], variables: Mapping[str, str] | None = None) -> Settings:
    """Make settings of layers, the strongest first; what none of them names has its default.

    Args:
        layers: where values come from. An empty text in a text layer counts as not given.
        variables: what a store given as ``env:NAME`` is looked up in.

    Raises:
        ConfigurationError: an unknown name, or a value that is not accepted; the message names
            the setting, the value, the accepted forms and the origin.

    Example:
        >>> build([Layer("arguments", {"lease": "30s"})]).lease
        30.0
    """
    for layer in layers:
        _refuse_unknown(layer)
    given = _Given(layers, variables or {})
    store, shards = given.stores()
    return Settings(
        store=store,
        lease=given.lease("lease"),
        poll_interval=given.duration("poll_interval", least=0.001, most=3_600),
        shutdown_timeout=given.duration("shutdown_timeout", least=0, most=86_400),
        keep_succeeded=given.retention("keep_succeeded"),
        keep_cancelled=given.retention("keep_cancelled"),
        keep_dead=given.retention("keep_dead"),
        max_payload=given.size("max_payload"),
        default_queue=given.queue("default_queue"),
        prefix=given.prefix("prefix"),
        durability=given.durability("durability"),
        outbox=given.outbox("outbox"),
        shards=shards,
        shard_by=given.shard_by("shard_by", shards),
        encryption_keys=given.keys("encryption_keys"),
        sources=given.sources,
    )


_DURABILITIES: Mapping[str, Durability] = {
    "full": "full",
    "normal": "normal",
    "replicated": "replicated",
}
_FOR_EVER = frozenset({"forever", "for ever", "none"})
_PREFIX = re.compile(r"[a-z_][a-z0-9_]{0,47}")
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
_WHOLE = re.compile(r"-?[0-9]{1,15}")
_INDIRECT = re.compile(r"env:(.*)", re.DOTALL)
_KEYS_ELSEWHERE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]{0,39})")
_LONGEST_LEASE = 86_400.0
_SQL = frozenset({"sqlite", "postgres", "mysql"})
_ARGUMENT = re.compile(r"args\.[^\W\d]\w{0,99}")
#: A comma meant to stand between two addresses, not within one: postgresql://one,two/app.
_COMMA = re.compile(r",(\s|$|[a-z+]+://)")
_LONGEST_PREFIX = 48


class _Given:
    """Reads one setting after the other from the strongest layer that has it."""

    def __init__(self, layers: Sequence[Layer], variables: Mapping[str, str]) -> None:
        self.layers = layers
        self.variables = variables
        self.sources = dict[str, str]()

    def store(self, name: str) -> StoreURL:
        return self._address(name, self._take(name))

    def stores(self) -> tuple[StoreURL, int]:
        """The address of the store, and of how many shards it is made."""
        value = self._take("shards", _WHOLE)
        if value is None:
            return self.store("store"), 0
        if isinstance(value, str):
            value = self._spaced(value)
        if type(value) is int:
            store = self.store("store")
            # One of a kind has nobody to share its prefix with; a list of one may grow.
            self._check_count(value, least=2)
            return shards_of([store] * value), value
        if not isinstance(value, list | tuple):
            raise self._wrong(
                "shards",
                f"shards={shown(value)} is neither a list of addresses nor a number. Give"
                ' ["postgresql://one/app", "postgresql://two/app"], or for one address how many.',
            )
        self._take("store")
        if self.sources["store"] != "default":
            raise self._wrong(
                "shards",
                "both store and shards were given, and shards names every store itself. Keep one"
                f" of them; store was given by: {self.sources['store']}.",
            )
        self.sources["store"] = self.sources["shards"]
        addresses = [self._address("shards", one) for one in cast("list[object]", value)]
        self._check_count(len(addresses))
        self._refuse_alike(addresses)
        return shards_of(addresses), len(addresses)

    def _spaced(self, text: str) -> list[str]:
        # A comma may stand in an address, so that it cannot stand between two.
        if _COMMA.search(text):
            raise self._wrong(
                "shards",
                "shards: addresses are written with spaces between, without commas:"
                ' LONGSHORE_SHARDS="sqlite:///one.db sqlite:///two.db".',
            )
        return text.split()

    def shard_by(self, name: str, shards: int) -> ShardBy:
        value = self._take(name)
        if not shards and self.sources[name] != "default":
            raise self._wrong(name, "shard_by was given, but there are no shards. Give shards too.")
        if callable(value):
            return cast("ShardBy", value)
        if isinstance(value, str) and (value in {"kind", "queue"} or _ARGUMENT.fullmatch(value)):
            return value
        hint = did_you_mean(value, ("kind", "queue")) if isinstance(value, str) else ""
        raise self._wrong(
            name,
            f'{name}={shown(value)} does not say what decides a job\'s shard. Give "kind", "queue",'
            f' "args.NAME" for the value of an argument, or in Python a function.{hint}',
        )

    def _check_count(self, count: int, least: int = 1) -> None:
        if not least <= count <= MOST_SHARDS:
            raise self._wrong(
                "shards",
                f"shards: {count} are not possible. Give {least} to {MOST_SHARDS}: two digits of a"
                " job's id name its shard.",
            )
        prefix = self.prefix("prefix")
        if len(prefix) > _LONGEST_PREFIX - 3:
            raise self._wrong(
                "prefix", f"prefix={prefix} is too long: each shard adds three characters to it."
            )

    def _refuse_alike(self, addresses: Sequence[StoreURL]) -> None:
        for number, address in enumerate(addresses):
            if address.store in {"memory", "shards"}:
                raise self._wrong(
                    "shards",
                    f"shards: {address} cannot be one of several. Give addresses of stores that"
                    ' processes share; for tests store="memory://" and a number of shards.',
                )
            first = next(place for place, one in enumerate(addresses) if one.alike(address))
            if first < number:
                raise self._wrong(
                    "shards",
                    f"shards: the {first + 1}. and the {number + 1}. are the same place"
                    f" ({address}). Name each store once; for several shards in one store give"
                    " store and a number.",
                )

    def outbox(self, name: str) -> StoreURL | None:
        value = self._take(name)
        if value is None or value == "":
            return None
        address = self._address(name, value)
        if address.store not in _SQL:
            raise self._wrong(
                name,
                f"{name}: {address} is no SQL database. Give the address of the one that your own"
                " tables are in: sqlite:///, postgresql:// or mysql://.",
            )
        return address

    def keys(self, name: str) -> tuple[Key, ...]:
        value = self._take(name)
        if value is None:
            return ()
        # What is as long as a key is taken for one with a bad name: it must not be printed.
        indirect = _KEYS_ELSEWHERE.fullmatch(value.strip()) if isinstance(value, str) else None
        if indirect is not None:
            value = self._variable(name, indirect[1], "the keys themselves")
        try:
            return read_keys(value, name)
        except ConfigurationError as error:
            raise self._wrong(name, str(error)) from None

    def _address(self, name: str, value: object) -> StoreURL:
        if isinstance(value, StoreURL):
            return value
        if not isinstance(value, str):
            raise self._wrong(
                name, f"{name} must be an address as text, not {type(value).__name__}."
            )
        indirect = _INDIRECT.fullmatch(value.strip())
        if indirect is not None:
            value = self._variable(name, indirect[1])
        try:
            return parse_url(value)
        except ConfigurationError as error:
            # It speaks of a store's address wherever that is written.
            said = str(error).replace("store: not a store's address", f"{name}: not an address", 1)
            raise self._wrong(name, str(error) if name == "store" else said) from None

    def lease(self, name: str) -> float:
        lease = self.duration(name, least=0, most=_LONGEST_LEASE)
        if lease < SHORTEST_LEASE:
            heartbeat, least = _time(HEARTBEAT), _time(SHORTEST_LEASE)
            raise self._wrong(
                name,
                f"lease={_time(lease)} is too short: lease >= 3 x heartbeat must hold, but"
                f" {_time(lease)} < 3 x {heartbeat}. Give {least} or more.",
            )
        return lease

    def retention(self, name: str) -> float | None:
        value = self._take(name)
        if value is None or (isinstance(value, str) and value.strip().lower() in _FOR_EVER):
            return None
        return self.duration(name, least=0, hint=' 0 keeps nothing, None or "forever" everything.')

    def duration(
        self, name: str, *, least: float, most: float | None = None, hint: str = ""
    ) -> float:
        value = self._take(name, _NUMBER)
        if not isinstance(value, int | float | str | timedelta):
            raise self._wrong(
                name, f"{name}={shown(value)} is not a duration. Give {ACCEPTED}.{hint}"
            )
        try:
            if most is None:
                return seconds(value, field=name, minimum=least)
            return seconds(value, field=name, minimum=least, maximum=most)
        except InvalidOption as error:
            raise self._wrong(name, f"{error}{hint}") from None

    def size(self, name: str) -> int:
        value = self._take(name, _WHOLE)
        least, most = PAYLOADS
        if type(value) is int and least <= value <= most:
            return value
        raise self._wrong(
            name,
            f"{name}={shown(value)} is not a size. Give a whole number of bytes from {least} to"
            f" {most}.",
        )

    def queue(self, name: str) -> str:
        try:
            return check_queue(self._take(name), field=name)
        except InvalidOption as error:
            raise self._wrong(name, str(error)) from None

    def prefix(self, name: str) -> str:
        value = self._take(name)
        if isinstance(value, str) and _PREFIX.fullmatch(value):
            return value
        raise self._wrong(
            name,
            f"{name}={shown(value)} cannot begin the names of tables and keys. Use 1 to 48"
            " lower-case letters, digits or _, and do not begin with a digit.",
        )

    def durability(self, name: str) -> Durability:
        value = self._take(name)
        if isinstance(value, str) and value in _DURABILITIES:
            return _DURABILITIES[value]
        hint = did_you_mean(value, _DURABILITIES) if isinstance(value, str) else ""
        raise self._wrong(
            name, f'{name}={shown(value)} must be "full", "normal" or "replicated".{hint}'
        )

    def _take(self, name: str, number: re.Pattern[str] | None = None) -> object:
        for layer in self.layers:
            value = layer.values.get(name, _MISSING)
            if value is _MISSING or (layer.text and value == ""):
                continue
            self.sources[name] = layer.origin(name)
            # The environment has no numbers: there, digits alone are one.
            if layer.text and number and isinstance(value, str) and number.fullmatch(value):
                return float(value) if "." in value else int(value)
            return value
        self.sources[name] = "default"
        return DEFAULTS[name]

    def _variable(self, name: str, variable: str, instead: str = "the address itself") -> str:
        value = self.variables.get(variable, "")
        if not value:
            raise self._wrong(
                name,
                f"{name}=env:{shown(variable)[1:-1]} names a variable that is not set. Set it, or"
                f" give {instead}.",
            )
        self.sources[name] += f", env:{variable}"
        return value

    def _wrong(self, name: str, message: str) -> ConfigurationError:
        return ConfigurationError(f"{message} It was given by: {self.sources[name]}.")


_MISSING = object()


def _refuse_unknown(layer: Layer) -> None:
    for name in layer.values:
        if name not in DEFAULTS:
            raise ConfigurationError(
                f"{shown(name)[1:-1]} is not a setting ({layer.origin(name)})."
                f"{did_you_mean(name, DEFAULTS)} Settings: {', '.join(DEFAULTS)}."
            )


def _time(value: float) -> str:
    return describe(round(value * 1_000_000))


def _microseconds(value: float | None) -> int | None:
    return None if value is None else round(value * 1_000_000)


def _readable(name: str, settings: Settings) -> str:
    value: object = getattr(settings, name)
    match value:
        case tuple():
            return ", ".join(key.kid for key in settings.encryption_keys) or "none"
        case None:
            return "none" if name == "outbox" else "forever"
        case 0 if name == "shards":
            return "none"
        case float():
            return _time(value)
        case _:
            return str(value)
