"""The declared jobs of one application: what each is, and which kind names it."""

from __future__ import annotations

from binascii import crc32
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from longshore.core.codec import Signature
from longshore.core.codec.text import VERSION
from longshore.core.durations import describe
from longshore.core.outcome import Policies
from longshore.core.rules import Restraints
from longshore.core.sealing import Sealer
from longshore.core.wording import did_you_mean, shown
from longshore.errors import DuplicateJob, InvalidOption, UnknownJob


class Isolation(StrEnum):
    """Where the body of a job runs."""

    THREAD = "thread"
    ASYNC = "async"
    PROCESS = "process"


class Declaration(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One declared job.

    ``call`` performs it: the plain function, or for a job class a function that makes an
    instance. ``context`` names the keyword that takes the running job's context; an empty name
    means the first positional parameter; ``None`` means it takes none.
    """

    kind: str
    call: Callable[..., Any]
    signature: Signature
    where: str  # file and line, for messages
    isolation: Isolation
    policies: Policies
    aliases: tuple[str, ...] = ()
    context: str | None = None
    queue: str = "default"
    priority: int = 0
    max_attempts: int = 25
    timeout: int | None = None
    expires: int | None = None
    keep_result: int | None = 86_400_000_000
    tags: tuple[str, ...] = ()
    job_class: type[Any] | None = None
    restraints: Restraints | None = None
    sealer: Sealer | None = None  # encrypts its jobs

    @property
    def names(self) -> tuple[str, ...]:
        """The stored names of its jobs, the older ones too."""
        return (self.kind, *self.aliases)

    @property
    def coroutine(self) -> bool:
        """Whether the body has to be awaited."""
        code = getattr(self.call, "__code__", None)
        return code is not None and bool(code.co_flags & 0x80)  # CO_COROUTINE


#: What a command says of an application that could run nothing.
NO_JOBS: Final = (
    "the application declares no job. Its module must import the modules with jobs, at its end:"
    " docs/how-to/production.md#jobs-in-several-modules"
)


class Registry:
    """Kinds and aliases to declarations. Filled while the application is imported.

    ``keys`` tells apart what processes can decrypt, so that a job is looked at again by one that
    has other keys than the one that parked it.
    """

    def __init__(self, keys: tuple[str, ...] = ()) -> None:
        self._keys = keys
        self._by_kind: dict[str, Declaration] = {}
        self._names: dict[str, Declaration] = {}

    def add(self, declaration: Declaration) -> None:
        """Register a declaration under its kind and aliases; raises :class:`DuplicateJob`.

        The same function at the same place may be declared again: interactive sessions and
        reloaded modules do that, and mean the newer one.
        """
        names = (declaration.kind, *declaration.aliases)
        older = self._by_kind.get(declaration.kind)
        for name in names:
            known = self._names.get(name)
            if known is not None and (known is not older or known.where != declaration.where):
                msg = (
                    f"two jobs are called {name!r}: {known.where} and {declaration.where}; "
                    "give one of them another kind="
                )
                raise DuplicateJob(msg)
        self._check_rates(declaration)
        for name in (older.kind, *older.aliases) if older is not None else ():
            self._names.pop(name, None)
        self._by_kind[declaration.kind] = declaration
        self._names.update(dict.fromkeys(names, declaration))

    def _check_rates(self, declaration: Declaration) -> None:
        """Refuse a rate that counts together with one of another period.

        What is counted is forgotten when the period of the job that started is over: it would be
        too soon for the longer one.
        """
        for name, per in _rates(declaration):
            for other in self._by_kind.values():
                if other.kind != declaration.kind and any(
                    theirs == name and period != per for theirs, period in _rates(other)
                ):
                    raise InvalidOption(
                        f"job {declaration.kind}: its rate counts together with that of job"
                        f" {other.kind} as {name!r}, in {describe(per)} here and in another time"
                        " there. Give both the same per=, or one of them another group="
                    )

    def find(self, kind: str) -> Declaration | None:
        """The declaration that a stored kind means, aliases included."""
        return self._names.get(kind)

    def resolve(self, kind: str) -> Declaration:
        """Like :meth:`find`; raises :class:`UnknownJob` with the nearest names."""
        found = self._names.get(kind)
        if found is None:
            msg = (
                f"no job of kind {shown(kind)} is declared in this application."
                f"{did_you_mean(kind, self._names)}"
            )
            raise UnknownJob(msg)
        return found

    def names(self) -> tuple[str, ...]:
        """Every kind and alias that this application can run, sorted."""
        return tuple(sorted(self._names))

    def ending_in(self, last: str) -> tuple[str, ...]:
        """The kinds that a job may be meant by whose name, or older name, ends in this part."""
        names = (name for name in self._names if name.rpartition(".")[2] == last)
        return tuple(sorted({self._names[name].kind for name in names}))

    def digest(self) -> str:
        """A short name for this list of kinds: a job is parked at most once per list.

        A newer release has another name for the same list, for it may read payloads that this one
        has parked; and so has a process with other keys, for it may decrypt them.
        """
        # Two sums are enough where nobody attacks: hashlib loads OpenSSL, 4 ms of every start.
        text = "\n".join((str(VERSION), *self._keys, *self.names())).encode()
        return f"{crc32(text):08x}{crc32(text[::-1]):08x}"

    def __iter__(self) -> Iterator[Declaration]:
        return iter(self._by_kind.values())

    def __len__(self) -> int:
        return len(self._by_kind)

    def by_kind(self) -> Mapping[str, Declaration]:
        """Declarations by kind or alias, for the worker's look-ups."""
        return self._names


def _rates(declaration: Declaration) -> list[tuple[str, int]]:
    """The rates of a declaration: name and period, microseconds."""
    limits = () if declaration.restraints is None else declaration.restraints.limits
    return [(one.name, one.per) for one in limits if one.per is not None]
