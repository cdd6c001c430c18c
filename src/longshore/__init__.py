"""Longshore: background jobs for Python, from a single SQLite file to a cluster.

The public names and nothing else; see the reference for each.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from longshore.errors import (
    AmbiguousAnnotation,
    AppImportFailed,
    ApplicationError,
    AppNotFound,
    ArgsMismatch,
    AttemptTimeout,
    BatchFinished,
    BatchNotFound,
    Cancelled,
    ClientClosed,
    ConfigurationError,
    ConflictingOptions,
    CrossShard,
    CyclicWorkflow,
    DeclarationError,
    DuplicateJob,
    DuplicateSchedule,
    EnqueueError,
    EnqueueUncertain,
    IdConflict,
    Interrupted,
    InvalidOption,
    InvalidPriority,
    InvalidQueueName,
    InvalidSchedule,
    JobCancelled,
    JobDead,
    JobNotFound,
    LeaseLost,
    LongshoreError,
    LongshoreWarning,
    NotAJobFunction,
    NotInAJob,
    PartlyEnqueued,
    PayloadError,
    PayloadMismatch,
    PayloadTooLarge,
    ResultError,
    ResultGone,
    ResultTimeout,
    ResultUnavailable,
    ScheduleInCode,
    ScheduleNotFound,
    SchemaMismatch,
    StepRefused,
    StoreBusy,
    StoreDenied,
    StoreElsewhere,
    StoreError,
    StoreFull,
    StoreGone,
    StoreUnavailable,
    StoreUnfit,
    StoreUnwritable,
    TransactionRefused,
    Undecryptable,
    UniqueHeld,
    UnknownJob,
    UnknownPayloadVersion,
    UnresolvedAnnotation,
    UnstorableArgument,
    UnstorableResult,
)
from longshore.version import __version__

if TYPE_CHECKING:
    from longshore.app import Longshore
    from longshore.context import CONTEXT, JobContext, current
    from longshore.core.backoff import constant, exponential, polynomial
    from longshore.core.every import every
    from longshore.core.model import JobRecord, JobState, LogLine, Progress, Run
    from longshore.core.outcome import Discard, Retry, Snooze, discard_on, retry_on
    from longshore.core.restraints import Concurrency, Rate, Unique
    from longshore.core.schedules import ScheduleRecord, TickRecord
    from longshore.core.waiting import Waiting
    from longshore.handle import JobHandle
    from longshore.job import BoundJob, JobFunction
    from longshore.jobclass import Job
    from longshore.middleware import Event
    from longshore.query.batches import Batch
    from longshore.query.workflows import Chain, Node, Workflow

__all__ = [
    "CONTEXT",
    "AmbiguousAnnotation",
    "AppImportFailed",
    "AppNotFound",
    "ApplicationError",
    "ArgsMismatch",
    "AttemptTimeout",
    "Batch",
    "BatchFinished",
    "BatchNotFound",
    "BoundJob",
    "Cancelled",
    "Chain",
    "ClientClosed",
    "Concurrency",
    "ConfigurationError",
    "ConflictingOptions",
    "CrossShard",
    "CyclicWorkflow",
    "DeclarationError",
    "Discard",
    "DuplicateJob",
    "DuplicateSchedule",
    "EnqueueError",
    "EnqueueUncertain",
    "Event",
    "IdConflict",
    "Interrupted",
    "InvalidOption",
    "InvalidPriority",
    "InvalidQueueName",
    "InvalidSchedule",
    "Job",
    "JobCancelled",
    "JobContext",
    "JobDead",
    "JobFunction",
    "JobHandle",
    "JobNotFound",
    "JobRecord",
    "JobState",
    "LeaseLost",
    "LogLine",
    "Longshore",
    "LongshoreError",
    "LongshoreWarning",
    "Node",
    "NotAJobFunction",
    "NotInAJob",
    "PartlyEnqueued",
    "PayloadError",
    "PayloadMismatch",
    "PayloadTooLarge",
    "Progress",
    "Rate",
    "ResultError",
    "ResultGone",
    "ResultTimeout",
    "ResultUnavailable",
    "Retry",
    "Run",
    "ScheduleInCode",
    "ScheduleNotFound",
    "ScheduleRecord",
    "SchemaMismatch",
    "Snooze",
    "StepRefused",
    "StoreBusy",
    "StoreDenied",
    "StoreElsewhere",
    "StoreError",
    "StoreFull",
    "StoreGone",
    "StoreUnavailable",
    "StoreUnfit",
    "StoreUnwritable",
    "TickRecord",
    "TransactionRefused",
    "Undecryptable",
    "Unique",
    "UniqueHeld",
    "UnknownJob",
    "UnknownPayloadVersion",
    "UnresolvedAnnotation",
    "UnstorableArgument",
    "UnstorableResult",
    "Waiting",
    "Workflow",
    "__version__",
    "constant",
    "current",
    "discard_on",
    "every",
    "exponential",
    "polynomial",
    "retry_on",
]

# Imported at their first use: `longshore worker` has its children booting before it needs any, and
# no program needs them all.
_HOMES: Final = {
    "app": ("Longshore",),
    "context": ("CONTEXT", "JobContext", "current"),
    "core.backoff": ("constant", "exponential", "polynomial"),
    "core.every": ("every",),
    "core.model": ("JobRecord", "JobState", "LogLine", "Progress", "Run"),
    "core.outcome": ("Discard", "Retry", "Snooze", "discard_on", "retry_on"),
    "core.restraints": ("Concurrency", "Rate", "Unique"),
    "core.schedules": ("ScheduleRecord", "TickRecord"),
    "core.waiting": ("Waiting",),
    "handle": ("JobHandle",),
    "job": ("BoundJob", "JobFunction"),
    "jobclass": ("Job",),
    "middleware": ("Event",),
    "query.batches": ("Batch",),
    "query.workflows": ("Chain", "Node", "Workflow"),
}
_LATER: Final = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _LATER.get(name)
    if home is None:
        raise AttributeError(f"module 'longshore' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"longshore.{home}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
