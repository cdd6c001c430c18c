"""Processes that fork while a SQLite file is in use: no connection goes along."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from longshore import Longshore
from longshore.stores.sqlite.pool import BEFORE_FORK, Pool
from longshore.stores.sqlite.store import SQLiteStore

FORK = """
import os, sys, time
from longshore.core.model import JobState, NewJob
from longshore.core.store import Filter
from longshore.ids import new_id
from longshore.stores.sqlite.store import SQLiteStore

def job():
    return NewJob(new_id(), "k", "q", b"{}", JobState.AVAILABLE, 0, 1, 1)

store = SQLiteStore(sys.argv[1], synchronous="normal")
watch = store.watch()
watch.wait(0)
store.run(store.insert([job()]))
closed, may_go_on = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    store.run(store.insert([job()]))
    os.write(closed[1], b"x")
    os.read(may_go_on[0], 1)
    store.run(store.insert([job()]))
    os._exit(0)
os.read(closed[0], 1)
assert watch.wait(5)
store.close()
os.write(may_go_on[1], b"x")
assert os.waitpid(child, 0)[1] == 0
again = SQLiteStore(sys.argv[1])
print(again.run(again.count(Filter()))[0].jobs)
again.close()
"""


def test_what_a_forked_child_writes_outlives_its_parents_connection(tmp_path: Path) -> None:
    # With a connection carried over the fork, closing the parent's would drop the child's write.
    command = [sys.executable, "-c", FORK, str(tmp_path / "jobs.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout.strip(), done.stderr) == ("3", "")


def test_a_fork_waits_once_for_a_connection_that_is_kept_for_long(tmp_path: Path) -> None:
    store = SQLiteStore(str(tmp_path / "jobs.db"))
    pool = store._pool
    kept = pool.take()
    took = [_forked(pool) for _ in range(2)]
    assert took[0] >= BEFORE_FORK
    assert took[1] < BEFORE_FORK / 4
    # Another one is waited for, whether that comes back before it or not.
    another = pool.take()
    pool.give_back(kept, healthy=True)
    began = time.monotonic()
    threading.Timer(0.2, lambda: pool.give_back(another, healthy=True)).start()
    _forked(pool)
    assert 0.2 <= time.monotonic() - began < BEFORE_FORK
    store.close()


def _forked(pool: Pool) -> float:
    """How long a fork would take."""
    began = time.monotonic()
    pool.before_fork()
    pool.after_fork()
    return time.monotonic() - began


@pytest.mark.parametrize("url", ["memory://", "sqlite:///{}"])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_two_threads_may_fork_at_once(tmp_path: Path, url: str) -> None:
    jobs = Longshore(url.format(tmp_path / "jobs.db"))

    def fork_often() -> None:
        for _ in range(40):
            jobs.query.count()
            pid = os.fork()
            if not pid:
                os._exit(0)
            os.waitpid(pid, 0)

    threads = [threading.Thread(target=fork_often, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    jobs.close()
