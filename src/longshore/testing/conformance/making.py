"""The jobs of a script: few queues, kinds, keys and limits, so that jobs meet.

Jobs that take turns have queues and a kind of their own. Where several queues make one line, a
store may or may not have noticed that the next of a queue is full; where nothing is ever full, as
in those queues, that cannot be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, Final

from longshore.core.limits import (
    TURN,
    Fair,
    Hold,
    Limit,
    OnConflict,
    Rules,
)
from longshore.core.model import Ending, JobState, Lease, NewJob
from longshore.testing.conformance.bench import (
    PAYLOAD,
    SECOND,
    cancelled,
    died,
    failed,
    interrupted,
    parked,
    released,
    snoozed,
    succeeded,
)
from longshore.testing.conformance.lockstep import Lockstep, Stage

#: Queues of jobs that may be limited, and of jobs that take turns.
QUEUES: Final = ("mail", "mail.bulk", "reports")
FAIR_QUEUES: Final = ("tenants", "tenants.low")
PRIORITIES: Final = (-5, 0, 1, 700)
#: What is paused at times, and what never is: jobs without rules, and those that take turns.
KINDS: Final = ("app.x", "app.y", "app.new")
PLAIN, FAIR = "app.plain", "app.fair"
EVERY_KIND: Final = (*KINDS, PLAIN, FAIR)
IDENTITIES: Final = ("user-1", "user-2", "user-3")
LIMITS: Final = (
    Limit("account", "1", 1),
    Limit("account", "2", 3),
    Limit("host", "", 4),
    Limit("mail", "", 3, 5 * SECOND),
    Limit("mail", "b", 5, 40 * SECOND),
)
VALUES: Final = (*(None, Fair("=big"), Fair("=big")), Fair("=small"), Fair("=heavy", TURN // 3))


class Making(Lockstep):
    """Makes jobs, and sets what restrains them."""

    def __init__(self, seed: int, first: Stage, other: Stage | None) -> None:
        super().__init__(seed, first, other)
        self.random = Random(seed)  # noqa: S311 - repeatable, not secret
        self.made: dict[str, NewJob] = {}
        #: Jobs that stores make of what they were given: of callbacks and of ticks.
        self.follow: dict[str, None] = {}
        self.expiries: set[int] = set()
        self._ids = 0

    def new_id(self) -> str:
        """Of one millisecond, and in no order within it."""
        self._ids += 1
        millisecond, chance = self.now // 1000, self.random.getrandbits(30)
        return (
            f"{millisecond >> 16:08x}-{millisecond & 0xFFFF:04x}-7000-8000-"
            f"{chance << 16 | self._ids & 0xFFFF:012x}"
        )

    def new(self, **fields: Any) -> NewJob:
        """A job not yet stored."""
        random = self.random
        queue = fields.get("queue") or random.choice((*QUEUES, *QUEUES, *FAIR_QUEUES))
        if queue in FAIR_QUEUES:
            # Whether one that has expired still has its turn depends on who looks at it first.
            fields.pop("expires_at", None)
        self.expiries |= {*filter(None, [fields.get("expires_at")])}
        kind = FAIR if queue in FAIR_QUEUES else random.choice((*KINDS, PLAIN))
        given: dict[str, Any] = {
            "id": self.new_id(),
            "kind": kind,
            "queue": queue,
            "payload": PAYLOAD,
            "state": JobState.SCHEDULED if "scheduled_at" in fields else JobState.AVAILABLE,
            "priority": random.choice(PRIORITIES),
            "scheduled_at": self.now,
            "created_at": self.now,
            "keep_result": random.choice((0, 5 * SECOND, 40 * SECOND)),
            "identity": random.choice((None, *IDENTITIES)),
            "rules": self.rules(kind),
        }
        return NewJob(**{**given, **fields})

    def rules(self, kind: str) -> Rules | None:
        """Rules of a job of this kind, perhaps none."""
        random = self.random
        rules = Rules(
            hold=random.choice((None, None, self.hold(kind))),
            limits=tuple(random.sample(LIMITS, random.choice((0, 1, 1, 2)))),
            at_most_once=random.random() < 0.1,
        )
        if kind == PLAIN:
            return None
        if kind == FAIR:
            return Rules(rules.hold, (), random.choice(VALUES), rules.at_most_once)
        return rules

    def hold(self, kind: str) -> Hold:
        """One of a few keys, other ones for jobs that take turns."""
        random = self.random
        return Hold(
            f"{kind == FAIR}-{random.randrange(3)}",
            until_started=random.random() < 0.3,
            on_conflict=random.choice(
                (OnConflict.RETURN, *(OnConflict.REPLACE,) * 3, *(OnConflict.RAISE,) * 2)
            ),
            ttl=random.choice((None, 10 * SECOND + 3)),
        )

    def queues_for(self, job_id: str) -> Sequence[str]:
        """Where a job may go."""
        job = self.made.get(job_id)
        return FAIR_QUEUES if job is not None and job.kind == FAIR else QUEUES

    def key_of(self, job_id: str) -> str | None:
        """The key that a job came with."""
        job = self.made.get(job_id)
        hold = None if job is None or job.rules is None else job.rules.hold
        return None if hold is None else hold.key

    def ending(self, lease: Lease) -> Ending:
        """How a run may have ended."""
        later = self.now + self.random.choice((1, 5, 30)) * SECOND
        queue = self.random.choice(self.queues_for(lease.job_id))
        priority = self.random.choice(PRIORITIES)
        return self.random.choice(
            (
                *(succeeded(lease, b'{"run":%d}' % lease.run), succeeded(lease)),
                *(failed(lease, later, budgets=b'{"net":%d}' % lease.run), failed(lease, later)),
                failed(lease, self.now, queue=queue, priority=priority),
                *(snoozed(lease, later), released(lease), interrupted(lease), died(lease)),
                *(cancelled(lease), parked(lease, self.random.choice(("d1", "d2")))),
            )
        )
