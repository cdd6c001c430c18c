"""W1, W1b, W2 and W3 of a peer: its own producer and worker as programs of its own.

They are judged as ours are: what a body notes in the ledger, and what the server says is left.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from redis import Redis

from bench.ledger import begun, read
from bench.peers.catalogue import KNOWN, Peer
from bench.peers.environments import producer, surroundings
from bench.peers.environments import worker as worker_of
from bench.sample import Invalid, Sample, exactly_once, percentiles, same
from bench.workloads.fleet import LOOK_EVERY, PATIENCE, SPARE

LOG = "peer.log"
GRACE = 5.0  # seconds that a worker gets to end; nothing is measured any more


def one_by_one(home: Path, *, peer: str, jobs: int) -> Sample:
    """A producer calls the peer's way to enqueue for each job, after one that connects it."""
    return _stored(home, KNOWN[peer], "one", jobs)


def in_bulk(home: Path, *, peer: str, jobs: int) -> Sample:
    """A producer stores a thousand jobs with each call, after one single that connects it."""
    return _stored(home, KNOWN[peer], "bulk", jobs)


def drain(home: Path, *, peer: str, jobs: int, processes: int = 1) -> Sample:
    """The peer's worker, or two of them side by side, on stored no-op jobs.

    The clock starts with the first body and stops when every body has begun and the server says
    that nothing is left; it looks every 20 ms.
    """
    asked = KNOWN[peer]
    _driver(home, asked, "prepare")
    _driver(home, asked, "fill", jobs)
    with _left(asked) as left:
        same("stored jobs", left(), jobs)
        with ExitStack() as more:
            for _ in range(processes - 1):
                more.enter_context(_working(home, asked, jobs))
            worker = more.enter_context(_working(home, asked, jobs))
            # Counting what is left costs the server time, so not before the last body has begun.
            _until(lambda: begun(home) >= jobs, worker, home, "the last body")
            _until(lambda: left() == 0, worker, home, "the last job")
            stopped = time.monotonic_ns()
    entries = read(home)
    exactly_once((entry.number for entry in entries), jobs)
    seconds = (stopped - min(entry.at for entry in entries)) / 1e9
    return Sample({"jobs/s": jobs / seconds}, seconds)


def latency(home: Path, *, peer: str, jobs: int, per_second: int) -> Sample:
    """A producer enqueues at a steady pace, the peer's worker is another process.

    From the start of the enqueue call to the start of the body, by the machine's monotonic clock.
    """
    asked = KNOWN[peer]
    _driver(home, asked, "prepare")
    with _working(home, asked, jobs + 1) as worker:
        command = [*producer(asked), "pace", str(jobs), str(per_second)]
        with (home / LOG).open("ab") as log:
            pacing = subprocess.Popen(
                command,
                env=_environment(home, asked, jobs),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        _until(lambda: len(read(home)) == 1, worker, home, "the first job")
        said, _ = pacing.communicate(b"go\n", timeout=PATIENCE)
        _until(lambda: len(read(home)) > jobs, worker, home, "the last job")
    called = _said(asked, pacing.returncode, said.decode(), home)["called"]
    entries = read(home)
    exactly_once((entry.number for entry in entries), jobs + 1)
    waits = [entry.at - called[entry.number] for entry in entries if entry.number < jobs]
    return Sample(percentiles(waits), jobs / per_second)


def _stored(home: Path, peer: Peer, command: str, jobs: int) -> Sample:
    _driver(home, peer, "prepare")
    seconds = _driver(home, peer, command, jobs)["seconds"]
    with _left(peer) as left:
        same("stored jobs", left(), jobs + 1)
    return Sample({"jobs/s": jobs / seconds}, seconds)


def _driver(home: Path, peer: Peer, command: str, *numbers: int) -> dict[str, Any]:
    with (home / LOG).open("ab") as log:
        done = subprocess.run(
            [*producer(peer), command, *map(str, numbers)],
            env=_environment(home, peer, 0),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    return _said(peer, done.returncode, done.stdout, home)


def _said(peer: Peer, code: int, output: str, home: Path) -> dict[str, Any]:
    if code:
        raise Invalid(f"the driver of {peer.name} ended with exit code {code}: {_words(home)}")
    lines = output.strip().splitlines()
    words: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return words


@contextmanager
def _working(home: Path, peer: Peer, jobs: int) -> Iterator[subprocess.Popen[bytes]]:
    with (home / LOG).open("ab") as log:
        worker = subprocess.Popen(
            worker_of(peer),
            env=_environment(home, peer, jobs),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield worker
    finally:
        # How a peer's worker ends is not measured. What is left of it dies with this process.
        worker.terminate()
        try:
            worker.wait(timeout=GRACE)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def _until(
    true: Callable[[], bool], worker: subprocess.Popen[bytes], home: Path, what: str
) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        if worker.poll() is not None:
            raise Invalid(f"its worker ended with exit code {worker.returncode}: {_words(home)}")
        if time.monotonic() > deadline:
            raise Invalid(f"{what} did not end within {PATIENCE:.0f} s: {_words(home)}")
        time.sleep(LOOK_EVERY)


def _words(home: Path) -> str:
    return " | ".join((home / LOG).read_text(errors="replace").strip().splitlines()[-3:])


def _environment(home: Path, peer: Peer, jobs: int) -> dict[str, str]:
    ledger = {"BENCH_LEDGER": str(home), "BENCH_ENTRIES": str(jobs + SPARE)}
    return os.environ | ledger | surroundings(peer)


@contextmanager
def _left(peer: Peer) -> Iterator[Callable[[], int]]:
    """How many jobs are stored and not durably finished."""
    url = os.environ["BENCH_URL"]
    if peer.store == "redis":
        with Redis.from_url(url) as redis:
            yield lambda: _IN_REDIS[peer.driver](redis)
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            query = _IN_POSTGRES[peer.driver]
            yield lambda: connection.execute(query).fetchone()[0]


def _unread(redis: Redis, stream: str, group: str) -> int:
    (found,) = (each for each in redis.xinfo_groups(stream) if each["name"] == group.encode())
    return int(found["pending"]) + int(found["lag"] or 0)


# A worker of Celery moves what it has taken to `unacked`; Dramatiq's keeps it in `msgs` until it is
# acknowledged; RQ's and BullMQ's have a list of what runs; ARQ's and SAQ's keep it in a set until
# it is finished; Huey's and Sidekiq's only take it.
_IN_REDIS: Mapping[str, Callable[[Any], int]] = {
    "celery": lambda redis: redis.llen("celery") + redis.hlen("unacked"),
    "dramatiq": lambda redis: redis.hlen("dramatiq:default.msgs"),
    "huey": lambda redis: redis.llen("huey.redis.bench"),
    "rq": lambda redis: redis.llen("rq:queue:bench") + redis.zcard("rq:wip:bench"),
    "saq": lambda redis: redis.zcard("saq:bench:incomplete"),
    "arq": lambda redis: redis.zcard("arq:queue"),
    "bullmq": lambda redis: redis.llen("bull:bench:wait") + redis.llen("bull:bench:active"),
    "sidekiq": lambda redis: redis.llen("queue:default"),
    "taskiq": lambda redis: _unread(redis, "taskiq", "taskiq"),
}
_IN_POSTGRES = {
    "procrastinate": "select count(*) from procrastinate_jobs where status in ('todo', 'doing')",
    "pgqueuer": "select count(*) from pgqueuer",
    "saq": "select count(*) from saq_jobs where status not in ('complete', 'failed', 'aborted')",
    "graphile": "select count(*) from graphile_worker._private_jobs",
}
