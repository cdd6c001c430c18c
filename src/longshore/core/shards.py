"""Which shard a job belongs to, and the two digits of its id that say so.

A job goes to the shard of its *key*: its kind, unless the setting ``shard_by`` or the call names
something else. Every program that enqueues must come to the same answer, so a key is weighed
against each shard by a hash that no release may change; one shard more then takes its share of the
keys and leaves the others where they were.

Jobs that share a unique key or a limit must be in one shard, which alone can count them. That shard
follows from what they share and from nothing else: it is where a job would go that had only that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias, cast

import msgspec

from longshore.core.model import NewJob
from longshore.core.wording import shown
from longshore.errors import CrossShard, EnqueueError

#: Two digits name a shard.
MOST_SHARDS: Final = 100

#: Where in the text of an id: the last two of its fourth group, which are random otherwise.
_DIGITS: Final = slice(21, 23)

#: ``kind``, ``queue``, ``args.NAME``, or a function of a job's kind and its named arguments.
ShardBy: TypeAlias = "str | Callable[[str, Mapping[str, Any]], str | None]"


def named(job_id: str, shards: int) -> int | None:
    """The shard that an id names; ``None`` when its digits name none of so many shards.

    Example:
        >>> named("01928374-5566-7788-9907-0123456789ab", 8)
        7
    """
    digits = job_id[_DIGITS]
    number = int(digits) if digits.isdecimal() and digits.isascii() else shards
    return number if number < shards else None


def with_shard(job_id: str, shard: int) -> str:
    """The id with a shard's digits in it.

    Example:
        >>> with_shard("01928374-5566-7788-99aa-0123456789ab", 7)
        '01928374-5566-7788-9907-0123456789ab'
    """
    return f"{job_id[: _DIGITS.start]}{shard:02d}{job_id[_DIGITS.stop :]}"


def shard_of(key: str, shards: int) -> int:
    """The shard of a key: the one that weighs most for it (rendezvous hashing).

    Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998.

    Example:
        >>> shard_of("app.jobs.send_welcome", 1)
        0
    """
    # Imported here: it loads OpenSSL, and only applications with shards ask.
    from hashlib import blake2b  # noqa: PLC0415

    text = key.encode("utf-8", "surrogatepass")
    weights = (
        blake2b(text, digest_size=8, salt=b"%02d" % shard).digest() for shard in range(shards)
    )
    return max(enumerate(weights), key=lambda pair: pair[1])[0]


class Shared(msgspec.Struct, frozen=True):
    """What a job shares with others: a unique key, or the key of a limit.

    ``what`` it is, for people. ``scope`` is the kind of all jobs that share it, or the name of a
    group of kinds; ``arguments`` are those that the key is made of. Kinds of a ``group`` may call
    theirs differently, so what counts there is their ``value``.
    """

    what: str
    scope: str
    arguments: Mapping[str, Any] = {}
    group: bool = False
    value: str = ""


class Placing:
    """Says where jobs go; made once for an application's shards."""

    def __init__(self, shards: int, shard_by: ShardBy = "kind") -> None:
        self.shards = shards
        self._by = shard_by
        self._known: dict[str, int] = {}

    def shard(self, job: NewJob) -> int:
        """The shard a job belongs to.

        Raises:
            EnqueueError: the application's own function raised, or gave no text.
        """
        key = self.decided(job)
        found = self._known.get(key)
        if found is None:
            if len(self._known) > _REMEMBERED:  # tenants come and go
                self._known.clear()
            found = self._known[key] = shard_of(key, self.shards)
        return found

    def placed(self, job: NewJob) -> NewJob:
        """The job with its shard in its id, where the id is ours to make."""
        if not job.fresh:
            return job
        return msgspec.structs.replace(job, id=with_shard(job.id, self.shard(job)))

    def with_key(self, any_id: str, key: str) -> str:
        """The id with the shard of a key in it."""
        return with_shard(any_id, shard_of(key, self.shards))

    def check(self, job: NewJob, shared: Iterable[Shared]) -> None:
        """Refuse a job that would be in another shard than those that it shares something with.

        Compared is what decides the shard, not its number: what is refused does not depend on how
        many shards there are.

        Raises:
            CrossShard: it would.
        """
        own = self.decided(job)
        for one in shared:
            home = self._home(one)
            if own != home:
                raise CrossShard(
                    f"job {job.kind} ({job.id}) goes to the shard of {shown(own)}, and {one.what}"
                    f" is counted in the shard of {shown(home)}; nothing was enqueued. Let"
                    " shard_by decide by what all jobs that share it have in common, or give each"
                    f" of them shard_key={shown(home)}."
                )

    def _home(self, shared: Shared) -> str:
        """What decides the shard of all jobs that share this."""
        scope, otherwise = shared.scope, shared.scope
        arguments: Mapping[str, Any] = {} if shared.group else shared.arguments
        if shared.group and self._by != "kind":
            otherwise = shared.value or shared.scope
        match self._by:
            case "kind" | "queue":
                return otherwise
            case str(name):
                value = arguments.get(name.removeprefix("args."))
                return otherwise if value is None else _text(value)
            case decide:
                try:
                    key = cast("object", decide(scope, arguments))
                except Exception:  # noqa: BLE001 - it wants to know more than what they share
                    return otherwise
                return key if isinstance(key, str) and key else otherwise

    def decided(self, job: NewJob) -> str:
        """What decides the shard of a job."""
        if job.shard_key is not None:
            return job.shard_key
        match self._by:
            case "kind":
                return job.kind
            case "queue":
                return job.queue
            case str(name):
                value = _arguments(job).get(name.removeprefix("args."))
                return job.kind if value is None else _text(value)
            case decide:
                return _asked(decide, job)


_REMEMBERED: Final = 10_000


def _asked(decide: Callable[[str, Mapping[str, Any]], str | None], job: NewJob) -> str:
    try:
        key = cast("object", decide(job.kind, _arguments(job)))
    except Exception as error:
        raise EnqueueError(
            f"job {job.kind} ({job.id}): shard_by raised {error!r}, so it is not known which shard"
            " it belongs to; nothing was enqueued."
        ) from error
    if key is None:
        return job.kind
    if isinstance(key, str) and key:
        return key
    raise EnqueueError(
        f"job {job.kind} ({job.id}): shard_by gave {shown(key)}; nothing was enqueued. It must"
        " give text, or None for the shard of the kind."
    )


def _arguments(job: NewJob) -> Mapping[str, Any]:
    """The named arguments of a job as they are stored."""
    try:
        return _PAYLOAD.decode(job.payload).kwargs
    except msgspec.MsgspecError:  # not to be read here: of another release
        return {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


class _Payload(msgspec.Struct, frozen=True):
    kwargs: dict[str, Any] = {}


_PAYLOAD: Final = msgspec.json.Decoder(_Payload)
