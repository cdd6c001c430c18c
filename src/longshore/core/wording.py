"""Small helpers for messages: a value shown safely, the nearest known name."""

from __future__ import annotations

from collections.abc import Iterable

_SHOWN = 60


def shown(value: object) -> str:
    """A value as it may stand in a message: its ``repr``, cut to 60 characters, never raising.

    Example:
        >>> shown("5 parsecs")
        "'5 parsecs'"
    """
    if isinstance(value, str | bytes) and len(value) > _SHOWN:
        return f"{value[:_SHOWN]!r}... ({len(value)} long)"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - whatever a foreign repr raises, the message must be made
        return f"<{type(value).__name__}>"
    # A foreign repr may hold line breaks or terminal sequences.
    text = "".join(c if c.isprintable() else "?" for c in text[: _SHOWN + 1])
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def storable(text: str, limit: int) -> str:
    r"""Valid Unicode without NUL, at most ``limit`` UTF-8 bytes; the end says if it was cut.

    Example:
        >>> storable("five\0\ud800", 100)
        'five\\x00\\ud800'
    """
    # No character takes less than a byte: of ten megabytes only what may be kept is copied.
    raw = text[: limit + 1].encode("utf-8", "backslashreplace").replace(b"\0", b"\\x00")
    if len(raw) <= limit:
        return raw.decode("utf-8")
    note = " [cut]"
    return raw[: limit - len(note)].decode("utf-8", "ignore") + note


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like this one; ``None`` when none is near.

    Example:
        >>> nearest("leese", ["lease", "store"])
        'lease'
    """
    # Costs more than the rest of a start-up, and is needed only when something is already wrong.
    from difflib import get_close_matches  # noqa: PLC0415

    matches = get_close_matches(name[:_SHOWN].lower(), sorted(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that suggests the nearest name, with a leading space; empty when none is near.

    Example:
        >>> did_you_mean("leese", ["lease", "store"])
        ' Did you mean lease?'
    """
    found = nearest(name, known)
    return f" Did you mean {found}?" if found else ""


def many(number: int, noun: str) -> str:
    """How many there are of something.

    Example:
        >>> many(1, "job"), many(2, "job")
        ('1 job', '2 jobs')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
