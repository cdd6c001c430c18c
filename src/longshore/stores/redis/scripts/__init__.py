"""The Lua scripts of the Redis store, put together from their files, and the calls of them.

``scripts/<operation>.lua`` names what it needs beside the prelude by lines ``-- uses: part, part``;
each part is a file too and is put in there, once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from functools import partial
from hashlib import sha1
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

T = TypeVar("T")

#: What a command of the server takes as a value.
Value: TypeAlias = "str | bytes | int"

#: The body of an operation: it yields calls and is sent the answers of their scripts.
Steps: TypeAlias = "Generator[Call, Any, T]"


class Script:
    """One script; calling it gives a statement. ``again``: makes the text when it is wanted."""

    __slots__ = ("_again", "name", "sha")

    def __init__(self, name: str, text: str, again: Callable[[], str] | None = None) -> None:
        self.name = name
        self._again = again or partial(str, text)
        # What the server calls it by; nothing secret depends on it.
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest().encode()

    @property
    def text(self) -> str:
        """All of it, for a server that does not have it."""
        return self._again()

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


#: What every file says, read at once: under a process the package may be replaced.
_FILES: Final = {path.stem: path.read_text("utf-8") for path in sorted(_HERE.glob("*.lua"))}


def _whole(name: str) -> str:
    there = {"prelude"}

    def text_of(part: str) -> str:
        return _USES.sub(lambda found: "\n".join(map(used, found[1].split(", "))), _FILES[part])

    def used(part: str) -> str:
        if part in there:
            return ""
        there.add(part)
        return text_of(part)

    return f"{_FILES['prelude']}\n{text_of(name)}"


#: Every script by its name. Whole they are six times as long as their parts, of which most have
#: many, and a server that has had them once is not sent them: no process keeps the whole.
SCRIPTS: Final = {
    name: Script(name, _whole(name), partial(_whole, name)) for name in _FILES if name not in _PARTS
}
