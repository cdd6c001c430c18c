"""Declared jobs as an application holds them: call them, bind them, enqueue them.

A :class:`JobFunction` wraps a function and a job class stands for its own ``perform``; both keep
the signature, so a type checker tells right calls from wrong ones. Options never share a namespace
with a job's arguments: they go through ``using(...)``.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import (
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypeVar,
    Unpack,
    overload,
)

import msgspec

from longshore.callers import warn
from longshore.client import Plan, ask
from longshore.context import CONTEXT, JobContext
from longshore.core.batches import Together
from longshore.core.limits import Rules
from longshore.core.model import LIVE, JobState, Lease, NewJob
from longshore.core.registry import Declaration
from longshore.core.rules import Restraints
from longshore.core.store import Filter
from longshore.declare import (
    CallOptions,
    JobOptions,
    Options,
    declare,
    new_job,
    read_options,
)
from longshore.errors import EnqueueError, InvalidOption, NotAJobFunction
from longshore.handle import App, JobHandle

#: Arguments of more bytes than this are stored, with a warning.
LARGE = 65_536

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
C = TypeVar("C")


class BoundJob(Generic[R_co]):
    """A job with its arguments, checked and serialised, ready to enqueue.

    Made by ``bind``; changing an argument afterwards has no effect on it.
    """

    __slots__ = ("app", "declaration", "options", "payload")

    def __init__(
        self, app: App, declaration: Declaration, options: Options, payload: bytes
    ) -> None:
        self.app = app
        self.declaration = declaration
        self.options = options
        self.payload = payload

    def enqueue(self) -> JobHandle[R_co]:
        """Store the job; see :meth:`JobFunction.enqueue`."""
        declaration, options = self.declaration, self.options
        new = new_job(declaration.kind, options, self.payload)
        if options.through is not None:
            return self.app.enqueue_through(options.through, [(declaration, new)])[0]
        return self.app.enqueue_one(declaration, new)

    async def aenqueue(self) -> JobHandle[R_co]:
        """Store the job, awaiting."""
        declaration, options = self.declaration, self.options
        new = new_job(declaration.kind, options, self.payload)
        if options.through is not None:
            return (await self.app.aenqueue_through(options.through, [(declaration, new)]))[0]
        return await self.app.aenqueue_one(declaration, new)

    def enqueue_into(self, bundles: tuple[str, ...], lease: Lease) -> JobHandle[R_co]:
        """Store the job in the batches of a running one; see :class:`OwnBatch`."""
        made = self._member(bundles)
        return self.app.enqueue_together([made], Together(lease=lease))[0]

    async def aenqueue_into(self, bundles: tuple[str, ...], lease: Lease) -> JobHandle[R_co]:
        """Store the job there, awaiting."""
        made = self._member(bundles)
        return (await self.app.aenqueue_together([made], Together(lease=lease)))[0]

    def _member(self, bundles: tuple[str, ...]) -> tuple[Declaration, NewJob]:
        declaration = self.declaration
        if self.options.through is not None:
            msg = (
                f"job {declaration.kind}: what is added to a batch goes to its store; leave out"
                " using(connection=...)"
            )
            raise EnqueueError(msg)
        new = member_job(declaration.kind, self.options, self.payload, bundles)
        return declaration, self.app.placed_with(declaration, new, None)

    def __repr__(self) -> str:
        return f"<bound job {self.declaration.kind}>"


class JobFunction(Generic[P, C, R]):
    """A declared job: calling it runs it here and gives ``C``; enqueueing promises an ``R``.

    It has no life of its own: it lives as long as the application that declared it.
    """

    def __init__(
        self,
        app: App,
        declaration: Declaration,
        func: Callable[P, C],
        options: Options,
        source: Callable[..., object],
    ) -> None:
        self.app = app
        self.declaration = declaration
        self.func = func
        self.options = options
        self.__wrapped__ = source
        self.__name__: str = getattr(source, "__name__", declaration.kind)
        self.__qualname__: str = getattr(source, "__qualname__", declaration.kind)
        self.__module__ = source.__module__
        self.__doc__ = source.__doc__

    @property
    def kind(self) -> str:
        """The stored name of this job."""
        return self.declaration.kind

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> C:
        """Run the function here and now, as if it were not a job."""
        return self.func(*args, **kwargs)

    def using(self, **options: Unpack[CallOptions]) -> JobFunction[P, C, R]:
        """A copy with other options.

        Parameters: ``queue``, ``priority``, ``max_attempts``, ``timeout``, ``expires``, ``delay``
        or ``at`` (an aware datetime), ``tags``, ``keep_result``, ``unique``, ``at_most_once``,
        ``encrypt``, ``id`` (a UUID: enqueueing it again gives the job that is there),
        ``connection`` or ``session`` (of yours: the job is stored in its transaction). Raises
        :class:`InvalidOption` and its kin.

        Example: ``send_welcome.using(queue="vip", delay="10m").enqueue(42)``
        """
        declared = self.declaration
        signature, sealer = declared.signature, self.app.sealer
        changed = read_options(declared.kind, self.options, options, signature, sealer)
        return type(self)(self.app, self.declaration, self.func, changed, self.__wrapped__)

    def bind(self, *args: P.args, **kwargs: P.kwargs) -> BoundJob[R]:
        """Check and serialise the arguments now; enqueue later, alone or with many.

        Raises :class:`ArgsMismatch`, :class:`UnstorableArgument`, :class:`PayloadTooLarge`.

        Example: ``jobs.enqueue_many(send_welcome.bind(i) for i in range(10_000))``
        """
        declaration = self.declaration
        payload = declaration.signature.encode(args, kwargs, limit=self.app.settings.max_payload)
        if len(payload) > LARGE:
            warn(
                f"job {declaration.kind}: its arguments take {len(payload)} bytes; store what is "
                "large elsewhere and enqueue a reference to it"
            )
        return BoundJob(self.app, declaration, self.options, payload)

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Store a job that calls this function with these arguments in a worker.

        Returns its handle once the store has it. Raises what :meth:`bind` raises, and
        :class:`StoreError` when the store cannot take it: then nothing was written.

        Example: ``handle = send_welcome.enqueue(42, locale="fr")``
        """
        return self.bind(*args, **kwargs).enqueue()

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """The awaitable twin of :meth:`enqueue`."""
        return await self.bind(*args, **kwargs).aenqueue()

    def find(self, /, **identity: Any) -> JobHandle[R] | None:
        """The newest job of this kind that these arguments identify, or ``None``.

        Parameters: the arguments of the declaration's ``identity``, by name. Raises
        :class:`InvalidOption` for a job without one, :class:`ArgsMismatch` for other arguments.

        Example: ``validate_card.find(user_id=7)``
        """
        return self.app.client.follow(self._find(identity, frozenset()))

    async def afind(self, /, **identity: Any) -> JobHandle[R] | None:
        """The awaitable twin of :meth:`find`."""
        return await self.app.client.afollow(self._find(identity, frozenset()))

    def in_progress(self, /, **identity: Any) -> JobHandle[R] | None:
        """As :meth:`find`, of the jobs that have not ended.

        Example: ``validate_card.in_progress(user_id=7)``
        """
        return self.app.client.follow(self._find(identity, LIVE))

    async def ain_progress(self, /, **identity: Any) -> JobHandle[R] | None:
        """The awaitable twin of :meth:`in_progress`."""
        return await self.app.client.afollow(self._find(identity, LIVE))

    def __repr__(self) -> str:
        return f"<job {self.declaration.kind}>"

    def _find(
        self, given: Mapping[str, Any], states: frozenset[JobState]
    ) -> Plan[JobHandle[R] | None]:
        declared = self.declaration
        restraints = self.options.restraints or Restraints(declared.kind, declared.signature)
        where = Filter(states=states, identities=(restraints.identity_of(given),))
        page = yield from ask(self.app.client.store.find(where, limit=1))
        for record in page.records:
            return JobHandle(self.app, record.id, declared, record=record)
        return None


def member_job(kind: str, options: Options, payload: bytes, bundles: tuple[str, ...]) -> NewJob:
    """The record of a job that belongs to batches or a workflow, the innermost first.

    It may take outputs of others, but no key of it may be made of these.
    """
    places = getattr(payload, "places", ())
    restraints = options.restraints
    if places and restraints is not None and restraints.reads(places):
        msg = (
            f"job {kind}: its identity or a limit is made of an argument that is the output of"
            " another job, and must be known when it is stored. Take it from another argument."
        )
        raise InvalidOption(msg)
    new = new_job(kind, options, payload, filled=False)
    rules = msgspec.structs.replace(new.rules or Rules(), bundles=bundles)
    return msgspec.structs.replace(new, rules=rules, meta={**(new.meta or {}), "batch": bundles})


class _Decorator(Protocol):
    @overload
    def __call__(
        self, func: Callable[P, Coroutine[Any, Any, R]], /
    ) -> JobFunction[P, Coroutine[Any, Any, R], R]: ...
    @overload
    def __call__(self, func: Callable[P, R], /) -> JobFunction[P, R, R]: ...


class _ContextDecorator(Protocol):
    @overload
    def __call__(
        self, func: Callable[Concatenate[JobContext, P], Coroutine[Any, Any, R]], /
    ) -> JobFunction[P, Coroutine[Any, Any, R], R]: ...
    @overload
    def __call__(
        self, func: Callable[Concatenate[JobContext, P], R], /
    ) -> JobFunction[P, R, R]: ...


class JobDecorator:
    """``jobs.job``: declares a function as a job, bare or with options."""

    def __init__(self, app: App) -> None:
        self._app = app

    @overload
    def __call__(
        self, func: Callable[P, Coroutine[Any, Any, R]], /
    ) -> JobFunction[P, Coroutine[Any, Any, R], R]: ...
    @overload
    def __call__(self, func: Callable[P, R], /) -> JobFunction[P, R, R]: ...
    @overload
    def __call__(
        self, /, *, context: Literal[True], **options: Unpack[JobOptions]
    ) -> _ContextDecorator: ...
    @overload
    def __call__(
        self, /, *, context: Literal[False] = False, **options: Unpack[JobOptions]
    ) -> _Decorator: ...
    def __call__(
        self, func: Callable[..., Any] | None = None, /, *, context: bool = False, **options: Any
    ) -> Any:
        """Declare a job; see the table of options in the reference."""

        def wrap(function: Callable[..., Any]) -> JobFunction[..., Any, Any]:
            if isinstance(function, JobFunction):
                msg = f"{function.kind} is a job already; declare it once, or declare its function"
                raise NotAJobFunction(msg)
            declaration = declare(self._app, function, context=context, options=options)
            # A plain call has no running job, so the context parameter gets the detached one.
            plain = partial(function, CONTEXT) if context else function
            return JobFunction(self._app, declaration, plain, Options.of(declaration), function)

        return wrap if func is None else wrap(func)
