"""The arguments of a job as they are written on a command line or sent to standard input.

``key=text``, ``key:=json``, or one JSON document: an object holds arguments by name, a list those
by position. ``-`` reads the document from standard input.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, Protocol, cast

import msgspec

from longshore.cli.exit import BAD_INPUT, Failure
from longshore.core.wording import shown

_WINDOW: Final = 40


class Readable(Protocol):
    """A binary stream."""

    def read(self, size: int, /) -> bytes: ...


class JobInput(msgspec.Struct, frozen=True):
    """Arguments by position and by name; ``texts``: the names given as ``key=text``."""

    args: list[object]
    kwargs: dict[str, object]
    texts: frozenset[str] = frozenset()

    def fitted(self, accepts: Callable[[str, object], bool]) -> JobInput:
        """The same, where ``user_id=42`` means the number if only a number fits."""
        kwargs = dict(self.kwargs)
        for name in self.texts:
            text = cast("str", kwargs[name])
            if accepts(name, text):
                continue
            try:
                plain = msgspec.json.decode(text)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                continue
            if accepts(name, plain):
                kwargs[name] = plain
        return JobInput(self.args, kwargs, self.texts)

    def over(self, args: list[object], kwargs: dict[str, object]) -> JobInput:
        """These laid over others: by name each for itself, by position all or none."""
        return JobInput(self.args or args, {**kwargs, **self.kwargs}, self.texts)


def read_input(words: Sequence[str], stdin: Callable[[], Readable], limit: int) -> JobInput:
    """The arguments that these words give.

    Args:
        words: what stands behind the job's name.
        stdin: gives standard input, asked only for ``-``.
        limit: the most bytes that are read from it.

    Raises:
        Failure: not understood; the message gives the position.
    """
    if len(words) == 1 and words[0] == "-":
        return _from_stream(stdin(), limit)
    if len(words) == 1 and words[0].lstrip()[:1] in ("{", "["):
        return _document(words[0], "the JSON document")
    kwargs, texts = dict[str, object](), set[str]()
    for place, word in enumerate(words, 1):
        key, separator, value = word.partition("=")
        if not separator or not key.removesuffix(":"):
            raise Failure(
                BAD_INPUT,
                f"argument {place}, {shown(word)}: there is no = in it at position"
                f" {len(word) + 1}. Write key=text or key:=json."
                if not separator
                else f"argument {place}, {shown(word)}: there is no name before position 1.",
            )
        name = key.removesuffix(":")
        if name in kwargs:
            raise Failure(BAD_INPUT, f"argument {place}, {shown(word)}: {name} is given twice.")
        if key.endswith(":"):
            kwargs[name] = _json(value, f"argument {place}, {shown(name)[1:-1]}:=")
        else:
            kwargs[name] = value
            texts.add(name)
    return JobInput([], kwargs, frozenset(texts))


def _from_stream(stream: Readable, limit: int) -> JobInput:
    # One byte more than allowed is enough to know, however much is sent.
    data = stream.read(limit + 1)
    if len(data) > limit:
        raise Failure(
            BAD_INPUT,
            f"standard input has more than {limit} bytes, the most a job may take (max_payload);"
            f" read up to position {limit}. Store the data elsewhere and pass a reference.",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Failure(
            BAD_INPUT, f"standard input is not UTF-8 at byte {error.start + 1}."
        ) from None
    if not text.strip():
        raise Failure(
            BAD_INPUT, "standard input is empty (position 1). Send a JSON object or list."
        )
    return _document(text, "standard input")


def _document(text: str, what: str) -> JobInput:
    found = _json(text, what)
    if isinstance(found, dict):
        return JobInput([], cast("dict[str, object]", found))
    if isinstance(found, list):
        return JobInput(cast("list[object]", found), {})
    raise Failure(
        BAD_INPUT,
        f"{what} is a {type(found).__name__} (position 1). Give an object with arguments by name,"
        " or a list with those by position.",
    )


def _json(text: str, what: str) -> object:
    try:
        value: object = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise Failure(
            BAD_INPUT,
            f"{what} is not JSON: {error.msg} at line {error.lineno}, position {error.colno}."
            f"{_pointed(text, error.pos)}",
        ) from None
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Failure(BAD_INPUT, f"{what} cannot be stored: {why} (position 1).") from None
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict[str, Any]()
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {shown(name)} is given twice")
        found[name] = value
    return found


def _pointed(text: str, at: int) -> str:
    begin = max(text.rfind("\n", 0, at) + 1, at - _WINDOW)
    line = text[begin : at + _WINDOW].partition("\n")[0]
    if not line.strip():
        return ""
    part = "".join(c if c.isprintable() else " " for c in line)
    return f"\n  {part}\n  {'':>{at - begin}}^\n"
