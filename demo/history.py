"""What the history of a job says: which runs went wrong, and how soon the next one began."""

from longshore import JobRecord, Run


def entries(job: JobRecord, why: str) -> list[Run]:
    """The runs that ended in this way: `failed`, `interrupted`, ..."""
    return [run for run in job.runs if run.why == why]


def started_again(job: JobRecord, run: Run) -> int | None:
    """When the run after this one began, in microseconds since 1970."""
    starts = {later.run: later.started_at for later in job.runs}
    if job.claimed_at is not None:
        # The last run is not in the history when it succeeded.
        starts.setdefault(job.run, job.claimed_at)
    return min((at for number, at in starts.items() if number > run.run), default=None)


def milliseconds(start: int, end: int) -> int:
    """Between two times in microseconds."""
    return round((end - start) / 1000)
