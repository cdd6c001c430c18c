"""A handle on one stored job: what became of it, and its result."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar, cast

import msgspec

from longshore.client import Client, Plan, ask, until
from longshore.core.batches import Output, Together, blocker
from longshore.core.durations import Duration, seconds
from longshore.core.model import (
    ENDED,
    LIVE,
    LOG_LINES,
    JobRecord,
    JobState,
    LogLine,
    NewJob,
    Progress,
    Run,
    unstored,
)
from longshore.core.options import check_reason
from longshore.core.registry import Declaration, Registry
from longshore.core.restraints import check_to
from longshore.core.sealing import Sealer, is_box
from longshore.core.settings import Settings
from longshore.core.store import Filter
from longshore.core.waiting import Facts, Waiting, asks_store, explain, limit_keys
from longshore.errors import (
    JobCancelled,
    JobDead,
    JobNotFound,
    PayloadMismatch,
    ResultGone,
    ResultTimeout,
    ResultUnavailable,
    Undecryptable,
    UniqueHeld,
)
from longshore.middleware import Around

if TYPE_CHECKING:
    from longshore.joining.through import Through

R_co = TypeVar("R_co", covariant=True)

_LOOK: Final = 1000  # live jobs that are read to find who holds a unique key
_EXPECTED: Final = 60_000_000  # microseconds that a job stays after its end for who waits for it

_HINTS: Final = {
    JobState.AVAILABLE: " Does a worker serve its queue? why_waiting() tells.",
    JobState.WAITING: " why_waiting() names the job that it waits for.",
}


class App(Protocol):
    """What jobs, handles and queries need of their application."""

    @property
    def settings(self) -> Settings: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def client(self) -> Client: ...
    @property
    def around(self) -> Around: ...
    @property
    def sealer(self) -> Sealer | None: ...
    def enqueue_one(self, declaration: Declaration | None, job: NewJob) -> JobHandle[Any]: ...
    async def aenqueue_one(
        self, declaration: Declaration | None, job: NewJob
    ) -> JobHandle[Any]: ...
    def enqueue_through(
        self, through: Through, made: Sequence[tuple[Declaration | None, NewJob]]
    ) -> list[JobHandle[Any]]: ...
    async def aenqueue_through(
        self, through: Through, made: Sequence[tuple[Declaration | None, NewJob]]
    ) -> list[JobHandle[Any]]: ...
    def placed_with(
        self, declaration: Declaration | None, job: NewJob, shard_key: str | None
    ) -> NewJob: ...
    def enqueue_together(
        self, made: Sequence[tuple[Declaration | None, NewJob]], together: Together
    ) -> list[JobHandle[Any]]: ...
    async def aenqueue_together(
        self, made: Sequence[tuple[Declaration | None, NewJob]], together: Together
    ) -> list[JobHandle[Any]]: ...


class JobHandle(Generic[R_co]):
    """One job, by its id.

    Properties never touch the store: they show what the last :meth:`refresh` (or the enqueue)
    saw. A handle stays valid for as long as the job is kept.
    """

    __slots__ = ("_app", "_declaration", "_new", "_record", "id", "is_duplicate")

    def __init__(
        self,
        app: App,
        job_id: str,
        declaration: Declaration | None,
        *,
        new: NewJob | None = None,
        record: JobRecord | None = None,
        is_duplicate: bool = False,
    ) -> None:
        self._app = app
        self._declaration = declaration
        self._new = new
        self._record = record
        self.id = job_id
        #: Whether the enqueue met this job, by its id or its unique key, instead of storing one.
        self.is_duplicate = is_duplicate

    @property
    def record(self) -> JobRecord:
        """Everything the last refresh saw, as one record."""
        if self._record is None:
            if self._new is None:
                msg = f"job {self.id} has not been read yet; call refresh() first"
                raise JobNotFound(msg)
            self._record = unstored(self._new)
        return self._record

    @property
    def kind(self) -> str:
        """The job's stored name."""
        return self.record.kind

    @property
    def state(self) -> JobState:
        """Where the job is in its life."""
        return self.record.state

    @property
    def attempt(self) -> int:
        """The present attempt; for a dead job the last one."""
        return self.record.attempt

    @property
    def progress(self) -> Progress | None:
        """What the job last said of itself."""
        return self.record.progress

    @property
    def error(self) -> str | None:
        """The last recorded error, ``Class: message``."""
        return self.record.error

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run that did not succeed, oldest first."""
        return self.record.runs

    def refresh(self) -> JobHandle[R_co]:
        """Read the job again; raises :class:`JobNotFound` when it is not kept any more."""
        return self._app.client.follow(self.refreshing())

    async def arefresh(self) -> JobHandle[R_co]:
        """The awaitable twin of :meth:`refresh`."""
        return await self._app.client.afollow(self.refreshing())

    def wait(self, timeout: Duration | None = None) -> JobHandle[R_co]:
        """Block until the job has ended; raises :class:`ResultTimeout` after ``timeout``."""
        return self._app.client.follow(self._wait(timeout))

    async def await_(self, timeout: Duration | None = None) -> JobHandle[R_co]:
        """The awaitable twin of :meth:`wait`; ``await`` itself is a keyword."""
        return await self._app.client.afollow(self._wait(timeout))

    def result(self, timeout: Duration | None = None) -> R_co:
        """Wait for the job to end and return what it returned, decoded as annotated.

        In the body of a job it holds a slot: where all slots wait for jobs that need one, nothing
        goes on. Let such jobs follow each other (``chain``, ``workflow``, ``batch``) instead.

        Parameters: ``timeout``, a duration; ``None`` waits for ever. Raises :class:`JobDead`,
        :class:`JobCancelled`, :class:`ResultTimeout`, :class:`ResultGone` (not kept) and
        :class:`ResultUnavailable` (its value could not be stored).

        Example: ``send_welcome.enqueue(42).result(timeout=5)``
        """
        return self._app.client.follow(self._result(timeout))

    async def aresult(self, timeout: Duration | None = None) -> R_co:
        """The awaitable twin of :meth:`result`."""
        return await self._app.client.afollow(self._result(timeout))

    def logs(self, *, after: int = 0, limit: int = LOG_LINES) -> list[LogLine]:
        """What the job has said so far by ``ctx.log``, also while it runs, the oldest line first.

        Parameters: ``after``, the ``number`` of a line: only those behind it, to follow a log;
        ``limit``, how many at most. The last 1 000 lines of a job are kept, for as long as it is.

        Example: ``for line in handle.logs(): print(line.level, line.message)``
        """
        return self._app.client.follow(self._logs(after, limit))

    async def alogs(self, *, after: int = 0, limit: int = LOG_LINES) -> list[LogLine]:
        """The awaitable twin of :meth:`logs`."""
        return await self._app.client.afollow(self._logs(after, limit))

    def cancel(self, reason: str | None = None) -> bool:
        """End the job; a running one is asked to and ends within a second or so.

        Returns whether there was anything to cancel.
        """
        return self._app.client.follow(self._cancel(reason))

    async def acancel(self, reason: str | None = None) -> bool:
        """The awaitable twin of :meth:`cancel`."""
        return await self._app.client.afollow(self._cancel(reason))

    def retry(self) -> bool:
        """Make an ended, retrying or scheduled job available now; an ended one counts afresh.

        Raises :class:`UniqueHeld` when another live job holds its unique key.
        """
        return self._app.client.follow(self._retry())

    async def aretry(self) -> bool:
        """The awaitable twin of :meth:`retry`."""
        return await self._app.client.afollow(self._retry())

    def why_waiting(self) -> Waiting:
        """Read the job again and say why it does not run now, in a word, a sentence and facts.

        Raises :class:`JobNotFound` when it is not kept any more.

        Example: ``print(send_welcome.enqueue(42).why_waiting())``
        """
        return self._app.client.follow(self._why_waiting())

    async def awhy_waiting(self) -> Waiting:
        """The awaitable twin of :meth:`why_waiting`."""
        return await self._app.client.afollow(self._why_waiting())

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, JobHandle) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        known = self._record or self._new
        return f"<job {self.id} {known.kind} {known.state}>" if known else f"<job {self.id}>"

    # --- one body for each pair of twins ------------------------------------------------------

    def refreshing(self) -> Plan[JobHandle[R_co]]:
        """The plan behind :meth:`refresh`, for plans that go on from it."""
        found = yield from ask(self._app.client.store.get([self.id]))
        if self.id not in found:
            msg = f"there is no job {self.id}: it never existed in this store, or it was pruned"
            raise JobNotFound(msg)
        self._record = found[self.id]
        return self

    def _wait(self, timeout: Duration | None) -> Plan[JobHandle[R_co]]:
        limit = None if timeout is None else seconds(timeout, field="timeout")
        started = time.monotonic()
        yield from self.refreshing()
        if self.state not in ENDED and not (yield from self._expected()):
            yield from self.refreshing()  # it has ended just now
        poll = self._app.settings.poll_interval
        while self.state not in ENDED:
            left = None
            if limit is not None:
                left = limit - (time.monotonic() - started)
                if left <= 0:
                    msg = (
                        f"job {self.id} ({self.kind}) was still {self.state} after {limit:g} s;"
                        f" it goes on.{_HINTS.get(self.state, '')}"
                    )
                    raise ResultTimeout(msg)
            found = yield from until(self.id, _over, timeout=left, poll=poll)
            if found is None:
                yield from self.refreshing()
            else:
                self._record = found
        return self

    def _expected(self) -> Plan[bool]:
        """See to it that what becomes of the job stays until it was read; false if it has ended."""
        kept = self.record.keep_result
        if kept is None or kept >= _EXPECTED:
            return True
        live = yield from ask(self._app.client.store.expect([self.id], _EXPECTED))
        return self.id in live

    def _result(self, timeout: Duration | None) -> Plan[R_co]:
        try:
            yield from self._wait(timeout)
        except JobNotFound as error:
            raise ResultGone(self._gone(error)) from error
        return cast("R_co", self._value(self.record))

    def _gone(self, _error: JobNotFound) -> str:
        return f"the result of job {self.id} is not kept (any more); see keep_result"

    def _value(self, job: JobRecord) -> Any:  # an R_co, as far as the job's annotation goes
        match job.state:
            case JobState.DEAD:
                attempts = "1 attempt" if job.attempt == 1 else f"{job.attempt} attempts"
                msg = f"job {job.id} ({job.kind}) is dead after {attempts}: {job.error}"
                raise JobDead(msg)
            case JobState.CANCELLED:
                # Without a reason of somebody's the state itself stands there.
                why = "" if job.reason == job.state else f": {job.reason}"
                msg = f"job {job.id} ({job.kind}) was cancelled{why}"
                raise JobCancelled(msg)
            case _ if job.result_error is not None:
                msg = f"job {job.id} ({job.kind}) succeeded, but {job.result_error}"
                raise ResultUnavailable(msg)
            case _ if job.result is None:
                msg = f"job {job.id} ({job.kind}) succeeded; its result was not kept"
                raise ResultGone(msg)
            case _:
                declaration = self._declaration or self._app.registry.find(job.kind)
                data = self._opened(job, job.result)
                if declaration is None:
                    return msgspec.json.decode(data)
                try:
                    return declaration.signature.decode_result(data)
                except PayloadMismatch as error:
                    msg = (
                        f"job {job.id} ({job.kind}) succeeded, but its result does not fit: {error}"
                    )
                    raise ResultUnavailable(msg) from error

    def _opened(self, job: JobRecord, data: bytes) -> bytes:
        if not is_box(job.payload):
            return data
        sealer = self._app.sealer
        if sealer is None:
            msg = (
                f"job {job.id} ({job.kind}) succeeded, but its result is encrypted and this process"
                " has no keys: give it encryption_keys"
            )
            raise ResultUnavailable(msg)
        try:
            return sealer.opened_result(job.id, job.kind, data)
        except Undecryptable as error:
            msg = f"job {job.id} ({job.kind}) succeeded, but its result cannot be read: {error}"
            raise ResultUnavailable(msg) from error

    def _logs(self, after: int, limit: int) -> Plan[list[LogLine]]:
        behind = check_to(after, field="after", least=0)
        most = check_to(limit, field="limit", least=0)
        lines = self._app.client.store.logs(self.id, after=behind, limit=most)
        return list((yield from ask(lines)))

    def _cancel(self, reason: str | None) -> Plan[bool]:
        reason = check_reason(reason)
        answer = yield from ask(self._app.client.store.cancel([self.id], reason))
        self._app.around.cancelled(answer.changed, reason)
        return not answer.skipped

    def _retry(self) -> Plan[bool]:
        answer = yield from ask(self._app.client.store.retry([self.id]))
        if answer.held:
            holder = yield from self._holder()
            who = "another live job" if holder is None else f"job {holder}"
            msg = (
                f"job {self.id} was not retried: {who} holds its unique key. Retry it when that one"
                " has ended, or cancel that one"
            )
            raise UniqueHeld(msg, holder)
        return bool(answer.changed)

    def _holder(self) -> Plan[str | None]:
        """Which job holds the unique key of this one; ``None`` if it cannot be told (any more)."""
        yield from self.refreshing()
        rules = self.record.rules
        if rules is None or rules.hold is None:
            return None
        identity = self.record.identity
        where = Filter(
            states=LIVE,
            kinds=(self.kind,),
            identities=() if identity is None else (identity,),
        )
        page = yield from ask(self._app.client.store.find(where, limit=_LOOK))
        for other in page.records:
            hold = None if other.rules is None else other.rules.hold
            if hold is not None and hold.key == rules.hold.key and other.id != self.id:
                return other.id
        return None

    def _why_waiting(self) -> Plan[Waiting]:
        yield from self.refreshing()
        job, now, store = self.record, time.time_ns() // 1000, self._app.client.store
        if job.state is JobState.WAITING and job.rules is not None:
            records = yield from ask(store.get([one.job_id for one in job.rules.after]))
            outputs = {
                one.id: Output(one.state, lost=one.result_error is not None)
                for one in records.values()
            }
            first = blocker(job.rules, outputs)
            cause = None if first is None else records.get(first)
            return explain(Facts(job=job, now=now, cause=cause))
        if not asks_store(job, now):
            return explain(Facts(job=job, now=now))
        keys = limit_keys(job)
        return explain(
            Facts(
                job=job,
                now=now,
                queues=(yield from ask(store.queues())),
                kinds=(yield from ask(store.kinds())),
                limits=(yield from ask(store.limits(keys))) if keys else (),
                processes=(yield from ask(store.processes())),
            )
        )


class JoinedHandle(JobHandle[R_co]):
    """A job that was enqueued in a transaction of the caller: not visible before its commit.

    ``relayed``: it goes through the outbox, so it becomes visible some moments after the commit.
    """

    __slots__ = ("_relayed", "_seen")

    def __init__(
        self,
        app: App,
        declaration: Declaration | None,
        new: NewJob,
        *,
        job_id: str,
        is_duplicate: bool,
        relayed: bool,
    ) -> None:
        own = new if job_id == new.id else None
        super().__init__(app, job_id, declaration, new=own, is_duplicate=is_duplicate)
        self._relayed = relayed
        self._seen = False

    def refreshing(self) -> Plan[JobHandle[R_co]]:
        """The plan behind :meth:`refresh`; says what may be when the job is not there yet."""
        try:
            yield from super().refreshing()
        except JobNotFound:
            if self._seen:
                raise
            why = "was rolled back, or is not committed yet"
            if self._relayed:
                why += ", or no worker has relayed it from the outbox yet"
            msg = f"job {self.id} is not visible: the transaction it was enqueued in {why}"
            raise JobNotFound(msg) from None
        self._seen = True
        return self

    def _gone(self, error: JobNotFound) -> str:
        return super()._gone(error) if self._seen else str(error)

    def _cancel(self, reason: str | None) -> Plan[bool]:
        done = yield from super()._cancel(reason)
        if not (done or self._seen):
            # It may come yet, and run: that there was nothing to cancel would be no answer.
            yield from self.refreshing()
        return done

    def _wait(self, timeout: Duration | None) -> Plan[JobHandle[R_co]]:
        limit = None if timeout is None else seconds(timeout, field="timeout")
        started = time.monotonic()
        while self._relayed and not self._seen:
            try:
                yield from self.refreshing()
            except JobNotFound as error:
                left = None if limit is None else started + limit - time.monotonic()
                if left is not None and left <= 0:
                    msg = f"after {limit:g} s: {error}"
                    raise ResultTimeout(msg) from None
                poll = self._app.settings.poll_interval
                yield from until(self.id, _there, timeout=left, poll=poll)
        waited = time.monotonic() - started
        return (yield from super()._wait(None if limit is None else max(0.0, limit - waited)))


def _over(job: JobRecord | None) -> bool:
    return job is None or job.state in ENDED


def _there(job: JobRecord | None) -> bool:
    return job is not None
