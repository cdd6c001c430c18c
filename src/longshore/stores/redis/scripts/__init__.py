"""The Lua scripts of the Redis store, put together from their files, and the calls of them.

``scripts/<operation>.lua`` names what it needs beside the prelude by lines ``-- uses: part, part``;
each part is a file too and is put in there, once.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from hashlib import sha1
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

T = TypeVar("T")

#: What a command of the server takes as a value.
Value: TypeAlias = "str | bytes | int"

#: The body of an operation: it yields calls and is sent the answers of their scripts.
Steps: TypeAlias = "Generator[Call, Any, T]"


class Script:
    """One script; calling it gives a statement."""

    __slots__ = ("name", "sha", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        # What the server calls it by; nothing secret depends on it.
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest().encode()

    def __call__(self, *args: Value) -> Call:
        """Run it with these values."""
        return Call(self, args)


class Call:
    """One call of a script: the only statement of this store.

    The driver puts the store's hash tag, the time, the epoch and the retention before ``args``.
    """

    __slots__ = ("args", "script")

    def __init__(self, script: Script, args: Sequence[Value]) -> None:
        self.script = script
        self.args = args


_HERE: Final = Path(__file__).parent
_USES: Final = re.compile(r"^ *-- uses: (.*)$", re.MULTILINE)
_PARTS: Final = frozenset(
    {
        *("prelude", "time", "basics", "more", "freeing", "waking", "counting", "texts", "keeping"),
        *("jobs", "taking", "fronts", "claiming", "succeeding", "ending", "records"),
        *("restraint", "gates", "turns", "ruling", "holding", "plain", "payloads", "bundling"),
    }
)


def _read(name: str) -> str:
    return (_HERE / f"{name}.lua").read_text("utf-8")


def _whole(name: str) -> str:
    there = {"prelude"}

    def text_of(part: str) -> str:
        return _USES.sub(lambda found: "\n".join(map(used, found[1].split(", "))), _read(part))

    def used(part: str) -> str:
        if part in there:
            return ""
        there.add(part)
        return text_of(part)

    return f"{_read('prelude')}\n{text_of(name)}"


#: Every script by its name.
SCRIPTS: Final = {
    path.stem: Script(path.stem, _whole(path.stem))
    for path in sorted(_HERE.glob("*.lua"))
    if path.stem not in _PARTS
}
