"""A storm over one batch or workflow: workers that fail, die and are killed, and who looks on."""

from __future__ import annotations

import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from longshore.core.batches import NewBundle, Sort, Together
from longshore.core.limits import After, Rules
from longshore.core.model import Ending, JobState, Lease, NewJob, Run, Why
from longshore.core.operation import Operation
from longshore.core.store import ClaimRequest, Line, NewProcess, Rescue, Store
from longshore.stores.clock import ManualClock
from longshore.stores.redis.scripts import SCRIPTS, Script
from longshore.stores.sql.statements import Query

HOUR = 3_600_000_000

#: Counts of a batch as they are written, and counted anew from its jobs, in one statement.
RECOUNT = """
select b.succeeded, b.cancelled, b.dead,
    (select count(*) from longshore_member as m where m.bundle_id = b.id and m.live = 1),
    (select count(*) from longshore_member as m join longshore_ended as e on e.id = m.job_id
     where m.bundle_id = b.id and e.state = 'succeeded'),
    (select count(*) from longshore_member as m join longshore_ended as e on e.id = m.job_id
     where m.bundle_id = b.id and e.state = 'cancelled'),
    (select count(*) from longshore_member as m join longshore_ended as e on e.id = m.job_id
     where m.bundle_id = b.id and e.state = 'dead'),
    (select count(*) from longshore_member as m join longshore_job as j on j.id = m.job_id
     where m.bundle_id = b.id)
from longshore_bundle as b where b.id = {id}
"""

#: The same in one script.
RECOUNT_LUA = """
local P, call = KEYS[1], redis.call
local told = call('HMGET', P .. 'bundle:' .. ARGV[4], 'succeeded', 'cancelled', 'dead')
local found = { succeeded = 0, cancelled = 0, dead = 0, live = 0 }
for _, id in ipairs(call('ZRANGE', P .. 'members:' .. ARGV[4], 0, -1)) do
  local text = call('HGET', P .. 'state', id) or call('HGET', P .. 'job', id)
  local state = string.match(text, '^%S+')
  if not found[state] then state = 'live' end
  found[state] = found[state] + 1
end
return { tonumber(told[1]), tonumber(told[2]), tonumber(told[3]),
  call('ZCARD', P .. 'live:' .. ARGV[4]),
  found.succeeded, found.cancelled, found.dead, found.live }
"""

# Loaded with the others when a store is opened.
SCRIPTS["recount"] = Script("recount", RECOUNT_LUA)


def recount(store: Any, bundle: str) -> tuple[list[int], list[int]]:
    """What is written of a batch and what its jobs say, read at one moment."""
    if store.name == "memory":

        def both() -> list[int]:
            group = store._state.groups._groups[bundle]
            tally = group.tally
            states = [store._state.rows[one].state for one in group.members]
            ended = [states.count(s) for s in ("succeeded", "cancelled", "dead")]
            written = [tally.succeeded, tally.cancelled, tally.dead, len(group.live)]
            return [*written, *ended, len(states) - sum(ended)]

        def body() -> Any:
            return (yield both)
    elif store.name in {"redis", "valkey"}:
        script = SCRIPTS["recount"]

        def body() -> Any:
            return (yield script(bundle))
    else:
        mark = ":id" if store.name == "sqlite" else "%(id)s"
        text = RECOUNT.format(id=mark).replace("longshore_", store._prefix)
        query = Query("recount", text)

        def body() -> Any:
            rows = yield query(id=bundle)
            return rows[0]

    row = [int(value) for value in store.run(Operation("recount", body, writes=False))]
    return row[:4], row[4:]


class Storm:
    """Members of one bundle, and threads that run them badly."""

    def __init__(self, store: Store, clock: ManualClock, seed: int) -> None:
        self.store = store
        self.clock = clock
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.numbers = 0
        self.stop = threading.Event()
        self.errors: list[BaseException] = []
        self.met: Counter[str] = Counter()

    def new(self, rules: Rules | None = None, **fields: Any) -> NewJob:
        with self.lock:
            self.numbers += 1
            number = self.numbers
        millisecond = self.clock.wall_us() // 1000
        given: dict[str, Any] = {
            "id": f"{millisecond >> 16:08x}-{millisecond & 0xFFFF:04x}-7000-8000-{number:012x}",
            "kind": "app.job",
            "queue": "default",
            "payload": b'{"v":1,"args":[]}',
            "state": JobState.AVAILABLE,
            "priority": 0,
            "scheduled_at": self.clock.wall_us(),
            "created_at": self.clock.wall_us(),
            "fresh": True,
            "rules": rules,
        }
        return NewJob(**{**given, **fields})

    def batch(self, sort: Sort = Sort.BATCH) -> NewBundle:
        return NewBundle(
            id=self.new().id,
            name="storm",
            sort=sort,
            created_at=self.clock.wall_us(),
            **{
                name: self.new(queue="callbacks", kind=name)
                for name in ("on_success", "on_complete", "on_death")
            },
        )

    def process(self) -> str:
        name = uuid.uuid4().hex
        self.store.run(
            self.store.register(
                NewProcess(
                    id=name, app="app", name=name, host="h", pid=1, lease=HOUR, queues=("*",),
                    kinds=("app.job",), slots=10, embedded=False,
                )
            )
        )  # fmt: skip
        return name

    def threads(self, count: int, body: Callable[[random.Random], None]) -> list[threading.Thread]:
        def run(seed: int) -> None:
            try:
                body(random.Random(seed))
            except BaseException as error:  # noqa: BLE001 - told by the test
                self.errors.append(error)
                self.stop.set()

        made = [
            threading.Thread(target=run, args=(self.random.getrandbits(30),)) for _ in range(count)
        ]
        for thread in made:
            thread.start()
        return made

    def work(self, rng: random.Random, after: Callable[[Lease, Any], None], deaths: float) -> None:
        """Claim and report until told to stop; be killed now and then."""
        process, claims = self.process(), 0
        while not self.stop.is_set():
            claims += 1
            request = ClaimRequest(process, claims, rng.choice((5, 40, 150)), (Line(("default",)),))
            jobs = self.store.run(self.store.claim(request)).jobs
            if not jobs:
                self.stop.wait(0.005)
                continue
            endings: list[Ending] = []
            for job in jobs:
                lease = Lease(job.id, process, job.run)
                after(lease, rng)
                endings.append(self.ending(lease, rng, deaths))
            if not self.met["killed"] or rng.random() < 0.1:
                # Killed (one at least): half of it was reported; the rest is given back.
                self.report(endings[: len(endings) // 2])
                self.met["killed"] += 1
                self.store.run(self.store.rescue(Rescue(dead=process)))
                process, claims = self.process(), 0
                # What the dead one still says changes nothing.
                self.report(endings[len(endings) // 2 :])
            else:
                self.report(endings)

    def report(self, endings: Sequence[Ending]) -> None:
        held = self.store.run(self.store.finish(endings)) if endings else frozenset()
        for ending in endings:
            if ending.lease in held:
                self.met[ending.to.value] += 1

    def ending(self, lease: Lease, rng: random.Random, deaths: float) -> Ending:
        now = self.clock.wall_us()
        chance = rng.random()
        line = Run(
            run=lease.run, process=lease.process_id, started_at=now, ended_at=now, why=Why.FAILED
        )
        if chance < deaths:
            return Ending(lease, JobState.DEAD, failed=True, entry=line)
        if chance < deaths + 0.05:
            return Ending(lease, JobState.RETRYING, at=now, failed=True, entry=line)
        return Ending(lease, JobState.SUCCEEDED, result=b'"%s"' % lease.job_id[-6:].encode())


def graph(storm: Storm, flow: NewBundle, nodes: int) -> list[NewJob]:
    """Jobs with random edges to those before them."""
    made: list[NewJob] = []
    for number in range(nodes):
        before = storm.random.sample(made, min(number, storm.random.choice((0, 1, 1, 2, 5))))
        edges = tuple(After(job.id, takes=storm.random.random() < 0.3) for job in before)
        taken = ",".join(f'"longshore:output:{edge.job_id}"' for edge in edges if edge.takes)
        made.append(
            storm.new(
                Rules(bundles=(flow.id,), after=edges),
                state=JobState.WAITING if edges else JobState.AVAILABLE,
                payload=b'{"v":1,"args":[%s]}' % taken.encode(),
            )
        )
    return made


def together(*bundles: NewBundle, lease: Lease | None = None) -> Together:
    return Together(bundles, lease)
