"""Redis crashes, stalls, drops clients, forgets scripts or data, and is full: F41 to F50."""

from __future__ import annotations

import contextlib
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import redis

from faults.frame import Own, row
from faults.harm import PATIENCE, admin, crashes, outage, pytest_passes, steadily, tracebacks
from faults.trial import Trial
from faults.workers import Worker
from longshore import (
    EnqueueUncertain,
    Longshore,
    StoreBusy,
    StoreError,
    StoreFull,
    StoreUnavailable,
    StoreUnwritable,
)
from longshore.core.model import JobState
from longshore.core.store import Filter
from longshore.core.store_url import parse_url
from tests.checker_tools import runs_of
from tests.ledger_tools import Word, now
from tests.places import redis_client
from tests.servers import private

REDIS = ("redis",)


@row("F41", "the Redis server crashes again and again under load", on=REDIS, own=Own())
def crashing(trial: Trial) -> None:
    """Its control, a Redis that keeps snapshots only, is among the controls."""

    def crash(number: int) -> None:
        if number % 2:
            with admin(trial) as client, contextlib.suppress(redis.RedisError):
                client.shutdown(nosave=True)
        trial.server.kill()

    crashes(trial, crash)


@row("F42", "the server answers nobody for two leases", on=REDIS, own=Own())
def stalled(trial: Trial) -> None:
    """First nothing at all, then no writes. Outage grace is a rule of the worker's lease."""

    def gone() -> None:
        with admin(trial) as client, contextlib.suppress(redis.TimeoutError):
            client.execute_command("DEBUG", "SLEEP", str(2 * trial.lease))
        with admin(trial) as client:
            client.client_pause(int(2000 * trial.lease), all=False)
        trial.wait(2 * trial.lease)

    outage(trial, gone, 4)


@row("F43", "clients are killed, ten times a second all of them", on=REDIS, own=Own())
def clients_killed(trial: Trial) -> None:
    for _ in range(2):
        trial.worker()
    trial.ready(4)
    trial.load()
    with admin(trial) as client:

        def harm() -> None:
            with contextlib.suppress(redis.RedisError):
                client.client_kill_filter(_type="normal", skipme=True)

        with steadily(10, harm) as often:
            trial.loads[-1].end(300)
        account = trial.settle()
    trial.figures |= {"times": often[0], "uncertain": account.uncertain}
    trial.at_least("times", often[0], 5)
    stored = [record.id for record in trial.history()]
    trial.exactly("stored twice", len(stored) - len(trial.records()), 0)
    trial.exactly("tracebacks", tracebacks(trial), 0)


@row("F44", "its memory is full", on=REDIS, own=Own(given=("--maxmemory", "12mb")))
def full(trial: Trial) -> None:
    cargo = "x" * 4000
    filled = 0
    with contextlib.suppress(StoreFull):
        for filled in range(100_000):  # noqa: B007 - how many fitted in is told below
            trial.give("carry", cargo=cargo)
    trial.figures["jobs that fitted in"] = filled
    trial.at_least("jobs that fitted in", filled, 100)
    trial.worker()
    accepted: list[int] = []

    def again() -> bool:
        with contextlib.suppress(StoreFull):
            accepted.append(trial.give("carry", cargo=cargo))
        return bool(accepted)

    trial.until(lambda: trial.started() > 0, PATIENCE, "the first claim")
    since = now()
    trial.until(lambda: _ended(trial) > 0, PATIENCE, "the first ending")
    with admin(trial) as client:
        # Ended jobs are kept, so their room is not free: more is given.
        client.config_set("maxmemory", "24mb")
    free = now()
    trial.until(again, PATIENCE, "an enqueue")
    trial.at_most("accepted after there was room, s", (now() - free) / 1e6, 1, timed=True)
    account = trial.settle()
    trial.figures["first ending after, s"] = (free - since) / 1e6
    trial.exactly("duplicated", account.duplicated, 0)
    trial.exactly("tracebacks", tracebacks(trial), 0)


def _ended(trial: Trial) -> int:
    return trial.counted()[JobState.SUCCEEDED]


@row("F45", "scripts are flushed, five times a second", on=REDIS, own=Own())
def scripts_flushed(trial: Trial) -> None:
    for _ in range(2):
        trial.worker()
    trial.ready(4)
    trial.load()
    with admin(trial) as client:
        with steadily(5, client.script_flush) as often:
            trial.loads[-1].end(300)
        account = trial.settle()
    trial.figures["times"] = often[0]
    trial.at_least("times", often[0], 3)
    trial.exactly("uncertain", account.uncertain, 0)
    trial.exactly("refused", account.refused, 0)
    trial.exactly("duplicated", account.duplicated, 0)
    trial.exactly("tracebacks", tracebacks(trial), 0)


@row("F46", "all its data is gone", on=REDIS, own=Own(), control=True)
def data_gone(trial: Trial) -> None:
    """What was there is lost, which must be said at once; what comes afterwards must be kept."""
    worker = trial.worker()
    trial.ready(2)
    held = [trial.give("work", ms=3000) for _ in range(4)]
    trial.until(lambda: trial.started(*held) == len(held), PATIENCE, "their start")
    with admin(trial) as client:
        client.flushall()
    since = now()
    trial.until(lambda: "emptied" in worker.said(), PATIENCE, "a word of it")
    trial.at_most("told after, s", (now() - since) / 1e6, 5, timed=True)
    trial.until(lambda: _over(trial, worker, held), PATIENCE, "the end of all bodies")
    if worker.alive:
        worker.end()
    trial.move(trial.where.url)
    known = {record.id for record in trial.history()}
    trial.exactly("outcomes written of jobs that are gone", len(known), 0)
    first = trial.jobs
    trial.worker()
    trial.ready(2)
    load = trial.load(first)
    load.end(300)
    account = trial.settle()
    trial.holds(
        "lost: what was there before, and nothing else",
        set(account.lost) <= set(held),
        str(account.lost[:5]),
    )
    trial.exactly("afterwards acknowledged and not run", load.acked - len(trial.history()), 0)
    trial.exactly("unexplained", len(account.unexplained), 0)


def _over(trial: Trial, worker: Worker, numbers: list[int]) -> bool:
    """Whether each of these bodies has come to an end, or its process has."""
    died = {line.pid for line in trial.lines if line.word is Word.DIED}
    bodies = [run for run in runs_of(trial.lines) if run.n in numbers]
    return not worker.alive or all(run.finished or run.raised or run.pid in died for run in bodies)


@row("F47", "a replica takes over without the last of its primary", on=REDIS)
def failover(trial: Trial) -> None:
    """By default the unreplicated tail is lost, which is documented; with `replicated` nothing is.

    The ledger has only the jobs of the second: what is lost by default is a figure.
    """
    missing: dict[str, int] = {}
    for durability in ("full", "replicated"):
        trial.environment["LONGSHORE_DURABILITY"] = durability
        trial.workers.environment["LONGSHORE_DURABILITY"] = durability
        with private("redis", durable=True) as primary, private("redis", durable=True) as replica:
            trial.move(primary.url)
            of_primary = parse_url(primary.url)
            with contextlib.closing(redis_client(replica.url)) as client:
                client.replicaof(of_primary.host, of_primary.port)
                trial.until(lambda c=client: _in_step(c), PATIENCE, "replication")
                give = trial.give if durability == "replicated" else _unledgered(trial)
                acked = [give("work") for _ in range(trial.jobs // 2)]
                # The line between the two is cut: nothing is sent, and nothing follows later.
                client.replicaof("127.0.0.1", 1)
                refused = 0
                for _ in range(20):
                    try:
                        acked.append(give("work"))
                    except (StoreError, EnqueueUncertain):
                        refused += 1
                primary.kill()
                client.replicaof("NO", "ONE")
            trial.move(replica.url)
            there = trial.records()
            missing[durability] = sum(n not in there for n in acked)
            trial.figures[f"{durability}: refused"] = refused
            if durability == "replicated":
                trial.worker()
                trial.ready(2)
                trial.settle()
                trial.rest()
    trial.figures["full: acknowledged and lost"] = missing["full"]
    trial.at_least("full: acknowledged and lost, as documented", missing["full"], 1)
    trial.exactly("replicated: acknowledged and lost", missing["replicated"], 0)
    trial.at_least("replicated: refused", trial.figures["replicated: refused"], 1)


def _unledgered(trial: Trial) -> Callable[[str], int]:
    def give(kind: str) -> int:
        n = trial.number()
        getattr(trial.app, kind).enqueue(n)
        return n

    return give


def _in_step(client: Any) -> bool:
    return client.info("replication").get("master_link_status") == "up"


#: What a server may refuse with, and what must become of it.
ODD = {
    "READONLY You can't write against a read only replica.": StoreUnwritable,
    "LOADING Redis is loading the dataset in memory": StoreUnavailable,
    "BUSY Redis is busy running a script.": StoreBusy,
    "MISCONF Redis is configured to save RDB snapshots": StoreUnwritable,
    "NOAUTH Authentication required.": StoreUnavailable,
    "WRONGPASS invalid username-password pair": StoreUnavailable,
    "NOPERM this user has no permissions": StoreUnwritable,
    "MASTERDOWN Link with MASTER is down": StoreUnavailable,
    "CLUSTERDOWN The cluster is down": StoreUnavailable,
    "TRYAGAIN Multiple keys request during rehashing of slot": StoreBusy,
    "NOREPLICAS Not enough good replicas to write.": StoreUnwritable,
    "OOM command not allowed when used memory > 'maxmemory'.": StoreFull,
    "ERR max number of clients reached": StoreUnavailable,
}


@row("F48", "a server answers with every odd refusal", on=REDIS, jobs=10)
def odd_replies(trial: Trial) -> None:
    unmapped: dict[str, str] = {}
    for text, kind in ODD.items():
        with _refusing(text) as port:
            app = Longshore(store=f"redis://127.0.0.1:{port}/0")
            try:
                app.store.run(app.store.count(Filter()))
            except StoreError as error:
                if type(error).__mro__[0] is not kind and not isinstance(error, kind):
                    unmapped[text] = type(error).__name__
            else:
                unmapped[text] = "nothing"
            finally:
                app.close()
    trial.holds("each refusal is what the table says", not unmapped, str(unmapped))
    trial.worker()
    trial.load()
    trial.settle()


@contextlib.contextmanager
def _refusing(text: str) -> Iterator[int]:
    """A server that refuses every command with this text; its port."""

    class Refuse(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while (head := self.rfile.readline()).startswith(b"*"):
                for _ in range(int(head[1:])):
                    length = int(self.rfile.readline()[1:])
                    self.rfile.read(length + 2)
                self.wfile.write(f"-{text}\r\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refuse) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(PATIENCE)


@row("F49", "settings under which jobs are lost", on=REDIS, own=Own(), jobs=100)
def unsafe_settings(trial: Trial) -> None:
    """The refusal and the warning are rules of a worker's start."""
    with admin(trial) as client:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        refused = trial.worker()
        with contextlib.suppress(subprocess.TimeoutExpired):
            refused.process.wait(20)
        code = refused.process.poll()
        trial.holds("exit code under allkeys-lru: 5", code == 5, str(code))
        trial.holds("it names allkeys-lru", "allkeys-lru" in refused.said())
        # What may be thrown away then are hints, which come back.
        client.config_set("maxmemory-policy", "volatile-ttl")
        _warned(trial, "volatile-ttl")
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("appendonly", "no")
        _warned(trial, "appendonly")
        client.config_set("appendonly", "yes")
        client.config_set("maxmemory", "0")
    trial.worker()
    trial.load()
    trial.settle()


def _warned(trial: Trial, word: str) -> None:
    """A worker starts, and says what is wrong."""
    worker = trial.worker()
    trial.until(lambda: "slots" in worker.said() or not worker.alive, PATIENCE, "its start")
    trial.holds(f"it starts, and names {word}", worker.alive and word in worker.said())
    worker.lose()


@row("F50", "a cluster: all keys of a store are in one slot", on=REDIS, jobs=10)
def one_slot(trial: Trial) -> None:
    pytest_passes(trial, "tests/test_conformance.py", "-k", "RedisCluster", environment={})
    trial.worker()
    trial.load()
    trial.settle()
