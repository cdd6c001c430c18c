"""Progress while it happens, read from the store like any other visitor of the web side would."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from longshore import JobState, Longshore, StoreError

ENDED = {JobState.SUCCEEDED, JobState.CANCELLED, JobState.DEAD}
INTERVAL = 0.1  # seconds


@dataclass
class Tally:
    """How far the jobs of one kind are."""

    jobs: int = 0
    ended: int = 0
    done: float = 0.0  # in jobs; running ones count for the part they report
    message: str = ""


def tallies(jobs: Longshore) -> dict[str, Tally]:
    found: dict[str, Tally] = {}
    for job in jobs.query.order("oldest"):
        tally = found.setdefault(short(job.kind), Tally())
        tally.jobs += 1
        progress = job.progress
        if job.state in ENDED:
            tally.ended += 1
            tally.done += 1
        elif job.state is JobState.RETRYING:
            tally.message = f"attempt {job.attempt} follows: {job.error}"
        elif progress is not None and progress.total:
            tally.done += progress.done / progress.total
            tally.message = progress.message or ""
    return found


def short(kind: str) -> str:
    return kind.rpartition(".")[2]


@contextmanager
def watching(jobs: Longshore, console: Console) -> Iterator[None]:
    """Show how far the jobs are until the block ends: bars on a terminal, else plain lines."""
    stop = threading.Event()
    show = show_bars if console.is_terminal else show_lines
    thread = threading.Thread(target=show, args=(jobs, console, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def show_bars(jobs: Longshore, console: Console, stop: threading.Event) -> None:
    columns = (
        TextColumn("{task.description:15}"),
        BarColumn(30),
        TextColumn("{task.fields[ended]:>3}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[message]}", style="dim", markup=False),
    )
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, TaskID] = {}

        def show(found: dict[str, Tally]) -> None:
            for kind, tally in found.items():
                if kind not in tasks:
                    tasks[kind] = progress.add_task(kind, ended=0, message="")
                progress.update(
                    tasks[kind],
                    total=tally.jobs,
                    completed=tally.done,
                    ended=tally.ended,
                    message=tally.message[:60],
                )

        look_until(stop, jobs, show)


def show_lines(jobs: Longshore, console: Console, stop: threading.Event) -> None:
    shown: dict[str, int] = {}

    def show(found: dict[str, Tally]) -> None:
        for kind, tally in found.items():
            # A line for each quarter of the way keeps logs readable.
            quarter = int(4 * tally.done / tally.jobs)
            if shown.get(kind) != quarter:
                shown[kind] = quarter
                console.print(
                    f"  {kind:15} {25 * quarter:3} %  {tally.ended:2}/{tally.jobs} jobs"
                    f"  {tally.message}".rstrip(),
                    soft_wrap=True,
                    markup=False,
                )

    look_until(stop, jobs, show)


def look_until(
    stop: threading.Event, jobs: Longshore, show: Callable[[dict[str, Tally]], None]
) -> None:
    with suppress(StoreError):  # the web side meets it too, and says so
        while not stop.wait(INTERVAL):
            show(tallies(jobs))
        show(tallies(jobs))
