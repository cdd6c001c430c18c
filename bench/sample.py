"""What one run of one workload gives, and what makes it worthless."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

import msgspec

SHOWN = 5


class Invalid(Exception):
    """The run did not do what it was timed for, so its figure means nothing."""


class Sample(msgspec.Struct, frozen=True):
    """One run.

    ``figures`` by name, in the units of their cell; ``cpu``: seconds of processor that the measured
    process itself used while the clock ran, its children not counted; ``invalid``: why none of it
    counts.
    """

    figures: Mapping[str, float] = {}
    seconds: float = 0.0
    cpu: float | None = None
    invalid: str | None = None


class Stopwatch:
    """Wall and processor time of a block.

    >>> with Stopwatch() as watch:
    ...     pass
    >>> watch.seconds < 1
    True
    """

    def __enter__(self) -> Self:
        self._cpu = time.process_time()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._start
        self.cpu = time.process_time() - self._cpu

    def rate(self, jobs: int) -> Sample:
        """So many jobs went through."""
        return Sample({"jobs/s": jobs / self.seconds}, self.seconds, self.cpu)

    def took(self) -> Sample:
        """How long it took is the figure."""
        return Sample({"s": self.seconds}, self.seconds, self.cpu)


def percentiles(nanoseconds: Sequence[int], wanted: Sequence[int] = (50, 99)) -> dict[str, float]:
    """The median and other percentiles in milliseconds."""
    ordered = sorted(nanoseconds)
    return {f"p{one}": ordered[len(ordered) * one // 100] / 1e6 for one in wanted}


def exactly_once(numbers: Iterable[int], jobs: int) -> None:
    """Each number below ``jobs`` is there once and nothing else is, or :class:`Invalid`."""
    ran = Counter(numbers)
    lost = [number for number in range(jobs) if number not in ran]
    repeated = [number for number, times in ran.items() if times > 1]
    strange = [number for number in ran if not 0 <= number < jobs]
    faults = [
        f"{len(found)} of {jobs} jobs {what} ({_few(found)})"
        for what, found in (
            ("did not run", lost),
            ("ran more than once", repeated),
            ("were never stored", strange),
        )
        if found
    ]
    if faults:
        raise Invalid("; ".join(faults))


def same(what: str, found: int, wanted: int) -> None:
    """The store says what it must, or :class:`Invalid`."""
    if found != wanted:
        raise Invalid(f"{what}: the store has {found}, {wanted} were due")


def _few(numbers: Sequence[int]) -> str:
    more = ", ..." if len(numbers) > SHOWN else ""
    return ", ".join(map(str, sorted(numbers)[:SHOWN])) + more
