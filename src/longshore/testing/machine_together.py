"""Rules of the state machine about jobs that belong together: batches, workflows, late members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, initialize, multiple, rule

from longshore.core.batches import NewBundle, Sort, Together, marker
from longshore.core.limits import After, Rules
from longshore.core.model import JobState, Lease, NewJob
from longshore.core.store import Line
from longshore.testing.machine_parts import SLOTS, Parts, agree
from longshore.testing.worlds import FIELDS

ENDS: Final = st.sampled_from(("succeeded",) * 5 + ("died", "cancelled", "failed"))
NO_RULES: Final = Rules()
#: For each node which of two before it it waits for, and whether it takes what they return.
WITHIN: Final = st.booleans()
EDGE: Final = st.tuples(st.sampled_from(((0,), (0, 1), ())), st.booleans(), st.booleans())
EDGES: Final = st.lists(EDGE, min_size=3, max_size=3)


class TogetherRules(Parts):
    """Storing, adding, telling twice."""

    jobs, leases = Parts.jobs, Parts.leases

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[tuple[Sequence[NewJob], Together]] = []

    @initialize(target=jobs, some=st.lists(FIELDS, min_size=2, max_size=3), edges=EDGES)
    def first_workflow(
        self, some: list[dict[str, Any]], edges: list[tuple[tuple[int, ...], bool, bool]]
    ) -> MultipleResults[str]:
        self.put([], Together((self.new_bundle(Sort.BATCH, within=False),)))
        return self.flow(some, edges, within=True)

    @rule(target=jobs, some=st.lists(FIELDS, max_size=3), within=WITHIN)
    def batch(self, some: list[dict[str, Any]], *, within: bool) -> MultipleResults[str]:
        callbacks = {
            name: self.bench.new(kind="app.job", queue="a", rules=self.ruled({}))
            for name in ("on_success", "on_complete", "on_death")
        }
        new = self.new_bundle(Sort.BATCH, within=within, **callbacks)
        self.put([self.member(fields, new) for fields in some], Together((new,)))
        return multiple(*(job.id for job in self.requests[-1][0]))

    @rule(
        target=jobs,
        some=st.lists(FIELDS, min_size=2, max_size=3),
        edges=EDGES,
        within=WITHIN,
    )
    def workflow(
        self,
        some: list[dict[str, Any]],
        edges: list[tuple[tuple[int, ...], bool, bool]],
        *,
        within: bool,
    ) -> MultipleResults[str]:
        return self.flow(some, edges, within=within)

    @rule(
        target=leases,
        slot=SLOTS,
        how=st.lists(ENDS, min_size=8, max_size=8),
        fields=FIELDS,
        adds=st.booleans(),
    )
    def work_off(
        self, slot: int, how: list[str], fields: dict[str, Any], *, adds: bool
    ) -> MultipleResults[Lease]:
        """Members that may start do, one of them adds another, and they end."""
        leases: list[Lease] = []
        for words in (how[:4], how[4:]):
            open_ = [one for one in self.model.bundles.all.values() if one.finished_at is None]
            ids = [job_id for one in open_[-1:] for job_id in one.members]
            some = [self.model.jobs[one] for one in ids if one in self.model.jobs]
            queues = [job.queue for job in some if job.state is JobState.AVAILABLE]
            if not queues:
                break
            claimed = self.claim_with(self.request(slot, 6, (Line((queues[0],)),)))
            leases += claimed.values
            mine = [lease for lease in claimed.values if lease.job_id in ids]
            if adds and mine:
                self.put([self.member(fields, open_[-1].new)], Together((), mine[0]))
                adds = False
            self.report([self.ending(*told) for told in zip(mine, words, strict=False)])
        return multiple(*leases)

    @rule(back=st.integers(1, 2))
    def live_again(self, back: int) -> None:
        """A person has all members run again that have ended."""
        known = list(self.model.bundles.all.values())
        if known:
            bundle = known[-min(back, len(known))]
            ids = [one for one, state in bundle.members.items() if state is not None]
            agree(self.bench.do(self.bench.store.retry(ids)), self.model.retry(ids))
            self.compare()

    def flow(
        self,
        some: list[dict[str, Any]],
        edges: list[tuple[tuple[int, ...], bool, bool]],
        *,
        within: bool,
    ) -> MultipleResults[str]:
        new = self.new_bundle(Sort.WORKFLOW, within=within)
        nodes: list[NewJob] = []
        for fields, (before, takes, cascade) in zip(some, edges, strict=False):
            after = tuple(After(nodes[at].id, takes) for at in before if at < len(nodes))
            nodes.append(self.node(fields, new, after, cascade=cascade))
        self.put(nodes, Together((new,)))
        return multiple(*(job.id for job in nodes))

    @rule(target=jobs, fields=FIELDS, lease=leases, by_member=st.booleans())
    def join(
        self, fields: dict[str, Any], lease: Lease, *, by_member: bool
    ) -> MultipleResults[str]:
        """One more, added under a lease of any age or from elsewhere, in time or late."""
        known = [together.bundles[0] for _, together in self.requests if together.bundles]
        adder = self.model.jobs.get(lease.job_id)
        mine = () if adder is None else adder.ruled.bundles
        some = [bundle for bundle in known if not by_member or bundle.id in mine[:1]]
        if not some:
            return multiple()
        job = self.member(fields, some[-1])
        self.put([job], Together((), lease if by_member else None))
        return multiple(job.id)

    @rule(back=st.integers(1, 3))
    def store_again(self, back: int) -> None:
        """A reply was lost: what has been stored is answered, whatever has become of it."""
        if self.requests:
            self.store(*self.requests[-min(back, len(self.requests))])

    @rule(back=st.integers(1, 3), live=st.booleans())
    def members(self, back: int, *, live: bool) -> None:
        known = list(self.model.bundles.all.values())
        if known:
            bundle = known[-min(back, len(known))]
            ids = [one for one, state in bundle.members.items() if not (live and state)]
            found = self.bench.do(self.bench.store.members(bundle.new.id, live=live))
            agree(list(found), sorted(ids))

    # --- parts ---

    def put(self, jobs: Sequence[NewJob], together: Together) -> None:
        self.requests.append((jobs, together))
        self.store(jobs, together)

    def new_bundle(self, sort: Sort, *, within: bool, **callbacks: Any) -> NewBundle:
        """One not yet stored, perhaps in the newest batch that has not finished."""
        known = [bundle.new for bundle in self.model.bundles.all.values()]
        around = [
            one for one in known if one.sort is Sort.BATCH and self.model.bundles.is_open(one.id)
        ]
        parents = (around[-1].id, *around[-1].parents) if around and within else ()
        return NewBundle(
            id=self.bench.new().id,
            name="import",
            sort=sort,
            created_at=self.bench.now,
            parents=parents,
            **callbacks,
        )

    def member(self, fields: dict[str, Any], bundle: NewBundle) -> NewJob:
        job = self.made(fields)
        within = (bundle.id, *bundle.parents)
        rules = msgspec.structs.replace(job.rules or NO_RULES, bundles=within)
        return msgspec.structs.replace(job, rules=rules)

    def node(
        self, fields: dict[str, Any], flow: NewBundle, after: tuple[After, ...], *, cascade: bool
    ) -> NewJob:
        job = self.member(fields, flow)
        # What waits for a job must find it: it is not left out for a key that is held.
        rules = msgspec.structs.replace(
            job.rules or NO_RULES, hold=None, after=after, cascade=cascade
        )
        given: dict[str, Any] = {"rules": rules}
        if after:
            given |= {"state": JobState.WAITING, "expires_at": None}
            outputs = ",".join(f'"{marker(one.job_id)}"' for one in after if one.takes)
            given["payload"] = f'{{"v":1,"args":[{outputs}]}}'.encode()
        return msgspec.structs.replace(job, **given)
