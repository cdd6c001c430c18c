"""The MariaDB and MySQL store among others: claimers, transactions, lost connections.

What every store must do is in `tests/test_conformance.py`. The tests start a private MariaDB; MySQL
itself is tested where `TEST_MYSQL_URL` names one: the same tests then run there instead.
"""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pymysql
import pytest

from longshore.core.model import Ending, JobState, Lease
from longshore.core.store import Beat, ClaimRequest, Filter, Line, ProcessBeat, drive
from longshore.core.store_url import parse_url
from longshore.errors import StoreUnavailable
from longshore.ids import new_id
from longshore.stores.mysql import driver
from longshore.stores.mysql.execute import execute_on
from longshore.stores.mysql.store import MySQLStore
from tests.harbour_tools import eventually
from tests.mysql_tools import (
    EVERY,
    LosesReplies,
    a_place,
    a_store,
    a_way_to_ask,
    a_way_to_open,
    drive_over,
    new,
    register,
)
from tests.places import Place

pytestmark = pytest.mark.servers
FIXTURES = (a_place, a_store, a_way_to_ask, a_way_to_open)


class TestClaimers:
    def test_eight_at_once_each_get_work_and_no_job_twice(
        self, opened: Callable[..., MySQLStore], store: MySQLStore
    ) -> None:
        queues = ("a", "b", "c")
        jobs = [new(queue=queues[number % 3], priority=number % 2) for number in range(480)]
        store.run(store.insert(jobs))
        line = threading.Barrier(8, timeout=30)
        firsts: list[int] = []
        ran: list[str] = []
        errors: list[BaseException] = []

        def work(name: str, lines: tuple[Line, ...]) -> None:
            try:
                mine = opened()
                register(mine, name)
                endings: list[Ending] = []
                for number in range(1, 1000):
                    if number == 1:
                        line.wait()
                    request = ClaimRequest(name, number, 10, lines)
                    answer = mine.run(mine.exchange(endings, request))
                    assert len(answer.held) == len(endings)
                    if number == 1:
                        firsts.append(len(answer.claim.jobs))
                    if not answer.claim.jobs:
                        return
                    ran.extend(job.id for job in answer.claim.jobs)
                    endings = [
                        Ending(Lease(job.id, name, job.run), JobState.SUCCEEDED)
                        for job in answer.claim.jobs
                    ]
            except BaseException as error:  # noqa: BLE001 - told by the test
                errors.append(error)

        threads = [
            threading.Thread(target=work, args=(f"p{number}", (EVERY, (Line(queues),))[number % 2]))
            for number in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(50)
        assert errors == []
        assert firsts == [10] * 8
        assert sorted(ran) == sorted(job.id for job in jobs)
        counted = store.run(store.count(Filter()))
        assert sum(one.jobs for one in counted) == len(jobs)
        assert {one.state for one in counted} == {JobState.SUCCEEDED}

    @pytest.mark.parametrize("number", [1, 2, 3, 4])
    def test_what_others_take_between_two_looks_is_not_missed(
        self,
        opened: Callable[..., MySQLStore],
        store: MySQLStore,
        ask: Callable[..., Any],
        number: int,
    ) -> None:
        met: list[int] = []

        def before(operation: str, statement: int) -> None:
            if operation == "claim" and statement == number and not met:
                met.append(statement)
                ask("delete from longshore_job")

        late = opened(on_statement=before)
        register(late, "p1")
        store.run(store.insert([new(queue=queue) for queue in ("a", "b", "c")]))
        claim = late.run(late.claim(ClaimRequest("p1", 1, 10, EVERY)))
        assert (claim.live, claim.jobs, met) == (True, (), [number])

    def test_a_claim_reads_what_it_takes_and_not_what_waits(
        self, store: MySQLStore, ask: Callable[..., Any]
    ) -> None:
        store.run(store.insert([new(scheduled_at=number + 1) for number in range(10_000)]))
        ask("analyze table longshore_job")
        head = store.sql["ready_head"].text.replace("%s", "'default'", 1).replace("%s", "10")
        front = store.sql["ready_queue"].text % (
            1, "'default'", 0, 0, 50, 50, f"'{new_id()}'", 10,
        )  # fmt: skip
        for text in (head, front):
            (plan,) = ask(f"explain {text}")
            assert "longshore_job_line" in plan
            assert "filesort" not in str(plan[-1])
        register(store, "p1")
        connection = store.connect()
        with connection.cursor() as cursor:
            cursor.execute("flush status")
            claim = store.claim(ClaimRequest("p1", 1, 10, EVERY))
            assert len(drive(claim, lambda one: execute_on(connection, one)).jobs) == 10
            cursor.execute("show session status like 'Handler_read%'")
            reads = {name: int(value) for name, value in cursor.fetchall()}
        connection.close()
        assert sum(reads.values()) < 200, reads

    def test_entries_of_jobs_that_are_gone_are_not_locked_again(
        self, opened: Callable[..., MySQLStore], store: MySQLStore
    ) -> None:
        """While a reader's old view keeps the server from purging, a claim stays short."""
        store.run(store.insert([new(scheduled_at=number + 1) for number in range(300)]))
        register(store, "p1")
        reader = store.connect()
        with reader.cursor() as cursor:
            cursor.execute("set session transaction isolation level repeatable read")
            cursor.execute("start transaction with consistent snapshot")
            store.run(store.claim(ClaimRequest("p1", 1, 200, EVERY)))
            other = store.connect()
            drive(store.claim(ClaimRequest("p1", 2, 10, EVERY)), lambda one: execute_on(other, one))
            with other.cursor() as inside:
                inside.execute(
                    "select trx_rows_locked from information_schema.innodb_trx"
                    " where trx_mysql_thread_id = connection_id()"
                )
                ((locked,),) = inside.fetchall()
            other.close()
        reader.close()
        assert locked < 100

    def test_the_time_does_not_depend_on_the_time_zone_of_the_session(
        self, store: MySQLStore
    ) -> None:
        connection = store.connect()
        times = []
        for zone in ("+00:00", "+09:00", "-11:30"):
            with connection.cursor() as cursor:
                cursor.execute("set time_zone = %s", (zone,))
            times.append(execute_on(connection, store.sql["now"]())[0][0])
        connection.close()
        assert 0 <= times[2] - times[0] < 10_000_000


class TestTransactions:
    def test_two_that_enqueue_one_kind_do_not_wait_for_each_other(self, store: MySQLStore) -> None:
        connections = [store.connect(), store.connect()]
        jobs = [new(queue="q", priority=number % 2) for number in range(20)]
        for number, job in enumerate(jobs):
            connection = connections[number % 2]
            with connection.cursor() as cursor:
                cursor.execute("set session innodb_lock_wait_timeout = 1")
            drive_over(connection, store.insert([job]))
        assert store.run(store.get([job.id for job in jobs])) == {}
        connections[0].commit()
        assert store.run(store.get([job.id for job in jobs])).keys() == {
            job.id for job in jobs[::2]
        }
        connections[1].rollback()
        for connection in connections:
            connection.close()
        assert len(store.run(store.get([job.id for job in jobs]))) == 10

    def test_a_beat_that_waits_has_renewed_its_leases(
        self, store: MySQLStore, ask: Callable[..., Any]
    ) -> None:
        register(store, "p1")
        job = new()
        store.run(store.insert([job]))
        store.run(store.claim(ClaimRequest("p1", 1, 10, EVERY)))
        end = "select expires_at from longshore_process"
        ((before,),) = ask(end)
        other = store.connect()
        with contextlib.closing(other):
            # What the beat is to give back, its claim having never arrived, it has to wait for.
            other.cursor().execute("select 1 from longshore_job for update")
            beat = store.beat(Beat((ProcessBeat("p1", oldest_claim=2),), lease=1200_000_000))
            beats = threading.Thread(target=store.run, args=(beat,))
            beats.start()
            eventually(lambda: ask(end) > [(before,)], 3, "a longer lease")
            assert beats.is_alive()
            other.rollback()
        beats.join(30)
        (record,) = store.run(store.get([job.id])).values()
        assert record.state is JobState.AVAILABLE

    def test_a_deadlock_is_tried_again_inside(self, store: MySQLStore) -> None:
        one, two = sorted([new(), new()], key=lambda job: job.id)
        store.run(store.insert([one, two]))
        other = store.connect()
        cursor = other.cursor()
        cursor.execute("select id from longshore_job where id = %s for update", (two.id,))
        moved: list[Any] = []
        mover = threading.Thread(
            target=lambda: moved.append(store.run(store.move([one.id, two.id], "far")))
        )
        mover.start()
        # It holds the first and waits for the second; now the other one wants the first.
        with contextlib.suppress(pymysql.OperationalError):  # one of the two is the victim
            cursor.execute("select id from longshore_job where id = %s for update", (one.id,))
        other.rollback()
        other.close()
        mover.join(30)
        assert moved[0].changed == (one.id, two.id)


class TestLostConnections:
    @pytest.mark.parametrize("step", [1, 2, 0])
    def test_a_killed_connection_is_survived(
        self, opened: Callable[..., MySQLStore], store: MySQLStore, step: int,
        ask: Callable[..., Any], where: Place,
    ) -> None:  # fmt: skip
        killed: list[int] = []

        def kill(_: str, number: int) -> None:
            if number == step and not killed:
                mine = parse_url(where.url).path
                for (connection,) in ask(
                    "select id from information_schema.processlist"
                    " where db = %s and id <> connection_id()", mine,
                ):  # fmt: skip
                    killed.append(connection)
                    with contextlib.suppress(pymysql.OperationalError):  # it has gone by itself
                        ask(f"kill {connection}")

        register(store, "p1")
        shaky = opened(on_statement=kill)
        jobs = [new() for _ in range(3)]
        assert len(shaky.run(shaky.insert(jobs))) == 3
        assert killed or step == 2  # an insert is one statement
        killed.clear()
        claim = shaky.run(shaky.claim(ClaimRequest("p1", 1, 10, EVERY)))
        assert [job.id for job in claim.jobs] == [job.id for job in jobs]
        assert all(job.run == 1 for job in claim.jobs)
        assert killed

    def test_a_lost_reply_to_a_commit_is_answered(self, store: MySQLStore) -> None:
        loses = LosesReplies(store)
        job = new()
        loses.next_reply()
        (answer,) = store.run(store.insert([job]))
        assert answer.duplicate
        register(store, "p1")
        loses.next_reply()
        claim = store.run(store.claim(ClaimRequest("p1", 1, 10, EVERY)))
        assert [(taken.id, taken.run) for taken in claim.jobs] == [(job.id, 1)]
        loses.next_reply()
        lease = Lease(job.id, "p1", 1)
        assert store.run(store.finish([Ending(lease, JobState.SUCCEEDED)])) == {lease}
        (counted,) = store.run(store.count(Filter()))
        assert (counted.state, counted.jobs) == (JobState.SUCCEEDED, 1)

    def test_a_job_that_ended_before_its_insert_is_repeated_does_not_run_again(
        self, opened: Callable[..., MySQLStore], store: MySQLStore
    ) -> None:
        worker = opened()
        register(worker, "p1")

        def meanwhile() -> None:
            (job,) = worker.run(worker.claim(ClaimRequest("p1", 1, 10, EVERY))).jobs
            ending = Ending(Lease(job.id, "p1", 1), JobState.SUCCEEDED)
            worker.run(worker.finish([ending]))

        LosesReplies(store).next_reply(meanwhile)
        (answer,) = store.run(store.insert([new()]))
        assert answer.duplicate
        assert worker.run(worker.claim(ClaimRequest("p1", 2, 10, EVERY))).jobs == ()

    def test_a_server_that_is_not_there_is_told_after_the_patience(self) -> None:
        place = driver.Place("127.0.0.1", 1, "root", "geheim", "app")
        store = MySQLStore(place, patience=0.2)
        with pytest.raises(StoreUnavailable) as told:
            store.run(store.insert([new()]))
        store.close()
        assert "mysql://root@127.0.0.1:1/app" in str(told.value)
        assert "geheim" not in str(told.value) + repr(place)

    def test_who_is_cut_off_in_a_transaction_does_not_hold_its_locks_for_long(
        self, where: Place, store: MySQLStore
    ) -> None:
        address = parse_url(where.url)
        place = driver.Place(
            address.host or "", address.port or 3306, address.user, None, address.path, answer=0.4
        )
        job = new()
        store.run(store.insert([job]))
        silent = driver.Driver().connect(place, lock_wait=4, autocommit=False, patient=False)
        with contextlib.closing(silent):
            silent.cursor().execute("select 1 from longshore_job for update")
            assert store.run(store.cancel([job.id], None)).changed  # after a second or so

    def test_a_child_of_a_fork_has_connections_of_its_own(self, where: Place) -> None:
        done = subprocess.run(
            [sys.executable, "-c", FORKS, where.url],
            capture_output=True, text=True, timeout=50, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        parent, child, again = json.loads(done.stdout)
        assert parent == again != child


class TestWatch:
    def test_it_hears_of_jobs_that_arrive_and_end(self, store: MySQLStore) -> None:
        register(store, "p1")
        watch = store.watch()
        watch.wait(0)
        assert not watch.wait(0)
        heard: list[bool] = []
        waiter = threading.Thread(target=lambda: heard.append(watch.wait(20)))
        waiter.start()
        job = new()
        store.run(store.insert([job]))
        waiter.join(20)
        assert heard == [True]
        store.run(store.claim(ClaimRequest("p1", 1, 10, EVERY)))
        while watch.wait(0.2):
            pass
        store.run(store.finish([Ending(Lease(job.id, "p1", 1), JobState.SUCCEEDED)]))
        assert watch.wait(20)
        watch.wake()
        assert not watch.wait(20)
        watch.close()
        assert not watch.wait(20)


#: Connection ids as the parent, its child and again the parent have them.
FORKS = """
import json, os, sys
from longshore.core.store import Filter, Retention
from longshore.core.store_url import parse_url
from longshore.stores.mysql.store import open_mysql

store = open_mysql(parse_url(sys.argv[1]), retention=Retention(), prefix="f_", durability="full")

def number():
    store.run(store.count(Filter()))
    connection = store._pool.take()
    cursor = connection.cursor()
    cursor.execute("select connection_id()")
    found = cursor.fetchall()[0][0]
    store._pool.give_back(connection, healthy=True)
    return found

first = number()
inlet, outlet = os.pipe()
child = os.fork()
if child == 0:
    os.write(outlet, str(number()).encode())
    store.close()
    os._exit(0)
os.waitpid(child, 0)
print(json.dumps([first, int(os.read(inlet, 100)), number()]))
store.close()
"""
