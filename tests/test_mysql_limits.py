"""A MariaDB or MySQL database: unique keys, limits and turns where several are at work at once.

What every store must do alike is in the conformance suite.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from longshore.core.limits import (
    TURN,
    Fair,
    Hold,
    Limit,
    OnConflict,
    Rules,
    SetLimit,
    Setting,
)
from longshore.core.model import Claimed, Ending, JobState, Lease, NewJob
from longshore.core.store import ClaimRequest, Filter, Retention, drive
from longshore.stores.mysql.core import FORGET_AFTER
from longshore.stores.mysql.execute import execute_on
from longshore.stores.mysql.store import MySQLStore
from longshore.stores.mysql.text import blocked_line, turns_line
from tests.mysql_tools import (
    EVERY,
    a_place,
    a_store,
    a_way_to_ask,
    a_way_to_open,
    drive_over,
    new,
    register,
)

pytestmark = pytest.mark.servers
FIXTURES = (a_place, a_store, a_way_to_ask, a_way_to_open)

PLENTY = 50
SECOND = 1_000_000

Ask = Callable[..., list[tuple[Any, ...]]]
Open = Callable[..., MySQLStore]


def unique(key: str, **fields: Any) -> NewJob:
    return new(rules=Rules(hold=Hold(key)), **fields)


def limited(*limits: Limit, **fields: Any) -> NewJob:
    return new(rules=Rules(limits=limits), **fields)


class TestUnique:
    def test_inserts_of_other_keys_wait_for_nobody(self, store: MySQLStore) -> None:
        """Nor where the keys have just been given up: their entries are still there."""
        keys = [f"key {number}" for number in range(10)]
        old = [unique(key) for key in keys]
        store.run(store.insert(old))
        store.run(store.delete([job.id for job in old]))
        connections = [store.connect(), store.connect()]
        for connection in connections:
            with connection.cursor() as cursor:
                cursor.execute("set session innodb_lock_wait_timeout = 1")
        jobs = [unique(key) for key in keys]
        for number, job in enumerate(jobs):
            (answer,) = drive_over(connections[number % 2], store.insert([job]))
            assert (answer.id, answer.held) == (job.id, False)
        for connection in connections:
            connection.commit()
            connection.close()
        assert store.run(store.get([job.id for job in jobs])).keys() == {job.id for job in jobs}

    @pytest.mark.parametrize("end", ["commit", "rollback"])
    @pytest.mark.parametrize("others", [0, 300])
    def test_an_equal_key_in_an_open_transaction_is_waited_for(
        self, store: MySQLStore, ask: Ask, end: str, others: int
    ) -> None:
        first, second = unique("key"), unique("key")
        connection = store.connect()
        drive_over(connection, store.insert([first]))
        answers: list[Any] = []
        jobs = [*(new() for _ in range(others)), second]
        waiter = threading.Thread(target=lambda: answers.extend(store.run(store.insert(jobs))))
        waiter.start()
        until(lambda: bool(waiting(ask)))
        assert answers == []
        getattr(connection, end)()
        connection.close()
        waiter.join(PLENTY)
        held = end == "commit"
        assert len(answers) == others + 1
        assert (answers[-1].id, answers[-1].held) == ((first if held else second).id, held)
        there = store.run(store.get([first.id, second.id]))
        assert there.keys() == {answers[-1].id}

    @pytest.mark.parametrize("conflict", OnConflict)
    def test_of_eight_at_once_one_holds_the_key(
        self, opened: Open, store: MySQLStore, conflict: OnConflict
    ) -> None:
        rules = Rules(hold=Hold("key", on_conflict=conflict))
        jobs = [new(rules=rules, payload=b'{"n":%d}' % number) for number in range(8)]
        line = threading.Barrier(8, timeout=30)

        def insert(number: int) -> Any:
            mine = opened()
            line.wait()
            return mine.run(mine.insert([jobs[number]]))[0]

        answers = at_once([lambda number=number: insert(number) for number in range(8)])
        assert len({answer.id for answer in answers}) == 1
        assert Counter(answer.held for answer in answers) == {False: 1, True: 7}
        assert sum(one.jobs for one in store.run(store.count(Filter()))) == 1
        assert {answer.replaced for answer in answers if answer.held} == {
            conflict is OnConflict.REPLACE
        }

    def test_who_ends_frees_the_key_for_one_of_those_who_want_it(
        self, opened: Open, store: MySQLStore, ask: Ask
    ) -> None:
        register(store, "p1")
        enqueued: list[str] = []

        def enqueue() -> None:
            mine = opened()
            for _ in range(40):
                (answer,) = mine.run(mine.insert([unique("key")]))
                if not answer.held:
                    enqueued.append(answer.id)

        ended: list[str] = []
        done = threading.Event()

        def work() -> None:
            endings: list[Ending] = []
            for number in range(1, 10_000):
                last = done.is_set()
                answer = store.run(store.exchange(endings, ClaimRequest("p1", number, 5, EVERY)))
                ended.extend(lease.job_id for lease in answer.held)
                jobs = answer.claim.jobs
                assert len(jobs) <= 1
                endings = [Ending(Lease(job.id, "p1", job.run), JobState.SUCCEEDED) for job in jobs]
                if last and not endings:
                    return

        worker = threading.Thread(target=lambda: at_once([work]))
        worker.start()
        at_once([enqueue] * 4)
        done.set()
        worker.join(PLENTY)
        assert sorted(ended) == sorted(enqueued)
        assert ask("select count(*) from longshore_hold") == [(0,)]

    def test_keys_differ_by_case_accents_and_spaces(self, store: MySQLStore) -> None:
        keys = ["a", "A", "ä", "a ", " a", "a\0", ""]
        jobs = [unique(key) for key in keys]
        assert [one.held for one in store.run(store.insert(jobs))] == [False] * len(keys)
        again = [unique(key) for key in keys]
        answers = store.run(store.insert(again))
        assert [one.id for one in answers] == [job.id for job in jobs]


class TestLimits:
    def test_keys_differ_by_case_accents_and_spaces(self, store: MySQLStore) -> None:
        values = ["a", "A", "ä", "a ", " a", "z" * 600]
        for value in values * 2:
            store.run(store.insert([limited(Limit("account", value, 1))]))
        register(store, "p1")
        claim = store.run(store.claim(ClaimRequest("p1", 1, 100, EVERY)))
        assert len(claim.jobs) == len(values)
        records = store.run(store.limits())
        assert [record.key for record in records] == [
            f"c:account:{value}" for value in sorted(values)
        ]
        assert {(record.used, record.blocked) for record in records} == {(1, 1)}

    def test_lines_are_the_same_here_and_in_the_server(self, store: MySQLStore, ask: Ask) -> None:
        key = "c:ä:\N{SLIGHTLY SMILING FACE} x"
        store.run(store.insert([new(rules=Rules(fair=Fair(key, TURN)))]))
        (job,) = store.run(store.insert([new(rules=Rules(fair=Fair(key, TURN)))]))
        (line,) = {line for (line,) in ask("select line from longshore_job")}
        assert line == turns_line("default", key)
        execute = store.sql["block"].many([(job.id, key)])
        connection = store.connect()
        execute_on(connection, execute)
        connection.commit()
        lines = {line for (line,) in ask("select line from longshore_job")}
        assert lines == {line, blocked_line(key, "default")}
        execute_on(connection, store.sql["admit"].many([(key, "default", 5)]))
        connection.commit()
        connection.close()
        assert {line for (line,) in ask("select line from longshore_job")} == {line}

    def test_a_plain_claim_takes_as_many_statements_as_ever(
        self, opened: Open, store: MySQLStore
    ) -> None:
        said: list[int] = []
        counted = opened(on_statement=lambda _, number: said.append(number))
        store.run(store.set_limit(SetLimit("account", Setting(5))))
        store.run(store.insert([new() for _ in range(30)]))
        store.run(store.insert([new(rules=Rules(at_most_once=True)) for _ in range(10)]))
        register(store, "p1")
        counted.run(counted.claim(ClaimRequest("p1", 1, 10, EVERY)))
        # A look, where each queue begins, the jobs, their runs.
        assert said == [1, 2, 3, 4, 0]

    def test_a_claim_does_not_read_what_waits_for_a_key(self, store: MySQLStore, ask: Ask) -> None:
        store.run(store.insert([limited(Limit("account", "", 1)) for _ in range(3000)]))
        last = new(scheduled_at=2_000_000)
        store.run(store.insert([last]))
        register(store, "p1")
        taken: list[str] = []
        for number in range(1, 6):
            claim = store.run(store.claim(ClaimRequest("p1", number, 10, EVERY)))
            taken += [job.id for job in claim.jobs]
        assert len(taken) == 2
        assert taken[1] == last.id
        ask("analyze table longshore_job")
        connection = store.connect()
        with connection.cursor() as cursor:
            cursor.execute("flush status")
            claim = store.claim(ClaimRequest("p1", 9, 10, EVERY))
            assert drive(claim, lambda one: execute_on(connection, one)).jobs == ()
            ending = Ending(Lease(taken[0], "p1", 1), JobState.SUCCEEDED)
            drive(store.finish([ending]), lambda one: execute_on(connection, one))
            cursor.execute("show session status like 'Handler_read%'")
            reads = {name: int(value) for name, value in cursor.fetchall()}
        connection.commit()
        connection.close()
        assert sum(reads.values()) < 200, reads
        claim = store.run(store.claim(ClaimRequest("p1", 10, 10, EVERY)))
        assert len(claim.jobs) == 1

    def test_two_claims_do_not_both_count_a_key_as_free(
        self, opened: Open, store: MySQLStore, ask: Ask
    ) -> None:
        store.run(store.insert([limited(Limit("account", "", 1)) for _ in range(2)]))
        for name in ("p1", "p2"):
            register(store, name)
        connection = store.connect()
        claim = store.claim(ClaimRequest("p1", 1, 1, EVERY))
        (first,) = drive(claim, lambda one: execute_on(connection, one)).jobs
        other = opened()
        claims: list[Any] = []
        claimer = threading.Thread(
            target=lambda: claims.append(other.run(other.claim(ClaimRequest("p2", 1, 1, EVERY))))
        )
        claimer.start()
        until(lambda: bool(waiting(ask)))
        connection.commit()
        connection.close()
        claimer.join(PLENTY)
        assert claims[0].jobs == ()
        ending = Ending(Lease(first.id, "p1", 1), JobState.SUCCEEDED)
        store.run(store.finish([ending]))
        assert len(store.run(store.claim(ClaimRequest("p2", 2, 1, EVERY))).jobs) == 1


class TestClaimers:
    def test_eight_at_once_keep_limits_rates_and_turns_and_leave_nothing(
        self, opened: Open, store: MySQLStore, ask: Ask
    ) -> None:
        jobs = [job_of(number) for number in range(400)]
        store.run(store.insert(jobs))
        crew = Crew(jobs)
        stores = [opened(patience=20.0) for _ in range(8)]
        at_once(
            [
                lambda name=f"p{number}", mine=mine: crew.work(mine, name)
                for number, mine in enumerate(stores)
            ]
        )
        assert sorted(crew.ended) == sorted(job.id for job in jobs)
        for key, limit in crew.limits.items():
            if limit.per is None:
                assert crew.most[key] <= limit.to, key
                continue
            times = sorted(crew.starts[key])
            spans = [late - early for early, late in zip(times, times[limit.to :], strict=False)]
            assert all(span >= limit.per for span in spans), key
        for table in ("slot", "hold", "job"):
            assert ask(f"select count(*) from longshore_{table}") == [(0,)], table
        store.run(store.prune(1))
        assert ask("select count(*) from longshore_gate") == [(0,)]

    def test_a_cancel_beside_claims_loses_no_wake_up(self, opened: Open, store: MySQLStore) -> None:
        limit = Limit("account", "", 2)
        jobs = [limited(limit) for _ in range(120)]
        store.run(store.insert(jobs))
        for name in ("p1", "p2", "p3"):
            register(store, name)
        ended: set[str] = set()
        done = threading.Event()
        end = time.monotonic() + PLENTY

        def cancel() -> None:
            mine = opened()
            for job in jobs[::-3]:
                ended.update(mine.run(mine.cancel([job.id], None)).changed)
            done.set()

        def work(name: str) -> None:
            mine = opened()
            endings: list[Ending] = []
            for number in range(1, 100_000):
                answer = mine.run(mine.exchange(endings, ClaimRequest(name, number, 2, EVERY)))
                ended.update(lease.job_id for lease in answer.held)
                endings = [
                    Ending(Lease(job.id, name, job.run), JobState.SUCCEEDED)
                    for job in answer.claim.jobs
                ]
                if done.is_set() and len(ended) == len(jobs):
                    return
                assert time.monotonic() < end, "jobs are left that nobody is given"

        at_once([cancel, *(lambda name=name: work(name) for name in ("p1", "p2", "p3"))])
        assert ended == {job.id for job in jobs}


class TestSweeping:
    def test_what_outlives_its_jobs_is_forgotten(
        self, opened: Open, store: MySQLStore, ask: Ask
    ) -> None:
        kept = new(identity="kept")
        gone = [new(identity=f"gone {number % 3}") for number in range(20)]
        limit = Limit("mail", "", 1, per=1000)
        rated = [limited(limit) for _ in range(2)]
        store.run(store.insert([kept, *gone, *rated]))
        store.run(store.delete([job.id for job in gone]))
        register(store, "p1")
        brief = opened(retention=Retention(succeeded=0, cancelled=0, dead=0))
        for number in range(1, 4):
            claim = brief.run(brief.claim(ClaimRequest("p1", number, 1, EVERY)))
            endings = [
                Ending(Lease(job.id, "p1", job.run), JobState.SUCCEEDED) for job in claim.jobs
            ]
            brief.run(brief.finish(endings))
        until(lambda: not swept(store, ask, "start"))
        assert swept(store, ask, "identity") == 1
        page = store.run(store.find(Filter(identities=("kept", "gone 1")), limit=10))
        assert [record.id for record in page.records] == [kept.id]

    def test_claims_of_a_key_leave_few_of_its_old_starts(self, store: MySQLStore, ask: Ask) -> None:
        limit = Limit("mail", "", 1, per=1000)
        store.run(store.insert([limited(limit) for _ in range(40)]))
        register(store, "p1")
        most = 0
        for number in range(1, 60):
            time.sleep(0.002)
            store.run(store.claim(ClaimRequest("p1", number, 1, EVERY)))
            ((rows,),) = ask("select count(*) from longshore_start")
            most = max(most, rows)
        assert FORGET_AFTER / 2 <= most <= FORGET_AFTER


class Crew:
    """Workers on one store, and what they saw of the limits of their jobs."""

    def __init__(self, jobs: list[NewJob]) -> None:
        self.limits_of = {job.id: job.rules.limits if job.rules else () for job in jobs}
        self.limits = {limit.key: limit for some in self.limits_of.values() for limit in some}
        self.running: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.starts: dict[str, list[int]] = {key: [] for key in self.limits}
        self.ended: list[str] = []
        self.guard = threading.Lock()
        self.end = time.monotonic() + PLENTY

    def work(self, store: MySQLStore, name: str) -> None:
        """Run jobs until none is left, or too long."""
        register(store, name)
        endings: list[Ending] = []
        for number in range(1, 100_000):
            with self.guard:
                for ending in endings:
                    self.running.subtract(self.keys(ending.lease.job_id))
            answer = store.run(store.exchange(endings, ClaimRequest(name, number, 4, EVERY)))
            assert answer.claim.live
            assert len(answer.held) == len(endings)
            with self.guard:
                self.ended.extend(ending.lease.job_id for ending in endings)
                for job in answer.claim.jobs:
                    self.begin(job)
                if len(self.ended) >= len(self.limits_of) or time.monotonic() > self.end:
                    return
            endings = [
                Ending(Lease(job.id, name, job.run), JobState.SUCCEEDED)
                for job in answer.claim.jobs
            ]

    def begin(self, job: Claimed) -> None:
        keys = self.keys(job.id)
        self.running.update(keys)
        for key in keys:
            self.most[key] = max(self.most[key], self.running[key])
            self.starts[key].append(job.claimed_at)

    def keys(self, job_id: str) -> list[str]:
        return [limit.key for limit in self.limits_of[job_id]]


def job_of(number: int) -> NewJob:
    """A job of one of several sorts."""
    account = Limit("account", str(number % 3), 2)
    host = Limit("host", "", 5)
    rate = Limit("mail", "", 40, per=SECOND // 2)
    sorts: list[tuple[str, Rules | None]] = [
        ("a", None),
        ("a", Rules(limits=(account,))),
        ("b", Rules(limits=(host, account))),
        ("b", Rules(limits=(account, host))),
        ("b", Rules(limits=(rate,))),
        ("c", Rules(fair=Fair(f"={number % 7}", TURN))),
        ("c", Rules(limits=(account,), fair=Fair(f"={number % 2}", TURN // 2))),
        ("c", Rules(hold=Hold(f"key {number}", until_started=number % 2 == 0))),
    ]
    queue, rules = sorts[number % len(sorts)]
    return new(queue=queue, rules=rules, priority=number % 2)


def at_once(works: list[Callable[[], Any]]) -> list[Any]:
    """Run each in a thread of its own; their answers, or the first error."""
    answers: list[Any] = [None] * len(works)
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            answers[number] = works[number]()
        except BaseException as error:  # noqa: BLE001 - told by the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PLENTY)
    if errors:
        raise errors[0]
    return answers


def waiting(ask: Ask) -> list[tuple[Any, ...]]:
    """Transactions that wait for a lock."""
    return ask("select trx_id from information_schema.innodb_trx where trx_state = 'LOCK WAIT'")


def until(done: Callable[[], bool]) -> None:
    """Look until it is so; the server looks at its locks ten times a second at most."""
    end = time.monotonic() + PLENTY
    while not done():
        assert time.monotonic() < end
        time.sleep(0.15)


def swept(store: MySQLStore, ask: Ask, table: str) -> int:
    """How many rows a table has after maintenance."""
    store.run(store.prune(100))
    ((rows,),) = ask(f"select count(*) from longshore_{table}")
    return int(rows)
