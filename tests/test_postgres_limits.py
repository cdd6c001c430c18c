"""A PostgreSQL database: unique keys, limits and turns where several write at once, and plans.

What every store must do alike is in the conformance suite.
"""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from longshore.core.limits import Fair, Hold, Limit, OnConflict, Rules
from longshore.core.model import Ending, JobState, Lease
from longshore.core.store import ClaimRequest, Filter, Line
from longshore.core.store_url import parse_url
from longshore.stores.clock import ManualClock
from longshore.stores.postgres.store import PostgresStore
from tests import postgres_tools
from tests.places import Place, place, postgres
from tests.postgres_tools import PLENTY, over
from tests.store_tools import EVERYTHING, claim, job, register

pytestmark = pytest.mark.servers

where = postgres_tools.where
store = postgres_tools.store
look = postgres_tools.look

ONE_AT_ONCE = Rules(limits=(Limit("account", "7", to=1),))
UNIQUE = Rules(hold=Hold("key"))


# --- unique ---


def test_a_unique_job_is_stored_or_answered_in_one_statement(where: Place) -> None:
    said: list[tuple[str, int]] = []
    store = PostgresStore(where.url, on_statement=lambda name, number: said.append((name, number)))
    store.migrate()
    first, second = (job(fresh=True, rules=UNIQUE) for _ in range(2))
    refused = job(fresh=True, rules=Rules(hold=Hold("key", on_conflict=OnConflict.RAISE)))
    answers = [store.run(store.insert([new]))[0] for new in (first, second, refused)]
    assert [(answer.id, answer.held) for answer in answers] == [
        (first.id, False),
        (first.id, True),
        (first.id, True),
    ]
    assert [answer.conflict for answer in answers] == [False, False, True]
    assert said == [("insert", 1), ("insert", 0)] * 3
    store.close()


def test_a_hold_whose_time_is_over_goes_to_the_next_at_once(where: Place) -> None:
    clock = ManualClock()
    store = PostgresStore(where.url, clock=clock)
    store.migrate()
    rules = Rules(hold=Hold("key", ttl=1000))
    first, second, third = (job(fresh=True, rules=rules) for _ in range(3))
    assert not store.run(store.insert([first]))[0].held
    clock.advance(999)
    assert store.run(store.insert([second]))[0].id == first.id
    clock.advance(1)
    assert not store.run(store.insert([second]))[0].held
    assert store.run(store.insert([third]))[0].id == second.id
    store.close()


def test_who_has_expired_loses_its_key_to_the_next_at_once(where: Place) -> None:
    clock = ManualClock()
    store = PostgresStore(where.url, clock=clock)
    store.migrate()
    rules = Rules(hold=Hold("key"))
    first = job(fresh=True, rules=rules, expires_at=clock.wall_us() + 1000)
    second, third = (job(fresh=True, rules=rules) for _ in range(2))
    assert not store.run(store.insert([first]))[0].held
    clock.advance(999)
    assert store.run(store.insert([second]))[0].id == first.id
    clock.advance(1)
    assert not store.run(store.insert([second]))[0].held
    assert store.run(store.insert([third]))[0].id == second.id
    store.close()


@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize(("jobs", "fresh"), [(1, True), (1, False), (2, True), (300, True)])
def test_an_equal_unique_key_in_an_open_transaction_is_waited_for(
    where: Place, look: psycopg.Connection[Any], end: str, jobs: int, *, fresh: bool
) -> None:
    store = PostgresStore(where.url)
    store.migrate()
    first = job(rules=UNIQUE)
    new = [job(rules=UNIQUE, fresh=fresh), *(job(fresh=fresh) for _ in range(jobs - 1))]
    with contextlib.closing(postgres(parse_url(where.url))) as connection:
        connection.execute("begin")
        over(connection, store.insert([first]))
        answers: list[Any] = []
        waiter = threading.Thread(target=lambda: answers.extend(store.run(store.insert(new))))
        waiter.start()
        until(lambda: waiting(look) == 1)
        assert answers == []
        connection.execute(end)
        waiter.join(PLENTY)
    held = end == "commit"
    assert len(answers) == jobs
    assert (answers[0].id, answers[0].held) == ((first if held else new[0]).id, held)
    assert not any(answer.held for answer in answers[1:])
    assert sum(counted.jobs for counted in store.run(store.count(Filter()))) == jobs
    store.close()


def test_transactions_that_enqueue_for_the_same_tenant_do_not_wait(
    store: PostgresStore, where: Place
) -> None:
    store.migrate()
    rules = Rules(limits=(Limit("account", "7", 1), Limit("mail", "7", 10, 60)), fair=Fair("=7"))
    numbers = itertools.count()

    def alike(**fields: object) -> Any:
        hold = Hold(f"key {next(numbers)}")
        restrained = Rules(hold, rules.limits, rules.fair)
        return job(identity="same", rules=restrained, **fields)

    first, second = (postgres(parse_url(where.url)) for _ in range(2))
    with contextlib.closing(first), contextlib.closing(second):
        for connection in (first, second):
            connection.execute("begin; set local lock_timeout = '1ms'")
            for jobs in ([alike()], [alike(), alike()], [alike(fresh=True) for _ in range(300)]):
                assert len(over(connection, store.insert(jobs))) == len(jobs)
        first.execute("commit")
        second.execute("commit")
    assert sum(counted.jobs for counted in store.run(store.count(Filter()))) == 606


def test_many_that_store_the_same_keys_in_any_order_are_all_answered(
    store: PostgresStore, where: Place
) -> None:
    store.migrate()
    keys = [f"key {number}" for number in range(40)]
    answers: list[Any] = []

    def enqueue(shift: int) -> None:
        mine = PostgresStore(where.url)
        turned = keys[shift:] + keys[:shift]
        answers.append(mine.run(mine.insert([job(rules=Rules(hold=Hold(k))) for k in turned])))
        mine.close()

    together(*(lambda shift=shift: enqueue(shift) for shift in range(0, 40, 5)))
    assert [len(given) for given in answers] == [40] * 8
    assert len({one.id for given in answers for one in given}) == 40
    assert sum(counted.jobs for counted in store.run(store.count(Filter()))) == 40


# --- several that claim at once ---


@pytest.mark.parametrize("kind", ["postgres18", "pgbouncer"])
def test_no_more_run_than_a_limit_allows_however_many_claim(kind: str, tmp_path: Any) -> None:
    with place(kind, tmp_path) as where:
        store = PostgresStore(where.url)
        store.migrate()
        limits = [
            (Limit("a", str(n % 3), to=2), Limit("b", str(n % 2), to=3))[:: 1 if n % 5 else -1]
            for n in range(240)
        ]
        new = [job(queue=f"q{n % 2}", rules=Rules(limits=limit)) for n, limit in enumerate(limits)]
        store.run(store.insert(new))
        of = {one.id: [limit.key for limit in one.rules.limits] for one in new}
        most = {f"c:a:{n}:".rstrip(":"): 2 for n in range(3)} | {f"c:b:{n}": 3 for n in range(2)}
        tally = Tally(most)
        together(*(lambda n=n: drain(where, f"p{n}", of, tally) for n in range(6)))
        assert sorted(tally.ran) == sorted(of)
        assert tally.broken == []
        counted = store.run(store.count(Filter()))
        assert {c.state: c.jobs for c in counted if c.queue == "q0"} == {JobState.SUCCEEDED: 120}
        store.close()


def test_turns_are_taken_one_after_the_other_however_many_claim(
    store: PostgresStore, where: Place
) -> None:
    store.migrate()
    big = [job(rules=Rules(fair=Fair("=big"))) for _ in range(60)]
    small = [job(rules=Rules(fair=Fair("=small"))) for _ in range(20)]
    store.run(store.insert([*big, *small]))
    order: list[str] = []
    lock = threading.Lock()

    def drain_one(name: str) -> None:
        mine = PostgresStore(where.url)
        register(mine, name)
        for number in itertools.count(1):
            with lock:  # what came first is known only if nobody else claims meanwhile
                given = mine.run(mine.claim(ClaimRequest(name, number, 2, EVERYTHING)))
                order.extend(one.id for one in given.jobs)
            if not given.jobs:
                break
        mine.close()

    together(*(lambda n=n: drain_one(f"p{n}") for n in range(4)))
    smalls = {one.id for one in small}
    assert sorted(order) == sorted(one.id for one in (*big, *small))
    assert sum(one in smalls for one in order[:40]) == 20, "every second one"


def test_claims_at_once_share_turns_and_every_job_once(store: PostgresStore, where: Place) -> None:
    store.migrate()
    new = [
        job(
            queue=f"q{n % 2}",
            rules=Rules(fair=Fair(f"={n % 7}"), limits=(Limit("x", str(n % 4), 3),)),
        )
        for n in range(200)
    ]
    store.run(store.insert(new))
    of = {one.id: [one.rules.limits[0].key] for one in new}
    tally = Tally({f"c:x:{n}": 3 for n in range(4)})
    together(*(lambda n=n: drain(where, f"p{n}", of, tally) for n in range(6)))
    assert sorted(tally.ran) == sorted(of)
    assert tally.broken == []


def test_orders_of_people_and_claims_do_not_stop_each_other(
    store: PostgresStore, where: Place
) -> None:
    store.migrate()
    limits = [(Limit("a", str(n % 2), to=2), Limit("b", "", to=3)) for n in range(120)]
    new = [job(rules=Rules(limits=limit)) for limit in limits]
    store.run(store.insert(new))
    ids = [one.id for one in new]
    of = {one.id: [limit.key for limit in one.rules.limits] for one in new}
    tally = Tally({"c:a:0": 2, "c:a:1": 2, "c:b:": 3})

    def order() -> None:
        mine = PostgresStore(where.url)
        for number in range(0, 40, 4):
            mine.run(mine.cancel(ids[number : number + 2], None))
            mine.run(mine.move(ids[number + 2 : number + 4], "other"))
            mine.run(mine.promote(10))
        mine.close()

    began = time.monotonic()
    together(order, *(lambda n=n: drain(where, f"p{n}", of, tally) for n in range(4)))
    assert tally.broken == []
    counted: dict[JobState, int] = {}
    for one in store.run(store.count(Filter())):
        counted[one.state] = counted.get(one.state, 0) + one.jobs
    assert sum(counted.values()) == 120
    assert set(counted) <= {JobState.SUCCEEDED, JobState.CANCELLED}
    assert time.monotonic() - began < PLENTY


def test_a_key_that_somebody_counts_is_left_alone_by_who_has_another(
    store: PostgresStore, look: psycopg.Connection[Any]
) -> None:
    register(store)
    numbers = {f"c:{letter}:": next(store.locked([f"c:{letter}:"])).params for letter in "ab"}
    low, high = sorted(numbers, key=lambda key: numbers[key]["numbers"])
    first, second, plain = (
        job(rules=Rules(limits=(Limit(key[2], "", to=1),)) if key else None)
        for key in (high, low, None)
    )
    store.run(store.insert([first]))
    assert claim(store, 1) == [first.id]
    store.run(store.insert([second, plain]))
    endings = [Ending(Lease(first.id, "p", 1), JobState.SUCCEEDED)]
    with look.transaction():
        look.execute(store.sql["lock"].text, numbers[low])
        given = store.run(store.exchange(endings, ClaimRequest("p", 2, 5, EVERYTHING))).claim
        assert [one.id for one in given.jobs] == [plain.id]
        assert given.due_in == 0, "it is to be asked for again at once"
    assert claim(store, 3) == [second.id]


def test_a_slot_that_another_has_claimed_is_given_back(
    store: PostgresStore, where: Place, look: psycopg.Connection[Any]
) -> None:
    register(store)
    new = [job(rules=ONE_AT_ONCE) for _ in range(4)]
    store.run(store.insert(new))
    # Something else that could be claimed with a report.
    store.run(store.insert([job(queue="z")]))
    mine = (Line((new[0].queue,)),)
    other = PostgresStore(where.url)
    for number, one in enumerate(new):
        assert claim(store, number * 3, lines=mine) == [one.id]
        assert claim(store, number * 3 + 1, lines=mine) == [], "the others wait for it"
        ending = [Ending(Lease(one.id, "p", 1), JobState.SUCCEEDED)]
        if number % 2:
            other.run(other.finish(ending))
        else:
            none = ClaimRequest("p", number * 3 + 2, 0, EVERYTHING)
            assert len(other.run(other.exchange(ending, none)).held) == 1
        assert look.execute("select count(*) from longshore_slot").fetchall() == [(0,)]
    other.close()


def test_a_free_slot_is_offered_in_every_queue(store: PostgresStore) -> None:
    register(store)
    first, *others = [job(queue=queue, rules=ONE_AT_ONCE) for queue in ("a", "b", "c", "d")]
    store.run(store.insert([first, *others]))
    assert claim(store, 1) == [first.id]
    store.run(store.finish([Ending(Lease(first.id, "p", 1), JobState.SUCCEEDED)]))
    records = store.run(store.get([one.id for one in others])).values()
    assert [record.blocked_by for record in records] == [None] * 3
    assert claim(store, 2, lines=(Line(("d",)),)) == [others[2].id]


def test_who_frees_a_slot_does_not_wait_for_a_person(
    where: Place, look: psycopg.Connection[Any]
) -> None:
    store = PostgresStore(f"{where.url}?options=-c%20lock_timeout%3D300ms")
    register(store)
    first, second = job(rules=ONE_AT_ONCE), job(rules=ONE_AT_ONCE)
    store.run(store.insert([first, second]))
    assert claim(store, 1) == [first.id]
    with look.transaction():
        look.execute("select from longshore_job where id = %s for update", [second.id])
        assert store.run(store.finish([Ending(Lease(first.id, "p", 1), JobState.SUCCEEDED)]))
    store.run(store.promote(10))
    assert claim(store, 2) == [second.id]
    store.close()


def test_every_claim_says_when_a_full_rate_opens(where: Place) -> None:
    clock = ManualClock()
    store = PostgresStore(where.url, clock=clock)
    register(store, lease=1_000_000_000)
    new = [job(rules=Rules(limits=(Limit("mail", "", to=1, per=60_000_000),))) for _ in range(2)]
    store.run(store.insert(new))
    given = [store.run(store.claim(ClaimRequest("p", n, 5, EVERYTHING))) for n in range(1, 6)]
    assert [len(one.jobs) for one in given] == [1, 0, 0, 0, 0]
    assert [one.due_in for one in given] == [60_000_000] * 5
    clock.advance(60_000_000)
    assert len(claim(store, 9)) == 1
    store.close()


class Tally:
    """Who runs now, by limit key; what was seen to be too many stays noted."""

    def __init__(self, most: dict[str, int]) -> None:
        self.most = most
        self.lock = threading.Lock()
        self.running: dict[str, int] = dict.fromkeys(most, 0)
        self.ran: list[str] = []
        self.broken: list[tuple[str, int]] = []

    def begin(self, job_id: str, keys: list[str]) -> None:
        with self.lock:
            self.ran.append(job_id)
            for key in keys:
                self.running[key] += 1
                if self.running[key] > self.most[key]:
                    self.broken.append((key, self.running[key]))

    def end(self, keys: list[str]) -> None:
        with self.lock:
            for key in keys:
                self.running[key] -= 1


def drain(where: Place, name: str, of: dict[str, list[str]], tally: Tally) -> None:
    """Claim and report until nothing is left."""
    mine = PostgresStore(where.url)
    register(mine, name, lease=60_000_000)
    endings: list[Ending] = []
    deadline = time.monotonic() + 2 * PLENTY
    for number in itertools.count(1):
        # Before the report: that is when others may begin.
        for ending in endings:
            tally.end(of[ending.lease.job_id])
        answer = mine.run(mine.exchange(endings, ClaimRequest(name, number, 3, EVERYTHING)))
        assert len(answer.held) == len(endings)
        for one in answer.claim.jobs:
            tally.begin(one.id, of[one.id])
        endings = [
            Ending(Lease(one.id, name, one.run), JobState.SUCCEEDED) for one in answer.claim.jobs
        ]
        if not endings and not live(mine):
            break
        assert time.monotonic() < deadline, "jobs are left that nobody gets"
    mine.close()


def live(store: PostgresStore) -> int:
    states = frozenset({JobState.AVAILABLE, JobState.RUNNING})
    return sum(counted.jobs for counted in store.run(store.count(Filter(states=states))))


# --- helpers ---


def waiting(look: psycopg.Connection[Any]) -> int:
    """In this database: beside it other tests wait in theirs."""
    row = look.execute(
        "select count(*) from pg_locks join pg_stat_activity using (pid)"
        " where not granted and datname = current_database()"
    ).fetchone()
    assert row is not None
    return int(row[0])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PLENTY
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


def together(*works: Callable[[], None]) -> None:
    """Run all at once; what one raises is raised here."""
    errors: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(3 * PLENTY)
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads)
