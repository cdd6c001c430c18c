"""Every exception Longshore raises on purpose, in one tree.

* LongshoreError
  + ConfigurationError            settings, URLs, files: found at start-up (exit code 5)
  + DeclarationError              a job is declared in a way that cannot work
    - NotAJobFunction               a generator, a lambda or nested function without ``kind=``
    - DuplicateJob                  two functions under one kind
    - DuplicateSchedule             two schedules under one name
    - AmbiguousAnnotation           JSON cannot tell the union's members apart
    - UnresolvedAnnotation          an annotation names something that does not exist
    - InvalidOption                 an option has a value outside its range
      . InvalidQueueName
      . InvalidPriority
      . ConflictingOptions
      . InvalidSchedule               a cron text, interval or time zone that says no time
  + EnqueueError                  nothing was written
    - ArgsMismatch                  the call does not fit the job's signature
    - UnstorableArgument            a value that JSON cannot carry
    - PayloadTooLarge
    - UnknownJob                    no such kind in this application
    - IdConflict                    the id exists with another payload
    - UniqueHeld                    another live job holds the unique key
    - EnqueueUncertain              the store did not say whether it was written
    - PartlyEnqueued                some of many were written: over several shards or chunks
    - CrossShard                    what must stay in one shard would lie in two
    - BatchFinished                 a job came too late for its batch
    - CyclicWorkflow                jobs that wait for each other
    - StoreElsewhere                the caller's connection does not lead to the store
  + JobNotFound                   no job with this id (exit code 8)
  + BatchNotFound                 no batch or workflow with this id (exit code 8)
  + ScheduleNotFound              no schedule with this name (exit code 8)
  + ScheduleInCode                it is declared in code: it cannot be removed at run time
  + ResultError                   ``handle.result()`` has no value to give
    - JobDead
    - JobCancelled
    - ResultTimeout
    - ResultGone                    not kept, or no longer
    - ResultUnavailable             it succeeded with a value that could not be stored
  + StoreError
    - StoreUnavailable              down, or out of reach (exit code 4)
      . StoreDenied                   it is there and lets nobody in with this address (exit code 5)
      . StoreGone                       its file was moved, deleted or replaced under the program
    - StoreBusy                     others held it longer than the deadline
    - StoreFull                     no room; nothing was written
    - StoreUnwritable               read-only file, folder or server
    - StoreUnfit                    it would lose jobs, or is too old (exit code 5)
    - SchemaMismatch                tables older or newer than this release (exit code 5)
    - ClientClosed                  used after ``close()``
  + PayloadError                  a stored job that this process cannot read; it is parked
    - PayloadMismatch
    - UnknownPayloadVersion
    - Undecryptable                 its key is not here, or does not open it
  + UnstorableResult
  + ApplicationError              the application could not be loaded (exit code 3)
    - AppNotFound
    - AppImportFailed
  + LeaseLost                     the run belongs to somebody else now
  + AttemptTimeout                one attempt took longer than its ``timeout``
  + Interrupted                   raised by ``ctx.checkpoint()`` when the worker drains
  + Cancelled                     raised by ``ctx.checkpoint()`` when a person cancelled the job
  + NotInAJob                     ``current()`` outside a running job
  + StepRefused                   ``ctx.step()`` or ``ctx.iterate()`` cannot be used like this
  + TransactionRefused            ``ctx.transaction()`` where there can be none, or a second time
* Signal (not errors: what a job raises to say how it wants to end)
  + Retry, Snooze, Discard          in ``longshore.core.outcome``
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class LongshoreError(Exception):
    """Root of every error raised on purpose."""


class LongshoreWarning(UserWarning):
    """Something works, but not as its author may expect."""


class ConfigurationError(LongshoreError):
    """A setting, a URL or a file is wrong."""


class DeclarationError(LongshoreError):
    """A job is declared in a way that cannot work."""


class NotAJobFunction(DeclarationError):
    """This callable cannot be a job."""


class DuplicateJob(DeclarationError):
    """Two declarations claim one kind."""


class DuplicateSchedule(DeclarationError):
    """Two declarations claim one name of a schedule."""


class AmbiguousAnnotation(DeclarationError):
    """A stored value could not be told apart by this annotation."""


class UnresolvedAnnotation(DeclarationError):
    """An annotation names something that does not exist."""


class InvalidOption(DeclarationError):
    """An option has a value that is not allowed."""


class InvalidQueueName(InvalidOption):
    """A queue name has the form ``[a-z0-9_][a-z0-9_.-]{0,63}``."""


class InvalidPriority(InvalidOption):
    """A priority is a whole number from -32768 to 32767."""


class ConflictingOptions(InvalidOption):
    """Two options contradict each other."""


class InvalidSchedule(InvalidOption):
    """A cron text, an interval or a time zone that does not say when."""


class EnqueueError(LongshoreError):
    """A job was not enqueued; nothing was written."""


class ArgsMismatch(EnqueueError):
    """The arguments do not fit the job's signature."""


class UnstorableArgument(EnqueueError):
    """An argument holds a value that cannot be stored; the message gives its path."""


class PayloadTooLarge(EnqueueError):
    """The arguments take more bytes than ``max_payload``."""


class UnknownJob(EnqueueError):
    """No job of this kind is declared in the application."""


class IdConflict(EnqueueError):
    """The id exists with another payload."""


class UniqueHeld(EnqueueError):
    """Another live job holds the unique key; ``holder`` is its id, where it is known."""

    def __init__(self, message: str, holder: str | None = None) -> None:
        super().__init__(message)
        #: The id of the job that holds the key; ``None`` when it was gone before it could be read,
        #: or is one of the same call, of which none was stored.
        self.holder = holder


class EnqueueUncertain(EnqueueError):
    """The store did not say whether the job was written; enqueueing the same id again is safe."""

    def __init__(self, message: str, job_id: str) -> None:
        super().__init__(message)
        self.job_id = job_id


class PartlyEnqueued(EnqueueError):
    """Some of many jobs were stored, the others not; ``handles`` are those of the stored ones."""

    def __init__(self, message: str, stored: Sequence[str]) -> None:
        super().__init__(message)
        #: The ids of the jobs that were stored.
        self.stored = tuple(stored)
        #: Their handles, where an application enqueued them.
        self.handles: tuple[Any, ...] = ()


class CrossShard(EnqueueError):
    """What must stay in one shard would lie in two; nothing was written."""


class BatchFinished(EnqueueError):
    """Jobs came too late: their batch has finished, or is not stored; nothing was written."""


class CyclicWorkflow(EnqueueError):
    """Jobs of a workflow wait for each other in a circle, which is named. Nothing was written."""


class StoreElsewhere(EnqueueError):
    """The caller's connection leads to another database than the jobs are in."""


class JobNotFound(LongshoreError):
    """No job has this id: it never existed here, or it was pruned."""


class BatchNotFound(LongshoreError):
    """No batch or workflow of this id is stored: it never was, or has been pruned."""


class ScheduleNotFound(LongshoreError):
    """No schedule has this name: it never did here, or it was removed."""


class ScheduleInCode(LongshoreError):
    """The schedule is declared in code, which would bring it back; nothing was changed."""


class ResultError(LongshoreError):
    """There is no result to return."""


class JobDead(ResultError):
    """The job is dead; the message carries its last error."""


class JobCancelled(ResultError):
    """The job was cancelled; the message carries the reason."""


class ResultTimeout(ResultError, TimeoutError):
    """The job had not ended in time; it goes on."""


class ResultGone(ResultError):
    """The job succeeded and its result is not kept any more."""


class ResultUnavailable(ResultError):
    """The job succeeded, but its return value could not be stored."""


class StoreError(LongshoreError):
    """The store refused or failed an operation."""


class StoreUnavailable(StoreError):
    """The store cannot be reached."""


class StoreDenied(StoreUnavailable):
    """The store answers, and refuses this user, password or database: waiting will not help."""


class StoreGone(StoreUnavailable):
    """The store that was opened is not at its address any more, and will not come by itself."""


class StoreBusy(StoreError):
    """Others held the store for longer than the deadline; nothing was written."""


class StoreFull(StoreError):
    """The store has no room left; nothing was written."""


class StoreUnwritable(StoreError):
    """The store cannot be written to."""


class StoreUnfit(StoreError):
    """The store is too old, or set up so that it would lose jobs: it is not used."""


class SchemaMismatch(StoreError):
    """The tables are older or newer than this release of Longshore."""


class ClientClosed(StoreError):
    """This Longshore object was closed."""


class PayloadError(LongshoreError):
    """This process cannot read the job's payload; the job is parked for one that can."""


class PayloadMismatch(PayloadError):
    """The stored arguments do not fit the job's signature any more."""


class UnknownPayloadVersion(PayloadError):
    """The payload was written by a newer release."""


class Undecryptable(PayloadError):
    """What is stored is encrypted, and the keys of this process do not open it."""


class UnstorableResult(LongshoreError):
    """The return value cannot be stored; the job has succeeded all the same."""


class ApplicationError(LongshoreError):
    """The application could not be loaded."""


class AppNotFound(ApplicationError):
    """No Longshore object where one was looked for."""


class AppImportFailed(ApplicationError):
    """Importing the application raised."""


class LeaseLost(LongshoreError):
    """This run's lease was lost: the job belongs to another process, or will soon."""


class AttemptTimeout(LongshoreError):
    """The attempt took longer than the job's ``timeout``."""


class Interrupted(LongshoreError):
    """The worker is stopping; the job goes back uncounted and runs again elsewhere."""


class Cancelled(LongshoreError):
    """A person cancelled this job while it ran."""


class NotInAJob(LongshoreError):
    """There is no running job here."""


class StepRefused(LongshoreError):
    """A step's name is used twice or not allowed, or its saved value cannot be read any more."""


class TransactionRefused(LongshoreError):
    """``ctx.transaction()`` cannot be entered here, or not again."""
