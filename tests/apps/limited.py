"""An application for proofs of limits, turns and unique jobs. The store comes from LONGSHORE_STORE.

As in ``harbour.py`` bodies write to a ledger that survives any kill. It is an application of its
own because a worker that knows a rate claims otherwise.
"""

import os
import threading
import time
from pathlib import Path

from longshore import CONTEXT, Concurrency, JobContext, Longshore, Rate, Unique

jobs = Longshore(lease=float(os.environ.get("HARBOUR_LEASE", "15")))
LEDGER = Path(os.environ["HARBOUR_LEDGER"])
#: How many statements or script calls this process has asked its store for.
asked = [0]


def ask(_operation: str, number: int) -> None:
    asked[0] += number > 0  # 0 is the commit of those before it


vars(jobs.store)["_on_statement"] = ask


def note(*words: object) -> None:
    line = " ".join(map(str, (time.time(), os.getpid(), *words))) + "\n"
    file = os.open(LEDGER, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)


def rest(seconds: float) -> None:
    """Sleep in small steps, so that an exception raised into the thread arrives.

    Steps are counted, not timed: who was stopped meanwhile still has to do the rest of them.
    """
    pause = threading.Event()
    for _ in range(max(1, round(seconds / 0.01))):
        pause.wait(min(seconds, 0.01))


@jobs.job(kind="alone", concurrency=Concurrency(to=1))
def alone(seconds: float, ctx: JobContext = CONTEXT) -> None:
    note("start", ctx.id, ctx.run, "alone")
    try:
        rest(seconds)
    except BaseException:
        note("left", ctx.id, ctx.run)
        raise
    note("end", ctx.id, ctx.run)


@jobs.job(kind="sole", concurrency=Concurrency(to=1, key="account"))
def sole(account: int, ctx: JobContext = CONTEXT) -> None:
    note("start", ctx.id, ctx.run, account)
    rest(0.001)
    note("end", ctx.id, ctx.run)


@jobs.job(kind="call", rate=Rate(100, per="1s"))
def call(n: int) -> None:
    note("call", n, asked[0])


@jobs.job(kind="beside")
def beside(enqueued: float) -> None:
    note("beside", enqueued)


@jobs.job(kind="held", unique=Unique())
def held(key: int, ctx: JobContext = CONTEXT) -> None:
    """Runs until the file of its id is there, or one for all."""
    note("start", ctx.id, ctx.run, "held")
    gates = [LEDGER.with_name("open"), LEDGER.with_name(ctx.id)]
    deadline = time.monotonic() + 60
    while not any(gate.exists() for gate in gates) and time.monotonic() < deadline:
        rest(0.002)
    note("end", ctx.id, ctx.run)
