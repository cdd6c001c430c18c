"""MariaDB crashes and drops connections: F37 to F40."""

from __future__ import annotations

from faults.frame import Own, row
from faults.harm import admin, asked, crashes, steadily, tracebacks
from faults.trial import Trial
from longshore import LongshoreError, PayloadTooLarge
from tests.ledger_tools import Word

MARIADB = ("mariadb",)


@row("F37", "the MariaDB server crashes again and again under load", on=MARIADB, own=Own())
def crashing(trial: Trial) -> None:
    """The warning of a worker's start is a rule of settings that lose what was acknowledged."""
    crashes(trial)
    with admin(trial) as connection:
        asked(connection, "set global innodb_flush_log_at_trx_commit = 2")
    late = trial.worker(processes=1)
    trial.until(
        lambda: "innodb_flush_log_at_trx_commit" in late.said() or _joined(trial, 5),
        60,
        "its start",
    )
    trial.holds(
        "a worker warns of a log that is not flushed",
        "innodb_flush_log_at_trx_commit" in late.said(),
    )


def _joined(trial: Trial, count: int) -> bool:
    return len(trial.store.run(trial.store.processes())) >= count


@row("F39", "connections are killed, and those that idle two seconds too", on=MARIADB, own=Own())
def connections_killed(trial: Trial) -> None:
    with admin(trial) as connection:
        asked(connection, "set global wait_timeout = 2")
        for _ in range(2):
            trial.worker()
        trial.ready(4)
        asked(connection, "set session wait_timeout = 3600")
        trial.load()

        def harm() -> None:
            found = asked(
                connection,
                "select id from information_schema.processlist where id <> connection_id()"
                " and user = 'root' order by rand() limit 1",
            )
            for (number,) in found:
                asked(connection, f"kill connection {int(number)}")

        with steadily(10, harm) as often:
            trial.loads[-1].end(300)
        # All idle: the server closes every connection, which must not be seen by anybody.
        trial.wait(3)
        trial.load(max(20, trial.jobs // 10))
        account = trial.settle()
    trial.figures |= {"connections killed": often[0], "uncertain": account.uncertain}
    trial.at_least("connections killed", often[0], 5)
    trial.at_most("duplicated, uncertain", account.duplicated, account.uncertain)
    trial.exactly("tracebacks", tracebacks(trial), 0)


@row(
    "F38",
    "claims, inserts and cancels at once, and waits for locks end after a second",
    on=MARIADB,
    own=Own(given=("innodb-lock-wait-timeout=1",)),
)
def deadlocks(trial: Trial) -> None:
    for _ in range(4):
        trial.worker()
    trial.ready(8)
    share = max(20, trial.jobs // 4)
    loads = [trial.load(share, rate=trial.plan.rate / 2) for _ in range(4)]
    cancelled = 0
    while not all(load.done for load in loads):
        cancelled += len(trial.many("work", 20, ms=1))
        trial.app.jobs.query.filter(kind="awork", state="available").cancel()
        trial.wait(0.2)
    account = trial.settle()
    with admin(trial) as connection:
        found = asked(connection, "show global status like 'Innodb_deadlocks'")
    trial.figures["deadlocks met by the server"] = float(found[0][1]) if found else -1
    trial.exactly("uncertain", account.uncertain, 0)
    trial.exactly("refused", account.refused, 0)
    trial.exactly("tracebacks", tracebacks(trial), 0)
    began = {line.pid for line in trial.lines if line.word is Word.STARTED}
    trial.exactly("processes that got work", len(began), 8)


@row(
    "F40",
    "a packet of the server is smaller than what is sent",
    on=MARIADB,
    own=Own(given=("max-allowed-packet=1M",)),
)
def small_packets(trial: Trial) -> None:
    trial.worker()
    trial.ready(2)
    many = trial.scaled(5000, least=1500)
    # Together five times what the server takes at once.
    trial.holds("a bulk is split", len(trial.many("carry", many, cargo="x" * 1000)) == many)
    before = sum(trial.counted().values())
    refused = ""
    try:
        trial.many("carry", 3, cargo="x" * 1_040_000)
    except LongshoreError as error:
        refused = type(error).__name__
    after = sum(trial.counted().values())
    trial.holds("too large for the server: all or nothing", after - before in {0, 3}, refused)
    trial.holds("and an error if nothing", bool(refused) == (after == before), refused)
    try:
        trial.give("carry", cargo="x" * 2_000_000)
    except PayloadTooLarge:
        trial.holds("too large for Longshore: told before it is sent", so=True)
    else:
        trial.holds("too large for Longshore: told before it is sent", so=False)
    account = trial.settle()
    trial.exactly("tracebacks", tracebacks(trial), 0)
    trial.figures["uncertain"] = account.uncertain
