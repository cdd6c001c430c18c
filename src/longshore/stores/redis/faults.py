"""What a server's refusals mean: which pass, and what to tell of those that do not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from longshore.errors import (
    StoreBusy,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnavailable,
    StoreUnwritable,
)
from longshore.stores.redis.wire import Lost, Refused


class Then(Enum):
    """What to do after a refusal; nothing was written in any of these cases."""

    TELL = auto()  # nothing will change by itself
    WAIT = auto()  # ask again in a moment
    ELSEWHERE = auto()  # ask again over a new connection: another server may answer there


_Meaning = tuple[Then, type[StoreError], str]

#: By the code with which a refusal begins.
REFUSALS: Final[Mapping[str, _Meaning]] = {
    "OOM": (
        Then.TELL,
        StoreFull,
        (
            "its memory is full (maxmemory); nothing was written. Jobs can still be run: start"
            " workers, prune or delete ended jobs, or give the server more memory."
        ),
    ),
    "READONLY": (
        Then.ELSEWHERE,
        StoreUnwritable,
        (
            "it is a replica and takes no writes. Give the address of the primary, or one that"
            " follows it after a failover."
        ),
    ),
    "LOADING": (
        Then.WAIT,
        StoreUnavailable,
        "it is still loading its data from disk. Try again when it is done.",
    ),
    "BUSY": (
        Then.WAIT,
        StoreBusy,
        (
            "somebody's script has been running for too long (SCRIPT KILL ends it); nothing was"
            " written. Try again."
        ),
    ),
    "MASTERDOWN": (
        Then.ELSEWHERE,
        StoreUnavailable,
        "it is a replica without its primary. Give the address of the primary.",
    ),
    "CLUSTERDOWN": (
        Then.WAIT,
        StoreUnavailable,
        "its cluster does not serve the slot of this store. Look at `CLUSTER INFO`.",
    ),
    "TRYAGAIN": (
        Then.WAIT,
        StoreBusy,
        "its cluster is moving the slot of this store; nothing was written. Try again.",
    ),
    "ASK": (
        Then.WAIT,
        StoreBusy,
        "its cluster is moving the slot of this store; nothing was written. Try again.",
    ),
    "MISCONF": (
        Then.TELL,
        StoreUnwritable,
        "it cannot write its data to disk and refuses changes. Look at its log and its disk.",
    ),
    "NOREPLICAS": (
        Then.WAIT,
        StoreUnwritable,
        "it has fewer replicas than min-replicas-to-write asks for and refuses changes.",
    ),
    "NOAUTH": (
        Then.TELL,
        StoreDenied,
        "it asks for a password. Put one into the address: redis://:password@host.",
    ),
    "WRONGPASS": (
        Then.TELL,
        StoreDenied,
        "it refused the user name or the password of the address.",
    ),
    "NOPERM": (
        Then.TELL,
        StoreUnwritable,
        (
            "its access list does not let this user do that. docs/how-to/least-privilege.md lists"
            " the keys and the commands of each role."
        ),
    ),
    "WRONGTYPE": (
        Then.TELL,
        StoreError,
        (
            "a key of this store holds something else: another program uses the same names. Set"
            " another prefix=."
        ),
    ),
    "EMPTIED": (
        Then.TELL,
        StoreError,
        (
            "it was emptied while in use (FLUSHALL, or a restart without its data); nothing was"
            " written. The jobs that it held are gone; what is enqueued from now on is kept."
        ),
    ),
    "NOSCRIPT": (
        Then.WAIT,
        StoreBusy,
        (
            "somebody flushes its scripts (SCRIPT FLUSH) as fast as they are given to it; nothing"
            " was written. Try again."
        ),
    ),
    "DENIED": (
        Then.TELL,
        StoreDenied,
        "protected mode is on: it serves only its own machine. Set a password on the server.",
    ),
    "NOPROTO": (Then.TELL, StoreError, "it is not a Redis server."),
}

#: By what the text says, where the code says nothing.
_TEXTS: Final[Mapping[str, _Meaning]] = {
    "max number of clients reached": (
        Then.WAIT,
        StoreUnavailable,
        "it has as many clients as it takes (maxclients).",
    ),
    "invalid password": REFUSALS["WRONGPASS"],
    "ACL failure in script": REFUSALS["NOPERM"],
    "user executing the script can't": REFUSALS["NOPERM"],  # before Redis 7
    "without any password configured": (
        Then.TELL,
        StoreDenied,
        "the address has a password, but the server has none.",
    ),
    "DB index is out of range": (
        Then.TELL,
        StoreDenied,
        "it has no database of that number.",
    ),
}
_OTHER: Final[_Meaning] = (Then.TELL, StoreError, "it refused a command.")

#: Old servers put the place in a script before the code of what a command was refused with.
_WITHIN: Final = re.compile(r"(?:^|: |-)([A-Z]{3,}) ")


def meaning(refused: Refused) -> _Meaning:
    """What a refusal means."""
    known = REFUSALS.get(refused.code)
    if known is not None:
        return known
    said = str(refused)
    for part, found in _TEXTS.items():
        if part in said:
            return found
    for code in _WITHIN.findall(said):
        if code in REFUSALS:
            return REFUSALS[code]
    return _OTHER


def explained(error: Lost | Refused, address: str) -> StoreError:
    """The error to raise for what a connection met."""
    if isinstance(error, Lost):
        unsure = " It is not known whether the last request was carried out." if error.sent else ""
        return StoreUnavailable(
            f"{address}: it cannot be reached ({error}).{unsure} Is the server running, and is the"
            " address right?"
        )
    _, kind, advice = meaning(error)
    return kind(f"{address}: {advice} ({error})")
