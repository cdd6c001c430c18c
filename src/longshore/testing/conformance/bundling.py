"""What the chapters on batches and workflows share: bundles to store and members to end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from longshore.core.batches import Bundle, NewBundle, Sort, Together, marker
from longshore.core.limits import After, Rules
from longshore.core.model import JobState, Lease, NewJob
from longshore.testing.conformance.bench import Bench, lease_of

CALLBACKS = ("on_success", "on_complete", "on_death")


def batch(bench: Bench, *parents: NewBundle, sort: Sort = Sort.BATCH, **fields: Any) -> NewBundle:
    """A batch not yet stored; in ``parents``, of which the first is the innermost.

    Its callbacks are jobs of the kinds ``on_success``, ``on_complete`` and ``on_death``.
    """
    given: dict[str, Any] = {
        "name": "import",
        "sort": sort,
        "created_at": bench.now,
        "parents": tuple(parent.id for parent in parents),
    }
    if sort is Sort.BATCH:
        given |= {name: bench.new(kind=name, queue="callbacks") for name in CALLBACKS}
    given["id"] = bench.new().id
    return NewBundle(**{**given, **fields})


def member(bench: Bench, *bundles: NewBundle, **fields: Any) -> NewJob:
    """A job that belongs to these, the innermost first, not yet stored."""
    rules = msgspec.structs.replace(
        fields.pop("rules", None) or Rules(), bundles=tuple(bundle.id for bundle in bundles)
    )
    return bench.new(**{"rules": rules, **fields})


def node(
    bench: Bench,
    flow: NewBundle,
    *after: NewJob,
    takes: Sequence[NewJob] = (),
    cascade: bool = False,
    **fields: Any,
) -> NewJob:
    """A job of a workflow that waits for others, and takes what some of them return."""
    edges = (
        *(After(job.id) for job in after),
        *(After(job.id, takes=True) for job in takes),
    )
    if takes:
        outputs = ",".join(f'"{marker(job.id)}"' for job in takes)
        fields["payload"] = f'{{"v":1,"args":[{outputs}],"kwargs":{{}}}}'.encode()
    rules = Rules(bundles=(flow.id,), after=edges, cascade=cascade)
    state = JobState.WAITING if edges else JobState.AVAILABLE
    return bench.new(**{"rules": rules, "state": state, **fields})


def store(bench: Bench, jobs: Sequence[NewJob], *new: NewBundle, lease: Lease | None = None) -> Any:
    """Store jobs together with what they belong to; the answers."""
    return bench.do(bench.store.insert(jobs, Together(new, lease)))


def read(bench: Bench, bundle: NewBundle) -> Bundle:
    """A bundle as it stands; its counts equal those of its members."""
    (found,) = bench.do(bench.store.bundles([bundle.id]))
    ids = bench.do(bench.store.members(bundle.id))
    states = [bench.seen[one].state if one in bench.seen else bench.state(one) for one in ids]
    assert found.live == len(bench.do(bench.store.members(bundle.id, live=True)))
    assert found.succeeded == states.count(JobState.SUCCEEDED)
    assert found.cancelled == states.count(JobState.CANCELLED)
    assert found.dead == states.count(JobState.DEAD)
    assert found.total == len(ids)
    return found


def fired(bench: Bench) -> list[str]:
    """The callbacks that there are, by their kinds, in the order of their names."""
    return sorted(record.kind for record in bench.seen.values() if record.queue == "callbacks")


def running(bench: Bench, process: str = "p1") -> dict[str, Lease]:
    """Claim all there is; the leases by job."""
    return {job.id: lease_of(process, job) for job in bench.claim(process, 1000).jobs}
