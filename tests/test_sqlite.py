"""A SQLite file: how it is made, and how processes and threads share it.

What every store must do alike is in the conformance suite.
"""

import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore.core.model import JobState
from longshore.core.store import (
    Beat,
    Filter,
    ProcessBeat,
    Rescue,
    Store,
)
from longshore.errors import (
    SchemaMismatch,
    StoreBusy,
    StoreError,
    StoreFull,
    StoreGone,
    StoreUnavailable,
    StoreUnwritable,
)
from longshore.ids import new_id
from longshore.stores.clock import ManualClock, SystemClock
from longshore.stores.sql.schema import Known
from longshore.stores.sqlite import file as sqlite_file
from longshore.stores.sqlite import pool as sqlite_pool
from longshore.stores.sqlite.store import SQLiteStore
from tests.store_tools import LEASE, claim, job, migrations, register


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "jobs.db")


@pytest.fixture
def store(path: str) -> Iterator[SQLiteStore]:
    opened = SQLiteStore(path, synchronous="normal")
    yield opened
    opened.close()


# --- the file ---


def test_the_file_is_its_owners_alone_whatever_the_umask(path: str) -> None:
    before = os.umask(0)
    try:
        store = SQLiteStore(path)
        store.run(store.insert([job()]))
        modes = {stat.S_IMODE(Path(path + end).stat().st_mode) for end in ("", "-wal", "-shm")}
        store.close()
    finally:
        os.umask(before)
    assert modes == {0o600}


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    store = SQLiteStore(str(tmp_path / "none" / "jobs.db"))
    with pytest.raises(StoreUnavailable, match=r"none/jobs\.db.*folder must exist"):
        store.run(store.insert([job()]))


def test_a_file_that_is_no_database_is_left_as_it_is(path: str) -> None:
    Path(path).write_text("a shopping list\n" * 100)
    store = SQLiteStore(path)
    with pytest.raises(StoreError, match="not a SQLite database"):
        store.run(store.insert([job()]))
    assert Path(path).read_text() == "a shopping list\n" * 100


def test_a_database_that_somebody_else_uses_too_is_welcome(path: str) -> None:
    theirs = sqlite3.connect(path)
    theirs.execute("create table account (id integer)")
    theirs.commit()
    theirs.close()
    store = SQLiteStore(path)
    store.run(store.insert([job()]))
    assert claim_count(store) == 1
    store.close()


def claim_count(store: Store) -> int:
    register(store)
    return len(claim(store))


def test_a_sqlite_that_is_too_old_is_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 2))
    store = SQLiteStore(path)
    with pytest.raises(StoreError, match=r"3\.38\.0 or newer"):
        store.run(store.insert([job()]))
    assert not Path(path).exists()


def test_a_network_file_system_is_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "file_system", lambda _: "nfs4")
    store = SQLiteStore(path)
    with pytest.raises(StoreError, match=r"network file system \(nfs4\)"):
        store.run(store.insert([job()]))


def test_a_full_store_says_so_and_nothing_is_written(store: SQLiteStore) -> None:
    store.run(store.insert([job()]))
    connection = store._pool.take()
    pages = connection.execute("pragma page_count").fetchone()[0]
    connection.execute(f"pragma max_page_count = {pages}")
    store._pool.give_back(connection, healthy=True)
    with pytest.raises(StoreFull, match=r"no room left.*nothing was written"):
        store.run(store.insert([job(payload=b"x" * 5000) for _ in range(9)]))
    # The connection that failed is not used again: the next has no limit.
    assert store.run(store.count(Filter()))[0].jobs == 1


def test_a_read_only_file_says_so(store: SQLiteStore, path: str) -> None:
    store.run(store.insert([job()]))
    reading = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    with pytest.raises(sqlite3.OperationalError) as refused:
        reading.execute("delete from longshore_job")
    reading.close()
    error = sqlite_file.explained(refused.value, path)
    assert isinstance(error, StoreUnwritable)
    assert "read-only" in str(error)


def test_a_folder_that_takes_no_new_files_is_read_only(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite says only that it cannot open the file: the log beside it cannot be made."""
    Path(path).touch()
    with pytest.raises(sqlite3.OperationalError) as refused:
        sqlite3.connect(Path(path).parent / "missing" / "file").execute("select 1")
    assert not isinstance(sqlite_file.explained(refused.value, path), StoreUnwritable)
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    assert isinstance(sqlite_file.explained(refused.value, path), StoreUnwritable)


@pytest.mark.parametrize("how", ["moved", "deleted", "replaced"])
def test_a_file_that_is_taken_away_is_not_written_to(
    store: SQLiteStore, path: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_pool, "SAME_FILE_EVERY", 0.0)
    store.run(store.insert([job()]))
    away = Path(path).rename(f"{path}.away")
    if how == "replaced":
        Path(path).touch()
    elif how == "deleted":
        away.unlink()
    with pytest.raises(StoreGone, match="replaced" if how == "replaced" else "deleted or moved"):
        store.run(store.insert([job()]))
    with pytest.raises(StoreGone):
        store.run(store.count(Filter()))
    if how == "moved":
        away.rename(path)
        assert store.run(store.count(Filter()))[0].jobs == 1


# --- tables ---


def test_a_new_file_gets_its_tables_and_migrating_again_does_nothing(store: SQLiteStore) -> None:
    assert store.schema().pending == migrations()
    assert store.migrate() == migrations()
    assert store.migrate() == ()
    assert store.schema() == store.schema().__class__(migrations(), (), ())


def test_older_tables_are_refused_until_migrated(path: str) -> None:
    store = SQLiteStore(path)
    store.migrate()
    later = SQLiteStore(path)
    later._migrations = with_one_more(later, "create table longshore_later (id);", "002_later")
    with pytest.raises(SchemaMismatch, match=r"missing: 002_later.*longshore db up"):
        later.run(later.insert([job()]))
    assert later.migrate() == ("002_later",)
    later.run(later.insert([job()]))
    with pytest.raises(SchemaMismatch, match=r"newer release.*002_later"):
        store.run(store.insert([job()]))
    store.close()
    later.close()


def with_one_more(store: SQLiteStore, text: str, name: str) -> dict[str, Known]:
    return {**store._migrations, name: Known(name, text, additive=False)}


def test_a_migration_that_fails_leaves_nothing(path: str) -> None:
    store = SQLiteStore(path)
    store.migrate()
    broken = "create table longshore_half (id);\ninsert into longshore_nowhere values (1);"
    store._migrations = with_one_more(store, broken, "002_broken")
    with pytest.raises(StoreError, match="longshore_nowhere"):
        store.migrate()
    assert store.schema().pending == ("002_broken",)
    store._migrations = with_one_more(store, "create table longshore_half (id);", "002_broken")
    assert store.migrate() == ("002_broken",)
    store.close()


def test_a_new_file_gets_all_its_tables_or_none(path: str) -> None:
    """Who opens it meanwhile never sees half of them."""
    store = SQLiteStore(path)
    broken = "create table longshore_half (id);\ninsert into longshore_nowhere values (1);"
    store._migrations = with_one_more(store, broken, "999_broken")
    with pytest.raises(StoreError, match="longshore_nowhere"):
        store.migrate()
    assert store.schema().applied == ()
    store.close()


def test_many_who_open_a_new_file_at_once_make_its_tables_once(path: str) -> None:
    stores = [SQLiteStore(path, synchronous="normal") for _ in range(8)]
    start = threading.Barrier(len(stores))
    failed: list[Exception] = []

    def insert(store: SQLiteStore) -> None:
        start.wait(10)
        try:
            store.run(store.insert([job()]))
        except Exception as error:  # noqa: BLE001 - told below
            failed.append(error)

    threads = [threading.Thread(target=insert, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    assert stores[0].run(stores[0].count(Filter()))[0].jobs == len(stores)
    for store in stores:
        store.close()


# --- sharing ---


def test_a_file_held_for_too_long_is_busy_and_not_locked(path: str) -> None:
    store = SQLiteStore(path, patience=0.05)
    store.run(store.insert([job()]))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("begin immediate")
    with pytest.raises(StoreBusy, match=r"nothing was written\. Try again"):
        store.run(store.insert([job()]))
    holder.execute("rollback")
    store.run(store.insert([job()]))
    assert store.run(store.count(Filter()))[0].jobs == 2
    holder.close()
    store.close()


def test_what_finds_nothing_to_write_waits_for_nobody(path: str) -> None:
    store = SQLiteStore(path, patience=0.05)
    register(store)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("begin immediate")
    try:
        assert claim(store) == []
        orders = store.run(store.beat(Beat((ProcessBeat("p", 0), ProcessBeat("q", 0)))))
        assert orders.lost == {"q"}
        assert store.run(store.promote(10)) == 0
        assert store.run(store.prune(10)) == 0
        assert store.run(store.rescue(Rescue())).leases == ()
    finally:
        holder.close()
    store.close()


WORKER = """
import sys
from longshore.core.model import Ending, JobState, Lease
from longshore.core.store import ClaimRequest, Line, NewProcess
from longshore.stores.sqlite.store import SQLiteStore

path, name = sys.argv[1:]
store = SQLiteStore(path, synchronous="normal")
store.run(store.register(NewProcess(id=name, app="a", name=name, host="h", pid=1, lease=10**9,
    queues=("*",), kinds=("k",), slots=1, embedded=False)))
endings, number = [], 0
while True:
    number += 1
    request = ClaimRequest(name, number, 20, (Line(("*",)),))
    answer = store.run(store.exchange(endings, request))
    assert len(answer.held) == len(endings)
    jobs = answer.claim.jobs
    for job in jobs:
        print(job.id)
    endings = [Ending(Lease(job.id, name, job.run), JobState.SUCCEEDED) for job in jobs]
    if not jobs:
        break
store.close()
"""


@pytest.mark.slow
def test_eight_processes_share_a_file_and_each_job_runs_once(store: SQLiteStore) -> None:
    ids = [new_id() for _ in range(4_000)]
    store.run(store.insert([job(id=id_) for id_ in ids]))
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, store.address, f"p{number}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    told = [worker.communicate(timeout=50) for worker in workers]
    assert [err for _, err in told if err] == []
    assert sorted(id_ for out, _ in told for id_ in out.split()) == ids
    (counted,) = store.run(store.count(Filter()))
    assert (counted.state, counted.jobs) == (JobState.SUCCEEDED, len(ids))


# --- leases ---


def test_a_lease_does_not_survive_a_boot(path: str) -> None:
    clock = ManualClock()
    store = SQLiteStore(path, clock=clock)
    register(store)
    store.run(store.insert([job(scheduled_at=clock.now(), created_at=clock.now())]))
    assert len(claim(store)) == 1
    clock.reboot()  # since when less time has passed than when the lease was written
    assert store.run(store.beat(Beat((ProcessBeat("p", 0),)))).lost == {"p"}
    assert store.run(store.processes())[0].lease_left < 0
    assert len(store.run(store.rescue(Rescue())).leases) == 1
    assert store.run(store.processes()) == ()
    store.close()


@pytest.mark.parametrize("jump", [-3_600_000_000, 3_600_000_000])
def test_a_lease_does_not_mind_the_wall(path: str, jump: int) -> None:
    clock = ManualClock()
    store = SQLiteStore(path, clock=clock)
    register(store)
    clock.set_wall(clock.now() + jump)
    assert store.run(store.beat(Beat((ProcessBeat("p", 0),)))).lost == frozenset()
    clock.advance(LEASE)
    assert store.run(store.processes())[0].lease_left == 0
    store.run(store.rescue(Rescue()))
    assert store.run(store.beat(Beat((ProcessBeat("p", 0),)))).lost == {"p"}
    store.close()


def test_the_machines_clock_goes_forward() -> None:
    clock = SystemClock()
    first, wall = clock.boot_us(), clock.wall_us()
    assert 0 < first <= clock.boot_us()
    assert abs(wall - time.time_ns() // 1000) < 60_000_000
    assert clock.boot_id() == SystemClock().boot_id() != ""


INTERRUPTED = """
import random, signal, sys, threading
from longshore.stores.sqlite.store import SQLiteStore

def interrupt(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
store = SQLiteStore(sys.argv[1])
store.migrate()
watch = store.watch()
for _ in range(1000):
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00002, 0.0008))
        while True:
            watch.wait(0)
    except KeyboardInterrupt:
        pass
other = threading.Thread(target=lambda: store.run(store.queues()), daemon=True)
other.start()
other.join(10)
print("stuck" if other.is_alive() else "free")
"""


def test_ctrl_c_leaves_nothing_locked(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path / "jobs.db")],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (said.stdout, said.stderr) == ("free\n", "")


def test_a_look_at_the_facts_gives_up_no_lock(store: SQLiteStore) -> None:
    """Else the process that leaves last there would take the log away under those here."""
    store.run(store.insert([job()]))
    assert store.facts()[0].values["journal_mode"] == "wal"
    other = "import sys\nfrom longshore.stores.sqlite.store import SQLiteStore\n"
    other += "from tests.store_tools import job\nstore = SQLiteStore(sys.argv[1])\nnew = job()\n"
    other += "store.run(store.insert([new]))\nstore.close()\nprint(new.id)"
    for _ in range(2):  # the second begins a new log if the first has taken away the old
        said = subprocess.run(
            [sys.executable, "-c", other, store.address],
            capture_output=True,
            text=True,
            timeout=50,
            check=True,
        )
        assert store.run(store.get([said.stdout.strip()]))


@pytest.mark.parametrize("released", [True, False], ids=["released in time", "kept"])
def test_a_file_that_is_held_while_it_is_opened_anew_is_waited_for(
    path: str, *, released: bool
) -> None:
    """To open it may need its lock too: after a crash, or when the last one has just left."""
    store = SQLiteStore(path, synchronous="normal", patience=20 if released else 0.2)
    store.run(store.insert([job()]))
    store._pool.before_fork()  # closes what is open, as for a fork
    store._pool.after_fork()
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("pragma locking_mode = exclusive")
    holder.execute("begin exclusive")
    timer = threading.Timer(0.3, holder.close)
    try:
        if released:
            timer.start()
            assert len(store.run(store.find(Filter(), limit=10)).records) == 1
        else:
            with pytest.raises(StoreBusy):
                store.run(store.find(Filter(), limit=10))
            with pytest.raises(StoreBusy):
                store.connect()
    finally:
        timer.cancel()
        holder.close()
        store.close()
