"""The small language for choosing jobs: ``state:dead,retrying queue:mail args.user_id:42``.

Terms are ``name:value`` with spaces between; all of them must hold. A comma separates values of
which any will do; quotes keep spaces, commas and colons together. Read from left to right in one
pass with no patterns, so a hostile text takes no longer than its length.
"""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from longshore.cli.exit import BAD_QUERY, Failure
from longshore.core.registry import Registry
from longshore.core.wording import did_you_mean
from longshore.errors import InvalidOption
from longshore.query.where import AnyOf, Filters, Where

LONGEST: Final = 2_000
_WINDOW: Final = 60

#: Names that take ``name:value``, and the filter each stands for.
NAMES: Final = {
    "id": "id",
    "state": "state",
    "queue": "queue",
    "kind": "kind",
    "error": "error",
    "tag": "tags",
    "tags": "tags",
}
_NESTED: Final = ("args", "meta")


class Term(msgspec.Struct, frozen=True):
    """One ``name:value`` with its places in the text; each value, and whether it was quoted."""

    name: str
    at: int
    values: tuple[tuple[str, bool], ...]
    value_at: int


def read_query(text: str, registry: Registry) -> Where:
    """The question that a text asks; an empty text asks for every job.

    Raises:
        Failure: not understood; the message shows the place with a caret.
    """
    if len(text) > LONGEST:
        raise _wrong(text, LONGEST, f"a query has at most {LONGEST} characters")
    where, at = Where(), 0
    while (at := _skip(text, at)) < len(text):
        term, at = _term(text, at)
        filters = _filters(text, term)
        try:
            where = where.narrowed(filters, registry)
        except InvalidOption as error:
            raise _wrong(text, term.value_at, str(error).rstrip(".")) from None
    return where


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _term(text: str, start: int) -> tuple[Term, int]:
    at = start
    while at < len(text) and not text[at].isspace() and text[at] not in ':,"':
        at += 1
    if at == len(text) or text[at] != ":" or at == start:
        raise _wrong(text, start, "a term is name:value, such as state:dead")
    name, at = text[start:at], at + 1
    value_at, values = at, list[tuple[str, bool]]()
    while True:
        value, quoted, at = _value(text, at)
        values.append((value, quoted))
        if at == len(text) or text[at].isspace():
            return Term(name, start, tuple(values), value_at), at
        if text[at] != ",":
            raise _wrong(text, at, f'a value with {text[at]!r} in it needs quotes: {name}:"..."')
        at += 1


def _value(text: str, start: int) -> tuple[str, bool, int]:
    if start < len(text) and text[start] == '"':
        parts, at = list[str](), start + 1
        while at < len(text) and text[at] != '"':
            # A backslash keeps the next character, so a quote can stand in a value.
            at += text[at] == "\\" and at + 1 < len(text)
            parts.append(text[at])
            at += 1
        if at == len(text):
            raise _wrong(text, start, "this quote is not closed")
        return "".join(parts), True, at + 1
    at = start
    while at < len(text) and not text[at].isspace() and text[at] not in ':,"':
        at += 1
    if at == start:
        raise _wrong(text, start, "a value is missing here")
    return text[start:at], False, at


def _filters(text: str, term: Term) -> Filters:
    values = [value for value, _ in term.values]
    first, _, path = term.name.partition(".")
    if first in _NESTED:
        if not path:
            raise _wrong(text, term.at, f"say which one: {first}.name:value")
        found: object = AnyOf(tuple(form for value in term.values for form in _forms(*value)))
        for part in reversed(path.split(".")):
            found = {part: found}
        return cast("Filters", {first: found})
    if term.name not in NAMES:
        known = [*NAMES, *(f"{nested}.name" for nested in _NESTED)]
        near = did_you_mean(term.name, NAMES)
        names = ", ".join(known)
        raise _wrong(text, term.at, f"jobs are not chosen by {term.name!r}.{near} Names: {names}")
    return cast("Filters", {NAMES[term.name]: values})


def _forms(value: str, quoted: bool) -> tuple[object, ...]:  # noqa: FBT001 - a part of one value
    """What a value may be in JSON: text, and without quotes a number, true, false or null too."""
    if quoted:
        return (value,)
    try:
        plain: Any = msgspec.json.decode(value)
    except (msgspec.MsgspecError, ValueError):
        return (value,)
    return (value, plain) if not isinstance(plain, list | dict) else (value,)


def _wrong(text: str, at: int, why: str) -> Failure:
    # A long text is shown around the place; what is not printable would move the caret.
    begin = max(0, at - _WINDOW)
    part = "".join(c if c.isprintable() else " " for c in text[begin : at + _WINDOW])
    return Failure(
        BAD_QUERY,
        f"the query is not understood: {why}.\n  {part}\n  {'':>{at - begin}}^\n",
    )
