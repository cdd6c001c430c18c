"""The checker: from a ledger and a store's history to what was lost, doubled or is unexplained.

Pure: nothing is read and nothing is waited for here. What a run promised always holds if
:attr:`Account.sound`; what a single fault may cost beside (duplicates, time) its row judges.

* lost: acknowledged, and neither did a body reach its end nor does the store say dead or cancelled
* unexpected: ran or is stored, but nobody asked for it, or it was refused, or is stored twice
* duplicated: starts of bodies beyond the first of each job
* unexplained: a further start whose run before has no entry in the job's history, or the same run
  started twice
* zombie: an outcome of a run that was not the newest: a success stored under another run than the
  last one, or with the result of another, or a run that both failed and succeeded, or ended twice
* incomplete: acknowledged, but the history does not tell its whole way from start to end
* overlap: for how long two runs of one job were there together
* recovered: nobody knew whether these were stored, and they ran
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

from longshore.core.model import ENDED, JobRecord, JobState, Run, Why
from tests.ledger_tools import Line, Word

#: Of a job with more runs than this a history keeps the first and last ones only.
KEPT = 100
_GONE = (Word.KILLED, Word.DIED, Word.STOPPED)


class Recovery(msgspec.Struct, frozen=True):
    """Seconds from the loss of a process to the next start of each job that it had."""

    count: int = 0
    p50: float = 0.0
    p99: float = 0.0
    most: float = 0.0


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What the checker found; sets are of job numbers."""

    attempted: int
    acked: int
    refused: int
    uncertain: int
    ran: int
    starts: int
    lost: tuple[int, ...]
    unexpected: tuple[int, ...]
    duplicated: int
    redone: int  # of them, those of a body that had reached its end
    unexplained: tuple[str, ...]
    zombie: tuple[str, ...]
    incomplete: tuple[str, ...]
    vanished: tuple[int, ...]  # of the incomplete, those of which nothing is stored
    recovered: int
    overlap: float  # seconds, the longest of any job
    overlaps: tuple[int, ...]
    times: tuple[float, ...]  # of recovery, seconds, sorted
    states: Mapping[str, int]
    unstarted: tuple[float, ...]  # the same of jobs that were claimed and had not begun
    interrupted: int  # entries of interruptions in all histories
    before_start: int  # of them, those of runs whose bodies had not begun
    last_claimed: int  # of them, those of the last claim that their process made
    effects: int
    finishes: int

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong that no fault may ever cause."""
        return not (
            self.lost or self.unexpected or self.unexplained or self.zombie or self.incomplete
        )

    @property
    def missing(self) -> int:
        """How many were acknowledged, and never ran or are not known to the store any more."""
        return len({*self.lost, *self.vanished})

    @property
    def recovery(self) -> Recovery:
        """Time to recover, over all kills."""
        return summed(self.times)


class _Run(msgspec.Struct):
    """One run of a body as the ledger has it; times in microseconds, 0 if it did not happen."""

    n: int
    job_id: str
    run: int
    pid: int
    started: int
    finished: int = 0
    raised: int = 0
    effects: int = 0


def summed(times: Sequence[float]) -> Recovery:
    """What these times, sorted, come to."""
    if not times:
        return Recovery()
    return Recovery(len(times), quantile(times, 0.5), quantile(times, 0.99), times[-1])


def quantile(ordered: Sequence[float], part: float) -> float:
    """The smallest of these so that ``part`` of them are not larger."""
    return ordered[max(0, -(-int(len(ordered) * part * 1000) // 1000) - 1)] if ordered else 0.0


def check(lines: Iterable[Line], history: Iterable[JobRecord], booted: int = 0) -> Account:
    """Compare a ledger with every job that the store has.

    ``booted``: when the ledger's clock was zero by the store's, microseconds.
    """
    ordered = sorted(lines, key=lambda line: line.at)
    records = {record.id: record for record in history}
    of_number: defaultdict[int, list[JobRecord]] = defaultdict(list)
    for record in records.values():
        # Those without a number come of schedules and callbacks: their rows judge how many.
        if number_of(record) >= 0:
            of_number[number_of(record)].append(record)
    said = {word: {line.n for line in ordered if line.word is word} for word in Word}
    acked, attempted = said[Word.ACKED], said[Word.ATTEMPTED]
    runs = runs_of(ordered)
    ran = {run.n for run in runs}
    ended = said[Word.FINISHED] | {
        n
        for n, found in of_number.items()
        if any(one.state in {JobState.DEAD, JobState.CANCELLED} for one in found)
    }
    unexpected = (ran | set(of_number)) - attempted
    unexpected |= (ran | set(of_number)) & (said[Word.REFUSED] - acked)
    unexpected |= {n for n, found in of_number.items() if len(found) > 1}
    spans = _overlaps(runs, ordered)
    cut = {key: entry for key, entry in _told(records) if entry.why is Why.INTERRUPTED}
    last = _last_claims(records)
    return Account(
        attempted=len(attempted),
        acked=len(acked),
        refused=len(said[Word.REFUSED]),
        uncertain=len(said[Word.UNCERTAIN]),
        ran=len(ran),
        starts=len(runs),
        lost=tuple(sorted(acked - ended)),
        unexpected=tuple(sorted(unexpected)),
        duplicated=len(runs) - len({run.job_id for run in runs}),
        redone=sum(
            before.finished > 0 for own in _by_job(runs).values() for before, _ in pairwise(own)
        ),
        unexplained=tuple(_unexplained(runs, records)),
        zombie=tuple(_zombies(runs, records)),
        incomplete=tuple(_incomplete(acked, runs, of_number)),
        vanished=tuple(sorted(acked - set(of_number))),
        recovered=len(said[Word.UNCERTAIN] & ran),
        overlap=max(spans.values(), default=0) / 1e6,
        overlaps=tuple(sorted(spans)),
        times=tuple(sorted(_recoveries(runs, ordered, records))),
        states=dict(Counter(str(record.state) for record in records.values())),
        unstarted=tuple(sorted(_unstarted(runs, records, booted))),
        interrupted=len(cut),
        before_start=len(cut.keys() - {(run.job_id, run.run) for run in runs}),
        last_claimed=sum(entry.started_at == last[entry.process] for entry in cut.values()),
        effects=sum(run.effects for run in runs),
        finishes=sum(run.finished > 0 for run in runs),
    )


def number_of(record: JobRecord) -> int:
    """Which number the producer gave this job; -1 for one that has none."""
    n = json.loads(record.payload)["kwargs"].get("n", -1)
    return n if isinstance(n, int) else -1


def runs_of(ordered: Iterable[Line]) -> list[_Run]:
    """The runs of bodies, in the order of their starts."""
    runs: list[_Run] = []
    open_: dict[tuple[str, int, int], _Run] = {}
    for line in ordered:
        key = (line.job_id, line.run, line.pid)
        if line.word is Word.STARTED:
            open_[key] = _Run(line.n, line.job_id, line.run, line.pid, line.at)
            runs.append(open_[key])
        elif key in open_ and line.word is Word.FINISHED:
            open_[key].finished = line.at
        elif key in open_ and line.word is Word.RAISED:
            open_[key].raised = line.at
        elif key in open_ and line.word is Word.EFFECT:
            open_[key].effects += 1
    return runs


def _by_job(runs: Iterable[_Run]) -> dict[str, list[_Run]]:
    found: defaultdict[str, list[_Run]] = defaultdict(list)
    for run in runs:
        found[run.job_id].append(run)
    return found


def _unexplained(runs: list[_Run], records: Mapping[str, JobRecord]) -> Iterable[str]:
    for job_id, own in _by_job(runs).items():
        told = {entry.run for entry in records[job_id].runs} if job_id in records else set()
        twice = [run for run, often in Counter(one.run for one in own).items() if often > 1]
        yield from (f"{job_id}: run {run} started twice" for run in twice)
        for run in sorted({one.run for one in own})[:-1]:
            if run not in told and len(told) < KEPT:
                yield f"{job_id}: nothing says why run {run} was not the last"


def _zombies(runs: list[_Run], records: Mapping[str, JobRecord]) -> Iterable[str]:
    newest = {job_id: max(one.run for one in own) for job_id, own in _by_job(runs).items()}
    for record in records.values():
        entries = Counter(entry.run for entry in record.runs)
        yield from (
            f"{record.id}: run {run} ended twice" for run, often in entries.items() if often > 1
        )
        if record.state is not JobState.SUCCEEDED:
            continue
        if record.run in entries:
            yield f"{record.id}: run {record.run} ended in success and in another way"
        if newest.get(record.id, 0) > record.run:
            yield f"{record.id}: run {newest[record.id]} was the newest, {record.run} succeeded"
        told = _run_of_result(record)
        if told is not None and told != record.run:
            yield f"{record.id}: the result of run {told} is that of run {record.run}"


def _run_of_result(record: JobRecord) -> int | None:
    """The run that a body named in its result, ``[n, run]``."""
    result = json.loads(record.result) if record.result else None
    return result[1] if isinstance(result, list) and len(result) == 2 else None


def _incomplete(
    acked: set[int], runs: list[_Run], of_number: Mapping[int, Sequence[JobRecord]]
) -> Iterable[str]:
    started = _by_job(runs)
    for n in sorted(acked):
        if n not in of_number:
            yield f"number {n}: the store does not know it any more"
        for record in of_number.get(n, ()):
            if record.state not in ENDED:
                yield f"{record.id}: it is {record.state} at the end"
            if record.state is JobState.SUCCEEDED and not any(
                one.run == record.run for one in started.get(record.id, ())
            ):
                yield f"{record.id}: run {record.run} succeeded and never started"


def _overlaps(runs: list[_Run], ordered: Sequence[Line]) -> dict[int, int]:
    """By number, microseconds in which two runs of a job were there together."""
    gone = _first(ordered, (Word.KILLED, Word.DIED))
    spans: dict[int, int] = {}
    for own in _by_job(runs).values():
        for before, after in pairwise(own):
            end = before.finished or before.raised or gone.get(before.pid, before.started)
            if end > after.started:
                spans[before.n] = max(spans.get(before.n, 0), end - after.started)
    return spans


def _first(ordered: Iterable[Line], words: Sequence[Word]) -> dict[int, int]:
    """When each process was first said to be gone."""
    found: dict[int, int] = {}
    for line in ordered:
        if line.word in words:
            found.setdefault(line.pid, line.at)
    return found


def _recoveries(
    runs: list[_Run], ordered: Sequence[Line], records: Mapping[str, JobRecord]
) -> Iterable[float]:
    """From the loss of its process to the next start of each job that was interrupted with it."""
    gone: defaultdict[int, list[int]] = defaultdict(list)
    for line in ordered:
        if line.word in _GONE:
            gone[line.pid].append(line.at)
    for job_id, own in _by_job(runs).items():
        entries = _entries(records.get(job_id))
        for before, after in pairwise(own):
            at = [when for when in gone[before.pid] if before.started <= when]
            # A body that was over, with nobody told, is given back likewise.
            cut = entries.get(before.run) is Why.INTERRUPTED or before.finished
            if at and cut:
                # A death is seen some time after it was: others may have had the job before.
                yield max(0, after.started - at[0]) / 1e6


def _unstarted(runs: list[_Run], records: Mapping[str, JobRecord], booted: int) -> Iterable[float]:
    """The same for jobs claimed by a process that died before their bodies began.

    The ledger has no start of them, so it is counted from the last claim that the process made: it
    died then or later.
    """
    last = _last_claims(records)
    for job_id, own in _by_job(runs).items():
        started = {one.run for one in own}
        for entry in records[job_id].runs if job_id in records else ():
            after = min((one.started for one in own if one.run > entry.run), default=None)
            if entry.run not in started and entry.why is Why.RELEASED and after is not None:
                yield (after + booted - last[entry.process]) / 1e6


def _last_claims(records: Mapping[str, JobRecord]) -> Mapping[str, int]:
    """By process, when it claimed the last of the jobs that were taken from it."""
    found: dict[str, int] = {}
    for _, entry in _told(records):
        found[entry.process] = max(found.get(entry.process, 0), entry.started_at)
    return found


def _told(records: Mapping[str, JobRecord]) -> Iterable[tuple[tuple[str, int], Run]]:
    """What the histories say of each run, by its job and number."""
    for record in records.values():
        for entry in record.runs:
            yield (record.id, entry.run), entry


def _entries(record: JobRecord | None) -> Mapping[int, Why]:
    return {} if record is None else {entry.run: entry.why for entry in record.runs}
