"""Acts of people: they look at jobs and figures, give orders, pause and limit."""

from __future__ import annotations

from longshore.core.limits import KindRecord, LimitRecord, Rules, SetKind, SetLimit, Setting
from longshore.core.model import ENDED, JobState
from longshore.core.store import Changed, Filter, Line, SetQueue
from longshore.testing.conformance.acts.playing import Playing
from longshore.testing.conformance.bench import SECOND
from longshore.testing.conformance.making import (
    EVERY_KIND,
    FAIR_QUEUES,
    IDENTITIES,
    KINDS,
    LIMITS,
    PLAIN,
    QUEUES,
)


class People(Playing):
    """Looking and ordering."""

    # --- looking ---

    def get(self) -> None:
        self.ask("get", [*self.ids(4), "00000000-0000-7000-8000-000000000000"])

    def find(self) -> None:
        random = self.random
        self.settle()
        where = Filter(
            ids=tuple(self.ids(5)) if random.random() < 0.2 else (),
            states=frozenset(random.sample(sorted(JobState), random.choice((0, 0, 1, 3)))),
            queues=tuple(random.sample((*QUEUES, *FAIR_QUEUES), random.choice((0, 1, 2)))),
            kinds=tuple(random.sample(EVERY_KIND, random.choice((0, 0, 1)))),
            identities=tuple(random.sample(IDENTITIES, random.choice((0, 0, 1, 2)))),
        )
        self.met["identity"] += bool(where.identities)
        self.pages(where, 7, oldest_first=random.random() < 0.5)

    def count(self) -> None:
        self.settle()
        identities = self.random.choice(((), (), IDENTITIES[:2]))
        queues = self.random.choice(((), QUEUES[:1]))
        self.ask("count", Filter(queues=queues, identities=identities))

    def queues(self) -> None:
        self.settle()
        self.ask("queues")

    def processes(self) -> None:
        self.ask("processes")

    # --- ordering ---

    def cancel(self) -> None:
        ids = dict.fromkeys([*self.ids(2), self.leases[-1].job_id] if self.leases else self.ids(3))
        changed: Changed = self.ask("cancel", list(ids), "stop")
        self.met["cancelled by a person"] += len(changed.changed)
        self.met["asked to end"] += len(changed.requested)

    def retry(self) -> None:
        self.settle()
        keyed = [one for one in self.made if self.key_of(one)]
        states = {one: record.state for one, record in self.records(keyed).items()}
        ended = [one for one, state in states.items() if state in ENDED]
        some = self.random.choice((self.ids(3), self.random.sample(ended, min(len(ended), 6))))
        if some and self.random.random() < 0.3:
            # Another job has the key of one of them by now.
            rules = self.made[some[0]].rules if some[0] in self.made else None
            self.insert_new([self.new(kind=PLAIN, rules=rules and Rules(rules.hold))])
        self.retry_all(some)

    def delete(self) -> None:
        changed: Changed = self.ask("delete", self.ids(1))
        self.met["deleted"] += len(changed.changed)

    def move(self) -> None:
        some = self.ids(3)
        queues = self.queues_for(some[0]) if some else QUEUES
        ids = [job_id for job_id in some if self.queues_for(job_id) is queues]
        changed: Changed = self.ask("move", ids, self.random.choice(queues))
        self.met["moved"] += len(changed.changed)

    def pause(self) -> None:
        paused, wait = self.random.random() < 0.5, self.random.choice((None, 10 * SECOND + 3))
        queue = self.random.choice((*QUEUES, *FAIR_QUEUES))
        self.met["paused"] += paused
        self.ask("set_queue", SetQueue(queue, paused=paused, reason="why", pause_for=wait))

    # --- limits and kinds ---

    def set_kind(self) -> None:
        paused = self.random.random() < 0.4
        wait = self.random.choice((None, 10 * SECOND, 10 * SECOND + 3))
        self.met["kind paused"] += paused
        request = SetKind(self.random.choice(KINDS), paused=paused, reason="why", pause_for=wait)
        self.ask("set_kind", request)

    def kinds(self) -> None:
        shown: tuple[KindRecord, ...] = self.ask("kinds")
        self.met["paused kind shown"] += bool(shown)

    def set_limit(self) -> None:
        settings = (*(None,) * 4, Setting(0), Setting(1), Setting(2), Setting(6))
        name = self.random.choice(("account", "host", "mail"))
        self.ask("set_limit", SetLimit(name, self.random.choice(settings)))

    def limits(self) -> None:
        shown: tuple[LimitRecord, ...] = self.ask("limits")
        self.met["limit used"] += any(record.used for record in shown if record.per is None)
        self.met["rate used"] += any(record.used for record in shown if record.per)
        self.met["blocked"] += any(record.blocked for record in shown)
        for record in shown:
            assert record.per is not None or len(record.holders) == min(record.used, 10)

    def crowd(self) -> None:
        """More of one limit than may run, and a claim of their queue."""
        queue, limit = self.random.choice(QUEUES), self.random.choice(LIMITS)
        new = [self.new(queue=queue, rules=Rules(limits=(limit,))) for _ in range(5)]
        self.ask("insert", new)
        self.made |= {job.id: job for job in new}
        self.claim_with(self.request(4, lines=(Line((queue,)),)))
        self.limits()
