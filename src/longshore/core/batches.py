"""Jobs that belong together: batches, workflows and chains, and what the end of a member calls for.

All three are *bundles*: a record, its members, and what is counted of those that have ended. What a
job belongs to, and what it waits for, stands in its rules. Stores keep which members are live and
derive from that whether a bundle has finished; what is decided then stands here once.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from longshore.core.limits import Rules
from longshore.core.model import JobState, Lease, NewJob

#: What has been told of a bundle, each once for ever: a bit each in :attr:`Bundle.told`.
DEATH: Final = 1
COMPLETE: Final = 2
SUCCESS: Final = 4

#: So long the prune of an ended member is put off while its bundle has not finished, microseconds.
LATER: Final = 60_000_000
#: The same of a workflow that has finished and may be retried: that changes seldom.
MUCH_LATER: Final = 60 * LATER

#: Why a job was cancelled that waited for others, with the id of the one that ended badly.
DEPENDENCY: Final = "dependency"
_WITH_ANOTHER: Final = re.compile(rf"{DEPENDENCY} [0-9a-f-]{{36}} has not succeeded")


def with_another(cause: str) -> str:
    """Why a job was cancelled that waited for this one."""
    return f"{DEPENDENCY} {cause} has not succeeded"


def was_with_another(reason: str | None) -> bool:
    """Whether that is why: said by a store, not by a person who says something like it."""
    return _WITH_ANOTHER.fullmatch(reason or "") is not None


class Sort(StrEnum):
    """What a bundle is to people."""

    BATCH = "batch"
    WORKFLOW = "workflow"
    CHAIN = "chain"


class NewBundle(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A bundle not yet stored. ``parents`` are the batches it lies in, the innermost first.

    The callbacks are whole jobs; they belong to nothing. ``shard_key`` says in which shard it is.
    """

    id: str
    name: str
    sort: Sort
    created_at: int
    parents: tuple[str, ...] = ()
    shard_key: str | None = None
    on_success: NewJob | None = None
    on_complete: NewJob | None = None
    on_death: NewJob | None = None


class Together(msgspec.Struct, frozen=True, gc=False):
    """What is stored beside the jobs of an insert: new bundles, and who adds to old ones.

    With a ``lease`` the insert is fenced like every write of a run.
    """

    bundles: tuple[NewBundle, ...] = ()
    lease: Lease | None = None


class Bundle(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A bundle as it stands, read at one moment.

    ``live``: members that have not ended; ``told``: :data:`DEATH`, :data:`COMPLETE` and
    :data:`SUCCESS` as far as they have come to pass. Finished, it lives again when a member does.
    """

    new: NewBundle
    live: int
    succeeded: int = 0
    cancelled: int = 0
    dead: int = 0
    told: int = 0
    finished_at: int | None = None

    @property
    def total(self) -> int:
        """How many members there are."""
        return self.live + self.succeeded + self.cancelled + self.dead

    @property
    def id(self) -> str:
        """Its id."""
        return self.new.id


class Tally(msgspec.Struct, gc=False):
    """What a store's write changes in one bundle; it starts with what is stored."""

    new: NewBundle
    succeeded: int
    cancelled: int
    dead: int
    told: int
    finished_at: int | None

    def count(self, state: str, jobs: int) -> None:
        """Count members in or out of an ended state."""
        match state:
            case "succeeded":
                self.succeeded += jobs
            case "cancelled":
                self.cancelled += jobs
            case "dead":
                self.dead += jobs
            case _:
                raise ValueError(f"{state} is not the end of a job")

    @property
    def worst(self) -> JobState:
        """The worst end of a member: how long a finished bundle stays follows from it."""
        if self.dead:
            return JobState.DEAD
        return JobState.CANCELLED if self.cancelled else JobState.SUCCEEDED

    def settle(self, now: int, *, live: bool) -> list[NewJob]:
        """Finish or go on, as members are ``live`` or not; the callbacks to store now.

        Example:
            >>> batch = NewBundle(id="b", name="import", sort=Sort.BATCH, created_at=0)
            >>> tally = Tally(batch, 3, 0, 0, 0, None)
            >>> tally.settle(7, live=False), tally.finished_at, tally.told == COMPLETE | SUCCESS
            ([], 7, True)
        """
        due: list[tuple[int, NewJob | None]] = []
        if self.dead:
            due.append((DEATH, self.new.on_death))
        if live:
            self.finished_at = None
        else:
            self.finished_at = self.finished_at or now
            due.append((COMPLETE, self.new.on_complete))
            if self.worst is JobState.SUCCEEDED:
                due.append((SUCCESS, self.new.on_success))
        jobs: list[NewJob] = []
        for bit, job in due:
            if not self.told & bit:
                self.told |= bit
                if job is not None:
                    jobs.append(called(job, now))
        return jobs


def called(job: NewJob, now: int) -> NewJob:
    """A callback whose turn has come: its delay and its expiry count from now.

    One that is due at a given moment was bound as if it were made then.

    Example:
        >>> new = NewJob("0192", "tell", "mail", b"", JobState.SCHEDULED, 0, 30, 10, 25, None, 90)
        >>> later = called(new, 100)
        >>> later.state.value, later.scheduled_at, later.expires_at
        ('scheduled', 120, 180)
    """
    due, expires_at = now, job.expires_at
    if job.state is JobState.SCHEDULED:
        due = max(now + job.scheduled_at - job.created_at, job.scheduled_at)
    if expires_at is not None:
        expires_at += now - job.created_at
    return msgspec.structs.replace(
        job,
        state=JobState.SCHEDULED if due > now else JobState.AVAILABLE,
        created_at=now,
        scheduled_at=due,
        expires_at=expires_at,
    )


class End(msgspec.Struct, frozen=True, gc=False):
    """A job that has just ended, and how."""

    job_id: str
    rules: Rules
    state: str


class Output(msgspec.Struct, frozen=True, gc=False):
    """How a job ended that others depend on, and what it returned as JSON."""

    state: str
    result: bytes | None = None
    lost: bool = False  # it returned what could not be stored


def marker(job_id: str) -> str:
    """What stands in the arguments of a job for the output of another, until that is there.

    Example:
        >>> marker("0192")
        'longshore:output:0192'
    """
    return f"longshore:output:{job_id}"


def marks(payload: bytes) -> list[str]:
    """The jobs whose outputs stand in these arguments.

    Example:
        >>> marks(b'["longshore:output:01928374-5566-7788-9907-0123456789ab"]')
        ['01928374-5566-7788-9907-0123456789ab']
    """
    return list(dict.fromkeys(found.decode() for found in _MARK.findall(payload)))


_MARK: Final = re.compile(rb'"longshore:output:([0-9a-f-]{36})"')


def blocker(rules: Rules, outputs: Mapping[str, Output]) -> str | None:
    """The first dependency that keeps a job waiting; ``None`` when it may go on.

    Example:
        >>> from longshore.core.limits import After
        >>> rules = Rules(after=(After("a"), After("b", takes=True)))
        >>> blocker(rules, {"a": Output("succeeded"), "b": Output("succeeded", lost=True)})
        'b'
    """
    for after in rules.after:
        there = outputs.get(after.job_id)
        if there is None or there.state != "succeeded" or (after.takes and there.lost):
            return after.job_id
    return None


def doomed(rules: Rules, outputs: Mapping[str, Output]) -> str | None:
    """The dependency with whose end a waiting job ends too, if it was declared so."""
    if not rules.cascade:
        return None
    for after in rules.after:
        there = outputs.get(after.job_id)
        if there is None:
            continue
        if there.state in {"dead", "cancelled"} or (after.takes and there.lost):
            return after.job_id
    return None


def filled(payload: bytes, rules: Rules, outputs: Mapping[str, Output]) -> bytes:
    """The arguments of a job with the outputs that it takes in their places.

    Example:
        >>> from longshore.core.limits import After
        >>> rules = Rules(after=(After("a", takes=True),))
        >>> filled(b'{"x":"longshore:output:a"}', rules, {"a": Output("succeeded", b"[1,2]")})
        b'{"x":[1,2]}'
    """
    taken = {
        f'"{marker(after.job_id)}"'.encode(): outputs[after.job_id].result or b"null"
        for after in rules.after
        if after.takes
    }
    if not taken:
        return payload
    # In one pass: an output that looks like a mark is not filled again.
    return re.sub(b"|".join(map(re.escape, taken)), lambda found: taken[found[0]], payload)


def replacing(job: NewJob) -> NewJob | None:
    """What a job leaves to the holder of its unique key that it replaces.

    What it was to belong to is not among that: the holder is no member. ``None``: it replaces
    nobody, since its arguments are not complete before others have ended.

    Example:
        >>> from longshore.core.limits import Rules
        >>> job = NewJob("0192", "app.x", "mail", b"{}", JobState.AVAILABLE, 0, 0, 0)
        >>> member = msgspec.structs.replace(job, rules=Rules(bundles=("b",)))
        >>> replacing(member).rules == Rules()
        True
    """
    rules = job.rules
    if rules is None or not rules.bundles:
        return job
    if rules.after:
        return None
    return msgspec.structs.replace(job, rules=msgspec.structs.replace(rules, bundles=()))


def bundles_of(jobs: Iterable[NewJob]) -> list[str]:
    """Everything these jobs belong to, sorted."""
    return sorted({one for job in jobs if job.rules is not None for one in job.rules.bundles})


def strangers(jobs: Sequence[NewJob], together: Together, there: Container[str]) -> frozenset[str]:
    """The jobs of a new workflow that are ``there`` already, while others of it are not.

    A request is stored as a whole: they were stored by another one, may have ended, and what is to
    wait for them would wait for ever.

    Example:
        >>> flow = NewBundle(id="w", name="import", sort=Sort.WORKFLOW, created_at=0)
        >>> rules = Rules(bundles=("w",))
        >>> one = NewJob("1", "load", "q", b"", JobState.AVAILABLE, 0, 0, 0, rules=rules)
        >>> two = msgspec.structs.replace(one, id="2")
        >>> strangers([one, two], Together((flow,)), {"1"})
        frozenset({'1'})
        >>> strangers([one, two], Together((flow,)), {"1", "2"})
        frozenset()
    """
    graphs = {bundle.id for bundle in together.bundles if bundle.sort is not Sort.BATCH}
    members = [(job.id, job.rules.bundles[0]) for job in jobs if job.rules and job.rules.bundles]
    fresh = {graph for job_id, graph in members if graph in graphs and job_id not in there}
    return frozenset(job_id for job_id, graph in members if graph in fresh and job_id in there)


def stays(bundle: Bundle, kept_until: int | None, now: int) -> int:
    """For how long an ended member stays whose time is over, microseconds; 0: it may be pruned.

    Members stay while their bundle is unfinished, and those of a workflow as long as that may be
    retried: who runs again takes the outputs of others.
    """
    if bundle.finished_at is None:
        return LATER
    ended_badly = bundle.new.sort is not Sort.BATCH and bundle.dead + bundle.cancelled > 0
    return MUCH_LATER if ended_badly and (kept_until is None or kept_until > now) else 0


def older(jobs: Sequence[NewJob], together: Together) -> list[str]:
    """The bundles that must be there already for this insert, and must not have finished."""
    new = {bundle.id for bundle in together.bundles}
    parents = {parent for bundle in together.bundles for parent in bundle.parents}
    return sorted({*bundles_of(jobs), *parents} - new)
