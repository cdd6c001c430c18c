"""Which peers are measured, on which store, with which settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec


class Runtime(StrEnum):
    """What a peer is written in."""

    PYTHON = "python"
    NODE = "node"
    RUBY = "ruby"


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """One peer with one setting.

    ``driver`` names its module or folder, its requirements and its environment; ``worker`` is what
    follows ``python`` or the driver in JavaScript, or all of a command; ``jobs`` says for each
    workload how many make a run of seconds: a workload that is not in it the peer has no way to do.
    """

    name: str
    title: str
    driver: str
    store: str
    packages: Sequence[str]
    worker: Sequence[str]
    settings: str
    jobs: Mapping[str, int]
    runtime: Runtime = Runtime.PYTHON


PEERS: Sequence[Peer] = (
    Peer(
        name="celery",
        title="Celery",
        driver="celery",
        store="redis",
        packages=("celery", "kombu", "redis", "hiredis"),
        worker=(
            *("-m", "celery", "-A", "bench.peers.celery", "worker", "--pool", "threads"),
            *("--concurrency", "10", "--without-gossip", "--without-mingle"),
            *("--without-heartbeat", "--loglevel", "WARNING"),
        ),
        settings="10 threads, results not asked for, no gossip, mingle and heartbeat",
        jobs={"W1": 5_000, "W2": 5_000, "W3": 1_000},
    ),
    Peer(
        name="dramatiq",
        title="Dramatiq",
        driver="dramatiq",
        store="redis",
        packages=("dramatiq", "redis", "hiredis"),
        worker=("-m", "dramatiq", "bench.peers.dramatiq", "--processes", "1"),
        settings="one process with the default 8 threads",
        jobs={"W1": 10_000, "W2": 10_000, "W3": 1_000},
    ),
    Peer(
        name="huey",
        title="Huey",
        driver="huey",
        store="redis",
        packages=("huey", "redis", "hiredis"),
        worker=(
            *("-m", "huey.bin.huey_consumer", "bench.peers.huey.huey"),
            *("--worker-type", "thread", "--workers", "4", "--quiet"),
        ),
        settings="4 threads",
        jobs={"W1": 20_000, "W2": 20_000, "W3": 1_000},
    ),
    Peer(
        name="taskiq",
        title="TaskIQ",
        driver="taskiq",
        store="redis",
        packages=("taskiq", "taskiq-redis", "redis", "uvloop"),
        worker=(
            *("-m", "taskiq", "worker", "bench.peers.taskiq:broker", "--workers", "1"),
            *("--max-async-tasks", "10", "--log-level", "WARNING"),
        ),
        settings="RedisStreamBroker, uvloop, one process, 10 coroutines",
        jobs={"W1": 10_000, "W2": 10_000, "W3": 1_000},
    ),
    Peer(
        name="procrastinate",
        title="Procrastinate",
        driver="procrastinate",
        store="postgres",
        packages=("procrastinate", "psycopg"),
        worker=(
            *("-m", "procrastinate", "--app", "bench.peers.procrastinate.app", "worker"),
            *("--concurrency", "10"),
        ),
        settings="concurrency 10, coroutine bodies",
        jobs={"W1": 3_000, "W1b": 50_000, "W2": 2_000, "W3": 1_000},
    ),
    Peer(
        name="pgqueuer",
        title="PgQueuer, batches of 100",
        driver="pgqueuer",
        store="postgres",
        packages=("pgqueuer", "asyncpg", "uvloop"),
        worker=("-m", "bench.peers.pgqueuer", "100"),
        settings="asyncpg, uvloop, coroutine bodies, `batch_size=100`",
        jobs={"W1": 5_000, "W1b": 50_000, "W2": 20_000, "W3": 1_000},
    ),
    Peer(
        name="pgqueuer-10",
        title="PgQueuer, batches of 10",
        driver="pgqueuer",
        store="postgres",
        packages=("pgqueuer", "asyncpg", "uvloop"),
        worker=("-m", "bench.peers.pgqueuer", "10"),
        settings="asyncpg, uvloop, coroutine bodies, the default batch of 10",
        jobs={"W2": 5_000},
    ),
    Peer(
        name="rq",
        title="RQ, a process for each job",
        driver="rq",
        store="redis",
        packages=("rq", "redis", "hiredis"),
        worker=("-m", "bench.peers.rq", "fork"),
        settings="the default worker, which forks for each job",
        jobs={"W1": 5_000, "W1b": 20_000, "W2": 300, "W3": 200},
    ),
    Peer(
        name="rq-simple",
        title="RQ, all in one process",
        driver="rq",
        store="redis",
        packages=("rq", "redis", "hiredis"),
        worker=("-m", "bench.peers.rq", "simple"),
        settings="`SimpleWorker`: one job at a time, no process that a time limit could end",
        jobs={"W2": 3_000, "W3": 1_000},
    ),
    Peer(
        name="saq",
        title="SAQ",
        driver="saq",
        store="redis",
        packages=("saq", "redis", "hiredis", "uvloop"),
        worker=("-m", "bench.peers.saq"),
        settings="uvloop, coroutine bodies, the default concurrency of 10",
        jobs={"W1": 5_000, "W2": 8_000, "W3": 1_000},
    ),
    Peer(
        name="saq-postgres",
        title="SAQ",
        driver="saq",
        store="postgres",
        packages=("saq", "psycopg", "uvloop"),
        worker=("-m", "bench.peers.saq"),
        settings="uvloop, coroutine bodies, the default concurrency of 10",
        jobs={"W1": 3_000, "W2": 4_000, "W3": 1_000},
    ),
    Peer(
        name="arq",
        title="ARQ, tuned",
        driver="arq",
        store="redis",
        packages=("arq", "redis", "hiredis", "uvloop"),
        worker=("-m", "bench.peers.arq", "100", "0.01"),
        settings="uvloop, coroutine bodies, `max_jobs=100`, `poll_delay=0.01`",
        jobs={"W1": 5_000, "W2": 8_000, "W3": 1_000},
    ),
    Peer(
        name="arq-default",
        title="ARQ",
        driver="arq",
        store="redis",
        packages=("arq", "redis", "hiredis", "uvloop"),
        worker=("-m", "bench.peers.arq", "10", "0.5"),
        settings="uvloop, coroutine bodies, the default 10 jobs at once and a look every 0.5 s",
        jobs={"W2": 500, "W3": 1_000},
    ),
    Peer(
        name="bullmq",
        title="BullMQ",
        driver="bullmq",
        store="redis",
        packages=("bullmq", "ioredis"),
        worker=("work",),
        settings="one process, concurrency 100, ended jobs kept as by default",
        jobs={"W1": 10_000, "W1b": 50_000, "W2": 30_000, "W3": 1_000},
        runtime=Runtime.NODE,
    ),
    Peer(
        name="graphile",
        title="Graphile Worker",
        driver="graphile",
        store="postgres",
        packages=("graphile-worker", "pg"),
        worker=("work",),
        settings="24 jobs at once, `localQueue.size` 500, `completeJobBatchDelay` 0",
        jobs={"W1": 5_000, "W1b": 50_000, "W2": 50_000, "W3": 1_000},
        runtime=Runtime.NODE,
    ),
    Peer(
        name="sidekiq",
        title="Sidekiq",
        driver="sidekiq",
        store="redis",
        packages=("sidekiq", "redis", "hiredis"),
        worker=(
            *("sidekiq", "--require", "./bench/peers/sidekiq/note.rb"),
            *("--concurrency", "10", "--queue", "default"),
        ),
        settings="the distribution's Ruby and gems, 10 threads, log level WARN",
        jobs={"W1": 20_000, "W1b": 100_000, "W2": 50_000, "W3": 1_000},
        runtime=Runtime.RUBY,
    ),
)

#: By name.
KNOWN: Mapping[str, Peer] = {peer.name: peer for peer in PEERS}


def on(store: str, workload: str) -> list[Peer]:
    """Those that do this workload on this store."""
    return [peer for peer in PEERS if peer.store == store and workload in peer.jobs]
