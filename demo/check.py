"""Verify a run of the demo by reading its jobs back through the public API.

Each verifier yields what is wrong, in words; nothing at all is the good news.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from demo import inputs, mishaps, orders
from demo.diary import Diary
from demo.history import entries, milliseconds, started_again
from demo.place import Place
from longshore import JobHandle, JobNotFound, JobState, Longshore

EDGE = 320
RECOVERY = 1_000  # milliseconds from the death of a process to the next run of its jobs


def verify(jobs: Longshore, place: Place) -> list[str]:
    """Everything that is not as it should be, one sentence each."""
    kept = Kept(place, Diary.load(place.diary), {})
    wrong = list(read_back(jobs, kept))
    for verifier in (states, pictures, downloads, imports, mails, refused, killed, worker):
        # A job that is gone was reported; the rest is verified all the same.
        wrong += verifier(kept)
    return wrong


class Kept(NamedTuple):
    """What is left of a run."""

    place: Place
    diary: Diary
    handles: dict[str, JobHandle[Any]]

    @property
    def succeeded(self) -> set[str]:
        return {job.id for job in self.handles.values() if job.state is JobState.SUCCEEDED}


def read_back(jobs: Longshore, kept: Kept) -> Iterator[str]:
    """Each job that was asked for is in the store, and no other."""
    for job_id in kept.diary.job_ids:
        try:
            kept.handles[job_id] = jobs.get(job_id)
        except JobNotFound as error:
            yield str(error)
    found = {job.id for job in jobs.query}
    for job_id in found - kept.diary.job_ids:
        yield f"job {job_id} is in the store and nobody asked for it"
    counted = jobs.query.count()
    if counted != len(found):
        yield f"the store counts {counted} jobs and lists {len(found)}"


def states(kept: Kept) -> Iterator[str]:
    """Each job succeeded, but for pictures that are none; only the download had failures."""
    for job in kept.handles.values():
        wanted = JobState.SUCCEEDED
        if job.id in kept.diary.pictures and not readable(kept.diary.pictures[job.id]):
            wanted = JobState.CANCELLED
        if job.state is not wanted:
            yield f"job {job.id} ({job.kind}) is {job.state}, expected {wanted}: {job.error}"
        if job.id != kept.diary.unreliable and (failed := entries(job.record, "failed")):
            yield f"job {job.id} ({job.kind}) failed {len(failed)} times: {job.error}"


def pictures(kept: Kept) -> Iterator[str]:
    """Each thumbnail exists, in the size that its job reported and its picture asks for."""
    for job_id, picture in kept.diary.pictures.items():
        if job_id not in kept.succeeded:
            continue
        try:
            with Image.open(kept.place.thumbnails / f"{picture.name}.jpg") as thumbnail:
                thumbnail.load()
        except OSError as error:
            yield f"the thumbnail of {picture.name} cannot be read: {error}"
            continue
        reported = kept.handles[job_id].result(timeout=1)
        if thumbnail.size != reported:
            yield f"the thumbnail of {picture.name} is {thumbnail.size}, its job said {reported}"
        elif not fits(thumbnail.size, picture):
            yield f"the thumbnail of {picture.name} has the wrong size {thumbnail.size}"


def fits(size: tuple[int, int], picture: Path) -> bool:
    with Image.open(picture) as image:
        turned = image.getexif().get(0x0112, 1) >= 5
        width, height = reversed(image.size) if turned else image.size
    scale = min(1.0, EDGE / max(width, height))
    return abs(size[0] - width * scale) <= 1 and abs(size[1] - height * scale) <= 1


def readable(picture: Path) -> bool:
    try:
        with Image.open(picture) as image:
            image.load()
    except (OSError, Image.DecompressionBombError):
        return False
    return True


def downloads(kept: Kept) -> Iterator[str]:
    """Each file arrived whole: the right checksum, the size that its job reported."""
    for job_id, wanted in kept.diary.downloads.items():
        if job_id not in kept.succeeded:
            continue
        try:
            content = (kept.place.downloads / wanted.name).read_bytes()
        except OSError as error:
            yield f"{wanted.name} cannot be read: {error}"
            continue
        if hashlib.sha256(content).hexdigest() != wanted.sha256:
            yield f"{wanted.name} has the wrong checksum"
        if (reported := kept.handles[job_id].result(timeout=1)) != len(content):
            yield f"{wanted.name} has {len(content)} bytes, its job said {reported}"


def imports(kept: Kept) -> Iterator[str]:
    """The table holds the well-formed orders, each once, and the report names all other lines."""
    lines = list(inputs.order_lines())
    expected = [order for _, _, order in lines if order is not None]
    rows = orders.read_table(kept.place.shop)
    if rows != expected:
        missing, extra = set(expected) - set(rows), set(rows) - set(expected)
        yield (
            f"the table of orders differs from the file: {len(rows)} rows, expected"
            f" {len(expected)}; {len(missing)} missing, {len(extra)} unknown"
        )
    if kept.diary.imported not in kept.succeeded:
        return
    reported = kept.handles[kept.diary.imported].result(timeout=1)
    if reported.rows != len(expected):
        yield f"the import reported {reported.rows} rows, the file has {len(expected)}"
    malformed = {line for line, _, order in lines if order is None}
    if set(reported.malformed) != malformed:
        yield f"the import reported {sorted(reported.malformed)}, malformed are {sorted(malformed)}"


def mails(kept: Kept) -> Iterator[str]:
    """The mails received are those that were sent, each by its own job."""
    arrived = {
        mail.message_id: (mail.recipient, mail.subject, mail.text) for mail in kept.diary.received
    }
    for job_id, mail in kept.diary.mails.items():
        found = arrived.pop(f"<{job_id}@longshore.example>", None)
        if found is None:
            yield f"the mail to {mail.recipient} did not arrive"
        elif found != (mail.recipient, mail.subject, mail.text):
            yield f"the mail to {mail.recipient} arrived changed: {found}"
    for message_id in arrived:
        yield f"mail {message_id} arrived and nobody sent it"


def refused(kept: Kept) -> Iterator[str]:
    """The download that was refused twice has two failed runs in its history."""
    job = kept.handles.get(kept.diary.unreliable)
    if job is None:
        return
    errors = [str(run.error) for run in entries(job.record, "failed")]
    if len(errors) != 2 or not all("TryAgainLater" in error for error in errors):
        yield f"job {job.id} ({job.kind}) was to be refused twice, its history says {errors}"


def killed(kept: Kept) -> Iterator[str]:
    """The import was interrupted once and soon ran again; others only died with its process."""
    job = kept.handles.get(kept.diary.imported)
    if job is None:
        return
    interrupted = entries(job.record, "interrupted")
    if len(interrupted) != 1:
        yield f"job {job.id} ({job.kind}) was interrupted {len(interrupted)} times, expected once"
        return
    died, again = mishaps.struck_at(kept.place.orders), started_again(job.record, interrupted[0])
    if died is None or again is None:
        yield f"job {job.id} ({job.kind}): killed at {died}, ran again at {again}"
    elif not 0 <= milliseconds(died, again) <= RECOVERY:
        yield f"job {job.id} ({job.kind}) ran again {milliseconds(died, again)} ms after the kill"
    for other in kept.handles.values():
        for run in entries(other.record, "interrupted"):
            if run.process != interrupted[0].process:
                yield f"job {other.id} ({other.kind}) was interrupted in process {run.process}"


def worker(kept: Kept) -> Iterator[str]:
    """It ended as one that was asked to and had nothing to give back."""
    if kept.diary.worker_exit != 0:
        yield f"the worker ended with exit code {kept.diary.worker_exit}, expected 0"
