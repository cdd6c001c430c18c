"""The keys that an application encrypts with: how they are written, and that nobody sees them.

A key is written as its name, a colon, and 32 bytes in base64. The first of several encrypts, all of
them decrypt. No message here repeats what was given: it may hold a key.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence
from typing import Final, cast

import msgspec

from longshore.errors import ConfigurationError

#: The bytes of a key: those that AES-256 takes.
KEY_BYTES: Final = 32
MOST_KEYS: Final = 32

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")
#: What stands before an address of keys: they could not be told from keys of that name.
_RESERVED: Final = frozenset({"env", "file"})
_BETWEEN: Final = re.compile(r"[\s,]+")
_HOW: Final = "Make one with `longshore keys new`."


class Key(msgspec.Struct, frozen=True, gc=False):
    """One key under its name; it prints without its bytes."""

    kid: str
    secret: bytes

    def __repr__(self) -> str:
        return f"<key {self.kid}>"


def written(kid: str, secret: bytes) -> str:
    """A key as the setting has it.

    Raises:
        ConfigurationError: it cannot be a key's name, or these are not 32 bytes.

    Example:
        >>> written("k1", bytes(32))
        'k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='
    """
    text = f"{kid}:{b64encode(secret).decode()}"
    _key("the key", text)
    return text


def read_keys(given: object, what: str = "encryption_keys") -> tuple[Key, ...]:
    """The keys of a setting: a list of texts, or one text with spaces or commas between them.

    Raises:
        ConfigurationError: one of them is no key, or two have one name.

    Example:
        >>> read_keys("new:" + 43 * "A" + "= old:" + 43 * "B" + "=")
        (<key new>, <key old>)
    """
    keys = tuple(
        _key(f"{what}: the {place}. key", text) for place, text in enumerate(_texts(given, what), 1)
    )
    if len(keys) > MOST_KEYS:
        raise ConfigurationError(f"{what}: {len(keys)} keys are given, {MOST_KEYS} are the most.")
    names = [key.kid for key in keys]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise ConfigurationError(
                f"{what}: two keys are called {name!r}. What one of them has encrypted could not be"
                " told from what the other has: give each key a name that no key had before."
            )
    return keys


def _texts(given: object, what: str) -> Sequence[object]:
    if isinstance(given, str):
        return [text for text in _BETWEEN.split(given) if text]
    if isinstance(given, list | tuple):
        return cast("Sequence[object]", given)
    raise ConfigurationError(
        f"{what} is of type {type(given).__name__}, and must be a list of texts such as"
        f' ["k1:..."]. {_HOW}'
    )


def _key(what: str, text: object) -> Key:
    if isinstance(text, Key):
        return text
    if not isinstance(text, str):
        raise ConfigurationError(
            f"{what} is of type {type(text).__name__}, and must be a text: its name, a colon, and"
            f" {KEY_BYTES} bytes in base64. {_HOW}"
        )
    name, colon, body = text.strip().partition(":")
    if not colon:
        raise ConfigurationError(
            f"{what} has no name: it is written as a name, a colon, and {KEY_BYTES} bytes in"
            f" base64. {_HOW}"
        )
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise ConfigurationError(
            f"{what} has a name that is not allowed. Use 1 to 32 letters, digits, _, . or -, and"
            f" neither {' nor '.join(sorted(_RESERVED))}."
        )
    return Key(name, _secret(f"{what} ({name})", body.strip()))


def _secret(what: str, body: str) -> bytes:
    try:
        # Both alphabets are about; with the padding left out or not.
        plain = body.replace("-", "+").replace("_", "/").rstrip("=")
        secret = b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (NotBase64, ValueError):
        raise ConfigurationError(f"{what} is not base64. {_HOW}") from None
    if len(secret) != KEY_BYTES:
        raise ConfigurationError(
            f"{what} has {len(secret)} bytes, and must have {KEY_BYTES}. {_HOW}"
        )
    return secret
