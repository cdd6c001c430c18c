"""What happened, told from the jobs in the store and from what the outside world received."""

import os
import shlex
import sys
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from demo import mishaps
from demo.app import jobs
from demo.diary import Diary
from demo.history import entries, milliseconds, started_again
from demo.live import short
from demo.place import Place
from longshore import JobRecord, JobState
from longshore.core.store_url import parse_url

COMMAND = Path(sys.executable).with_name("longshore")


def report(console: Console, place: Place, diary: Diary) -> None:
    records = sorted((job.record for job in jobs.query), key=lambda job: (job.kind, job.id))
    console.print("\n[bold]The jobs[/]")
    console.print(summary(records))
    refused(console, diary)
    killed(console, place, diary)
    imported(console, diary)
    discarded(console, diary, records)
    console.print(f"\n[bold]The mail[/] ({len(diary.received)} received, {diary.copies} twice)")
    console.print(mail(diary))
    console.print(f"\n[bold]The thumbnails[/] are in {place.thumbnails}", soft_wrap=True)
    console.print(f"[bold]The worker[/] ended with exit code {diary.worker_exit}")


def summary(records: list[JobRecord]) -> Table:
    table = Table("kind")
    for heading in ("jobs", "succeeded", "retried", "interrupted", "seconds"):
        table.add_column(heading, justify="right")
    for kind, group in groupby(records, key=lambda job: job.kind):
        some = list(group)
        started = [job.attempted_at for job in some if job.attempted_at is not None]
        ended = [job.finalized_at for job in some if job.finalized_at is not None]
        seconds = (max(ended) - min(started)) / 1_000_000 if ended and started else 0.0
        table.add_row(
            short(kind),
            str(len(some)),
            str(sum(job.state is JobState.SUCCEEDED for job in some)),
            str(sum(len(entries(job, "failed")) for job in some)),
            str(sum(len(entries(job, "interrupted")) for job in some)),
            f"{seconds:.1f}",
        )
    return table


def refused(console: Console, diary: Diary) -> None:
    job = jobs.get(diary.unreliable)
    console.print(f"\n[bold]The download that was refused[/], job {job.id}:")
    for run in job.runs:
        again = started_again(job.record, run)
        wait = "" if again is None else f", ran again {milliseconds(run.ended_at, again)} ms later"
        console.print(
            f"  run {run.run} {run.why}{wait}: {escape(run.message or '')}", soft_wrap=True
        )
    console.print(f"  run {job.record.run} {job.state}")


def killed(console: Console, place: Place, diary: Diary) -> None:
    job = jobs.get(diary.imported)
    console.print(f"\n[bold]The import that was killed[/] with its process, job {job.id}:")
    died = mishaps.struck_at(place.orders)
    for run in job.runs:
        again = started_again(job.record, run)
        wait = ""
        if died is not None and again is not None:
            wait = f", ran again {milliseconds(died, again)} ms after SIGKILL"
        console.print(f"  run {run.run} {run.why} in process {run.process}{wait}", soft_wrap=True)
    console.print(f"  run {job.record.run} {job.state}")
    others = {
        other.id
        for other in jobs.query
        if other.id != job.id and entries(other.record, "interrupted")
    }
    if others:
        console.print(f"  killed with it and run again: {len(others)} more")


def imported(console: Console, diary: Diary) -> None:
    job = jobs.get(diary.imported)
    if job.state is JobState.SUCCEEDED:
        result = job.result()
        console.print(f"  imported {result.rows} orders, {len(result.malformed)} lines malformed:")
        for line, why in result.malformed.items():
            console.print(f"    line {line}: {escape(why)}", soft_wrap=True)


def discarded(console: Console, diary: Diary, records: list[JobRecord]) -> None:
    reasons = [
        job.reason or ""
        for job in records
        if job.state is JobState.CANCELLED and job.id in diary.pictures
    ]
    if reasons:
        console.print("\n[bold]The pictures that were none[/]")
    for reason in reasons:
        console.print(f"  {escape(reason)}", soft_wrap=True)


def mail(diary: Diary) -> Table:
    table = Table("from", "to", "subject", "first line")
    for received in sorted(diary.received, key=lambda each: each.recipient):
        first = received.text.partition("\n")[0]
        table.add_row(received.sender, received.recipient, received.subject, first)
    return table


def where_to_look_next(console: Console, place: Place, diary: Diary) -> None:
    python = relative(Path(sys.executable))
    # Without its password: what is printed is copied, kept and shown to others.
    shown = str(parse_url(place.store)) if place.address else place.store
    store = f"LONGSHORE_STORE={shlex.quote(shown)}"
    if place.address:
        store += f" LONGSHORE_PREFIX={os.environ['LONGSHORE_PREFIX']}"
    longshore = f"{relative(COMMAND)} -A demo.app:jobs"
    console.print("\n[bold]Where to look next[/]")
    for line in (
        f"export {store}",
        f"{longshore} jobs list",
        f"{longshore} jobs show {diary.imported}",
        f"{longshore} status",
        f"{python} -m demo --only-check {shlex.quote(str(place.folder))}"
        + (' --store "$LONGSHORE_STORE"' if place.address else ""),
    ):
        console.print(f"  {line}", soft_wrap=True, highlight=False, markup=False)
    if place.address:
        console.print("The jobs stay in the store until a later run of the demo removes them.")
    if shown != place.store:
        console.print("Write your password where *** stands.")
    console.print(
        "The jobs are in demo/app.py, the web side in demo/web.py; README.md and docs/ go on from"
        f" there.\nWhat this run wrote is in {place.folder}; delete it when you have seen it.",
        soft_wrap=True,
    )


def relative(program: Path) -> str:
    """As one would type it here."""
    path = program.as_posix()
    here = Path.cwd().as_posix() + os.sep
    return shlex.quote(path.removeprefix(here))
