"""The question of a query: which jobs it is about.

Id, state, queue and kind go to the store; error, tags, args and meta are tested here, on rows that
were read under those. A question is a frozen record: narrowing one gives another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypedDict, TypeVar, cast

import msgspec

from longshore.core.codec.refusals import MAX_DEPTH
from longshore.core.model import JobRecord, JobState
from longshore.core.options import check_queue
from longshore.core.registry import Registry
from longshore.core.store import Filter
from longshore.core.wording import did_you_mean, shown
from longshore.errors import InvalidOption, LongshoreError
from longshore.ids import is_id
from longshore.job import JobFunction

T = TypeVar("T")

#: A kind by its stored name, or by the job function or job class that has it.
Kind: TypeAlias = str | JobFunction[..., Any, Any] | type[Any]

#: No argument takes more, bytes of JSON.
_LARGEST: Final = 1 << 20

#: An exception's class, or a part of its name or of its message.
ErrorName: TypeAlias = str | type[BaseException]


class Filters(TypedDict, total=False):
    """What ``filter`` takes: each a value or a list of values, of which any will do."""

    id: str | Collection[str]
    state: str | Collection[str]
    queue: str | Collection[str]
    kind: Kind | Collection[Kind]
    error: ErrorName | Collection[ErrorName]
    tags: str | Collection[str]
    args: Mapping[str, object]
    meta: Mapping[str, object]


class AnyOf(msgspec.Struct, frozen=True):
    """In ``args`` and ``meta``: one of these values; a plain list there is a value itself."""

    values: tuple[object, ...]


class Where(msgspec.Struct, frozen=True):
    """A question. ``None`` does not restrict; an empty set matches nothing.

    Each of ``errors`` and ``tags`` came from one ``filter`` call: a job must meet all of them, and
    meets one by any of its values.
    """

    ids: frozenset[str] | None = None
    states: frozenset[JobState] | None = None
    queues: frozenset[str] | None = None
    kinds: frozenset[str] | None = None
    errors: tuple[tuple[ErrorName, ...], ...] = ()
    tags: tuple[frozenset[str], ...] = ()
    args: tuple[Mapping[str, object], ...] = ()
    meta: tuple[Mapping[str, object], ...] = ()

    def narrowed(self, filters: Filters, registry: Registry) -> Where:
        """This question and these filters as well.

        Raises:
            InvalidOption: an unknown filter or state, or a value of another type.
        """
        where = self
        for name, value in filters.items():
            read = _READ.get(name)
            if read is None:
                raise InvalidOption(
                    f"jobs cannot be filtered by {shown(name)[1:-1]}.{did_you_mean(name, _READ)}"
                    f" Filters: {', '.join(_READ)}."
                )
            if value is None:
                raise InvalidOption(f"{name}=None is not a filter. Leave {name} out to allow all.")
            where = read(where, value, registry)
        return where

    @property
    def is_empty(self) -> bool:
        """Whether this asks for every job of the store."""
        return self == Where()

    @property
    def is_counted(self) -> bool:
        """Whether the store's counters can answer how many."""
        return self.ids is None and not self.reads_rows

    @property
    def reads_rows(self) -> bool:
        """Whether rows have to be read to decide."""
        return bool(self.errors or self.tags or self.args or self.meta)

    @property
    def matches_nothing(self) -> bool:
        """Whether no job can meet it."""
        sets: tuple[Collection[object] | None, ...] = (
            self.ids,
            self.states,
            self.queues,
            self.kinds,
            *self.tags,
            *self.errors,
        )
        return any(some is not None and not some for some in sets)

    def for_store(self) -> Filter:
        """The part that the store answers."""
        return Filter(
            ids=tuple(sorted(self.ids or ())),
            states=self.states or frozenset(),
            queues=tuple(sorted(self.queues or ())),
            kinds=tuple(sorted(self.kinds or ())),
        )

    def accepts(self, job: JobRecord) -> bool:
        """Whether a row that the store found meets the rest."""
        return (
            all(_has_error(job, names) for names in self.errors)
            and all(not tags.isdisjoint(job.tags) for tags in self.tags)
            and (not self.args or _all_in(self.args, _arguments(job)))
            and _all_in(self.meta, job.meta)
        )


def _several(value: object, name: str) -> tuple[object, ...]:
    """One value, or those of a list, a tuple or a set."""
    if isinstance(value, list | tuple | set | frozenset):
        return tuple(cast("Iterable[object]", value))
    if isinstance(value, Mapping):
        raise InvalidOption(f"{name}={shown(cast('object', value))} is not a value or a list.")
    return (value,)


def _texts(value: object, name: str) -> tuple[str, ...]:
    found = _several(value, name)
    for one in found:
        if not isinstance(one, str):
            raise InvalidOption(f"{name}={shown(one)} is not text. Give a text or a list of them.")
    return cast("tuple[str, ...]", found)


def _both(known: frozenset[T] | None, given: Iterable[T]) -> frozenset[T]:
    return frozenset(given) if known is None else known & frozenset(given)


def _ids(where: Where, value: object, _: Registry) -> Where:
    ids = [text.lower() for text in _texts(value, "id")]
    for text in ids:
        if not is_id(text):
            raise InvalidOption(
                f"id={shown(text)} is not a job's id. Ids are UUIDs, such as"
                " 01940000-0000-7000-8000-000000000000."
            )
    return msgspec.structs.replace(where, ids=_both(where.ids, ids))


def _states(where: Where, value: object, _: Registry) -> Where:
    states = [read_state(text) for text in _texts(value, "state")]
    return msgspec.structs.replace(where, states=_both(where.states, states))


#: What other systems call a state.
_CALLED_ELSEWHERE: Final = {
    "queued": JobState.AVAILABLE,
    "pending": JobState.AVAILABLE,
    "ready": JobState.AVAILABLE,
    "failed": JobState.DEAD,
    "error": JobState.DEAD,
    "started": JobState.RUNNING,
    "done": JobState.SUCCEEDED,
    "completed": JobState.SUCCEEDED,
    "finished": JobState.SUCCEEDED,
}


def read_state(text: str) -> JobState:
    """A state by its name; raises :class:`InvalidOption` with the nearest one."""
    try:
        return JobState(text)
    except ValueError:
        elsewhere = _CALLED_ELSEWHERE.get(text.lower())
        near = f" Did you mean {elsewhere}?" if elsewhere else did_you_mean(text, JobState)
        raise InvalidOption(
            f"state={shown(text)} is not a state.{near} States: {', '.join(JobState)}."
        ) from None


def _queues(where: Where, value: object, _: Registry) -> Where:
    queues = [check_queue(name) for name in _several(value, "queue")]
    return msgspec.structs.replace(where, queues=_both(where.queues, queues))


def _kinds(where: Where, value: object, registry: Registry) -> Where:
    names = [name for one in _several(value, "kind") for name in kind_names(one, registry)]
    return msgspec.structs.replace(where, kinds=_both(where.kinds, names))


def kind_names(kind: object, registry: Registry) -> tuple[str, ...]:
    """The stored names that a kind goes by: a declared job has its aliases too."""
    match kind:
        case str():
            return (kind,)
        case JobFunction():
            return cast("JobFunction[..., Any, Any]", kind).declaration.names
        case _:
            for declared in registry:
                if declared.job_class is kind:
                    return declared.names
            raise InvalidOption(
                f"kind={shown(kind)} is not a job of this application. Give the stored name, a job"
                " function or a job class."
            )


def _errors(where: Where, value: object, _: Registry) -> Where:
    wanted = tuple(_error(one) for one in _several(value, "error"))
    return msgspec.structs.replace(where, errors=(*where.errors, wanted))


def _error(value: object) -> ErrorName:
    match value:
        case str() if value:
            return value
        case type() if issubclass(raised := cast("type[object]", value), BaseException):
            return raised
        case _:
            raise InvalidOption(f"error={shown(value)} is neither an exception's name nor class.")


def _tags(where: Where, value: object, _: Registry) -> Where:
    return msgspec.structs.replace(where, tags=(*where.tags, frozenset(_texts(value, "tags"))))


def _args(where: Where, value: object, _: Registry) -> Where:
    return msgspec.structs.replace(where, args=(*where.args, _plain(value, "args")))


def _meta(where: Where, value: object, _: Registry) -> Where:
    return msgspec.structs.replace(where, meta=(*where.meta, _plain(value, "meta")))


#: How each filter narrows a question; its keys are the filters there are.
_READ: Final[Mapping[str, Callable[[Where, Any, Registry], Where]]] = {
    "id": _ids,
    "state": _states,
    "queue": _queues,
    "kind": _kinds,
    "error": _errors,
    "tags": _tags,
    "args": _args,
    "meta": _meta,
}
FILTERS: Final = tuple(_READ)


def _plain(value: object, name: str, depth: int = 1) -> Mapping[str, object]:
    """A mapping as its JSON reads back, so that ``date(2025, 1, 1)`` meets what was stored."""
    if depth > MAX_DEPTH:
        raise InvalidOption(f"{name}: deeper than {MAX_DEPTH} levels, which no stored job is.")
    if not isinstance(value, Mapping):
        raise InvalidOption(
            f'{name}={shown(value)} is not a mapping. Give names and values: {{"user_id": 7}}.'
        )
    return {
        _key(key, name): _value(one, name, depth)
        for key, one in cast("Mapping[object, object]", value).items()
    }


def _key(key: object, name: str) -> str:
    if isinstance(key, str):
        return key
    raise InvalidOption(f"{name}: the name {shown(key)} is not text.")


def _value(value: object, name: str, depth: int) -> object:
    match value:
        case AnyOf():
            return value
        case Mapping():
            return _plain(cast("object", value), name, depth + 1)
        case _:
            try:
                return _stored(value) if name == "args" else _as_json(value)
            except (TypeError, ValueError, RecursionError, LongshoreError) as error:
                raise InvalidOption(
                    f"{name}: {shown(value)} cannot be compared with stored JSON: {error}."
                ) from None


def _as_json(value: object) -> object:
    return msgspec.json.decode(msgspec.json.encode(value))


def _stored(value: object) -> object:
    """A value as an argument of its own type is stored."""
    from longshore.core.codec.text import to_json  # noqa: PLC0415 - few ask for more than texts
    from longshore.core.codec.values import Values  # noqa: PLC0415 - as above

    match value:
        case set() | frozenset():
            given = cast("set[object] | frozenset[object]", value)
            return sorted((_stored(one) for one in given), key=to_json)
        case Mapping():
            named = cast("Mapping[object, object]", value)
            return {_key(key, "args"): _stored(one) for key, one in named.items()}
        case list() | tuple() if not hasattr(type(cast("object", value)), "_fields"):
            return [_stored(one) for one in cast("Sequence[object]", value)]
        case _:
            return msgspec.json.decode(Values("args", type(value)).encode(value, _LARGEST))


def _has_error(job: JobRecord, wanted: Sequence[ErrorName]) -> bool:
    for run in reversed(job.runs):
        if run.error is not None:
            return any(_is_error(run.error, run.message or "", one) for one in wanted)
    return False


def _is_error(name: str, message: str, wanted: ErrorName) -> bool:
    if isinstance(wanted, str):
        named = name if "." in wanted else name.rpartition(".")[2]
        return wanted in named or wanted in message
    # A class is meant as a whole: `OSError` is no part of somebody's `CloudOSError`.
    whole = wanted.__qualname__
    if wanted.__module__ != "builtins":
        whole = f"{wanted.__module__}.{whole}"
    if whole in (name, name.rpartition(".")[2]):
        return True
    return re.search(rf"(?<!\w){re.escape(whole)}(?!\w)", message) is not None


def _arguments(job: JobRecord) -> Mapping[str, object]:
    """The arguments stored by name; none of one that is encrypted or from elsewhere."""
    try:
        return msgspec.json.decode(job.payload, type=_Payload).kwargs
    except (msgspec.MsgspecError, RecursionError):
        return {}


class _Payload(msgspec.Struct):
    kwargs: dict[str, Any] = {}


def _all_in(wanted: Iterable[Mapping[str, object]], stored: Mapping[str, object]) -> bool:
    return all(_within(one, stored) for one in wanted)


def _within(wanted: object, stored: object) -> bool:
    match wanted:
        case AnyOf(values=values):
            return any(_within(value, stored) for value in values)
        case Mapping():
            if not isinstance(stored, Mapping):
                return False
            fields = cast("Mapping[str, object]", stored)
            return all(
                name in fields and _within(value, fields[name])
                for name, value in cast("Mapping[str, object]", wanted).items()
            )
        case _:
            # In Python True == 1; in JSON they are different values.
            return isinstance(wanted, bool) == isinstance(stored, bool) and wanted == stored
