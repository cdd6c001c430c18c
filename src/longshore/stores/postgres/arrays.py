"""Lists as PostgreSQL writes arrays: a claim or a report sends thousands of ids and keys.

The driver asks of each text whether it needs quotes, which was a third of what a report costs here.
Quoting every one needs no question but whether some text has a quote or a backslash of its own.
The form is that of "Array Input and Output Syntax" in PostgreSQL's manual.
"""

from __future__ import annotations

from typing import Any, Final

_NUMBERS: Final = frozenset({int, type(None)})
_TEXTS: Final = frozenset({str, type(None)})


def array(values: list[Any]) -> list[Any] | str:
    r"""The values as the text of an array, or as they are where the driver has to look at them.

    A statement must say of which type the array is, as in ``%(ids)s::uuid[]``.

    Example:
        >>> array(["a", None, "b, c"])
        '{"a",NULL,"b, c"}'
        >>> array([1, 2])
        '{1,2}'
        >>> array(['a "b"'])
        ['a "b"']
    """
    types = set(map(type, values))
    if types <= _NUMBERS:
        return f"{{{','.join(['NULL' if value is None else str(value) for value in values])}}}"
    if types <= _TEXTS:
        quoted = ["NULL" if value is None else f'"{value}"' for value in values]
        text = f"{{{','.join(quoted)}}}"
        if "\\" not in text and text.count('"') == 2 * (len(values) - values.count(None)):
            return text
    return values
