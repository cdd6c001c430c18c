"""What is said of one thing that was looked at, and the sentences that several rules share."""

from __future__ import annotations

from typing import Literal

import msgspec

Result = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that was looked at. ``do`` is a command or a setting; empty where all is well.

    ``at_start``: a worker that starts says it too, where it is no refusal.
    """

    result: Result
    about: str
    found: str
    why: str = ""
    do: str = ""
    refuses: bool = False
    at_start: bool = True

    @property
    def sentence(self) -> str:
        """All of it, for one line of a log."""
        why = f": {self.why}" if self.why else ""
        return f"{self.found}{why}. {self.do}" if self.do else f"{self.found}{why}."


def ok(about: str, found: str) -> Finding:
    """All is well."""
    return Finding(result="ok", about=about, found=found)


def only_reads(found: str) -> Finding:
    """A server that takes no writes."""
    return Finding(
        result="fail",
        about="writes",
        found=found,
        why="nothing can be enqueued, claimed or finished here",
        do="Name the primary server in the address, or one that follows it",
        refuses=True,
    )


def minutes(seconds: int) -> str:
    """For people."""
    return f"{seconds // 60} minutes"
