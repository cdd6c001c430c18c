"""Between plain JSON values and bytes: one encoder, one decoder, and the limits of both ends.

Plain means exactly ``None``, ``bool``, ``int``, ``float``, ``str``, ``list`` and ``dict`` with
``str`` keys. The checks that cost most (lone surrogates, NUL characters) are made on the bytes that
were written; only when one of them fires is the value searched for the place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn, cast

import msgspec

from longshore.core.codec.refusals import (
    MAX_DEPTH,
    MAX_KEYS,
    Mismatch,
    Refusal,
    TooLarge,
    Unstorable,
    Walk,
    a_type,
)
from longshore.errors import (
    EnqueueError,
    PayloadTooLarge,
    Undecryptable,
    UnknownPayloadVersion,
    UnstorableArgument,
)

VERSION: Final = 1
MAX_RESULT: Final = 1_048_576
HEAD: Final = b'{"v":1,"args":[],"kwargs":'
EMPTY: Final = HEAD + b"{}}"
NUL: Final = b"\\u0000"

to_json = msgspec.json.Encoder().encode
to_canonical_json = msgspec.json.Encoder(order="sorted").encode

_LEAVES: Final = frozenset({bool, int, type(None)})


class Envelope(msgspec.Struct):
    """What every payload has in common; keys that it does not name are ignored."""

    v: int
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    box: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # encrypted: see `core.sealing`


_read_envelope = msgspec.json.Decoder(Envelope).decode
_read_anything = cast("Callable[[bytes], object]", msgspec.json.Decoder().decode)


def encode_literal(
    args: Sequence[object], kwargs: Mapping[str, object], *, limit: int, kind: str = "push"
) -> bytes:
    """Write a payload from plain JSON values, without the code that declares the job.

    Args:
        args: positional arguments.
        kwargs: arguments by name.
        limit: the most bytes the payload may take.
        kind: the job's kind, for the messages.

    Raises:
        UnstorableArgument: a value is not plain JSON; the message gives its path.
        PayloadTooLarge: the payload takes more than ``limit`` bytes.

    >>> encode_literal([42], {"locale": "fr"}, limit=1024)
    b'{"v":1,"args":[42],"kwargs":{"locale":"fr"}}'
    """
    walk = Walk(limit)
    try:
        for index, value in enumerate(args):
            check_plain(value, walk, index)
        for name, value in kwargs.items():
            if not _is_text(name):
                raise Unstorable(f"has a key of type {a_type(name)}, and JSON has text keys only")
            check_plain(value, walk, name)
        return write_payload(list(args), dict(kwargs), limit)
    except Refusal as refusal:
        raise enqueue_error(kind, refusal, limit) from None


def enqueue_error(kind: str, refusal: Refusal, limit: int) -> EnqueueError:
    """The public error for an argument that is not a mismatch."""
    if isinstance(refusal, TooLarge):
        return PayloadTooLarge(
            f"{kind}: the arguments take {refusal.text}, the limit is {limit} (`max_payload`); "
            "nothing was enqueued. Store the data elsewhere and pass a reference to it (an id, a "
            "path, a key)."
        )
    return UnstorableArgument(
        f"{kind}: {refusal.where()} {refusal.text}; nothing was enqueued. Pass plain values, or "
        "annotate the parameter with a type that can be stored."
    )


def write_payload(args: list[Any], kwargs: dict[str, Any], limit: int) -> bytes:
    """The payload of arguments that are plain already."""
    data = write({"v": VERSION, "args": args, "kwargs": kwargs}, lambda: locate(args, kwargs))
    if len(data) > limit:
        raise_too_large(len(data))
    return data


def write(tree: object, find: Callable[[], None]) -> bytes:
    """Plain values as bytes; ``find`` raises at the value that cannot be written."""
    try:
        data = to_json(tree)
    except (UnicodeEncodeError, ValueError, RecursionError):
        find()
        raise Unstorable("cannot be written as JSON") from None
    # Text that spells a backslash and "u0000" fires too; `find` then finds nothing.
    if NUL in data:
        find()
    return data


def raise_too_large(size: int) -> NoReturn:
    refusal = TooLarge(size)
    refusal.text = f"{size} bytes"
    raise refusal


def read_envelope(payload: bytes) -> Envelope:
    """Read a payload of this version, or one that has no more than new keys.

    Raises:
        UnknownPayloadVersion: a newer release wrote it.
        Undecryptable: it is encrypted, and nobody has opened it before.
        Mismatch: it is not a payload, or passes a limit on depth or keys.
    """
    try:
        envelope = _read_envelope(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        version = _version_of(payload)
        if version is not None and version > VERSION:
            raise _too_new(version) from None
        raise Mismatch(f"cannot be read: {str(error)[:200]}") from None
    if envelope.v > VERSION:
        raise _too_new(envelope.v)
    if envelope.v != VERSION:
        raise Mismatch(f"have version {envelope.v}, which does not exist")
    if envelope.box is not msgspec.UNSET:
        raise Undecryptable(
            "the arguments are encrypted, and this process has no keys (encryption_keys); the job"
            " waits for a worker that has them."
        )
    check_bounds(payload, [envelope.args, envelope.kwargs])
    return envelope


def read_plain(data: bytes) -> object:
    """Read plain JSON, bounded in depth and keys."""
    try:
        tree = _read_anything(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Mismatch(f"cannot be read: {str(error)[:200]}") from None
    check_bounds(data, [tree])
    return tree


def check_bounds(data: bytes, trees: list[Any]) -> None:
    """Refuse what is deeper or wider than an enqueue would have let pass."""
    # Counting marks in the bytes is far cheaper than a walk, and clears nearly every payload.
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH and data.count(b":") <= MAX_KEYS:
        return
    level = trees
    for _ in range(MAX_DEPTH + 1):
        level = [item for tree in level for item in _inside(tree)]
        if not level:
            return
    if any(type(item) in (list, dict) for item in level):
        raise Mismatch(f"are nested deeper than {MAX_DEPTH} levels")


def _inside(tree: Any) -> Iterable[Any]:
    if type(tree) is list:
        return cast("list[object]", tree)
    if type(tree) is not dict:
        return ()
    mapping = cast("dict[str, Any]", tree)
    if len(mapping) > MAX_KEYS:
        raise Mismatch(f"hold a mapping of more than {MAX_KEYS} keys")
    return mapping.values()


def check_plain(value: object, walk: Walk, *steps: str | int) -> None:
    """Raise unless the value is plain JSON, so that it comes back exactly as it is."""
    try:
        _check(value, walk)
    except Refusal as refusal:
        refusal.steps.extend(steps)
        raise


def _check(value: Any, walk: Walk) -> None:
    kind = cast("type[object]", type(value))
    if kind in _LEAVES:
        return
    if kind is str:
        walk.spend(len(value))
    elif kind is float:
        check_finite(value)
    elif kind is list:
        walk.enter(len(value))
        if not _all_leaves(value, walk):
            _check_each(enumerate(cast("list[object]", value)), walk)
        walk.leave()
    elif kind is dict:
        check_keys(value)
        walk.enter(len(value))
        _check_each(value.items(), walk)
        walk.leave()
    else:
        raise Unstorable(f"is {a_type(value)}, which JSON cannot carry unannotated")


def _check_each(items: Iterable[tuple[str | int, Any]], walk: Walk) -> None:
    for step, item in items:
        try:
            _check(item, walk)
        except Refusal as refusal:
            raise refusal.under(step) from None


def _all_leaves(items: list[Any], walk: Walk) -> bool:
    # A long list of numbers or texts is checked without a step of Python per item.
    kinds = set(map(type, items))
    if kinds <= _LEAVES:
        return True
    if kinds == {str}:
        walk.spend(sum(map(len, items)))
        return True
    return False


def check_finite(value: float) -> None:
    """Refuse NaN and the infinities, which JSON does not have."""
    if value - value != 0.0:
        raise Unstorable(f"is {value}, and JSON has no NaN and no infinity")


def check_keys(mapping: dict[Any, Any]) -> None:
    """Refuse a mapping that JSON would change: keys that are not text, or too many of them."""
    if len(mapping) > MAX_KEYS:
        raise Unstorable(f"has {len(mapping)} keys, the limit is {MAX_KEYS}")
    for key in mapping:
        if type(key) is not str:
            raise Unstorable(
                f"has a key of type {a_type(key)}, and JSON has text keys only "
                "(annotate the parameter, such as `dict[int, str]`)"
            )


def locate(args: list[Any], kwargs: dict[str, Any]) -> None:
    """Raise at the first text or number among the arguments that cannot be written."""
    for index, value in enumerate(args):
        try:
            locate_value(value)
        except Refusal as refusal:
            raise refusal.under(index) from None
    locate_value(kwargs)


def locate_value(value: object) -> None:
    """Raise at the first text or number inside a plain value that cannot be written."""
    if isinstance(value, str):
        _check_text(value)
    elif type(value) is int:
        _check_digits(value)
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[object]", value)):
            try:
                locate_value(item)
            except Refusal as refusal:
                raise refusal.under(index) from None
    elif isinstance(value, dict):
        for key, item in cast("dict[str, object]", value).items():
            try:
                _check_text(key)
                locate_value(item)
            except Refusal as refusal:
                raise refusal.under(key) from None


def _check_text(text: str) -> None:
    if "\0" in text:
        raise Unstorable("holds a NUL character, which not every store can keep")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unstorable("holds a lone surrogate, which is not text") from None


def _check_digits(value: int) -> None:
    try:
        str(value)
    except ValueError:
        raise Unstorable("is a whole number of more digits than Python will write") from None


def _is_text(name: object) -> bool:
    return type(name) is str


def _version_of(payload: bytes) -> int | None:
    # A newer version may have another form altogether; all that is known of it is `v`.
    try:
        tree = _read_anything(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if not isinstance(tree, dict):
        return None
    version = cast("dict[str, object]", tree).get("v")
    return version if isinstance(version, int) else None


def _too_new(version: int) -> UnknownPayloadVersion:
    return UnknownPayloadVersion(
        f"the payload has version {version}, this release reads {VERSION}; the job waits for a "
        "worker of a newer release."
    )
