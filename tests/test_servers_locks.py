"""Who writes at the same time on a server does not wait for the other, and nobody is refused.

Each client has a store of its own, as processes on different machines have.
"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from longshore.core.limits import Limit, Rules
from longshore.core.model import ENDED, Ending, JobState, Lease
from longshore.core.store import ClaimRequest, Filter, Line, Store
from longshore.stores.clock import ManualClock
from longshore.testing.conformance import OnStatement
from tests.places import SQL_SERVERS, Place, each, place
from tests.store_tools import EVERYTHING, job, register
from tests.stores import opened

EVERY = each(*SQL_SERVERS)
CLIENTS = 8
PLENTY = 20.0


class Gate:
    """Holds an operation just before its commit until so many have come so far."""

    def __init__(self, operation: str, parties: int) -> None:
        self.operation = operation
        self.barrier = threading.Barrier(parties)

    def __call__(self, operation: str, number: int) -> None:
        if operation == self.operation and number == 0:
            self.barrier.wait(PLENTY)


class Together:
    """Threads whose errors are raised where they are joined."""

    def __init__(self, *works: Callable[[], object]) -> None:
        self.answers: list = []
        self.errors: list[BaseException] = []
        self.threads = [threading.Thread(target=self._run, args=(work,)) for work in works]
        for thread in self.threads:
            thread.start()

    def _run(self, work: Callable[[], object]) -> None:
        try:
            self.answers.append(work())
        except BaseException as error:  # noqa: BLE001 - raised where it is seen
            self.errors.append(error)

    def join(self) -> list:
        for thread in self.threads:
            thread.join(3 * PLENTY)
        assert not any(thread.is_alive() for thread in self.threads)
        if self.errors:
            raise self.errors[0]
        return self.answers


class Clients:
    """Stores in one place, made and closed together."""

    def __init__(self, where: Place) -> None:
        self.where = where
        self.made: list[Store] = []
        self.first = self.store()
        self.first.migrate()

    def store(self, hook: OnStatement | None = None) -> Store:
        store = opened(self.where)
        # What a client asks for at its first use is over before the test begins.
        store.run(store.count(Filter()))
        vars(store)["_on_statement"] = hook
        self.made.append(store)
        return store

    def close(self) -> None:
        for store in self.made:
            store.close()


@pytest.fixture(params=EVERY)
def clients(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Clients]:
    with place(request.param, tmp_path) as where:
        made = Clients(where)
        yield made
        made.close()


@pytest.mark.parametrize("bulk", [1, 200])
def test_open_transactions_that_enqueue_the_same_kind_do_not_wait_for_each_other(
    clients: Clients, bulk: int
) -> None:
    """Each is held open until the others are as far: one that waited would wait for ever."""
    gate = Gate("insert", 3)

    def insert() -> None:
        store = clients.store(gate)
        store.run(store.insert([job() for _ in range(bulk)]))

    Together(insert, insert, insert).join()
    counted = clients.first.run(clients.first.count(Filter()))
    assert [(c.state, c.jobs) for c in counted if c.jobs] == [(JobState.AVAILABLE, 3 * bulk)]


def test_of_eight_who_claim_at_once_each_gets_work(clients: Clients) -> None:
    """All eight claims are open at the same time, so none gets what another has taken."""
    first = clients.first
    first.run(first.insert([job() for _ in range(10 * CLIENTS)]))
    gate = Gate("claim", CLIENTS)

    def claim(name: str) -> list[str]:
        store = clients.store(gate)
        register(store, name)
        request = ClaimRequest(name, 1, 5, EVERYTHING)
        return [claimed.id for claimed in store.run(store.claim(request)).jobs]

    claims = Together(*(lambda n=n: claim(f"p{n}") for n in range(CLIENTS))).join()
    assert [len(ids) for ids in claims] == [5] * CLIENTS
    assert len({job_id for ids in claims for job_id in ids}) == 5 * CLIENTS


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", EVERY)
def test_a_rate_loses_nothing_to_the_jobs_that_it_admits(kind: str, tmp_path: Path) -> None:
    """The stamp of the next window is when the claim had its key, not when all was admitted."""
    clock, rate = ManualClock(), Limit("mail", "", 2, 1_000_000)
    with place(kind, tmp_path) as where:
        store = opened(where, clock=clock)
        store.migrate()
        store.run(store.insert([job(rules=Rules(limits=(rate,))) for _ in range(6)]))
        register(store)
        claims = [store.run(store.claim(ClaimRequest("p", 1, 10, EVERYTHING)))]
        clock.advance(1_000_000)
        asked: list[str] = []

        def tick(operation: str, number: int) -> None:
            clock.advance(1000 * (number > 0))
            asked.append(operation)

        vars(store)["_on_statement"] = tick
        claims.append(store.run(store.claim(ClaimRequest("p", 2, 10, EVERYTHING))))
        first, second = ({one.claimed_at for one in claim.jobs} for claim in claims)
        assert [len(claim.jobs) for claim in claims] == [2, 2]
        late = (second.pop() - first.pop() - 1_000_000) // 1000
        assert late <= 7 < len(asked) // 2, (late, asked)
        store.close()


def test_claimers_producers_and_people_meet_no_error(clients: Clients) -> None:
    """What the server refuses to one of two that met (a deadlock, a lock wait) is begun afresh."""
    first = [job() for _ in range(400)]
    later = [[job() for _ in range(10)] for _ in range(30)]
    clients.first.run(clients.first.insert(first))
    stored = threading.Event()

    def produce() -> list[str]:
        store = clients.store()
        for some in later:
            store.run(store.insert(some))
        stored.set()
        return []

    def consume(name: str) -> list[str]:
        store = clients.store()
        register(store, name, lease=600_000_000)
        ran: list[str] = []
        endings: list[Ending] = []
        claim_id = 0
        while True:
            claim_id += 1
            last = stored.is_set()
            request = ClaimRequest(name, claim_id, 5, EVERYTHING)
            answer = store.run(store.exchange(endings, request))
            assert len(answer.held) == len(endings)
            jobs = answer.claim.jobs
            endings = [Ending(Lease(one.id, name, one.run), JobState.SUCCEEDED) for one in jobs]
            ran += [one.id for one in jobs]
            if last and not jobs:
                return ran

    def cancel() -> list[str]:
        store = clients.store()
        gone: list[str] = []
        for n in range(0, len(first), 20):
            gone += store.run(store.cancel([one.id for one in first[n : n + 20]], "stop")).changed
        return gone

    consumers = (lambda n=n: consume(f"p{n}") for n in range(CLIENTS))
    answers = Together(produce, cancel, *consumers).join()
    every = sorted(one.id for one in [*first, *(one for some in later for one in some)])
    assert sorted(job_id for ids in answers for job_id in ids) == every
    counted = clients.first.run(clients.first.count(Filter()))
    assert sum(c.jobs for c in counted if c.state in ENDED) == len(every)
    assert not [c for c in counted if c.jobs and c.state not in ENDED]


def test_what_others_hold_of_many_queues_is_passed_over(clients: Clients) -> None:
    """The first jobs of all are being claimed; who looks sees them until that is committed."""
    hot = [job(queue="q000") for _ in range(60)]
    others = [job(queue=f"q{number:03}") for number in range(100)]
    clients.first.run(clients.first.insert([*hot, *others]))
    ids = [one.id for one in [*hot, *others]]
    holds, goes_on = threading.Event(), threading.Event()

    def hold(operation: str, number: int) -> None:
        if operation == "claim" and number == 0:
            holds.set()
            goes_on.wait(PLENTY)

    def claimed(store: Store, name: str, claim_id: int, wanted: int, *more: Line) -> list[str]:
        lines = (*EVERYTHING, *more)
        claim = store.run(store.claim(ClaimRequest(name, claim_id, wanted, lines)))
        return [one.id for one in claim.jobs]

    other = clients.store(hold)
    for name in ("p1", "p2"):
        register(clients.first, name)
    # Two lines are not tried in a statement of their own, which would be committed before.
    together = Together(lambda: claimed(other, "p1", 1, 25, Line(("none",))))
    try:
        assert holds.wait(PLENTY)
        mine = [claimed(clients.first, "p2", number + 1, 10) for number in range(3)]
        mine.append(claimed(clients.first, "p2", 4, 300))
    finally:
        goes_on.set()
    assert together.join() == [ids[:25]]
    assert mine == [ids[25:35], ids[35:45], ids[45:55], ids[55:]]
