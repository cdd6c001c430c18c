"""The page about every number with which an error message ends."""

from __future__ import annotations

from longshore.cli.exit import KINDS, MEANINGS


def errors_page() -> str:
    """``docs/errors.md``, whole."""
    lines = [
        "# Errors of the command line",
        "",
        "Every error message ends with a number that stays the same between releases. Its first",
        "digit is the exit code of the command.",
        "",
        "| exit code | meaning |",
        "|---|---|",
        *(f"| {code.value} | {meaning} |" for code, meaning in MEANINGS.items()),
    ]
    for kind in KINDS:
        lines += ["", f"## E{kind.number}", "", kind.means, "", f"What to do: {kind.do}"]
        if kind.raised is not None:
            lines += ["", f"In Python: `{kind.raised.__module__}.{kind.raised.__qualname__}`."]
    return "\n".join(lines) + "\n"
