"""Hours of random faults, and nothing that grows: F80. `./dev faults --soak 1h --store redis`."""

from __future__ import annotations

import json
import time

import psutil

from faults.frame import Own, row
from faults.trial import Trial

#: Without `--soak` only as long as shows that the row works, seconds.
SHORT = 20.0
#: Between two faults, and between two looks at what processes hold, as parts of the whole.
FAULTS, LOOKS = 60, 60
GROWTH = 1_000_000  # bytes an hour


@row("F80", "hours of random faults", own=Own())
def soak(trial: Trial) -> None:
    whole = trial.plan.soak or SHORT
    lasting = trial.worker(processes=1)
    struck = trial.worker()
    trial.ready(3)
    load = trial.load(endless=True)
    began = time.monotonic()
    next_fault = next_look = 0.0
    sizes: list[tuple[float, int]] = []
    held: list[int] = []
    while (passed := time.monotonic() - began) < whole:
        if passed >= next_fault:
            next_fault = passed + trial.random.uniform(0.5, 2) * max(5.0, whole / FAULTS)
            what = trial.random.choice(("child", "machine", "server" if trial.server else "child"))
            trial.note(f"strikes: {what}")
            if what == "child":
                struck.kill(trial.random.choice(struck.await_children()))
            elif what == "machine":
                struck.lose()
                struck = trial.worker()
            elif trial.server is not None:
                trial.server.kill()
                trial.server.start()
            trial.figures[what] = trial.figures.get(what, 0) + 1
        if passed >= next_look:
            next_look = passed + whole / LOOKS
            family = [psutil.Process(pid) for pid in lasting.family()]
            each = {one.pid: one.memory_info().rss for one in family}
            # Whose it is, if it grows; the ledger's lines are too short for it.
            with (trial.folder / "memory.jsonl").open("a") as looks:
                looks.write(json.dumps({"seconds": round(passed), "bytes": each}) + "\n")
            sizes.append((passed, sum(each.values())))
            held.append(sum(one.num_fds() for one in family))
        trial.wait(0.5)
    load.stop()
    trial.settle()
    # Of the second half: caches fill and pools grow at first.
    slope = _slope(sizes[len(sizes) // 2 :])
    trial.figures |= {"bytes an hour": round(slope), "descriptors": held[-1]}
    # What shorter runs show is a start, not a slope.
    if whole >= 1800:
        trial.at_most("growth of the worker that was let alone, bytes an hour", slope, GROWTH)
    trial.at_most("descriptors more than in the middle", held[-1] - held[len(held) // 2], 4)


def _slope(sizes: list[tuple[float, int]]) -> float:
    """Bytes an hour, by least squares."""
    if len(sizes) < 2:
        return 0.0
    mean_at = sum(at for at, _ in sizes) / len(sizes)
    mean = sum(size for _, size in sizes) / len(sizes)
    above = sum((at - mean_at) * (size - mean) for at, size in sizes)
    return 3600 * above / sum((at - mean_at) ** 2 for at, _ in sizes)
