"""How the command line ends: exit codes, and a stable number for every kind of error.

The first digit of a number is the exit code. ``docs/errors.md`` is written from this table; the
numbers are never used for anything else.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec

from longshore import errors
from longshore.cli.origin import is_of_the_application
from longshore.errors import LongshoreError

PAGE: Final = "docs/errors.md"


class Exit(IntEnum):
    """What a command's exit code says."""

    OK = 0
    FAILED = 1
    USAGE = 2
    IMPORT = 3
    STORE = 4
    CONFIG = 5
    REFUSED = 6
    TIMEOUT = 7
    NOT_FOUND = 8
    RETURNED = 9
    INTERRUPTED = 130


MEANINGS: Final = {
    Exit.OK: "done; for status and health: healthy",
    Exit.FAILED: "the operation failed, or what was looked at is degraded",
    Exit.USAGE: "the command line is wrong; nothing was done",
    Exit.IMPORT: "the application could not be imported",
    Exit.STORE: "the store cannot be reached",
    Exit.CONFIG: "settings, declarations, the store or its tables are not fit",
    Exit.REFUSED: "refused: a confirmation, a permission or a lock is missing",
    Exit.TIMEOUT: "it did not happen in time",
    Exit.NOT_FOUND: "there is no such thing",
    Exit.RETURNED: "a worker stopped and gave unfinished jobs back to their queues",
    Exit.INTERRUPTED: "stopped by a person: Ctrl-C, for a worker the second one",
}


class Kind(msgspec.Struct, frozen=True):
    """One kind of error: its number, and for people what it means and what to do.

    ``raised`` is the exception that it stands for, with those below it that have no row of their
    own; ``None`` for what only the command line says.
    """

    number: int
    means: str
    do: str
    raised: type[BaseException] | None = None

    @property
    def exit(self) -> Exit:
        return Exit(self.number // 100)

    @property
    def code(self) -> str:
        """As it stands at the end of a message."""
        return f"LONGSHORE-E{self.number}"

    @property
    def pointer(self) -> str:
        """The code, and where to read about it."""
        return f"{self.code} ({PAGE}#e{self.number})"


class Failure(LongshoreError):
    """A command cannot go on; its message ends with the number of its kind."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


UNEXPECTED: Final = Kind(
    101,
    "An error that nobody foresaw, in the application's code or in Longshore's.",
    "Run the command again with -v for the whole traceback; report it if it is ours.",
)
INCOMPLETE: Final = Kind(
    102,
    "Some of what was asked could not be done.",
    "The lines above say which jobs were skipped and why.",
)
DEGRADED: Final = Kind(
    103,
    "No worker is alive, or jobs wait that no worker serves.",
    "Start a worker for the queues that are named.",
)
PIPE: Final = Kind(
    104,
    "A file or stream of this command cannot be read or written.",
    "See the message: a full disk, a missing folder, a closed terminal.",
)
USAGE: Final = Kind(
    200,
    "The command line is not understood.",
    "Compare with `longshore COMMAND --help`.",
)
UNKNOWN_COMMAND: Final = Kind(
    201, "There is no such command.", "`longshore --help` lists the commands."
)
UNKNOWN_OPTION: Final = Kind(
    202, "The command has no such option.", "`longshore COMMAND --help` lists its options."
)
BAD_QUERY: Final = Kind(
    208,
    "A query is not understood; the caret shows where.",
    "Write name:value, several with spaces between: `state:dead queue:mail args.user_id:42`.",
)
BAD_INPUT: Final = Kind(
    209,
    "Arguments of a job are not understood; the message gives the position.",
    "Write key=text, key:=json, one JSON document, or - to read it from standard input.",
)
BAD_ID: Final = Kind(
    213, "This is not a job's id.", "Ids are UUIDs; `longshore jobs list` prints them."
)
DECLARED: Final = Kind(
    510,
    "A job is declared in a way that cannot work.",
    "The message names the job and what to change.",
    errors.DeclarationError,
)
NEEDS_YES: Final = Kind(
    601,
    "The command would change many jobs, and nobody is there to confirm.",
    "Look at the count, then repeat with --yes.",
)
NEEDS_ALL: Final = Kind(
    602,
    "An empty query means every job of the store.",
    "Narrow it, or say so with --all.",
)
IN_MEMORY: Final = Kind(
    603,
    "A memory store lives in one process, and this command is another one.",
    "Configure a store that processes can share, such as sqlite:///jobs.db.",
)
WRONG_STATE: Final = Kind(
    604,
    "The job is in a state that this does not apply to.",
    "`longshore jobs show ID` tells its state.",
)
DECLINED: Final = Kind(
    606, "The question was answered with no.", "Nothing was changed; nothing needs to be done."
)
UNIQUE_HELD: Final = Kind(
    610,
    "Another job holds the unique key.",
    "`longshore jobs show ID` tells about the holder; when it has ended the key is free.",
    errors.UniqueHeld,
)
NO_QUEUE: Final = Kind(
    802,
    "No queue of this name holds jobs or is paused.",
    "`longshore queues list` prints the queues.",
)
NO_WORKER: Final = Kind(
    803,
    "No worker of this name runs here.",
    "`longshore status` prints the workers.",
)
NO_ROW: Final = Kind(
    807, "The outbox has no such parked row.", "`longshore outbox list` prints its rows."
)
NO_LIMIT: Final = Kind(
    804,
    "No limit of this name is used, waited for or set.",
    "`longshore limits list` prints the limits.",
)

KINDS: Final = (
    Kind(
        100,
        "Longshore refused or failed, for a reason that has no number of its own.",
        "The message says what to do.",
        LongshoreError,
    ),
    UNEXPECTED,
    INCOMPLETE,
    DEGRADED,
    PIPE,
    Kind(
        110,
        "The job is dead: its attempts are used up.",
        "Read its error with `longshore jobs show ID`, repair the cause, then `jobs retry ID`.",
        errors.JobDead,
    ),
    Kind(
        111,
        "The job was cancelled.",
        "`longshore jobs show ID` gives the reason.",
        errors.JobCancelled,
    ),
    Kind(
        112,
        "The job succeeded, but its return value could not be stored.",
        "Return values of types that can be stored, or a reference to them.",
        errors.ResultUnavailable,
    ),
    Kind(
        113,
        "There is no result to show.",
        "`longshore jobs show ID` tells why.",
        errors.ResultError,
    ),
    Kind(
        114,
        "The store did not say whether the job was written.",
        "Enqueue it again with the same id: it cannot be stored twice.",
        errors.EnqueueUncertain,
    ),
    Kind(
        115,
        "The store has no room left; nothing was written.",
        "Free disk space or memory of the store, or prune ended jobs.",
        errors.StoreFull,
    ),
    Kind(
        116,
        "A stored job cannot be read by this release of the application.",
        "It waits, parked, for a worker whose code fits it.",
        errors.PayloadError,
    ),
    Kind(
        117,
        "The application's object was used after it had been closed.",
        "Close it at the end of the program only.",
        errors.ClientClosed,
    ),
    Kind(
        118,
        "Some of many jobs were stored, the others not: they belong to several shards.",
        "Enqueue the others again; the message says which shard failed.",
        errors.PartlyEnqueued,
    ),
    Kind(
        119,
        "A connection of the caller leads to another database than the jobs are in.",
        "Use a connection to the store's database, a session, or set `outbox`.",
        errors.StoreElsewhere,
    ),
    USAGE,
    UNKNOWN_COMMAND,
    UNKNOWN_OPTION,
    Kind(
        203,
        "The application declares no job of this kind.",
        "`longshore check` lists the kinds; the message names the nearest.",
        errors.UnknownJob,
    ),
    Kind(
        204,
        "The arguments do not fit the job's signature.",
        "Compare them with the function; the message names the argument.",
        errors.ArgsMismatch,
    ),
    Kind(
        205,
        "An argument holds a value that cannot be stored.",
        "The message gives its path; pass plain values or an id.",
        errors.UnstorableArgument,
    ),
    Kind(
        206,
        "The arguments take more bytes than the setting max_payload allows.",
        "Store the data elsewhere and pass a reference.",
        errors.PayloadTooLarge,
    ),
    Kind(
        207,
        "An option has a value that is not allowed.",
        "The message gives the accepted values.",
        errors.InvalidOption,
    ),
    BAD_QUERY,
    BAD_INPUT,
    Kind(
        210,
        "This is not a queue's name.",
        "Use 1 to 64 of a-z 0-9 _ . -, not beginning with a dot or hyphen.",
        errors.InvalidQueueName,
    ),
    Kind(
        211,
        "This is not a priority.",
        "Give a whole number from -32768 to 32767; lower runs first.",
        errors.InvalidPriority,
    ),
    Kind(
        212,
        "Two options contradict each other.",
        "Give one of them.",
        errors.ConflictingOptions,
    ),
    BAD_ID,
    Kind(
        214,
        "The job was not enqueued; nothing was written.",
        "The message says what to correct.",
        errors.EnqueueError,
    ),
    Kind(
        215,
        "This does not say when a schedule comes.",
        "`longshore schedules explain` tells what a cron text or an interval means.",
        errors.InvalidSchedule,
    ),
    Kind(
        300,
        "The application could not be loaded.",
        "Name it with -A module:attribute.",
        errors.ApplicationError,
    ),
    Kind(
        301,
        "There is no application where one was looked for.",
        "Name it: -A module:attribute, LONGSHORE_APP, or app in [tool.longshore].",
        errors.AppNotFound,
    ),
    Kind(
        302,
        "Importing the application raised an error, or took too long.",
        "The message ends with the last frames of the application's traceback.",
        errors.AppImportFailed,
    ),
    Kind(
        400,
        "The store failed an operation.",
        "The message says what it answered.",
        errors.StoreError,
    ),
    Kind(
        401,
        "The store cannot be reached.",
        "Is it running, and is its address right? `longshore config show` prints it.",
        errors.StoreUnavailable,
    ),
    Kind(
        402,
        "The store's file was moved, deleted or replaced under the program.",
        "Put it back, or start the program again: it writes nothing where nobody looks.",
        errors.StoreGone,
    ),
    Kind(
        500,
        "A setting, an address or a file is wrong.",
        "The message gives the setting, the accepted forms and where the value came from.",
        errors.ConfigurationError,
    ),
    Kind(
        501,
        "The store's tables are older or newer than this release.",
        "Older: `longshore db up`. Newer: upgrade the application's Longshore.",
        errors.SchemaMismatch,
    ),
    Kind(
        502,
        "The store is too old, or set up so that it would lose jobs.",
        "`longshore doctor` says what was found, why it matters and what to change.",
        errors.StoreUnfit,
    ),
    Kind(
        503,
        "The store answers, and refuses the user, the password or the database of the address.",
        "Correct the address: `longshore config show` prints it without the password.",
        errors.StoreDenied,
    ),
    DECLARED,
    Kind(
        511,
        "Something is declared as a job that cannot be one.",
        "Declare an ordinary function, a coroutine function or a job class.",
        errors.NotAJobFunction,
    ),
    Kind(
        512,
        "Two declarations have one kind.",
        "Give one of them another kind=.",
        errors.DuplicateJob,
    ),
    Kind(
        513,
        "Stored values could not be told apart by an annotation.",
        "Narrow the annotation that the message names.",
        errors.AmbiguousAnnotation,
    ),
    Kind(
        514,
        "An annotation names something that does not exist.",
        "Import the name where the job is declared.",
        errors.UnresolvedAnnotation,
    ),
    Kind(
        515,
        "Two schedules have one name.",
        "Give one of them another name=.",
        errors.DuplicateSchedule,
    ),
    NEEDS_YES,
    NEEDS_ALL,
    IN_MEMORY,
    WRONG_STATE,
    Kind(
        605,
        "A job with this id exists with another kind or other arguments.",
        "Give another id, or none.",
        errors.IdConflict,
    ),
    DECLINED,
    Kind(
        607,
        "The store cannot be written to.",
        "Give this user the right to write its file, folder or tables.",
        errors.StoreUnwritable,
    ),
    Kind(
        608,
        "Others held the store for longer than the deadline; nothing was written.",
        "Try again; if it lasts, look for a long transaction.",
        errors.StoreBusy,
    ),
    Kind(
        609,
        "What must stay in one shard would lie in two; nothing was written.",
        "Let shard_by decide by what belongs together, or give all of it one shard_key.",
        errors.CrossShard,
    ),
    UNIQUE_HELD,
    Kind(
        611,
        "The schedule is declared in code, which would bring it back.",
        "Take it out of the code, or pause it: `longshore schedules pause NAME`.",
        errors.ScheduleInCode,
    ),
    Kind(
        612,
        "Jobs came too late for their batch, which has finished; nothing was written.",
        "Add jobs from a job of the batch that runs, or make another batch.",
        errors.BatchFinished,
    ),
    Kind(
        700,
        "The job had not ended in time; it goes on.",
        "Wait longer with --timeout, or look later with `longshore jobs show ID`.",
        errors.ResultTimeout,
    ),
    Kind(
        800,
        "There is no job with this id: it never existed here, or it was pruned.",
        "Check the id and the store: `longshore config show` prints its address.",
        errors.JobNotFound,
    ),
    Kind(
        801,
        "The job succeeded, and its result is not kept any more.",
        "Keep results longer with the option keep_result.",
        errors.ResultGone,
    ),
    NO_QUEUE,
    NO_WORKER,
    NO_LIMIT,
    Kind(
        805,
        "There is no schedule of this name.",
        "`longshore schedules list` prints the schedules.",
        errors.ScheduleNotFound,
    ),
    Kind(
        806,
        "There is no batch or workflow of this id.",
        "`longshore batches list` and `longshore workflows list` print those that are stored.",
        errors.BatchNotFound,
    ),
)

_BY_CLASS: Final = {kind.raised: kind for kind in KINDS if kind.raised is not None}


def kind_of(error: BaseException) -> Kind:
    """The kind of an error: that of its class, else of the nearest class above that has one."""
    if isinstance(error, Failure):
        return error.kind
    found = (_BY_CLASS.get(parent) for parent in type(error).__mro__)
    kind = next(filter(None, found), UNEXPECTED)
    return DECLARED if kind.exit is Exit.USAGE and is_of_the_application(error) else kind
