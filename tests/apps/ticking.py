"""An application whose schedules come every second; the environment says how many."""

import os
from pathlib import Path

from longshore import Event, Longshore

LEASE = os.environ["HARBOUR_LEASE"]
LEDGER = Path(os.environ["HARBOUR_LEDGER"])
COUNT = int(os.environ.get("TICKING", "1"))

jobs = Longshore(lease=f"{LEASE}s")


@jobs.job(kind="tick", keep_result="1h")
def tick(number: int) -> int:
    return number


for number in range(COUNT):
    jobs.schedule("* * * * * *", args=(number,), name=f"s{number}", catch_up="all")(tick)


@jobs.on("schedule.fired")
def told(event: Event) -> None:
    with LEDGER.open("a") as ledger:
        ledger.write(f"{os.getpid()} {event.schedule} {event.job_id}\n")
