"""Redis and Valkey: in which order ended jobs go, and what is left of those that went otherwise.

What every store must do alike is in the conformance suite.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from longshore.core.store import ClaimRequest, Filter, Retention
from longshore.stores.clock import ManualClock
from tests import redis_tools
from tests.places import Place
from tests.redis_tools import key, open_at, succeeded
from tests.store_tools import EVERYTHING, job, register

pytestmark = pytest.mark.servers

where, client = redis_tools.where, redis_tools.client

HOUR = 3_600_000_000


class Kept:
    """A store that keeps what succeeded for an hour, and a process that runs its jobs."""

    def __init__(self, where: Place, client: Any) -> None:
        self.where, self.client, self.clock = where, client, ManualClock()
        self.store = open_at(where, retention=Retention(succeeded=HOUR), clock=self.clock)
        self._numbers = itertools.count(1)
        register(self.store, lease=1000 * HOUR)

    def key(self, name: str) -> str:
        return key(self.where, name)

    def end(self, jobs: int = 0, **fields: object) -> list[str]:
        """Store so many jobs, and let all that are available succeed in one report; their ids."""
        store = self.store
        store.run(store.insert([job(scheduled_at=1, **fields) for _ in range(jobs)]))
        request = ClaimRequest("p", next(self._numbers), 5000, EVERYTHING)
        got = store.run(store.claim(request)).jobs
        held = store.run(store.finish([succeeded(one.id, run=one.run) for one in got]))
        assert len(held) == len(got)
        return [one.id for one in got]

    def retry(self, ids: list[str]) -> None:
        assert set(self.store.run(self.store.retry(ids)).changed) == set(ids)

    def prune(self, limit: int = 100) -> int:
        return self.store.run(self.store.prune(limit))

    def there(self) -> set[str]:
        return {one.id for one in self.store.run(self.store.find(Filter(), limit=10_000)).records}

    def lists(self) -> dict[int, int]:
        """How long the list of each time is."""
        times = self.client.zrange(self.key("keeps"), 0, -1)
        assert self.client.exists(*(self.key(f"kept:{int(time)}") for time in times), "-") == len(
            times
        )
        return {int(time): self.client.llen(self.key(f"kept:{int(time)}")) for time in times}


@pytest.fixture
def kept(where: Place, client: Any) -> Iterator[Kept]:
    made = Kept(where, client)
    yield made
    made.store.close()


def test_plain_successes_stand_in_a_list_and_leave_nothing(kept: Kept) -> None:
    kept.end(3, keep_result=0)
    kept.end(2, keep_result=2 * HOUR)
    assert kept.lists() == {HOUR: 4, 2 * HOUR: 3}
    assert not kept.client.exists(kept.key("kept"))
    kept.clock.advance(HOUR)
    assert kept.prune() == 3
    assert kept.lists() == {2 * HOUR: 3}
    kept.clock.advance(HOUR)
    assert kept.prune() == 2
    assert (kept.lists(), kept.client.exists(kept.key("job"))) == ({}, 0)
    assert not kept.client.exists(kept.key(f"kept:{HOUR}"), kept.key(f"kept:{2 * HOUR}"))


def test_the_oldest_go_first_wherever_they_stand(kept: Kept) -> None:
    """Some stand as a release before this wrote them."""
    order: list[tuple[int, str]] = []
    for turn in range(12):
        time = HOUR + (turn * 7 % 4) * 1000
        for one in kept.end(2, keep_result=time):
            order.append((kept.clock.now() + time, one))
            if turn % 3 == 1:
                kept.client.rpop(kept.key(f"kept:{time}"))
                kept.client.zadd(kept.key("kept"), {one: kept.clock.now() + time})
        kept.clock.advance(500)
    kept.clock.advance(2 * HOUR)
    left = {one for _, one in order}
    times = sorted(till for till, _ in order)
    for limit in (1, 2, 3, 5, 4, 1, 6, 2):
        assert kept.prune(limit) == limit
        gone = left - kept.there()
        left -= gone
        assert sorted(till for till, one in order if one in gone) == times[:limit]
        del times[:limit]
    assert not left


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_a_list_goes_on_where_it_was_left(kept: Kept, limit: int) -> None:
    for _ in range(3):
        kept.end(3, keep_result=0)
        kept.clock.advance(1000)
    kept.clock.advance(HOUR - 2001)
    first = list(iter(lambda: kept.prune(limit), 0))
    assert sum(first) == 3, "the second report is not due for a microsecond"
    kept.clock.advance(1)
    second = list(iter(lambda: kept.prune(limit), 0))
    assert sum(second) == 3
    assert max(first + second) == min(limit, 3)


def test_what_went_otherwise_is_not_counted_and_keeps_no_other(kept: Kept) -> None:
    first = kept.end(30, keep_result=0)
    kept.store.run(kept.store.delete(first[:10]))
    kept.retry(first[10:20])
    kept.clock.advance(1000)
    assert set(kept.end()) == set(first[10:20])
    kept.retry(first[20:29])
    kept.clock.advance(HOUR - 1000)
    assert kept.prune(10) == 1
    assert kept.there() == set(first[10:29])
    kept.clock.advance(1000)
    assert kept.prune() == 10
    assert kept.there() == set(first[20:29])
    assert kept.lists() == {}


def test_one_that_ended_twice_in_one_moment_goes_once(kept: Kept) -> None:
    first = kept.end(1, keep_result=0)
    kept.retry(first)
    assert kept.end() == first
    kept.clock.advance(HOUR)
    assert kept.prune() == 1
    assert kept.there() == set()
    assert kept.store.run(kept.store.queues()) == ()


def test_one_that_was_cancelled_after_it_had_succeeded_is_kept_as_those_are(kept: Kept) -> None:
    first = kept.end(1, keep_result=0)
    kept.retry(first)
    kept.store.run(kept.store.cancel(first, None))
    kept.clock.advance(HOUR)
    assert kept.prune() == 0
    assert kept.there() == set(first)
