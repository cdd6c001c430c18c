"""A process that claims jobs, lets its lease run out and reports their success all the same.

    python -m faults.stale JOBS

It says `claimed` when it has them, waits for a line, reports, and says how many of the reports were
taken. The store and the ledger come from the environment, as for the application of the programme.
"""

from __future__ import annotations

import json
import os
import sys

from ledgered import LEDGER, jobs

from longshore.core.model import Ending, JobState, Lease
from longshore.core.store import ClaimRequest, Line, NewProcess
from tests.ledger_tools import Word

LEASE = 1_000_000  # microseconds: short, for nobody renews it


def main(count: int) -> None:
    store = jobs.store
    process = NewProcess(
        id=f"stale-{os.getpid()}",
        app="ledgered",
        name="stale",
        host="stale",
        pid=os.getpid(),
        kinds=("work",),
        queues=("default",),
        slots=count,
        lease=LEASE,
        embedded=False,
    )
    store.run(store.register(process))
    claim = store.run(
        store.claim(ClaimRequest(process.id, 1, count, (Line(("*",)),), (), "", count))
    )
    numbers = {job.id: json.loads(job.payload)["kwargs"]["n"] for job in claim.jobs}
    for job in claim.jobs:
        LEDGER.write(Word.STARTED, numbers[job.id], job.id, job.run)
    say("claimed")
    sys.stdin.readline()
    endings: list[Ending] = []
    for job in claim.jobs:
        LEDGER.write(Word.FINISHED, numbers[job.id], job.id, job.run)
        result = json.dumps([numbers[job.id], job.run]).encode()
        endings.append(
            Ending(Lease(job.id, process.id, job.run), JobState.SUCCEEDED, result=result)
        )
    say(str(len(store.run(store.finish(endings)))))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
