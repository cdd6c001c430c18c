"""Slots: whatever ends a run gives its slot back, once, to the next in the order."""

from __future__ import annotations

import threading
from collections import Counter
from itertools import cycle

import pytest

from longshore.core.limits import Hold, Limit, OnConflict, Rules
from longshore.core.model import ENDED, Claimed, Ending, Lease
from longshore.core.store import Line
from longshore.testing.conformance.bench import (
    HOUR,
    LEASE,
    MINUTE,
    Bench,
    died,
    failed,
    lease_of,
    released,
    succeeded,
)
from longshore.testing.conformance.restraint import (
    ACCOUNT,
    BACK,
    GONE,
    HOST,
    OTHER_ACCOUNT,
    PLENTY,
    count_slots,
    limited,
    offer,
    pause,
    used,
)


class SlotConformance:
    """Whatever ends a run gives its slot back, once."""

    @pytest.mark.parametrize("way", GONE)
    def test_when_a_run_ends_the_next_starts(self, bench: Bench, way: str) -> None:
        _, second, third = bench.add(3, rules=limited(ACCOUNT, HOST))
        bench.process("p2", lease=HOUR)
        bench.process("p1")
        lease = bench.lease("p1")
        assert bench.taken("p2") == []
        GONE[way](bench, lease)
        assert used(bench) == 0
        assert bench.taken("p2") == [second]
        assert (used(bench, ACCOUNT), used(bench, HOST)) == (1, 1)
        bench.finish(succeeded(Lease(second, "p2", 1)))
        assert bench.taken("p2") == [third]

    @pytest.mark.parametrize("way", BACK)
    def test_a_job_that_comes_back_is_the_first_again(self, bench: Bench, way: str) -> None:
        first, second = bench.add(2, rules=limited(ACCOUNT, HOST))
        bench.process("p2", lease=HOUR)
        bench.process("p1")
        lease = bench.lease("p1")
        assert bench.taken("p2") == []
        BACK[way](bench, lease)
        assert used(bench) == 0
        assert bench.taken("p2") == [first]
        assert used(bench, HOST) == 1
        bench.finish(succeeded(Lease(first, "p2", 2)))
        assert bench.taken("p2") == [second]

    def test_an_ending_told_again_gives_nothing_back(self, bench: Bench) -> None:
        first, *_ = bench.add(4, rules=limited(ACCOUNT))
        bench.process()
        lease = bench.lease()
        assert lease.job_id == first
        assert bench.finish(succeeded(lease)) == {lease}
        next_ = bench.lease()
        assert bench.finish(succeeded(lease)) == {lease}
        bench.finish(succeeded(lease), failed(lease, bench.now), released(lease))
        assert bench.taken("p1") == []
        assert used(bench) == 1
        bench.finish(succeeded(next_), succeeded(next_))
        assert len(bench.taken("p1")) == 1

    def test_a_late_ending_gives_nothing_back(self, bench: Bench) -> None:
        first, _ = bench.add(2, rules=limited(ACCOUNT))
        bench.process("p1")
        bench.process("p2", lease=HOUR)
        late = bench.lease("p1")
        bench.pass_time(LEASE + 1)
        bench.rescue()
        assert bench.taken("p2") == [first]
        assert bench.finish(succeeded(late)) == frozenset()
        bench.rescue("p1", [late])
        bench.beat("p1", oldest=1_000)
        assert used(bench) == 1
        assert bench.taken("p2") == []

    def test_cancelling_a_running_job_gives_nothing_back_yet(self, bench: Bench) -> None:
        first, second = bench.add(2, rules=limited(ACCOUNT))
        bench.process()
        lease = bench.lease()
        bench.do(bench.store.cancel([first], "stop"))
        bench.do(bench.store.delete([first]))
        bench.do(bench.store.move([first], "far"))
        assert bench.taken("p1") == []
        assert used(bench) == 1
        bench.finish(succeeded(lease))
        assert bench.taken("p1") == [second]

    def test_a_slot_given_back_serves_every_queue(self, bench: Bench) -> None:
        bench.add(rules=limited(ACCOUNT), priority=-1)
        (mail,) = bench.add(rules=limited(ACCOUNT), queue="mail")
        (far,) = bench.add(rules=limited(ACCOUNT), queue="far")
        bench.process()
        lease = bench.lease()
        assert bench.taken("p1") == []
        bench.finish(succeeded(lease))
        assert bench.taken("p1", lines=[Line(("far",))]) == [far]
        assert bench.taken("p1", lines=[Line(("mail",))]) == []
        bench.finish(succeeded(Lease(far, "p1", 1)))
        assert bench.taken("p1", lines=[Line(("mail",))]) == [mail]

    @pytest.mark.parametrize(
        "way", ["cancel", "delete", "move", "replace", "expire", "block", "pause", "put off"]
    )
    def test_when_the_next_goes_another_way_the_one_after_it_starts(
        self, bench: Bench, way: str
    ) -> None:
        bench.add(rules=limited(ACCOUNT), priority=-1)
        bench.add(rules=limited(HOST), priority=-1, queue="far")
        held = Rules(Hold("key", on_conflict=OnConflict.REPLACE), (ACCOUNT, HOST))
        rules = held if way == "block" else Rules(held.hold, (ACCOUNT,))
        (next_,) = bench.add(rules=rules, kind="app.two", expires_at=bench.now + MINUTE)
        after = bench.add(2, rules=limited(ACCOUNT))
        bench.process(lease=HOUR)
        own = [Line(("default",))]
        (lease,) = [lease_of("p1", job) for job in bench.claim("p1", 1, lines=own).jobs]
        assert bench.taken("p1", lines=own) == []
        store = bench.store
        if way == "block":  # by the other limit of its
            bench.lease()
        bench.finish(succeeded(lease))
        match way:
            case "cancel":
                bench.do(store.cancel([next_], None))
            case "delete":
                bench.do(store.delete([next_]))
            case "move":
                bench.do(store.move([next_], "far"))
            case "replace":
                offer(bench, rules=Rules(held.hold), scheduled_at=bench.now + HOUR)
            case "put off":
                offer(bench, rules=held, scheduled_at=bench.now + HOUR)
            case "expire":
                bench.pass_time(2 * MINUTE)
            case "pause":
                pause(bench, "app.two")
            case _:
                pass
        assert bench.taken("p1", lines=own) == after[:1]
        count_slots(bench, bench.look())

    def test_slots_in_use_are_those_of_running_jobs(self, bench: Bench) -> None:
        names = (ACCOUNT, OTHER_ACCOUNT, HOST, Limit("wide", "", 3))
        for number in range(60):
            some = (names[number % 3], names[number % 2 + 2])
            bench.add(rules=limited(*dict.fromkeys(some)))

        def fail(lease: Lease) -> Ending:
            return failed(lease, bench.now)

        ends = cycle([succeeded, released, died, fail, succeeded])
        for process in ("p1", "p2"):
            bench.process(process, lease=HOUR)
        running: list[Lease] = []
        for turn in range(200):
            process = f"p{turn % 2 + 1}"
            endings: list[Ending] = [next(ends)(lease) for lease in running[: turn % 3]]
            del running[: len(endings)]
            request = bench.request(process, 2)
            claim = bench.drive(bench.store.exchange(endings, request)).claim
            running += [lease_of(process, job) for job in claim.jobs]
            if turn % 20 == 0:
                count_slots(bench, bench.look())
            if not running and not claim.jobs:
                break
        jobs = bench.look()
        assert {job.state for job in jobs.values()} <= ENDED
        count_slots(bench, jobs)

    def test_many_who_claim_at_once_stay_within_the_limit(self, bench: Bench) -> None:
        keys = ("7", "8")
        for number in range(48):
            bench.add(rules=limited(Limit("account", keys[number % 2], 2)))
        value = {job.id: job.rules.limits[0].value for job in bench.seen.values() if job.rules}
        store, guard, running, most = bench.store, threading.Lock(), Counter[str](), Counter[str]()
        ended: list[str] = []
        errors: list[BaseException] = []

        def work(process: str) -> None:
            mine: list[Claimed] = []
            try:
                for _ in range(2000):
                    jobs = store.run(store.claim(bench.request(process, 3))).jobs
                    with guard:
                        running.update(value[job.id] for job in jobs)
                        most.update({key: max(0, running[key] - most[key]) for key in keys})
                        # Before they are reported: nobody may start too early, only too late.
                        running.subtract(value[job.id] for job in mine)
                    store.run(store.finish([succeeded(lease_of(process, job)) for job in mine]))
                    ended.extend(job.id for job in mine)
                    # Kept while this process claims once more, and the others claim too.
                    mine = list(jobs)
                    if len(ended) == len(value):
                        return
            except BaseException as error:  # noqa: BLE001 - the test raises it where it is seen
                errors.append(error)

        names = [bench.process(f"p{number}", lease=HOUR) for number in range(4)]
        threads = [threading.Thread(target=work, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PLENTY)
        assert errors == []
        assert sorted(ended) == sorted(value)
        assert all(count <= 2 for count in most.values())
        count_slots(bench, bench.look())
