"""From what a person writes beside ``@jobs.job`` and in ``using(...)`` to checked records."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, TypedDict, cast

import msgspec

from longshore.callers import warn
from longshore.context import CONTEXT
from longshore.core.backoff import Backoff, WaitFunction, as_backoff
from longshore.core.codec import Signature, check_callable
from longshore.core.durations import LONGEST, Duration, microseconds
from longshore.core.functions import is_coroutine_function, parameters_with
from longshore.core.model import JobState, NewJob
from longshore.core.options import (
    check_max_attempts,
    check_priority,
    check_queue,
    check_shard_key,
    check_tags,
)
from longshore.core.outcome import ErrorPolicy, Policies
from longshore.core.registry import Declaration, Isolation, Registry
from longshore.core.restraints import Concurrency, Key, Rate, Unique
from longshore.core.rules import Restraints, check_at_most_once, check_unique, restraints_of
from longshore.core.sealing import Sealer, sealer_for
from longshore.core.settings import Settings
from longshore.core.wording import did_you_mean, shown
from longshore.errors import (
    ArgsMismatch,
    ConflictingOptions,
    EnqueueError,
    InvalidOption,
    NotAJobFunction,
)
from longshore.ids import is_id, new_id
from longshore.naming import check_kind, read_kind, where

if TYPE_CHECKING:
    from longshore.joining.kinds import DatabaseConnection, DatabaseSession, Proxy
    from longshore.joining.through import Through

IsolationName: TypeAlias = Literal["auto", "thread", "async", "process"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_CENTURY: Final = round(LONGEST * 1_000_000)
_DAY: Final = 86_400_000_000
_AVAILABLE: Final = JobState.AVAILABLE  # looking up a member of an enum costs more
_SCHEDULED: Final = JobState.SCHEDULED


class CallOptions(TypedDict, total=False):
    """What can be stored with one job; everything else belongs to the declaration."""

    queue: str
    priority: int
    max_attempts: int
    timeout: Duration | None
    expires: Duration | None
    delay: Duration
    at: datetime
    tags: Sequence[str]
    keep_result: Duration | None
    unique: Unique | None
    at_most_once: bool
    encrypt: bool
    id: str
    shard_key: str
    connection: DatabaseConnection | Proxy
    session: DatabaseSession


class JobOptions(TypedDict, total=False):
    """What a declaration may say; the same names as the class attributes of a job class."""

    kind: str
    aliases: Sequence[str]
    queue: str
    priority: int
    max_attempts: int
    backoff: Backoff | WaitFunction
    errors: Sequence[ErrorPolicy]
    timeout: Duration | None
    expires: Duration | None
    isolation: IsolationName
    keep_result: Duration | None
    tags: Sequence[str]
    identity: Key | Sequence[str] | None
    unique: Unique | None
    concurrency: Concurrency | Sequence[Concurrency]
    rate: Rate | Sequence[Rate]
    fair_by: Key | None
    fair_weight: float | Mapping[Any, float] | Callable[..., float]
    at_most_once: bool
    encrypt: bool


class Declaring(Protocol):
    """What a declaration needs of its application."""

    @property
    def settings(self) -> Settings: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def sealer(self) -> Sealer | None: ...


class Options(msgspec.Struct, frozen=True):
    """What one job is stored with, checked; durations in microseconds."""

    queue: str
    priority: int
    max_attempts: int
    timeout: int | None
    expires: int | None
    keep_result: int | None
    tags: tuple[str, ...]
    delay: int | None = None
    at: int | None = None
    id: str | None = None
    shard_key: str | None = None
    through: Through | None = None  # a connection of the caller
    restraints: Restraints | None = None
    sealer: Sealer | None = None  # encrypts it

    @classmethod
    def of(cls, declaration: Declaration) -> Options:
        """The options of a declaration itself."""
        return cls(
            declaration.queue,
            declaration.priority,
            declaration.max_attempts,
            declaration.timeout,
            declaration.expires,
            declaration.keep_result,
            declaration.tags,
            restraints=declaration.restraints,
            sealer=declaration.sealer,
        )


def new_job(
    kind: str,
    options: Options,
    payload: bytes,
    *,
    filled: bool = True,
    moves_from: str | None = None,
) -> NewJob:
    """The record to insert, encrypted where it is to be; its clock starts now.

    ``filled``: it may not take outputs. ``moves_from``: what many jobs get this payload from.
    """
    if filled and type(payload) is not bytes:
        msg = (
            f"job {kind}: it takes the output of another job, which is not there; nothing was"
            " enqueued. Add it to the workflow of that job with flow.add(...)"
        )
        raise EnqueueError(msg)
    now = time.time_ns() // 1000
    state, due, expires_at = _AVAILABLE, now, None
    if options.delay or options.at is not None:
        later = now + options.delay if options.delay else options.at
        if later is not None and later > now:
            state, due = _SCHEDULED, later
    if options.expires is not None:
        expires_at = now + options.expires
        if due >= expires_at:
            msg = (
                f"job {kind}: it would be due when it has expired; nothing was enqueued. "
                "Give a larger expires=, or an earlier at= or delay="
            )
            raise ConflictingOptions(msg)
    identity, rules = None, None
    if options.restraints is not None:
        identity, rules = options.restraints.read(payload)
    job_id = options.id or new_id()
    if options.sealer is not None:
        # Whoever holds its unique key may get the arguments in its place.
        moves_from = moves_from or (job_id if rules and rules.replaces else None)
        payload = options.sealer.call(job_id, kind, payload, moves_from)
    return NewJob(
        job_id,
        kind,
        options.queue,
        payload,
        state,
        options.priority,
        due,
        now,
        options.max_attempts,
        options.timeout,
        expires_at,
        options.keep_result,
        options.tags,
        None,
        options.id is None,
        options.shard_key,
        identity,
        rules,
    )


def read_options(
    kind: str,
    base: Options,
    given: Mapping[str, object],
    signature: Signature | None,
    sealer: Sealer | None,
) -> Options:
    """Check what ``using(...)`` was given and lay it over ``base``.

    The ``signature`` is that of the declared job, if there is one: keys are made by it. The
    ``sealer`` is that of the application, if it has keys.
    """
    _refuse_unknown(f"job {kind}: using() and push() have", given, CallOptions)
    if "delay" in given and "at" in given:
        msg = f"job {kind}: both delay= and at= were given; give one of them"
        raise ConflictingOptions(msg)
    changed = _checked(kind, given)
    if "delay" in changed:
        changed["at"] = None
    elif "at" in changed:
        changed["delay"] = None
    joined = [name for name in ("connection", "session") if name in changed]
    if len(joined) > 1:
        msg = f"job {kind}: both connection= and session= were given; give one of them"
        raise ConflictingOptions(msg)
    for name in joined:
        changed["through"] = changed.pop(name)
    restrained = _restrained(kind, given)
    if "encrypt" in given:
        changed["sealer"] = sealer_for(kind, given["encrypt"], sealer)
        if base.restraints is not None:
            restrained["sealer"] = changed["sealer"]
    if restrained:
        named = kind if signature is None else signature.kind
        sealed = changed.get("sealer", base.sealer)
        restraints = base.restraints or Restraints(named, signature, sealer=sealed)
        changed["restraints"] = restraints.changed(restrained)
    return msgspec.structs.replace(base, **changed)


def _restrained(kind: str, given: Mapping[str, object]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "unique" in given:
        found["unique"] = check_unique(given["unique"], kind)
    if "at_most_once" in given:
        found["at_most_once"] = check_at_most_once(given["at_most_once"], kind)
    return found


def read_push(
    job: Mapping[str, object], settings: Settings, registry: Registry, sealer: Sealer | None
) -> tuple[str, Sequence[object], Mapping[str, object], Options]:
    """Check a pushed dictionary: its kind, positional and named arguments, and options."""
    given = _document(job)
    if "kind" not in given:
        raise InvalidOption(
            f"{shown(job)} names no job: push() takes a dictionary with a kind, such as"
            ' {"kind": "app.jobs.send_welcome", "args": [42]}; nothing was enqueued.'
        )
    kind = check_kind(given.pop("kind"))
    args, kwargs = given.pop("args", ()), given.pop("kwargs", {})
    if not isinstance(args, list | tuple) or not isinstance(kwargs, dict):
        msg = f"job {kind}: args must be a list and kwargs a dictionary; nothing was enqueued"
        raise ArgsMismatch(msg)
    declared = registry.find(kind)
    base = Options(settings.default_queue, 0, 25, None, None, _DAY, ())
    signature = None
    if declared is not None:
        signature, restraints = declared.signature, declared.restraints
        base = msgspec.structs.replace(base, restraints=restraints, sealer=declared.sealer)
    options = read_options(kind, base, given, signature, sealer)
    if options.through is not None:
        msg = f"job {kind}: what is pushed is plain data; use jobs.transaction(...) around push()"
        raise InvalidOption(msg)
    return kind, cast("list[object]", args), cast("dict[str, object]", kwargs), options


def _document(job: object) -> dict[str, object]:
    """A copy of what was pushed, which at run time may be anything; empty when it is no mapping."""
    return dict(cast("Mapping[str, object]", job)) if isinstance(job, Mapping) else {}


def declare(
    app: Declaring, function: Callable[..., Any], *, context: bool, options: Mapping[str, Any]
) -> Declaration:
    """Check a function's declaration and register it."""
    if isinstance(function, type) or not callable(function):
        msg = (
            f"{shown(function)} is not a function; the class form of a job is "
            "class Name(Job, app=jobs), with a perform() method"
        )
        raise NotAJobFunction(msg)
    check_callable(function, kind_given="kind" in options)
    kind = read_kind(function, options.get("kind"))
    filled = context_parameters(function)
    if not context:
        _refuse_unfilled(function, kind, filled)
    return register(
        app,
        options,
        kind=kind,
        call=function,
        signature=Signature.of(function, kind=kind, drop_first=context, skip=filled),
        where=where(function),
        context="" if context else next(iter(filled), None),
        is_async=is_coroutine_function(function),
        job_class=None,
    )


def register(
    app: Declaring,
    options: Mapping[str, Any],
    *,
    kind: str,
    call: Callable[..., Any],
    signature: Signature,
    where: str,
    context: str | None,
    is_async: bool,
    job_class: type[Any] | None,
) -> Declaration:
    """Check the options of a declaration and add it to the application's registry."""
    _refuse_unknown(f"job {kind} ({where}) has", options, JobOptions)
    checked = _checked(kind, options)
    checked.setdefault("queue", app.settings.default_queue)
    sealer = sealer_for(kind, options.get("encrypt", False), app.sealer)
    declaration = Declaration(
        kind=kind,
        call=call,
        signature=signature,
        where=where,
        isolation=_isolation(options.get("isolation", "auto"), kind, is_async=is_async),
        policies=Policies(
            checked.pop("backoff", as_backoff(None)), _rules(options.get("errors", ()), kind)
        ),
        aliases=_aliases(options.get("aliases", ()), kind),
        context=context,
        job_class=job_class,
        restraints=restraints_of(kind, signature, options, sealer),
        sealer=sealer,
        **checked,
    )
    app.registry.add(declaration)
    return declaration


def context_parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of parameters whose default says that the worker fills them."""
    return parameters_with(function, CONTEXT)


def _refuse_unfilled(function: Callable[..., Any], kind: str, filled: tuple[str, ...]) -> None:
    """A parameter that is annotated as the context, but that nobody would fill."""
    try:
        hints = cast("dict[str, object]", getattr(function, "__annotations__", {}))
    except NameError:
        return  # evaluated on demand since Python 3.14; one of another parameter names nothing yet
    for name, hint in hints.items():
        written = hint if isinstance(hint, str) else getattr(hint, "__name__", "")
        if str(written).rpartition(".")[2] == "JobContext" and name not in {*filled, "return"}:
            msg = (
                f"job {kind}: nobody would fill `{name}: JobContext`. Give it the default CONTEXT, "
                "or make it the first parameter and declare the job with context=True."
            )
            raise NotAJobFunction(msg)


def _aliases(given: object, kind: str) -> tuple[str, ...]:
    if isinstance(given, list | tuple | set | frozenset):
        aliases = cast("Sequence[object]", given)
        return tuple(check_kind(alias, f"job {kind}: alias") for alias in aliases)
    msg = f"job {kind}: aliases={shown(given)} is not a list of kinds. Give a list of texts."
    raise InvalidOption(msg)


def _isolation(value: object, kind: str, *, is_async: bool) -> Isolation:
    match value:
        case "auto":
            return Isolation.ASYNC if is_async else Isolation.THREAD
        case "process":
            return Isolation.PROCESS
        case "async" if is_async:
            return Isolation.ASYNC
        case "thread" if not is_async:
            return Isolation.THREAD
        case "async" | "thread":
            have = "a coroutine function" if is_async else "an ordinary function"
            msg = f"job {kind} is {have}, so isolation={value!r} does not fit; leave it to 'auto'"
            raise InvalidOption(msg)
        case _:
            msg = (
                f"job {kind}: isolation={shown(value)} is unknown. "
                "Give 'auto', 'thread', 'async' or 'process'."
            )
            raise InvalidOption(msg)


def _rules(given: object, kind: str) -> tuple[ErrorPolicy, ...]:
    rules = cast("Sequence[object]", given) if isinstance(given, list | tuple) else (given,)
    for rule in rules:
        if not isinstance(rule, ErrorPolicy):
            msg = (
                f"job {kind}: errors={shown(rule)} is not a rule. "
                "Give a list of retry_on(...) and discard_on(...)."
            )
            raise InvalidOption(msg)
    return cast("tuple[ErrorPolicy, ...]", tuple(rules))


def _at(value: object) -> int:
    if not isinstance(value, datetime):
        msg = f"at={shown(value)} is not a datetime. Give one with a time zone, or delay=."
        raise InvalidOption(msg)
    if value.utcoffset() is None:
        msg = f"at={value.isoformat()} has no time zone: give a timezone, such as tzinfo=UTC."
        raise InvalidOption(msg)
    at, now = (value - _EPOCH) // _MICROSECOND, time.time_ns() // 1000
    if not 0 <= at <= now + _CENTURY:
        msg = (
            f"at={value.isoformat()} is out of range. "
            "Give a time between 1970 and a hundred years from now."
        )
        raise InvalidOption(msg)
    if at < now - _DAY:
        warn(f"at={value.isoformat()} is long past: the job runs now")
    return at


def _id(value: object) -> str:
    if isinstance(value, str) and is_id(value.lower()):
        return value.lower()
    msg = f"id={shown(value)} is not a job's id. Give a UUID as text of 36 characters."
    raise InvalidOption(msg)


def _limit(field: str) -> Callable[[Any], int | None]:
    def read(value: Any) -> int | None:
        return None if value is None else microseconds(value, field=field, minimum=0.001)

    return read


def _keep(value: Any) -> int | None:
    return None if value is None else microseconds(value, field="keep_result")


def _through(field: Literal["connection", "session"]) -> Callable[[Any], Through]:
    def read(value: Any) -> Through:
        from longshore.joining.kinds import recognise  # noqa: PLC0415 - only who joins pays

        return recognise(value, field)

    return read


_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "queue": check_queue,
    "priority": check_priority,
    "max_attempts": check_max_attempts,
    "tags": check_tags,
    "timeout": _limit("timeout"),
    "expires": _limit("expires"),
    "keep_result": _keep,
    "delay": lambda value: microseconds(value, field="delay"),
    "at": _at,
    "id": _id,
    "shard_key": check_shard_key,
    "backoff": lambda value: as_backoff(value, field="backoff"),
    "connection": _through("connection"),
    "session": _through("session"),
}


def _checked(kind: str, given: Mapping[str, object]) -> dict[str, Any]:
    """The given options in their stored form; a message names the job as well as the option."""
    try:
        return {name: _READ[name](value) for name, value in given.items() if name in _READ}
    except InvalidOption as error:
        raise type(error)(f"job {kind}: {error}") from None


def _refuse_unknown(what: str, given: Mapping[str, object], options: type[Any]) -> None:
    known = options.__annotations__
    for name in given:
        if name not in known:
            msg = (
                f"{what} no option {shown(name)}.{did_you_mean(str(name), known)} "
                f"Options: {', '.join(sorted(known))}."
            )
            raise InvalidOption(msg)
