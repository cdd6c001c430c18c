"""Schedules in code: ``@jobs.schedule(...)`` above a job, and how its jobs are stored."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, cast

import msgspec

from longshore.core.durations import Duration, microseconds
from longshore.core.every import Every
from longshore.core.model import JobState, NewJob
from longshore.core.schedules import CatchUp, Overlap, Schedule
from longshore.core.wording import shown
from longshore.declare import new_job
from longshore.errors import (
    ArgsMismatch,
    ConflictingOptions,
    DuplicateSchedule,
    InvalidOption,
    InvalidSchedule,
    UnresolvedAnnotation,
)
from longshore.handle import App
from longshore.ids import new_id
from longshore.job import BoundJob, JobFunction
from longshore.jobclass import Job
from longshore.modules import importable

CatchUpName: TypeAlias = Literal["none", "one", "all"]
OverlapName: TypeAlias = Literal["allow", "skip"]
When: TypeAlias = str | Every
J = TypeVar("J")
C = TypeVar("C", CatchUp, Overlap)

LONGEST_NAME: Final = 200


class Planning(App, Protocol):
    """What schedules need of their application."""

    @property
    def module(self) -> str: ...
    @property
    def module_file(self) -> str | None: ...
    @property
    def planned(self) -> Planned: ...
    def check_shard(self, bound: BoundJob[Any], job: NewJob) -> NewJob: ...


class Times(msgspec.Struct, frozen=True):
    """When a schedule comes and what becomes of late ticks, checked."""

    when: str
    tz: str
    catch_up: CatchUp
    max_age: int | None
    overlap: Overlap

    @classmethod
    def of(
        cls,
        what: str,
        when: When,
        *,
        tz: str,
        catch_up: CatchUpName,
        max_age: Duration | None,
        overlap: OverlapName,
    ) -> Times:
        """Check them; a message begins with ``what`` they are for."""
        from longshore.core.cron import normal  # noqa: PLC0415 - only who has schedules pays for it
        from longshore.core.zones import zone  # noqa: PLC0415

        try:
            text = normal(when)
            zone(tz)
        except InvalidSchedule as error:
            raise InvalidSchedule(f"{what}: {error}") from None
        policy = _choice(CatchUp, catch_up, what, "catch_up")
        if max_age is not None and policy is CatchUp.NONE:
            raise ConflictingOptions(
                f'{what}: max_age= says how late a tick may be caught up, and catch_up="none"'
                " catches none up. Leave one of them out."
            )
        age = (
            None if max_age is None else microseconds(max_age, field=f"{what}: max_age", minimum=1)
        )
        return cls(text, tz, policy, age, _choice(Overlap, overlap, what, "overlap"))


class Planned:
    """The schedules in the code of one application, by name."""

    def __init__(self, app: Planning) -> None:
        self._app = app
        self._all: dict[str, _Declared] = {}

    @property
    def app(self) -> str:
        """Whose they are: the application's module, as others import it."""
        module = self._app.module
        spec = getattr(sys.modules.get(module), "__spec__", None)
        return importable(module, spec, self._app.module_file)

    def add(self, declared: _Declared) -> None:
        """Note one; raises :class:`DuplicateSchedule`, and what binding its arguments raises."""
        before = self._all.get(declared.name)
        # The same function at the same place, declared anew: a reloaded module means the newer.
        again = before is not None and (
            before.job is not declared.job
            and before.job.declaration.where == declared.job.declaration.where
        )
        if before is not None and not again:
            raise DuplicateSchedule(
                f"two schedules are called {declared.name!r}: one of the job {before.job.kind} and"
                f" one of {declared.job.kind}; give one of them another name="
            )
        # What is imported later is looked at again when a worker starts, and by `check`.
        with suppress(UnresolvedAnnotation):
            declared.schedule(self._app)
        self._all[declared.name] = declared

    def schedules(self) -> tuple[Schedule, ...]:
        """All of them, as they are stored."""
        return tuple(one.schedule(self._app) for one in self._all.values())

    def find(self, name: str) -> Schedule | None:
        """One of them."""
        found = self._all.get(name)
        return None if found is None else found.schedule(self._app)

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


class _Declared(NamedTuple):
    name: str
    job: JobFunction[..., Any, Any]
    times: Times
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def schedule(self, app: Planning) -> Schedule:
        """As it is stored; raises what binding its arguments raises."""
        try:
            bound = self.job.bind(*self.args, **self.kwargs)
        except ArgsMismatch as error:
            raise ArgsMismatch(f"schedule {self.name}: {error}") from None
        return schedule_of(app, self.name, self.times, bound)


class ScheduleDecorator:
    """``jobs.schedule``: enqueues the job declared below it again and again."""

    def __init__(self, app: Planning) -> None:
        self._app = app

    def __call__(
        self,
        when: When,
        /,
        *,
        tz: str = "UTC",
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        name: str | None = None,
        catch_up: CatchUpName = "one",
        max_age: Duration | None = None,
        overlap: OverlapName = "allow",
    ) -> _Above:
        """Declare a schedule of the job below.

        Parameters: ``when``, a cron text of 5 fields (6 with seconds first), an alias such as
        ``"@daily"``, or ``every("15m")``; ``tz``, a name of the IANA database; ``args`` and
        ``kwargs`` of each job; ``name``, the job's kind if left out; ``catch_up``, which of the
        ticks that nobody fired in time are fired late: ``"none"``, ``"one"`` (the latest) or
        ``"all"``, none older than ``max_age``; ``overlap``, ``"skip"`` to skip a tick while the job
        of the one before has not ended. Raises :class:`InvalidSchedule`,
        :class:`DuplicateSchedule`, and what ``bind`` raises for arguments that do not fit.

        Example: ``@jobs.schedule("0 5 * * 1-5", tz="Europe/Paris")`` above ``@jobs.job``
        """
        what = "schedule" if name is None else f"schedule {name}"
        times = Times.of(what, when, tz=tz, catch_up=catch_up, max_age=max_age, overlap=overlap)
        named = None if name is None else check_name(name)
        return _Above(self._app, named, times, _args(what, args), _kwargs(what, kwargs))


class _Above:
    """The decorator itself: gives the job back as it was."""

    def __init__(
        self,
        app: Planning,
        name: str | None,
        times: Times,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        self._app = app
        self._rest = (times, args, kwargs)
        self._name = name

    def __call__(self, job: J, /) -> J:
        function = job_function(job)
        declared = _Declared(self._name or function.kind, function, *self._rest)
        self._app.planned.add(declared)
        return job


def _args(what: str, args: object) -> tuple[Any, ...]:
    if isinstance(args, list | tuple):
        return tuple(cast("Sequence[Any]", args))
    raise InvalidOption(
        f"{what}: args={shown(args)} is not a list of arguments. One argument is written"
        f" args=({shown(args)},)."
    )


def _kwargs(what: str, kwargs: object) -> Mapping[str, Any]:
    if kwargs is None or isinstance(kwargs, Mapping):
        return dict(cast("Mapping[str, Any]", kwargs or {}))
    raise InvalidOption(f"{what}: kwargs={shown(kwargs)} gives no arguments by name.")


def job_function(job: object) -> JobFunction[..., Any, Any]:
    """The job function of what was decorated, or of a job class.

    Raises:
        InvalidOption: it is neither.
    """
    found = getattr(getattr(job, "bind", None), "__self__", None) if _is_class(job) else job
    if isinstance(found, JobFunction):
        return cast("JobFunction[..., Any, Any]", found)
    raise InvalidOption(
        f"{shown(job)} is not a job, so it cannot have a schedule. Put @jobs.schedule(...) above"
        " @jobs.job, or above a job class."
    )


def _is_class(job: object) -> bool:
    return isinstance(job, type) and issubclass(job, Job)


def check_name(name: object) -> str:
    """The name of a schedule: 1 to 200 printable characters.

    Raises:
        InvalidOption: it is none.
    """
    if isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.isprintable():
        return name
    raise InvalidOption(
        f"name={shown(name)} is not the name of a schedule. Give 1 to {LONGEST_NAME} printable"
        " characters."
    )


def schedule_of(app: Planning, name: str, times: Times, bound: BoundJob[Any]) -> Schedule:
    """A schedule that enqueues this job.

    Raises:
        InvalidOption: the job is bound to one moment, one id or one connection.
    """
    options = bound.options
    for field, given in (("at", options.at), ("id", options.id), ("connection", options.through)):
        if given is not None:
            raise InvalidOption(
                f"schedule {name}: its job was given {field}=, which only one job can have. Leave"
                " it out."
            )
    # Each tick makes a job of it, and every process must write it alike.
    job = new_job(bound.declaration.kind, options, bound.payload, moves_from=f"schedule {name}")
    placed = app.check_shard(bound, msgspec.structs.replace(job, id=new_id()))
    template = msgspec.structs.replace(
        job,
        id="",
        shard_key=placed.shard_key,
        state=JobState.AVAILABLE,
        scheduled_at=options.delay or 0,
        created_at=0,
        expires_at=options.expires,
        fresh=True,
    )
    return Schedule(
        name=name,
        when=times.when,
        tz=times.tz,
        catch_up=times.catch_up,
        max_age=times.max_age,
        overlap=times.overlap,
        job=template,
    )


def _choice(kind: type[C], value: str, what: str, field: str) -> C:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(f'"{one.value}"' for one in kind)
        raise InvalidOption(f"{what}: {field}={shown(value)} is unknown. Give {known}.") from None
