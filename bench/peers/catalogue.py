"""Which peers are measured, on which store, with which settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """One peer with one setting.

    ``driver`` names its module, its requirements and its environment; ``worker`` is what follows
    ``python``; ``jobs`` says for each workload how many make a run of seconds: a workload that is
    not in it the peer has no way to do.
    """

    name: str
    title: str
    driver: str
    store: str
    packages: Sequence[str]
    worker: Sequence[str]
    settings: str
    jobs: Mapping[str, int]


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
)

#: By name.
KNOWN: Mapping[str, Peer] = {peer.name: peer for peer in PEERS}


def on(store: str, workload: str) -> list[Peer]:
    """Those that do this workload on this store."""
    return [peer for peer in PEERS if peer.store == store and workload in peer.jobs]
