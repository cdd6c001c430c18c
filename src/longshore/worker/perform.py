"""One claimed job from its payload to its ending: resolve, decode, middleware, perform, decide."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import time_ns
from types import CoroutineType
from typing import Any, cast

import msgspec

from longshore.context import JobContext, reset_current, set_current
from longshore.core.backoff import polynomial
from longshore.core.interruptions import is_suspect
from longshore.core.model import Claimed, Ending, JobRecord, JobState
from longshore.core.outcome import Attempt, Policies, decide, interrupted, meant, succeeded
from longshore.core.registry import Declaration, Isolation
from longshore.core.rules import Restraints
from longshore.core.sealing import Sealer, is_box, opened
from longshore.core.store import Store
from longshore.errors import Interrupted, StoreError, UnknownJob, UnstorableResult
from longshore.middleware import Around, Event
from longshore.running import RunState
from longshore.stepping import left_behind
from longshore.worker.report import describe

# A member of an enumeration is found slowly through its class.
_PROCESS = Isolation.PROCESS
_SUCCEEDED = JobState.SUCCEEDED
_NO_POLICIES = Policies(polynomial())


class Performer:
    """Runs bodies and turns what they did into endings; shared by every slot of a process.

    It keeps nothing of a job. A body may raise anything, ``SystemExit`` included: all of it is the
    job's outcome, never the worker's.
    """

    def __init__(self, kinds: Mapping[str, Declaration], digest: str, around: Around) -> None:
        self._kinds = kinds
        self._digest = digest
        self._around = around
        self._layers = around.layers
        self._tells = around.wants("job.started")
        #: Called in its own slot before a job starts, and as soon as its body does.
        self.begin: Callable[[RunState], None] = lambda _run: None
        self.begun: Callable[[RunState], None] = lambda _run: None
        #: Runs a job in a process of its own; absent inside such a process.
        self.isolated: Callable[[RunState, Callable[[], None]], Ending] | None = None
        #: Decrypts jobs; absent where the application has no keys.
        self.sealer: Sealer | None = None
        #: Nobody is told of starts here: who runs this process tells.
        self.is_quiet = False

    def declaration(self, kind: str) -> Declaration | None:
        """How this process would run a kind; ``None`` if it does not know it."""
        return self._kinds.get(kind)

    def perform(self, run: RunState, started_at: int = 0) -> Ending:
        """Run the body of a job here, to its end; ``started_at`` saves a look at the clock."""
        job = run.claimed
        args: Sequence[Any]
        kwargs: Mapping[str, Any]
        token = set_current(run)
        run.started_at = started_at or time_ns() // 1000
        try:
            if run.cancelled:
                JobContext(run).checkpoint()
            self.begin(run)
            declaration = self._kinds.get(job.kind)
            if declaration is None:
                return self.raised(run, _unknown(job.kind))
            if self.isolated is not None and (declaration.isolation is _PROCESS or is_suspect(job)):
                return self.isolated(run, lambda: self._started_alone(run))
            if self.sealer is not None:
                job = _opened(run, self.sealer)
            if self._tells or job.timeout is not None:
                self._started(run)
            if declaration.context is None:
                args, kwargs = declaration.signature.decode_call(job.payload)
            else:
                args, kwargs = _with_context(run, declaration)
            if self._layers:
                with self._around.wrap(as_record(run)):
                    value = declaration.call(*args, **kwargs)
            else:
                value = declaration.call(*args, **kwargs)
            null = declaration.signature.null
            # The way of most jobs.
            if value is None and null is not None and run.ending is None and run.seal is None:
                run.ended_at = time_ns() // 1000
                return Ending(run.lease, _SUCCEEDED, None, False, False, None, null)  # noqa: FBT003
            return self.returned(run, declaration, value)
        except BaseException as error:  # noqa: BLE001 - whatever it raised is the job's outcome
            return self.raised(run, run.verdict or error)
        finally:
            reset_current(token)

    async def aperform(self, run: RunState) -> Ending:
        """Await the body of a job; cancellation comes back as the reason that the run carries."""
        job = run.claimed
        args: Sequence[Any]
        kwargs: Mapping[str, Any]
        # Each job is a task with a context of its own, so there is nothing to reset.
        set_current(run)
        run.started_at = time_ns() // 1000
        try:
            if run.cancelled:
                JobContext(run).checkpoint()
            self.begin(run)
            declaration = self._kinds[job.kind]
            if self.sealer is not None:
                job = _opened(run, self.sealer)
            if self._tells or job.timeout is not None:
                self._started(run)
            if declaration.context is None:
                args, kwargs = declaration.signature.decode_call(job.payload)
            else:
                args, kwargs = _with_context(run, declaration)
            if self._layers:
                with self._around.wrap(as_record(run)):
                    value = await declaration.call(*args, **kwargs)
            else:
                value = await declaration.call(*args, **kwargs)
            return self.returned(run, declaration, value)
        except BaseException as error:  # noqa: BLE001 - whatever it raised is the job's outcome
            return self.raised(run, run.verdict or error)

    def coroutine_kinds(self) -> frozenset[str]:
        """The kinds whose bodies are awaited."""
        return frozenset(
            kind
            for kind, declaration in self._kinds.items()
            if declaration.isolation is Isolation.ASYNC
        )

    def rated_kinds(self) -> frozenset[str]:
        """The kinds whose jobs have a rate, by every name they go by."""
        return self._restrained(lambda restraints: any(one.per for one in restraints.limits))

    def limited_kinds(self) -> frozenset[str]:
        """The kinds whose jobs have a limit, by every name they go by."""
        return self._restrained(lambda restraints: bool(restraints.limits))

    def exclusive_kinds(self) -> frozenset[str]:
        """The kinds whose runs must not overlap: those with a limit, or that run at most once."""
        return self.once_kinds() | self._restrained(
            lambda restraints: any(one.per is None for one in restraints.limits)
        )

    def once_kinds(self) -> frozenset[str]:
        """The kinds that are declared to run at most once."""
        return self._restrained(lambda restraints: restraints.at_most_once)

    def _restrained(self, wanted: Callable[[Restraints], bool]) -> frozenset[str]:
        return frozenset(
            kind
            for kind, declaration in self._kinds.items()
            if declaration.restraints is not None and wanted(declaration.restraints)
        )

    def returned(self, run: RunState, declaration: Declaration, value: Any) -> Ending:
        """The ending of a body that returned."""
        run.ended_at = time_ns() // 1000
        # What its transaction has committed stands, whatever it returned afterwards.
        if run.ending is not None:
            return run.ending
        if isinstance(value, CoroutineType):
            lost = cast("CoroutineType[object, object, object]", value)
            return self.raised(run, _never_awaited(declaration.kind, lost))
        return _success(run, declaration, value)

    def success(self, run: RunState, value: Any) -> Ending:
        """The ending of a run that succeeded with this result, while its body goes on."""
        return _success(run, self._kinds[run.claimed.kind], value)

    def raised(self, run: RunState, error: BaseException) -> Ending:
        """The ending of a run that raised; an error in here must not lose the job."""
        try:
            return self._raised(run, error)
        except Exception as broken:  # noqa: BLE001 - an error may raise whatever it is asked
            text = f"the job raised an error that cannot be looked at ({type(broken).__name__})"
            return self._raised(run, RuntimeError(text))

    def _raised(self, run: RunState, error: BaseException) -> Ending:
        run.ended_at = time_ns() // 1000
        run.error = error = meant(error)
        if run.ending is not None:
            return run.ending
        if run.notes is not None:
            _leave(run)
        declaration = self._kinds.get(run.claimed.kind)
        attempt = Attempt(run.claimed, run.lease, run.started_at or run.ended_at, run.ended_at)
        if run.once and isinstance(error, Interrupted):
            return interrupted(attempt)
        return decide(
            attempt,
            error,
            describe(error),
            declaration.policies if declaration is not None else _NO_POLICIES,
            kinds_digest=self._digest,
            random=random.random,
        )

    def note_once(self, store: Store, runs: Sequence[RunState]) -> None:
        """Note which of these runs, that may soon be stopped, are not to be followed by another."""
        if not runs:
            return
        records: Mapping[str, JobRecord] = {}
        # Without an answer what is declared must do.
        with suppress(StoreError):
            records = store.run(store.get([run.claimed.id for run in runs]))
        for run in runs:
            record, declaration = records.get(run.claimed.id), self._kinds.get(run.claimed.kind)
            if record is not None:
                run.once = record.rules is not None and record.rules.at_most_once
            elif declaration is not None and declaration.restraints is not None:
                run.once = declaration.restraints.at_most_once

    def _started_alone(self, run: RunState) -> None:
        run.started_at = time_ns() // 1000  # until then its process came up
        self._started(run)

    def _started(self, run: RunState) -> None:
        job = run.claimed
        if self._tells and not self.is_quiet:
            self._around.publish(
                Event(name="job.started", job_id=job.id, kind=job.kind, queue=job.queue)
            )
            if run.verdict is not None:  # it came while they were told, and they may have caught it
                raise run.verdict
        # What listeners take is none of the job's time.
        self.begun(run)


def _success(run: RunState, declaration: Declaration, value: Any) -> Ending:
    try:
        data = declaration.signature.encode_result(value)
        return succeeded(run.lease, data if run.seal is None else run.seal.result(data))
    except UnstorableResult as error:
        return succeeded(run.lease, None, f"its result could not be stored: {error}")


def _opened(run: RunState, sealer: Sealer) -> Claimed:
    """The job of a run as its body gets it; raises :class:`Undecryptable`."""
    if is_box(run.claimed.payload):
        run.claimed, run.seal = opened(sealer, run.claimed)
    return run.claimed


def _never_awaited(kind: str, value: CoroutineType[object, object, object]) -> TypeError:
    """Why a body that returned a coroutine has not done what it is for."""
    value.close()
    return TypeError(
        f"{kind} returned a coroutine, which nobody awaits: it has not run. If there is an ordinary"
        " decorator around an async def, make its wrapper async too; else await it"
    )


def _leave(run: RunState) -> None:
    """Have it saved how far loops were; who cannot be asked has no cursor to save."""
    with suppress(Exception):
        steps = left_behind(run)
        if steps:
            run.report.leave(run.lease, steps)


def _with_context(
    run: RunState, declaration: Declaration
) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """What to call a body with that takes the context."""
    args, kwargs = declaration.signature.decode(run.claimed.payload)
    context = JobContext(run)
    place = declaration.context
    return (args, {**kwargs, place: context}) if place else ((context, *args), kwargs)


def as_record(run: RunState) -> JobRecord:
    """A claimed job as middleware sees it."""
    job = run.claimed
    return JobRecord(
        id=job.id,
        kind=job.kind,
        queue=job.queue,
        state=JobState.RUNNING,
        payload=job.payload,
        priority=job.priority,
        run=job.run,
        failures=job.failures,
        interruptions=job.interruptions,
        max_attempts=job.max_attempts,
        scheduled_at=job.scheduled_at,
        created_at=job.created_at,
        attempted_at=None,
        claimed_at=job.claimed_at,
        finalized_at=None,
        expires_at=None,
        timeout=job.timeout,
        keep_result=job.keep_result,
        claimed_by=run.lease.process_id,
        cancel_requested=run.cancelled,
        parked=None,
        reason=None,
        result=None,
        result_error=None,
        progress=None,
        tags=job.tags,
        meta={} if job.meta is None else msgspec.json.decode(job.meta),
        runs=(),
    )


def _unknown(kind: str) -> UnknownJob:
    return UnknownJob(
        f"no job of kind {kind!r} is declared in this application; "
        "it waits for a worker that knows it"
    )
