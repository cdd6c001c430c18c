"""From the arguments of one job to the texts by which it is counted and found.

A key is an argument by its name, or what a function makes of the arguments that it names. Values
are plain JSON, so that one tenant is one key whether it came as a UUID or as its text; as text they
are a text itself, else their JSON, and a digest where that is long.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Protocol, cast

import msgspec

from longshore.core.codec.callables import MISSING, Parameter, parameters_of
from longshore.core.codec.refusals import Refusal, Walk
from longshore.core.codec.signature import Signature
from longshore.core.codec.text import check_plain, locate_value, to_canonical_json
from longshore.core.functions import is_coroutine_function
from longshore.core.wording import did_you_mean, shown
from longshore.errors import InvalidOption, NotAJobFunction, UnstorableArgument

#: Longer values are told by their digest.
LONGEST_VALUE: Final = 128
#: So long is a digest too.
LONGEST_KEY: Final = 64
_LARGEST: Final = 1_048_576


class Digests(Protocol):
    """Makes texts that tell nothing, of a job that is encrypted."""

    def digest(self, text: bytes, /) -> str: ...


def key_of(kind: str, canonical: bytes, secret: Digests | None = None) -> str:
    """What identifies a job among all; also its unique key.

    A short one can be read, and neighbours are neighbours in an index: jobs that were enqueued
    together leave it together. A long one, or one that is not all ASCII, is a digest; that of an
    encrypted job always, by what only who has the keys can make.

    Example:
        >>> key_of("app.sync", b'{"user_id":7}')
        'app.sync {"user_id":7}'
        >>> key_of("app.sync", b'{"text":"' + b"a" * 99 + b'"}')[:8]
        'ea51da56'
    """
    text = kind.encode() + b" " + canonical
    if secret is not None:
        return secret.digest(text)
    return text.decode() if len(text) <= LONGEST_KEY and text.isascii() else _sha256(text)


def text_of(value: object) -> str:
    """A plain JSON value as it stands in a key.

    Example:
        >>> text_of("acme"), text_of(7), text_of(None)
        ('acme', '7', 'null')
    """
    text = value if isinstance(value, str) else to_canonical_json(value).decode()
    return text if len(text) <= LONGEST_VALUE else _sha256(text.encode())


class Call:
    """One stored call, read by names; what functions need is read only where there is one."""

    __slots__ = ("_named", "payload", "signature", "values")

    def __init__(self, signature: Signature, payload: bytes, values: Mapping[str, Any]) -> None:
        self.signature = signature
        self.payload = payload
        self.values = values
        self._named: Mapping[str, Any] | None = None

    @property
    def named(self) -> Mapping[str, Any]:
        """The arguments as annotated, defaults applied."""
        if self._named is None:
            self._named = self.signature.named(self.payload)
        return self._named


class Source(Protocol):
    """Where a value comes from."""

    @property
    def arguments(self) -> tuple[str, ...] | None:
        """Which arguments it is made of; ``None`` where only its function knows."""
        ...

    def value(self, call: Call) -> Any:
        """The value of one call, plain JSON."""
        ...


class Argument:
    """The value is an argument."""

    __slots__ = ("arguments", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.arguments: tuple[str, ...] | None = (name,)

    def value(self, call: Call) -> Any:
        """The value of one call; null for an argument that is absent."""
        return call.values.get(self.name)


class Function:
    """The value is what a function makes of the arguments that its parameters name."""

    __slots__ = ("_call", "_what", "arguments", "names")

    def __init__(
        self, call: Callable[..., object], what: str, names: tuple[str, ...] | None
    ) -> None:
        self._call = call
        self._what = what
        self.names = names  # None: it takes all there are
        self.arguments: tuple[str, ...] | None = None

    def value(self, call: Call) -> Any:
        """The value of one call."""
        return self.made(call.named)

    def made(self, named: Mapping[str, Any]) -> Any:
        """The value of these arguments."""
        return plain(self.called(named), self._what)

    def called(self, named: Mapping[str, Any]) -> object:
        """What the function gives. What it raises is raised unchanged, with a note."""
        names = named if self.names is None else self.names
        try:
            return self._call(**{name: named[name] for name in names if name in named})
        except Exception as error:
            error.add_note(f"Raised by {self._what}; nothing was enqueued.")
            raise


def argument(name: object, parameters: Sequence[Parameter], *, what: str) -> Argument:
    """An argument that the job has.

    Raises:
        InvalidOption: it has none of this name.
    """
    known = known_names(parameters)
    if isinstance(name, str) and (
        name in known or (_takes_any(parameters) and name.isidentifier())
    ):
        return Argument(name)
    near = did_you_mean(name, known) if isinstance(name, str) else ""
    raise InvalidOption(
        f"{what}={shown(name)} is no argument of the job.{near} It takes"
        f" {', '.join(known) or 'none'}."
    )


def source(given: object, parameters: Sequence[Parameter], *, what: str) -> Source:
    """Where a value comes from: an argument by its name, or a function of arguments.

    Raises:
        InvalidOption: the job has no such argument, or the function cannot be called with its own.
    """
    if not callable(given):
        return argument(given, parameters, what=what)
    if is_coroutine_function(given):
        raise InvalidOption(f"{what} is a coroutine function. Give an ordinary one.")
    try:
        asked = parameters_of(given, kind=what, drop_first=False, skip=())
    except NotAJobFunction:
        raise InvalidOption(f"{what}: Python knows no signature of {shown(given)}.") from None
    known = known_names(parameters)
    names: list[str] = []
    for one in asked:
        if one.how == "positional-only":
            raise InvalidOption(
                f"{what}: its function takes `{one.name}` by position, and arguments are given by"
                " name."
            )
        if one.how in ("rest", "extra"):
            continue
        if one.name in known or (_takes_any(parameters) and one.default is MISSING):
            names.append(one.name)
        elif one.default is MISSING:
            raise InvalidOption(
                f"{what}: its function asks for `{one.name}`, which is no argument of the job."
                f"{did_you_mean(one.name, known)} It takes {', '.join(known) or 'none'}."
            )
    takes_all = any(one.how == "extra" for one in asked)
    return Function(given, what, None if takes_all else tuple(names))


def known_names(parameters: Sequence[Parameter]) -> tuple[str, ...]:
    """The names of the arguments that a job takes."""
    return tuple(one.name for one in parameters if not one.filled and one.how != "extra")


def needed(sources: Sequence[Source]) -> Collection[str]:
    """The arguments that must be read for these."""
    return sorted({name for one in sources for name in one.arguments or ()})


def plain(value: object, what: str) -> Any:
    """What a function gave, as plain JSON.

    Raises:
        UnstorableArgument: it cannot be written as JSON.
    """
    try:
        raw = _lists(msgspec.to_builtins(value, str_keys=True, order="sorted"))
        check_plain(raw, Walk(_LARGEST))
        locate_value(raw)
    except (Refusal, TypeError, ValueError, RecursionError) as error:
        text = error.text if isinstance(error, Refusal) else str(error)
        raise UnstorableArgument(
            f"{what}: {shown(value)} cannot be a key: it {text}. Give a text, a number, or a list"
            " of these."
        ) from None
    return raw


def _lists(raw: Any) -> Any:
    """JSON has one kind of list."""
    if isinstance(raw, list | tuple):
        return [_lists(item) for item in cast("Sequence[object]", raw)]
    if isinstance(raw, dict):
        return {key: _lists(item) for key, item in cast("dict[str, object]", raw).items()}
    return raw


def _takes_any(parameters: Sequence[Parameter]) -> bool:
    return any(one.how == "extra" for one in parameters)


def _sha256(data: bytes) -> str:
    # It loads OpenSSL, 4 ms of every start that most programs need not pay.
    from hashlib import sha256  # noqa: PLC0415

    return sha256(data).hexdigest()
