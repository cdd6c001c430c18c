"""Redis and Valkey: batches and workflows of more jobs than one request stores.

What every store must do alike is in the conformance suite.
"""

from collections.abc import Generator
from typing import Any

import pytest

from longshore.core.batches import NewBundle, Sort, Together
from longshore.core.limits import After, Hold, OnConflict, Rules
from longshore.core.model import JobState, NewJob
from longshore.core.store import Filter
from longshore.ids import new_id
from longshore.stores.redis import bundles
from longshore.stores.redis.store import RedisStore
from tests import redis_tools
from tests.redis_tools import succeeded
from tests.store_tools import claim, job, register

pytestmark = pytest.mark.servers

where, store, client = redis_tools.where, redis_tools.store, redis_tools.client


def flow() -> NewBundle:
    return NewBundle(id=new_id(), name="flow", sort=Sort.WORKFLOW, created_at=0)


def member(new: NewBundle, *after: NewJob, **rules: Any) -> NewJob:
    state = JobState.WAITING if after else JobState.AVAILABLE
    edges = tuple(After(one.id) for one in after)
    return job(state=state, rules=Rules(bundles=(new.id,), after=edges, **rules))


def test_a_job_whose_dependency_ended_before_it_was_stored_goes_on(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(store)
    new = flow()
    first = member(new)
    second = member(new, first)
    third = member(new, second)
    joined = bundles._joined

    def busy(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        answer = yield from joined(*args, **kwargs)
        if kwargs["more"]:
            for number in (1, 2):
                (ready,) = claim(store, claim_id=number, wanted=9)
                store.run(store.finish([succeeded(ready)]))
        return answer

    monkeypatch.setattr(bundles, "MOST", 2)
    monkeypatch.setattr(bundles, "_joined", busy)
    store.run(store.insert([first, second, third], Together((new,))))
    assert claim(store, claim_id=3, wanted=9) == [third.id]


def test_a_batch_in_parts_is_refused_before_anything_is_written(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "MOST", 2)
    held = job(rules=Rules(Hold("k")))
    store.run(store.insert([held]))
    new = flow()
    jobs = [
        *(member(new) for _ in range(4)),
        member(new, hold=Hold("k", on_conflict=OnConflict.RAISE)),
    ]
    answers = store.run(store.insert(jobs, Together((new,))))
    assert [one.conflict for one in answers] == [False] * 4 + [True]
    assert store.run(store.count(Filter()))[0].jobs == 1
    assert store.run(store.bundles([new.id])) == ()
    other = job(
        id=held.id, payload=b'{"v":1,"args":[9],"kwargs":{}}', rules=Rules(bundles=(new.id,))
    )
    answers = store.run(store.insert([*jobs[:4], other], Together((new,))))
    assert [one.conflict for one in answers] == [False] * 4 + [True]
    assert store.run(store.bundles([new.id])) == ()
