"""`longshore worker` as it starts: a store not there yet, one that is unfit, too few files."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore.errors import ConfigurationError
from longshore.worker import descriptors
from tests.harbour_tools import APPS, Harbour, eventually
from tests.places import redis_client
from tests.servers import private

SOON = 30.0
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)


@pytest.fixture
def harbour(tmp_path: Path) -> Iterator[Harbour]:
    """A harbour on a Redis that was killed before any worker came."""
    with private("redis") as server:
        server.kill()
        place = Harbour(tmp_path, LONGSHORE_STORE=server.url)
        vars(place)["server"] = server
        yield place
        place.stop()


@pytest.mark.slow
@pytest.mark.servers
@pytest.mark.private
def test_a_worker_waits_for_its_store_and_begins_when_it_comes(harbour: Harbour) -> None:
    waits = harbour.worker("--name", "waits")
    leaves = {number: harbour.worker("--name", f"leaves-{number}") for number in STOPS}
    for number in range(1 + len(STOPS)):
        log = harbour.folder / f"worker-{number}.log"
        eventually(lambda: "waiting for the store" in log.read_text(), SOON, "the word")  # noqa: B023
    # Told to end they do not wait any longer; as after any such stop no job was left behind.
    for number, worker in leaves.items():
        worker.send_signal(number)
    for worker in leaves.values():
        assert worker.wait(SOON) == 0
    assert "Traceback" not in harbour.logs()
    vars(harbour)["server"].start()
    before = time.monotonic()
    harbour.await_ready()
    assert time.monotonic() - before < 15  # five, on a machine that has nothing else to do
    handle = harbour.app.nap.enqueue(0.01)
    eventually(lambda: harbour.starts(handle.id), SOON, "the job")
    assert harbour.logs().count("waiting for the store") == 1 + len(STOPS)
    assert "appendonly is no" in harbour.logs()
    waits.send_signal(signal.SIGTERM)
    assert waits.wait(SOON) == 0


@pytest.mark.slow
@pytest.mark.servers
@pytest.mark.private
def test_a_worker_of_an_unfit_store_ends_with_5_and_says_it_once(harbour: Harbour) -> None:
    server = vars(harbour)["server"]
    server.start()
    with redis_client(server.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    worker = harbour.worker(processes=2)
    assert worker.wait(SOON) == 5
    assert harbour.logs().count("LONGSHORE-E502") == 1
    assert "maxmemory-policy noeviction" in harbour.logs()


def test_too_few_files_are_said_before_anything_starts(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "longshore", "-A", "harbour:jobs", "worker"],
        cwd=APPS,
        env={**os.environ, "LONGSHORE_STORE": f"sqlite:///{tmp_path}/jobs.db"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 5, done.stderr
    assert "needs 68 open files in each, and the limit is 48" in done.stderr
    assert "ulimit -n" in done.stderr
    assert "LONGSHORE-E500" in done.stderr
    assert not list(tmp_path.iterdir())


class TestFiles:
    @pytest.fixture(autouse=True)
    def limits(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
        """The limits as they are set; the last one holds."""
        limits = [(1024, 4096)]
        monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
        monkeypatch.setattr(resource, "setrlimit", lambda _, given: limits.append(given))
        return limits

    def test_what_is_enough_is_left_alone(self, limits: list[tuple[int, int]]) -> None:
        descriptors.check_files(4, 10)
        limits[0] = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        descriptors.check_files(256, 1000)
        assert len(limits) == 1

    def test_what_the_system_allows_is_taken(self, limits: list[tuple[int, int]]) -> None:
        descriptors.check_files(8, 1000)
        assert limits[-1] == (64 + 4 * 8 + 2000, 4096)
        descriptors.check_files(8, 5000)
        assert limits[-1] == (4096, 4096)
        limits[-1] = (32, resource.RLIM_INFINITY)
        descriptors.check_files(1, 1)
        assert limits[-1] == (70, resource.RLIM_INFINITY)

    def test_too_little_is_refused_with_the_number(self, limits: list[tuple[int, int]]) -> None:
        limits[0] = (64, 80)
        with pytest.raises(ConfigurationError, match=r"needs 96 open files in each.* limit is 80"):
            descriptors.check_files(8, 10)
