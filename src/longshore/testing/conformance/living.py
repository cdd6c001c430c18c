"""Living: a store from its tables to its end, used by many at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter

import pytest

from longshore.core.model import JobState
from longshore.core.store import Filter, Store
from longshore.errors import ClientClosed
from longshore.testing.conformance.bench import (
    HOUR,
    Bench,
    lease_of,
    one_of_each,
    succeeded,
)

#: Longer than any wait in these tests takes, seconds.
PLENTY = 20.0


class LifeConformance:
    """Tables, threads, tasks, waits and the end."""

    def test_tables_are_up_to_date_and_stay_so(self, bench: Bench) -> None:
        status = bench.store.schema()
        assert (status.pending, status.unknown) == ((), ())
        assert bench.store.migrate() == ()
        assert bench.store.schema() == status

    def test_tables_are_as_their_migrations_make_them(self, bench: Bench) -> None:
        one_of_each(bench)
        assert bench.store.verify() == ()
        assert tuple(one.name for one in bench.store.script()) == bench.store.schema().applied

    def test_a_store_says_what_and_where_it_is(self, bench: Bench) -> None:
        assert bench.store.name
        assert bench.store.address

    def test_a_closed_store_refuses_and_may_be_closed_again(self, bench: Bench) -> None:
        store = bench.store
        op = store.find(Filter(), limit=1)
        bench.do(op)
        store.close()
        with pytest.raises(ClientClosed):
            store.run(op)
        store.close()

    def test_many_threads_share_every_job_once(self, bench: Bench) -> None:
        jobs = bench.add(120)
        ran: list[str] = []
        errors: list[BaseException] = []

        def drain(process: str) -> None:
            try:
                while taken := take_three(bench, process):
                    ran.extend(taken)
            except BaseException as error:  # noqa: BLE001 - the test raises it where it is seen
                errors.append(error)

        processes = [bench.process(f"p{number}", lease=HOUR) for number in range(4)]
        threads = [threading.Thread(target=drain, args=(process,)) for process in processes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PLENTY)
        assert not any(thread.is_alive() for thread in threads)
        assert errors == []
        assert sorted(ran) == jobs
        assert {record.state for record in bench.look().values()} == {JobState.SUCCEEDED}

    def test_many_tasks_share_every_job_once(self, bench: Bench) -> None:
        jobs = bench.add(60)
        processes = [bench.process(f"p{number}", lease=HOUR) for number in range(4)]
        ran = asyncio.run(drain_together(bench, processes))
        assert Counter(ran) == Counter(jobs)
        assert {record.state for record in bench.look().values()} == {JobState.SUCCEEDED}

    def test_a_wait_ends_when_it_is_told_to(self, bench: Bench) -> None:
        watch = bench.store.watch()
        began = time.monotonic()
        watch.wake()
        watch.wait(PLENTY)
        waiter = threading.Thread(target=watch.wait, args=(PLENTY,))
        waiter.start()
        watch.wake()
        waiter.join(PLENTY)
        assert time.monotonic() - began < PLENTY / 2
        watch.close()

    def test_a_wait_lasts_no_longer_than_asked(self, bench: Bench) -> None:
        watch = bench.store.watch()
        began = time.monotonic()
        watch.wait(0.01)
        assert time.monotonic() - began < PLENTY / 2
        watch.close()


def take_three(bench: Bench, process: str) -> list[str]:
    """Claim and end up to three jobs."""
    store: Store = bench.store
    jobs = store.run(store.claim(bench.request(process, 3))).jobs
    held = store.run(store.finish([succeeded(lease_of(process, job)) for job in jobs]))
    assert len(held) == len(jobs)
    return [job.id for job in jobs]


async def drain_together(bench: Bench, processes: list[str]) -> list[str]:
    """Claim and end everything, each process in a task of its own."""
    store: Store = bench.store
    ran: list[str] = []

    async def drain(process: str) -> None:
        while jobs := (await store.arun(store.claim(bench.request(process, 3)))).jobs:
            endings = [succeeded(lease_of(process, job)) for job in jobs]
            held = await store.arun(store.finish(endings))
            assert len(held) == len(jobs)
            ran.extend(job.id for job in jobs)

    await asyncio.gather(*(drain(process) for process in processes))
    return ran
