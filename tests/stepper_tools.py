"""Workers of the application ``stepper`` on any store, and a loop of it that is killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from longshore.core.interruptions import POISON
from tests.harbour_tools import Harbour
from tests.places import place

#: Opens the application on a kind of store.
Open = Callable[[str], Harbour]


@contextmanager
def stepper(folder: Path) -> Iterator[Open]:
    """What opens it; its workers and places go with the block."""
    with ExitStack() as stack:

        def opened(kind: str) -> Harbour:
            where = stack.enter_context(place(kind, folder))
            settings = {} if kind == "sqlite" else where.environment
            if where.url.startswith("redis"):
                settings["LONGSHORE_DURABILITY"] = "normal"
            harbour = Harbour(folder, name="stepper", **settings)
            stack.callback(harbour.stop)
            return harbour

        yield opened


def kill_a_loop(harbour: Harbour, job: str, kills: int) -> None:
    """Go over 100 000 items while the process is killed; each time at most a second comes again."""
    handle = getattr(harbour.app, job).enqueue(kills)
    harbour.worker(threads=1)
    handle.wait(timeout=150)
    while handle.refresh().record.reason == POISON:
        # Three deaths of its own quarantine it; a person sends it on, and it keeps its position.
        handle.retry()
        handle.wait(timeout=150)
    handle.result(timeout=1)
    items: dict[int, list[tuple[float, int]]] = {}
    for line in harbour.lines():
        if line[2] == "item":
            items.setdefault(int(line[4]), []).append((float(line[0]), int(line[3])))
    assert len(items) == kills + 1, sorted(items)
    seen = Counter(number for run in items.values() for _, number in run)
    assert sorted(seen) == list(range(100_000)), "none is missed"
    for run in range(1, kills + 1):
        again = items[run + 1][0][1]
        repeated = [at for at, number in items[run] if number >= again]
        assert items[run][-1][1] + 1 >= again
        # Nothing is done while the position is saved; the rest is how late the clock was looked at.
        assert not repeated or repeated[-1] - repeated[0] < 1.0, (run, len(repeated))
