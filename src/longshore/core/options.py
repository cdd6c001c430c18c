"""What a job's options may be: checked when a job is declared and when it is enqueued.

Each function returns the value in the form that is stored, or raises with the field, the value
and what is accepted. Durations are read by :mod:`longshore.core.durations`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from longshore.core.wording import shown, storable
from longshore.errors import InvalidOption, InvalidPriority, InvalidQueueName

PRIORITIES = (-32_768, 32_767)
MOST_ATTEMPTS = 100_000
MOST_TAGS = 20
LONGEST_TAG = 64
LONGEST_REASON = 1_000
LONGEST_SHARD_KEY = 200
LARGEST_META = 8_192  # bytes of JSON
RESERVED = "longshore."

_QUEUE = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,63}")


def check_queue(name: object, *, field: str = "queue") -> str:
    """A queue's name: 1 to 64 of ``a-z 0-9 _ . -``, not beginning with a dot or hyphen.

    Raises:
        InvalidQueueName: it has another form.

    Example:
        >>> check_queue("mail.bulk")
        'mail.bulk'
    """
    if isinstance(name, str) and _QUEUE.fullmatch(name):
        return name
    raise InvalidQueueName(
        f"{field}={shown(name)} is not a queue name. Use 1 to 64 lower-case letters, digits,"
        " _, . or -, and begin with a letter, a digit or _."
    )


def check_reason(reason: object, *, field: str = "reason") -> str | None:
    """Why somebody has paused or cancelled something: text, of which 1000 bytes are kept.

    Raises:
        InvalidOption: it is no text.

    Example:
        >>> check_reason("provider down")
        'provider down'
    """
    if reason is None or isinstance(reason, str):
        return reason and storable(reason, LONGEST_REASON)
    raise InvalidOption(f"{field}={shown(reason)} is no text; nothing was changed.")


def check_priority(value: object) -> int:
    """A priority from -32768 to 32767; lower numbers run first.

    Raises:
        InvalidPriority: not a whole number in the range.

    Example:
        >>> check_priority(-1)
        -1
    """
    least, most = PRIORITIES
    if type(value) is int and least <= value <= most:
        return value
    raise InvalidPriority(
        f"priority={shown(value)} is not a priority. Give a whole number from {least} to {most};"
        " lower runs first."
    )


def check_max_attempts(value: object, *, field: str = "max_attempts") -> int:
    """How many failed attempts are allowed, 1 to 100 000.

    Raises:
        InvalidOption: not a whole number in the range.

    Example:
        >>> check_max_attempts(25)
        25
    """
    if type(value) is int and 1 <= value <= MOST_ATTEMPTS:
        return value
    raise InvalidOption(
        f"{field}={shown(value)} is out of range. Give a whole number from 1 (never retry)"
        f" to {MOST_ATTEMPTS}."
    )


def check_shard_key(value: object) -> str:
    """What decides a job's shard instead of its kind: 1 to 200 characters, such as a tenant.

    Raises:
        InvalidOption: not such a text.

    Example:
        >>> check_shard_key("acme")
        'acme'
    """
    if isinstance(value, str) and 1 <= len(value) <= LONGEST_SHARD_KEY:
        return value
    raise InvalidOption(
        f"shard_key={shown(value)} is not a key. Give a text of 1 to {LONGEST_SHARD_KEY}"
        " characters, such as a tenant's name: the jobs of one key are in one shard."
    )


def check_tags(value: object) -> tuple[str, ...]:
    """Up to 20 tags of 1 to 64 printable characters; the prefix ``longshore.`` is reserved.

    Raises:
        InvalidOption: not a list of texts, too many, too long, reserved.

    Example:
        >>> check_tags(["eu", "import"])
        ('eu', 'import')
    """
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | set | frozenset):
        raise InvalidOption(f"tags={shown(value)} is not a list of tags. Give a list of texts.")
    tags = tuple(cast("Sequence[object]", value))
    if len(tags) > MOST_TAGS:
        raise InvalidOption(f"tags: {len(tags)} tags are too many. Give at most {MOST_TAGS}.")
    return tuple(_tag(tag, place) for place, tag in enumerate(tags))


def check_meta(value: object) -> dict[str, Any]:
    """A job's own notes: a mapping with text keys, at most 8 KB as JSON.

    Raises:
        InvalidOption: not such a mapping, not storable, too large, a key that begins with
            ``longshore.``.

    Example:
        >>> check_meta({"tenant": 7})
        {'tenant': 7}
    """
    if not isinstance(value, Mapping):
        raise InvalidOption(f"meta={shown(value)} is not a mapping. Give a dictionary.")
    meta = dict[str, Any]()
    for key, entry in cast("Mapping[object, object]", value).items():
        if not isinstance(key, str):
            raise InvalidOption(f"meta: the key {shown(key)} is not text.")
        if key.startswith(RESERVED):
            raise InvalidOption(f"meta: the key {shown(key)} is reserved: {RESERVED}* is ours.")
        meta[key] = entry
    size = _json_size(meta)
    if size > LARGEST_META:
        raise InvalidOption(
            f"meta takes {size} bytes as JSON, more than {LARGEST_META}. Put large values into the"
            " arguments, or store them elsewhere and keep a reference."
        )
    return meta


def _tag(tag: object, place: int) -> str:
    field = f"tags[{place}]={shown(tag)}"
    if not isinstance(tag, str) or not tag or not tag.isprintable() or len(tag) > LONGEST_TAG:
        raise InvalidOption(f"{field} is not a tag. Give 1 to {LONGEST_TAG} printable characters.")
    if tag.startswith(RESERVED):
        raise InvalidOption(f"{field} is reserved: tags {RESERVED}* are ours. Choose another.")
    return tag


def _json_size(meta: Mapping[str, object]) -> int:
    try:
        return len(msgspec.json.encode(meta))
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise InvalidOption(f"meta cannot be stored as JSON: {error}.") from None
