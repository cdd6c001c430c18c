"""Acts on jobs that belong together: batches in batches, workflows, members that come late."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from longshore.core.batches import (
    COMPLETE,
    DEATH,
    DEPENDENCY,
    SUCCESS,
    Bundle,
    NewBundle,
    Sort,
    Together,
    marker,
)
from longshore.core.limits import After, Rules
from longshore.core.model import ENDED, Ending, Inserted, JobState, Lease, NewJob
from longshore.core.store import Line, SetQueue
from longshore.testing.conformance.acts.playing import Playing
from longshore.testing.conformance.bench import SECOND, cancelled, died, succeeded
from longshore.testing.conformance.making import PLAIN, PRIORITIES, QUEUES

_NONE = Rules()
_TOLD = (("death", DEATH), ("complete", COMPLETE), ("success", SUCCESS))


class Grouped(Playing):
    """Storing bundles, adding to them, reading them."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.groups: dict[str, NewBundle] = {}
        self._seen: dict[str, Bundle] = {}
        self._opened: set[str] = set()

    # --- acts ---

    def batch(self) -> None:
        """A batch of some jobs or of none, perhaps in another one."""
        new = self.bundle(Sort.BATCH, self.around())
        within = (new.id, *new.parents)
        self.put([self.member(within) for _ in range(self.random.choice((0, 1, 2, 3)))], new)

    def flow(self) -> None:
        """A workflow with random edges, or a chain."""
        random = self.random
        sort = random.choice((Sort.WORKFLOW, Sort.WORKFLOW, Sort.CHAIN))
        new = self.bundle(sort, self.around())
        within, nodes = (new.id, *new.parents), list[NewJob]()
        for _ in range(random.choice((2, 3, 4))):
            before = nodes[-1:] if sort is Sort.CHAIN else random.sample(nodes, min(2, len(nodes)))
            nodes.append(self.node(within, before))
        random.shuffle(nodes)
        self.put(nodes, new)

    def carry(self) -> None:
        """A batch or workflow whose members are next in line, and most of them to their ends."""
        random, queue = self.random, self.random.choice(QUEUES)
        plain = {"kind": PLAIN, "queue": queue, "rules": None, "priority": PRIORITIES[0]}
        if random.random() < 0.4:
            new = self.bundle(Sort.BATCH, self.around())
            jobs = [self.member((new.id, *new.parents), **plain) for _ in range(2)]
        else:
            new = self.bundle(Sort.WORKFLOW, self.around())
            jobs = [self.node((new.id, *new.parents), (), **plain)]
            jobs += [self.node((new.id, *new.parents), jobs[:1], **plain) for _ in range(2)]
        self.put(jobs, new)
        self.ask("set_queue", SetQueue(queue, paused=False))
        ends: list[Ending] = []
        for _ in range(3):
            before = len(self.leases)
            self.exchange_with(ends, self.request(8, lines=(Line((queue,)),), sure=True))
            mine = [one for one in self.leases[before:] if new.id in self.within(one.job_id)]
            ends = [self.end(one) for one in mine]
        self.tell(ends)
        self.count_opened()
        if random.random() < 0.6:
            finished = self.is_finished(new)
            self.retry_all([job.id for job in jobs])
            self.met["batch reopened"] += finished and not self.is_finished(new)

    def end(self, lease: Lease) -> Ending:
        """How a member ends, well in most cases."""
        good = succeeded(lease, b'{"run":%d}' % lease.run)
        return self.random.choice((*(good,) * 5, succeeded(lease), died(lease), cancelled(lease)))

    def is_finished(self, bundle: NewBundle) -> bool:
        """Whether it has, as the first store has it."""
        found: Sequence[Bundle] = self.look("bundles", [bundle.id])
        return any(one.finished_at is not None for one in found)

    def join(self) -> None:
        """More members, added by one of them or from elsewhere, in time or late."""
        random = self.random
        lease, within = None, random.choice([*self.groups.values()][-8:] or [None])
        added_by = [lease for lease in self.leases[-40:] if self.within(lease.job_id)]
        running = [lease for lease in added_by if self.holds(lease)]
        if added_by and random.random() < 0.7:
            lease = random.choice(random.choice((running, running, added_by)) or added_by)
            within = self.groups[self.within(lease.job_id)[0]]
        if within is None:
            return
        of = (within.id, *within.parents)
        answers = self.put([self.member(of) for _ in range(random.choice((1, 2)))], lease=lease)
        late = any(answer.late for answer in answers)
        self.met["late refused"] += late
        joined = any(not answer.duplicate and not answer.conflict for answer in answers)
        self.met["member joined"] += joined
        self.met["added by a member"] += joined and lease is not None

    def bundles(self) -> None:
        random, known = self.random, list(self.groups)
        some = random.sample(known, min(len(known), 3))
        if random.random() < 0.5:
            self.ask("bundles", [*some, "00000000-0000-7000-8000-000000000000"])
        else:
            cursor = random.choice([None, *some])
            self.ask("bundles", cursor=cursor, limit=random.choice((2, 100)))

    def members(self) -> None:
        """Members of one bundle, a page of them."""
        random = self.random
        known = list(self.groups)[-12:] or ["00000000-0000-7000-8000-000000000000"]
        bundle = random.choice(known)
        ids = [job_id for job_id in self.made if bundle in self.within(job_id)]
        after, live = random.choice(["", "", *ids]), random.random() < 0.5
        self.ask("members", bundle, live=live, after=after, limit=random.choice((2, 1000)))

    def every_bundle(self) -> None:
        """Compare all, count what has come to pass, and recount who is live."""
        found: Sequence[Bundle] = self.ask("bundles", limit=100_000)
        for bundle in found:
            before = self._seen.get(bundle.id)
            told = 0 if before is None else before.told
            self.met["batch finished"] += bundle.finished_at is not None and (
                before is None or before.finished_at is None
            )
            for name, bit in _TOLD:
                self.met[f"{name} told"] += bool(bundle.told & bit & ~told)
            live: Sequence[str] = self.look("members", bundle.id, live=True)
            assert bundle.live == len(live), f"{bundle}: live are {live}"
            self._seen[bundle.id] = bundle
        self.met["batch gone"] += len(self._seen.keys() - {bundle.id for bundle in found})
        self._seen = {bundle.id: bundle for bundle in found}
        self.count_opened()

    def count_opened(self) -> None:
        """Note which of those that waited for others go on, or ended for want of them."""
        waited = {one for one, job in self.made.items() if job.state is JobState.WAITING}
        for record in self.records(sorted(waited - self._opened)).values():
            if record.state is JobState.WAITING:
                continue
            self._opened.add(record.id)
            doomed = (record.reason or "").startswith(DEPENDENCY)
            self.met["cancelled by a dead dependency"] += doomed and record.state in ENDED
            self.met["dependent released"] += record.state not in ENDED or record.run > 0
            self.met["output taken"] += record.payload != self.made[record.id].payload

    # --- parts ---

    def put(
        self, jobs: Sequence[NewJob], *new: NewBundle, lease: Lease | None = None
    ) -> Sequence[Inserted]:
        """Store jobs together with what they belong to."""
        together = Together(new, lease)
        answers: Sequence[Inserted] = self.ask("insert", jobs, together)
        if any(answer.conflict for answer in answers):
            return answers
        if self.random.random() < 0.15:
            self.ask("insert", jobs, together)
            self.met["stored again"] += 1
        self.groups |= {bundle.id: bundle for bundle in new}
        for job, answer in zip(jobs, answers, strict=True):
            if not answer.duplicate:
                self.made[job.id] = job
        for bundle in new:
            calls = (bundle.on_success, bundle.on_complete, bundle.on_death)
            self.follow |= {job.id: None for job in calls if job is not None}
        return answers

    def bundle(self, sort: Sort, parents: tuple[str, ...]) -> NewBundle:
        """One not yet stored, with some of the callbacks if it is a batch."""
        names = ("on_success", "on_complete", "on_death") if sort is Sort.BATCH else ()
        called = {
            name: self.new(kind=PLAIN, rules=None, queue=self.random.choice(QUEUES))
            for name in names
            if self.random.random() < 0.8
        }
        return NewBundle(
            id=self.new_id(),
            name=f"{sort} {len(self.groups)}",
            sort=sort,
            created_at=self.now,
            parents=parents,
            **called,
        )

    def around(self) -> tuple[str, ...]:
        """The batches in which a new bundle lies: none, or an open one and those around it."""
        open_ = [
            bundle.new
            for bundle in self.look("bundles", list(self.groups)[-8:])
            if bundle.finished_at is None and bundle.new.sort is Sort.BATCH
        ]
        if not open_ or self.random.random() < 0.6:
            return ()
        outer = self.random.choice(open_)
        self.met["batch in a batch"] += 1
        return (outer.id, *outer.parents)

    def member(self, within: tuple[str, ...], **fields: Any) -> NewJob:
        """A job of a bundle and those around it, not yet stored."""
        job = self.new(**fields)
        rules = msgspec.structs.replace(job.rules or _NONE, bundles=within)
        return msgspec.structs.replace(job, rules=rules)

    def node(self, within: tuple[str, ...], before: Sequence[NewJob], **fields: Any) -> NewJob:
        """A job that waits for others, some of whose results it takes."""
        random = self.random
        edges = tuple(After(one.id, takes=random.random() < 0.6) for one in before)
        outputs = ",".join(f'"{marker(edge.job_id)}"' for edge in edges if edge.takes)
        later = {"scheduled_at": self.now + 17 * SECOND} if random.random() < 0.15 else {}
        job = self.member(within, **(fields or later))
        # What waits for a job must be able to find it: it is not left out for a key that is held.
        rules = msgspec.structs.replace(
            job.rules or _NONE, hold=None, after=edges, cascade=random.random() < 0.4
        )
        given: dict[str, Any] = {"rules": rules}
        if edges:
            given["state"] = JobState.WAITING
        if outputs:
            given["payload"] = f'{{"v":1,"args":[{outputs}],"kwargs":{{}}}}'.encode()
        return msgspec.structs.replace(job, **given)

    def holds(self, lease: Lease) -> bool:
        """Whether a run goes on, as the first store has it."""
        record = self.records([lease.job_id]).get(lease.job_id)
        return record is not None and (
            (record.state, record.claimed_by, record.run)
            == (JobState.RUNNING, lease.process_id, lease.run)
        )

    def within(self, job_id: str) -> tuple[str, ...]:
        """What a job belongs to, the innermost first."""
        job = self.made.get(job_id)
        return () if job is None or job.rules is None else job.rules.bundles
