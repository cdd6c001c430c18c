"""The class form of a job: options are class attributes, ``perform`` is the body.

``enqueue``, ``bind``, ``using``, ``find`` and their twins are descriptors that read the signature
from the subclass's own ``perform``, so calls are type-checked although the base class declares
none.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import (
    Any,
    ClassVar,
    Final,
    NoReturn,
    ParamSpec,
    Protocol,
    TypeVar,
    Unpack,
    cast,
    overload,
)

from longshore.context import CONTEXT, JobContext
from longshore.core.backoff import Backoff, WaitFunction
from longshore.core.codec import Signature, check_callable
from longshore.core.durations import Duration
from longshore.core.functions import is_coroutine_function, is_generator_function
from longshore.core.outcome import ErrorPolicy
from longshore.core.restraints import Concurrency, Key, Rate, Unique
from longshore.declare import (
    CallOptions,
    IsolationName,
    JobOptions,
    Options,
    context_parameters,
    register,
)
from longshore.errors import NotAJobFunction
from longshore.handle import App, JobHandle
from longshore.job import BoundJob, JobFunction
from longshore.middleware import unhidden
from longshore.naming import read_kind, where

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")
R_co = TypeVar("R_co", covariant=True)


class Performs(Protocol[P, R_co]):
    """A job class, seen through its ``perform``."""

    def perform(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class _Enqueue:
    @overload
    def __get__(
        self, obj: None, owner: type[Performs[P, Coroutine[Any, Any, R]]]
    ) -> Callable[P, JobHandle[R]]: ...
    @overload
    def __get__(self, obj: None, owner: type[Performs[P, R]]) -> Callable[P, JobHandle[R]]: ...
    def __get__(self, obj: object, owner: type[Any]) -> Any:
        return _verb(owner, "enqueue")


class _AEnqueue:
    @overload
    def __get__(
        self, obj: None, owner: type[Performs[P, Coroutine[Any, Any, R]]]
    ) -> Callable[P, Coroutine[Any, Any, JobHandle[R]]]: ...
    @overload
    def __get__(
        self, obj: None, owner: type[Performs[P, R]]
    ) -> Callable[P, Coroutine[Any, Any, JobHandle[R]]]: ...
    def __get__(self, obj: object, owner: type[Any]) -> Any:
        return _verb(owner, "aenqueue")


class _Bind:
    @overload
    def __get__(
        self, obj: None, owner: type[Performs[P, Coroutine[Any, Any, R]]]
    ) -> Callable[P, BoundJob[R]]: ...
    @overload
    def __get__(self, obj: None, owner: type[Performs[P, R]]) -> Callable[P, BoundJob[R]]: ...
    def __get__(self, obj: object, owner: type[Any]) -> Any:
        return _verb(owner, "bind")


class _Using:
    @overload
    def __get__(
        self, obj: None, owner: type[Performs[P, Coroutine[Any, Any, R]]]
    ) -> UsingOptions[P, Coroutine[Any, Any, R], R]: ...
    @overload
    def __get__(self, obj: None, owner: type[Performs[P, R]]) -> UsingOptions[P, R, R]: ...
    def __get__(self, obj: object, owner: type[Any]) -> Any:
        return _verb(owner, "using")


class _Find:
    def __init__(self, verb: str) -> None:
        self._verb = verb

    @overload
    def __get__(
        self, obj: None, owner: type[Performs[P, Coroutine[Any, Any, R]]]
    ) -> Callable[..., JobHandle[R] | None]: ...
    @overload
    def __get__(
        self, obj: None, owner: type[Performs[P, R]]
    ) -> Callable[..., JobHandle[R] | None]: ...
    def __get__(self, obj: object, owner: type[Any]) -> Any:
        return _verb(owner, self._verb)


class _AFind:
    def __init__(self, verb: str) -> None:
        self._verb = verb

    @overload
    def __get__(
        self, obj: None, owner: type[Performs[P, Coroutine[Any, Any, R]]]
    ) -> Callable[..., Coroutine[Any, Any, JobHandle[R] | None]]: ...
    @overload
    def __get__(
        self, obj: None, owner: type[Performs[P, R]]
    ) -> Callable[..., Coroutine[Any, Any, JobHandle[R] | None]]: ...
    def __get__(self, obj: object, owner: type[Any]) -> Any:
        return _verb(owner, self._verb)


class UsingOptions(Protocol[P, C, R]):
    """``using`` of a job class: the same options as of a job function."""

    def __call__(self, **options: Unpack[CallOptions]) -> JobFunction[P, C, R]: ...


class Job:
    """Base of job classes.

    The class statement names the application; options are class attributes with the names of the
    decorator's options. ``perform`` is the body; ``self.context`` is the running job's context. An
    instance lives for one attempt. Optional methods: ``around_perform(self)``, a generator with
    one ``yield``; ``after_discard(self, error)`` and ``after_death(self, error)``, called in the
    worker once that ending is stored; the classmethod ``before_enqueue(cls, *args, **kwargs)``.

    >>> from longshore import Job, Longshore
    >>> jobs = Longshore("memory://")
    >>> class Double(Job, app=jobs):
    ...     kind = "double"
    ...     max_attempts = 3
    ...     def perform(self, n: int) -> int:
    ...         return 2 * n
    >>> Double().perform(4)
    8
    """

    kind: ClassVar[str]
    aliases: ClassVar[Sequence[str]]
    queue: ClassVar[str]
    priority: ClassVar[int]
    max_attempts: ClassVar[int]
    backoff: ClassVar[Backoff | WaitFunction]
    errors: ClassVar[Sequence[ErrorPolicy]]
    timeout: ClassVar[Duration | None]
    expires: ClassVar[Duration | None]
    isolation: ClassVar[IsolationName]
    keep_result: ClassVar[Duration | None]
    tags: ClassVar[Sequence[str]]
    identity: ClassVar[Key | Sequence[str] | None]
    unique: ClassVar[Unique | None]
    concurrency: ClassVar[Concurrency | Sequence[Concurrency]]
    rate: ClassVar[Rate | Sequence[Rate]]
    fair_by: ClassVar[Key | None]
    fair_weight: ClassVar[float | Mapping[Any, float] | Callable[..., float]]
    at_most_once: ClassVar[bool]
    encrypt: ClassVar[bool]

    context: JobContext = CONTEXT
    _longshore_job: ClassVar[JobFunction[..., Any, Any] | None] = None

    enqueue = _Enqueue()
    aenqueue = _AEnqueue()
    bind = _Bind()
    using = _Using()
    find = _Find("find")
    afind = _AFind("afind")
    in_progress = _Find("in_progress")
    ain_progress = _AFind("ain_progress")

    def __init_subclass__(cls, *, app: App | None = None, **rest: object) -> None:
        super().__init_subclass__(**rest)
        cls._longshore_job = None if app is None else _declare(cls, app)


# What a base class says of itself, not of the classes below it: a stored name is taken once.
_OWN: Final = ("kind", "aliases")


def _verb(owner: type[Any], name: str) -> Any:
    job: JobFunction[..., Any, Any] | None = owner.__dict__.get("_longshore_job")
    # Looking at the attribute harms nobody, so that tools may; calling it does.
    return partial(_refuse, owner) if job is None else getattr(job, name)


def _refuse(owner: type[Any], *_: object, **__: object) -> NoReturn:
    msg = (
        f"job class {owner.__qualname__} belongs to no application: "
        "write class Name(Job, app=jobs), with a perform() method"
    )
    raise NotAJobFunction(msg)


def _declare(cls: type[Any], app: App) -> JobFunction[..., Any, Any]:
    perform: Callable[..., Any] | None = getattr(cls, "perform", None)
    if perform is None:
        msg = f"job class {cls.__qualname__} has no perform() method; write one"
        raise NotAJobFunction(msg)
    options: dict[str, Any] = {
        name: getattr(cls, name)
        for name in JobOptions.__annotations__
        if (name in cls.__dict__ if name in _OWN else hasattr(cls, name))
    }
    check_callable(perform, kind_given="kind" in options)
    kind = read_kind(cls, options.get("kind"))
    _check_hooks(cls, kind)
    filled = context_parameters(perform)
    is_async = is_coroutine_function(perform)
    declaration = register(
        app,
        options,
        kind=kind,
        call=_performer(cls, filled, is_async=is_async),
        signature=Signature.of(perform, kind=kind, drop_first=True, skip=filled),
        where=where(cls),
        context="",
        is_async=is_async,
        job_class=cls,
    )
    made = _ClassJob if hasattr(cls, "before_enqueue") else JobFunction[..., Any, Any]
    return made(app, declaration, _plain(cls), Options.of(declaration), perform)


class _ClassJob(JobFunction[..., Any, Any]):
    """The job of a class whose ``before_enqueue`` sees the arguments first."""

    def bind(self, *args: Any, **kwargs: Any) -> BoundJob[Any]:
        bound = super().bind(*args, **kwargs)
        cast("Any", self.declaration.job_class).before_enqueue(*args, **kwargs)
        return bound


def _check_hooks(cls: type[Any], kind: str) -> None:
    before = _defined(cls, "before_enqueue")
    if before is not None and not isinstance(before, classmethod | staticmethod):
        msg = f"job {kind}: before_enqueue runs before there is an instance; make it a classmethod"
        raise NotAJobFunction(msg)
    for name in ("before_enqueue", "after_death", "after_discard"):
        hook = _defined(cls, name)
        if is_coroutine_function(getattr(hook, "__func__", hook)):
            msg = f"job {kind}: nobody would await {name}; write an ordinary method"
            raise NotAJobFunction(msg)
    around = _defined(cls, "around_perform")
    if around is not None and not is_generator_function(around):
        msg = f"job {kind}: around_perform must be a generator method with one yield"
        raise NotAJobFunction(msg)


def _defined(cls: type[Any], name: str) -> object:
    return next((base.__dict__[name] for base in cls.__mro__ if name in base.__dict__), None)


def _performer(cls: type[Any], filled: tuple[str, ...], *, is_async: bool) -> Callable[..., Any]:
    """What the worker calls: a new instance for each attempt, with its context."""
    hook = contextmanager(cls.around_perform) if hasattr(cls, "around_perform") else None

    def around(job: Any) -> AbstractContextManager[None]:
        return nullcontext() if hook is None else unhidden(hook(job))

    def begin(context: JobContext, kwargs: dict[str, Any]) -> Any:
        job = cls()
        job.context = context
        kwargs.update(dict.fromkeys(filled, context))
        return job

    def perform(context: JobContext, *args: Any, **kwargs: Any) -> Any:
        job = begin(context, kwargs)
        with around(job):
            return job.perform(*args, **kwargs)

    async def aperform(context: JobContext, *args: Any, **kwargs: Any) -> Any:
        job = begin(context, kwargs)
        with around(job):
            return await job.perform(*args, **kwargs)

    return aperform if is_async else perform


def _plain(cls: type[Any]) -> Callable[..., Any]:
    def perform(*args: Any, **kwargs: Any) -> Any:
        return cls().perform(*args, **kwargs)

    return perform
