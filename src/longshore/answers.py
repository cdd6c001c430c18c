"""What a store answered to an insert, turned into handles, errors and events."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from longshore.core.limits import OnConflict
from longshore.core.model import Inserted, NewJob
from longshore.core.registry import Declaration
from longshore.errors import BatchFinished, EnqueueError, IdConflict, PartlyEnqueued, UniqueHeld
from longshore.handle import App, JobHandle, JoinedHandle
from longshore.middleware import Event

if TYPE_CHECKING:
    from longshore.joining.enqueue import Answer
    from longshore.joining.through import Through

#: Jobs that were checked, each with its declaration where there is one.
Made: TypeAlias = Sequence[tuple[Declaration | None, NewJob]]


class OfBatch(list[tuple[Declaration | None, NewJob]]):
    """Jobs that were added to a batch: their records look like those of a workflow's jobs."""


class Answers:
    """For one application; it keeps nothing of a job."""

    def __init__(self, app: App) -> None:
        self._app = app

    def one(self, declaration: Declaration | None, job: NewJob, answer: Inserted) -> JobHandle[Any]:
        """The handle of a job that was stored, or that was there; raises a refusal."""
        if answer.conflict:
            raise _refusal(job, answer, [(declaration, job)])
        if answer.held:
            return JobHandle(self._app, answer.id, declaration, is_duplicate=True)
        if not answer.duplicate and self._app.around.wants("job.enqueued"):
            self._app.around.publish(
                Event(name="job.enqueued", job_id=job.id, kind=job.kind, queue=job.queue)
            )
        return JobHandle(self._app, job.id, declaration, new=job, is_duplicate=answer.duplicate)

    def many(self, made: Made, answers: Sequence[Inserted]) -> list[JobHandle[Any]]:
        """The same for several; one that was refused means that none was stored."""
        _refuse_conflicts(made, answers)
        return [
            self.one(declaration, job, answer)
            for (declaration, job), answer in zip(made, answers, strict=True)
        ]

    def joined(self, through: Through, made: Made, answer: Answer) -> list[JobHandle[Any]]:
        """Handles on jobs that are enqueued once the caller commits."""
        inserted = answer.inserted
        if answer.stored:
            return self.many(made, inserted)
        _refuse_conflicts(made, inserted)
        if answer.joined and through.tells and self._app.around.wants("job.enqueued"):
            self._tell_later(through, [job for _, job in made], inserted)
        return [
            JoinedHandle(
                self._app,
                declaration,
                job,
                job_id=one.id,
                is_duplicate=one.duplicate,
                relayed=answer.relayed,
            )
            for (declaration, job), one in zip(made, inserted, strict=True)
        ]

    def told(self, jobs: Sequence[NewJob], answers: Sequence[Inserted]) -> None:
        """Jobs were stored after the caller's commit."""
        self.many([(None, job) for job in jobs], answers)

    @contextmanager
    def partly(self, made: Made) -> Generator[None]:
        """Give handles to an error that says that only some were stored."""
        try:
            yield
        except PartlyEnqueued as error:
            stored = frozenset(error.stored)
            handles: list[JobHandle[Any]] = [
                JobHandle(self._app, job.id, declaration, new=job)
                for declaration, job in made
                if job.id in stored
            ]
            error.handles = tuple(handles)
            raise

    def _tell_later(
        self, through: Through, jobs: Sequence[NewJob], inserted: Sequence[Inserted]
    ) -> None:
        async def announce() -> None:
            self.told(jobs, inserted)

        through.after_commit(lambda: self.told(jobs, inserted), announce)


def _refuse_conflicts(made: Made, answers: Sequence[Inserted]) -> None:
    for (_, job), answer in zip(made, answers, strict=True):
        if answer.conflict:
            raise _refusal(job, answer, made)


def _refusal(job: NewJob, answer: Inserted, made: Made) -> EnqueueError:
    """What a refusal raises; ``made`` are the jobs of the same call."""
    if answer.late:
        bundle = "" if job.rules is None else job.rules.bundles[0]
        msg = (
            f"job {job.id} ({job.kind}) came too late for {bundle}: that has finished or is not"
            " stored, or the run that adds to it belongs to another process by now; nothing was"
            " written. Add jobs from a member that runs, or make another batch"
        )
        return BatchFinished(msg)
    if answer.held:
        if any(one.id == answer.id for _, one in made if one is not job):
            msg = (
                f"two jobs {job.kind} of this call, {answer.id} and {job.id}, have the same unique"
                " key; nothing was written. Leave one of them out"
            )
            return UniqueHeld(msg)
        return UniqueHeld(_held(job, answer.id, made), answer.id)
    other = "another kind or other arguments"
    if job.rules is not None and job.rules.bundles:
        other += f", or was there before {job.rules.bundles[0]}, to which this one was to belong"
    msg = (
        f"a job with id {job.id} exists with {other}; nothing was "
        f"written. Give job {job.kind} another id=, or none"
    )
    return IdConflict(msg)


def _held(job: NewJob, holder: str, made: Made) -> str:
    held = f"job {holder} holds the unique key of this job {job.kind}; nothing was written. "
    if _of_workflow(job, made):
        return held + "Wait until that one has ended: a workflow takes no other job in its place"
    return held + (
        'Wait until that one has ended, or declare Unique(on_conflict="return") to get it'
    )


def _of_workflow(job: NewJob, made: Made) -> bool:
    """Whether a refused job is of a workflow, which lets none of its jobs be replaced."""
    rules = job.rules
    if rules is None or not rules.bundles or isinstance(made, OfBatch):
        return False
    if len(made) > 1 or rules.after or rules.cascade:
        return True
    # One alone was added by a member that runs, or is a whole workflow: then it is refused
    # whatever was declared.
    unique = next(
        (one.restraints.unique for one, _ in made if one is not None and one.restraints), None
    )
    return unique is not None and unique.conflict is not OnConflict.RAISE
