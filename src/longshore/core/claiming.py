"""What a process asks of a store when it claims, and the answer."""

from __future__ import annotations

import msgspec

from longshore.core.lines import Line
from longshore.core.model import Claimed, Lease


class ClaimRequest(msgspec.Struct, frozen=True, gc=False):
    """What one process asks for: up to ``wanted`` jobs, the lines strictly in the order given.

    ``claim_id`` grows by one with each claim of the process; repeating a request with the same
    number returns the same running jobs. With ``parked_kinds`` the call serves parked jobs of
    those kinds instead of the lines, but none that was parked under the same ``kinds_digest``.
    Jobs with a rate come only for slots that are ``free``: a claim that has taken so many of them
    ends before the next. With ``stand`` one that found too little may stand: the next job is taken
    under the next number when it is stored, and the watch tells. A claim of none ends that.
    """

    process_id: str
    claim_id: int
    wanted: int
    lines: tuple[Line, ...] = ()
    parked_kinds: tuple[str, ...] = ()
    kinds_digest: str = ""
    free: int = 1_000_000
    stand: bool = False


class Claim(msgspec.Struct, frozen=True, gc=False):
    """The answer to a claim. ``live`` is false when the process has no lease any more.

    ``jobs`` are in the order in which they should start. ``due_in`` says in how many microseconds
    the next scheduled job of the store falls due, or the next full rate or paused kind of a
    blocked job opens; it is given when fewer jobs than wanted came. ``stands``: it does.
    """

    live: bool
    jobs: tuple[Claimed, ...] = ()
    due_in: int | None = None
    stands: bool = False


class Exchanged(msgspec.Struct, frozen=True, gc=False):
    """The answer to an exchange: the leases whose endings hold, and the claim."""

    held: frozenset[Lease]
    claim: Claim
