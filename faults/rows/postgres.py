"""PostgreSQL crashes, goes away, kills its sessions: F26 to F34 and F36."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from psycopg import sql

from faults.frame import SERVERS, Own, row
from faults.harm import (
    BACK,
    PATIENCE,
    admin,
    asked,
    command,
    crashes,
    outage,
    pytest_passes,
    steadily,
    tracebacks,
    until_back,
)
from faults.storm import HINTS
from faults.trial import Trial
from faults.workers import ROOT
from longshore import Longshore
from longshore.core.store import Filter
from longshore.core.store_url import parse_url
from tests.checker_tools import quantile
from tests.ledger_tools import Word, now
from tests.places import Place, place, postgres

POSTGRES = ("postgres18",)
#: As many as write at once in a storm.
PRODUCERS = 16


@row("F26", "the PostgreSQL server crashes again and again under load", on=POSTGRES, own=Own())
def crashing(trial: Trial) -> None:
    crashes(trial)


@row("F27", "the server is away for three leases", on=("postgres18", "mariadb", "redis"), own=Own())
def away(trial: Trial) -> None:
    """Outage grace is a rule of the worker's lease: who cannot renew does not give up at once."""

    def gone() -> None:
        trial.server.kill()
        trial.wait(3 * trial.lease)
        trial.server.start()

    outage(trial, gone, 3)


@row("F28", "sessions are terminated, twenty a second", on=POSTGRES, own=Own())
def sessions_killed(trial: Trial) -> None:
    for _ in range(2):
        trial.worker()
    trial.ready(4)
    trial.load()
    with admin(trial) as connection:

        def harm() -> None:
            asked(
                connection,
                "select pg_terminate_backend(pid) from pg_stat_activity where pid <>"
                " pg_backend_pid() and backend_type = 'client backend' order by random() limit 1",
            )

        with steadily(20, harm) as often:
            trial.loads[-1].end(300)
        account = trial.settle()
    trial.figures |= {"sessions killed": often[0], "uncertain": account.uncertain}
    trial.at_least("sessions killed", often[0], 10)
    trial.exactly("duplicated", account.duplicated, 0)
    trial.exactly("tracebacks", tracebacks(trial), 0)


@row("F29", "the store becomes read-only, and is writable again", on=SERVERS, own=Own())
def read_only(trial: Trial) -> None:
    if trial.store_kind == "mariadb":
        _as_plain_user(trial)
    for _ in range(2):
        trial.worker()
    trial.ready(4)
    load = trial.load(endless=True)
    trial.until(lambda: trial.started() > 20, PATIENCE, "work")
    with admin(trial) as connection:
        _switch(trial, connection, on=True)
        trial.until(lambda: _doubted(trial) > 0, PATIENCE, "a producer that is refused")
        trial.wait(trial.lease)
        _switch(trial, connection, on=False)
        back = until_back(trial)
    load.stop()
    account = trial.settle()
    trial.figures["uncertain"] = account.uncertain
    trial.at_most("every client back, s", back, BACK, timed=True)


def _doubted(trial: Trial) -> int:
    return sum(line.word is Word.UNCERTAIN for line in trial.lines)


def _as_plain_user(trial: Trial) -> None:
    """Go on as a user whom `read_only` binds: it does not bind an administrator."""
    with admin(trial) as connection:
        asked(connection, "create user plain@'127.0.0.1'")
        asked(connection, "create user plain@localhost")
        for host in ("'127.0.0.1'", "localhost"):
            asked(connection, f"grant all on `{parse_url(trial.where.url).path}`.* to plain@{host}")
    trial.administrator = trial.where.url
    trial.move(trial.where.url.replace("root@", "plain@"))


def _switch(trial: Trial, connection: Any, *, on: bool) -> None:
    if trial.store_kind == "redis":
        # Of a server that is not there: nothing replaces what this one has.
        args = ("127.0.0.1", "1") if on else ("NO", "ONE")
        connection.execute_command("REPLICAOF", *args)
    elif trial.store_kind == "mariadb":
        asked(connection, f"set global read_only = {int(on)}")
    else:
        asked(connection, "set default_transaction_read_only = off")
        asked(
            connection,
            f"alter system set default_transaction_read_only = {'on' if on else 'off'}",
        )
        asked(connection, "select pg_reload_conf()")


@row(
    "F30",
    "there are twenty connections for four workers",
    on=("postgres18", "mariadb"),
    own=Own(given=("max_connections=20",)),
)
def few_connections(trial: Trial) -> None:
    """Saying how many are needed is a rule of a worker's start."""
    workers = [trial.worker() for _ in range(4)]
    trial.until(
        lambda: trial.store.run(trial.store.processes()) or not any(one.alive for one in workers),
        PATIENCE,
        "a worker that works, or an end of all",
    )
    load = trial.load()
    load.end(300)
    refused = [one for one in workers if not one.alive]
    said = "\n".join(one.said() for one in refused)
    trial.holds("who does not start says why", not refused or "connections" in said, said[-300:])
    if len(refused) == len(workers):
        trial.holds("somebody works", so=False)
    account = trial.settle()
    trial.figures |= {"workers that ended": len(refused), "uncertain": account.uncertain}
    trial.exactly("duplicated", account.duplicated, 0)


@row("F31", "the jobs' table is locked for two leases", on=POSTGRES, own=Own())
def table_locked(trial: Trial) -> None:
    """That nothing runs twice is a rule of the worker's lease: nobody could renew meanwhile."""
    for _ in range(2):
        trial.worker()
    trial.ready(4)
    held = [trial.give("work", ms=int(4000 * trial.lease)) for _ in range(6)]
    trial.until(lambda: trial.started(*held) == len(held), PATIENCE, "their start")
    load = trial.load()
    most = 0
    with admin(trial) as locking, admin(trial) as watching:
        asked(locking, "begin")
        for table in ("job", "process"):
            asked(locking, f"lock table longshore_{table} in access exclusive mode")
        until = now() + int(2e6 * trial.lease)
        while now() < until:
            waiting = asked(
                watching,
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock'",
            )
            most = max(most, waiting[0][0])
            trial.wait(0.1)
        asked(locking, "rollback")
    load.end(300)
    account = trial.settle()
    trial.figures["waiting at once"] = most
    # Two workers with a supervisor and two children each, and two producers.
    trial.at_most("sessions that wait at once", most, 14)
    trial.exactly("duplicated", account.duplicated, 0)


@row(
    "F32",
    "an idle transaction keeps everything that was deleted",
    on=POSTGRES,
    own=Own(),
    jobs=100_000,
)
def old_transaction(trial: Trial) -> None:
    """The warning is a rule of `longshore doctor`."""
    trial.worker()
    trial.ready(2)
    trial.load(max(50, trial.jobs // 10)).end(600)
    before, since = trial.waits(), now()
    with admin(trial) as connection:
        asked(connection, "begin isolation level repeatable read")
        asked(connection, "select count(*) from longshore_job")
        trial.load().end(60 + trial.jobs / trial.plan.rate * 3)
        said = command(trial, "doctor")
        asked(connection, "rollback")
    trial.settle(300)
    during = trial.waits(since)
    trial.figures |= {"p95 before, s": quantile(before, 0.95), "during": quantile(during, 0.95)}
    # Below a twentieth of a second the difference is one of a busy machine.
    bound = max(0.05, 5 * quantile(before, 0.95))
    trial.at_most("p95 of the wait, s", quantile(during, 0.95), bound, timed=True)
    trial.holds("doctor tells of the transaction", "transaction" in said, said[-300:])


@row("F33", "another isolation level is the default", on=("postgres18", "mariadb"), own=Own())
def isolation(trial: Trial) -> None:
    for level in ("serializable", "repeatable read"):
        with admin(trial) as connection:
            if trial.store_kind == "mariadb":
                asked(connection, f"set global transaction isolation level {level}")
            else:
                asked(connection, f"alter system set default_transaction_isolation = '{level}'")
                asked(connection, "select pg_reload_conf()")
        trial.move(trial.where.url)
        workers = [trial.worker() for _ in range(2)]
        trial.ready(4)
        trial.load(max(50, trial.jobs // 2)).end(300)
        account = trial.settle()
        trial.exactly(f"{level}: duplicated", account.duplicated, 0)
        trial.exactly(f"{level}: uncertain", account.uncertain, 0)
        trial.exactly(f"{level}: tracebacks", tracebacks(trial), 0)
        for worker in workers:
            worker.end()
    if trial.jobs >= 1000:
        assert trial.server is not None
        variable = "TEST_MYSQL_URL" if trial.store_kind == "mariadb" else "TEST_POSTGRES_URL"
        arguments = ("tests/test_conformance.py", "-k", trial.store_kind)
        pytest_passes(trial, *arguments, environment={variable: trial.server.url})


@row("F34", "a pooler in transaction mode lies before the server", on=("pgbouncer",))
def pooled(trial: Trial) -> None:
    for _ in range(2):
        trial.worker()
    trial.ready(4)
    trial.load()
    account = trial.settle()
    trial.exactly("duplicated", account.duplicated, 0)
    trial.exactly("uncertain", account.uncertain, 0)
    trial.exactly("tracebacks", tracebacks(trial), 0)
    if trial.jobs >= 1000:
        pytest_passes(trial, "tests/test_conformance.py", "-k", "pgbouncer", environment={})


@row("F36", "a storm of notifications: sixteen producers", on=POSTGRES, own=Own())
def notify_storm(trial: Trial) -> None:
    """To notify takes a lock of the whole database at each commit, so that not each one does it.

    Its control notifies in every transaction: that must cost something here, or nothing is shown.
    """
    assert trial.server is not None
    rounds = 3
    seconds = 60 / rounds if trial.jobs >= 5000 else 3.0
    stored = Counter[str]()
    with place(trial.store_kind, trial.folder, trial.server) as where:
        with closing(Longshore(**where.settings)) as app:
            app.migrate()
        with _producers(where) as ask:
            for _ in range(rounds):
                # In turn, so that what else the machine does hits all of them.
                for hints in HINTS:
                    stored[hints] += ask(hints, seconds)
        with closing(Longshore(**where.settings)) as app:
            there = sum(one.jobs for one in app.store.run(app.store.count(Filter())))
    trial.exactly("stored by the storm, less what it was told", there - stored.total(), 0)
    for hints in HINTS:
        trial.figures[f"{hints}: jobs a second"] = round(stored[hints] / seconds / rounds, 1)
    share = stored["coalesced"] / stored["never"]
    trial.figures |= {
        "coalesced, of never": round(share, 3),
        "always, of never": round(stored["always"] / stored["never"], 3),
    }
    trial.at_least("jobs a second, of what they are without notifying", share, 0.9, timed=True)
    trial.holds(
        "the control: to notify always costs more than a tenth",
        stored["always"] < 0.9 * stored["never"],
        str(stored["always"]),
        timed=True,
    )
    trial.worker()
    trial.load(max(10, trial.jobs // 10))
    trial.settle()


@contextmanager
def _producers(where: Place) -> Iterator[Callable[[str, float], int]]:
    """Sixteen of them; yields what asks all for jobs for some seconds, while somebody listens."""
    command = (sys.executable, "-m", "faults.storm", where.url, where.prefix)
    with closing(postgres(parse_url(where.url))) as listening, ExitStack() as ends:
        listening.execute(sql.SQL("listen {}").format(sql.Identifier(f"{where.prefix}jobs")))
        all_of_them = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
            )
            for _ in range(PRODUCERS)
        ]
        for one in all_of_them:
            ends.enter_context(one)  # waits for its end
            ends.callback(one.kill)

        def heard() -> list[str]:
            return [one.stdout.readline().strip() for one in all_of_them if one.stdout]

        assert heard() == ["ready"] * PRODUCERS, "a producer did not start"

        def ask(hints: str, seconds: float) -> int:
            for one in all_of_them:
                assert one.stdin is not None
                one.stdin.write(f"{hints} {seconds}\n")
                one.stdin.flush()
            return sum(map(int, heard()))

        yield ask
