"""What is said to a server before the first operation: is it fit, are the keys up to date.

Written as questions without I/O, a generator that is sent the answers, for both ways to drive it.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, TypeAlias

from longshore.callers import warn
from longshore.core.schema import SchemaStatus
from longshore.errors import SchemaMismatch, StoreUnfit
from longshore.stores.redis.links import Links, cluster_slots
from longshore.stores.redis.scripts import SCRIPTS, Call, Steps
from longshore.stores.redis.wire import Refused, checked, pack

log = logging.getLogger("longshore.stores.redis")

#: Packed commands, and how many answers they have.
Question: TypeAlias = tuple[bytes, int]

#: The form of the keys, of which ``scripts/jobs.lua`` tells. There is nothing to migrate, for keys
#: come with their jobs and those of an older form are read as they are; a release that writes what
#: older ones cannot read gives them another number. 2: small payloads stand behind the words;
#: 3: all but the newest parts of a rate's ledger stand apart, and plain successes go by a list.
FORM: Final = 3

OLDEST: Final = (6, 2)

#: Servers of which this process was told that they keep no file, or tells it itself and whole: a
#: process may open its store more than once.
FILELESS: Final = set[str]()


class Meeting:
    """What was found out about a server."""

    def __init__(self, address: str, *, keeps: bool, evicting: bool) -> None:
        self.address = address
        self.keeps = keeps
        self.evicting = evicting
        #: Whether this server was looked at, and has the scripts.
        self.met = False
        #: What tells this store from one under the same names after a flush.
        self.epoch = b""
        self._warned = False

    def tell_no_more(self) -> None:
        """Who asks for the facts tells them himself."""
        FILELESS.add(self.address)

    def look(self, info: bytes) -> None:
        """Refuse a server that would lose jobs, and warn of one that may.

        Raises:
            StoreUnfit: it is too old, or throws away keys when its memory is full.
        """
        facts = dict[str, str](
            line.split(":", 1)
            for line in info.decode("utf-8", "replace").split("\r\n")
            if ":" in line
        )
        version = facts.get("redis_version", "")
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if numbers and numbers < OLDEST:
            raise StoreUnfit(
                f"{self.address}: Redis {version} is too old: Longshore needs 6.2 or newer, or"
                " Valkey."
            )
        self._look_at_eviction(facts)
        fileless = self.keeps and facts.get("aof_enabled") == "0"
        if fileless and self.address not in FILELESS:
            FILELESS.add(self.address)
            log.warning(
                "%s: the server keeps no append-only file: when it ends, jobs enqueued since its"
                ' last snapshot are lost. Set appendonly yes, or durability="normal" to allow it',
                self.address,
            )
        self._warned = True

    def _look_at_eviction(self, facts: dict[str, str]) -> None:
        policy = facts.get("maxmemory_policy", "noeviction")
        if policy == "noeviction" or self.evicting:
            return
        advice = (
            f"{self.address}: maxmemory-policy is {policy}: when its memory is full the server"
            " throws away keys, and jobs with them. Set maxmemory-policy noeviction; use another"
            " server for what may be thrown away."
        )
        if policy.startswith("allkeys") and facts.get("maxmemory") != "0":
            raise StoreUnfit(f"{advice} To accept it all the same: ?evicting=yes.")
        if not self._warned:
            warn(advice)

    def checked_schema(
        self, packed: Callable[[Call], bytes]
    ) -> Generator[Question, list[Any], None]:
        """Refuse keys of a newer release; begin a store that was never used, or mark an older one.

        Raises:
            SchemaMismatch: they are newer.
        """
        fields = checked((yield packed(SCRIPTS["schema"]()), 1)[0])
        if int(_named(fields).get(b"form", 0)) < FORM:
            fields = checked((yield packed(_beginning()), 1)[0])
        status = schema_of(fields)
        if status.breaking:
            raise SchemaMismatch(
                f"{self.address}: a newer release of Longshore has changed its keys"
                f" ({', '.join(status.breaking)}) in a way that this one cannot live with. Nothing"
                " was written. Use that release or a newer one here too."
            )
        self.epoch = epoch_of(fields)


def welcome(meeting: Meeting, links: Links) -> Generator[Question, list[Any], None]:
    """Look at the server once, and give it the scripts."""
    if meeting.met:
        return
    (info,) = yield pack(("INFO",)), 1
    # Who may not ask is not told; it is no reason to refuse.
    if not isinstance(info, Refused):
        meeting.look(info)
    elif info.code != "NOPERM":
        raise info
    if links.cluster:
        (slots,) = yield cluster_slots(), 1
        links.learn(checked(slots))
    yield from loading()
    meeting.met = True


def loading() -> Generator[Question, list[Any], None]:
    """Give the server the scripts that it has not; it forgets them when it ends or is told to.

    One by one: the whole is a megabyte, which every thread that sent it would keep in its heap, and
    which a server that has just come back would get from each process at once. Nobody waits for an
    answer before the last is sent, so that a long line costs no more than its length.
    """
    shas = [script.sha for script in SCRIPTS.values()]
    (there,) = yield pack(("SCRIPT", "EXISTS", *shas)), 1
    # Who may not ask gives it all of them.
    may_not = isinstance(there, Refused) and there.code == "NOPERM"
    known = [0] * len(shas) if may_not else checked(there)
    missing = [
        script for script, is_known in zip(SCRIPTS.values(), known, strict=True) if not is_known
    ]
    for script in missing:
        answers = len(missing) if script is missing[-1] else 0
        replies = yield pack(("SCRIPT", "LOAD", script.text)), answers
        for reply in replies:
            checked(reply)


def begun() -> Steps[None]:
    """Begin a store that was never used."""
    yield _beginning()


def schema_of(fields: Sequence[bytes]) -> SchemaStatus:
    """What the script ``schema`` answered."""
    form = int(_named(fields).get(b"form", FORM))
    newer = (f"keys_{form}",) if form > FORM else ()
    return SchemaStatus(applied=(), pending=(), unknown=newer, breaking=newer)


def epoch_of(fields: Sequence[bytes]) -> bytes:
    """What the script ``schema`` answered: what tells this store from every other."""
    return _named(fields).get(b"epoch", b"")


def _beginning() -> Call:
    return SCRIPTS["migrate"](secrets.token_hex(8), FORM)


def _named(fields: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(fields[::2], fields[1::2], strict=True))
