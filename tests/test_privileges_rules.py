"""Programs that only enqueue store jobs with rules, under exactly the documented rights."""

from typing import Any

import pytest

from longshore import Concurrency, Longshore, Rate, Unique
from longshore.core.model import JobState
from longshore.errors import StoreUnwritable, UniqueHeld
from tests import test_privileges
from tests.test_privileges import Roles, migrated

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

roles = test_privileges.roles
acl = test_privileges.acl


def test_who_only_enqueues_enqueues_jobs_with_rules(roles: Roles) -> None:
    migrated(roles)
    web, worker = Longshore(roles.url("web")), Longshore(roles.url("worker"))
    jobs = stores_what_is_ruled(web)
    # What changes a job that is stored is no enqueueing.
    with pytest.raises(StoreUnwritable, match=r"least-privilege\.md"):
        jobs["newest"].enqueue(1)
    web.close()
    runs_what_is_ruled(worker)


def test_who_only_enqueues_on_redis_enqueues_jobs_with_rules_and_follows_them(acl: Roles) -> None:
    web = Longshore(acl.url("web"), prefix=acl.prefix)
    once = stores_what_is_ruled(web)["once"].enqueue(99)
    runs_what_is_ruled(Longshore(acl.url("worker"), prefix=acl.prefix))
    assert once.refresh().state is JobState.SUCCEEDED
    assert once.result(timeout=20) is None
    web.close()


def stores_what_is_ruled(web: Longshore) -> dict[str, Any]:
    jobs = ruled(web)
    for name in ("limited", "rated", "turns"):
        assert not jobs[name].enqueue(1).is_duplicate
        assert len(web.enqueue_many(jobs[name].bind(n % 3) for n in range(40))) == 40
    for name in ("once", "strict", "short", "started"):
        assert not jobs[name].enqueue(1).is_duplicate
        assert len(web.enqueue_many(jobs[name].bind(n) for n in range(10, 50))) == 40
    for name in ("once", "started"):
        assert jobs[name].enqueue(1).is_duplicate
        many = web.enqueue_many(jobs[name].bind(n) for n in range(40, 60))
        assert [one.is_duplicate for one in many] == [True] * 10 + [False] * 10
    with pytest.raises(UniqueHeld):
        jobs["strict"].enqueue(1)
    assert not jobs["short"].enqueue(1).is_duplicate, "its time is over"
    assert not jobs["newest"].enqueue(1).is_duplicate
    return jobs


def runs_what_is_ruled(worker: Longshore) -> None:
    ruled(worker)
    worker.worker(threads=4).run(until_empty=True)
    assert worker.query.filter(state="dead").count() == 0
    assert worker.query.filter(state="succeeded").count() > 200
    worker.close()


def ruled(app: Longshore) -> dict[str, Any]:
    """Jobs with a rule each, by name."""
    rules: dict[str, dict[str, Any]] = {
        "limited": {"concurrency": Concurrency(to=4, key="number")},
        "rated": {"rate": Rate(1000, per="1s")},
        "turns": {"fair_by": "number"},
        "once": {"unique": Unique()},
        "started": {"unique": Unique(until="started")},
        "strict": {"unique": Unique(on_conflict="raise")},
        "short": {"unique": Unique(ttl=0.001)},
        "newest": {"unique": Unique(on_conflict="replace")},
    }

    def work(number: int) -> None: ...

    return {name: app.job(kind=name, **rule)(work) for name, rule in rules.items()}
