"""The line to a server stands, breaks, is slow or eats replies: F35, F57 to F62 and F74."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import msgspec

from faults.frame import SERVERS, row
from faults.harm import BACK, PATIENCE, steadily, tracebacks, until_back
from faults.trial import Trial
from longshore import LongshoreError
from longshore.core.model import JobState
from longshore.core.store_url import parse_url
from tests.checker_tools import quantile
from tests.fault_proxy import FaultProxy
from tests.ledger_tools import Word, now

PORTS = {"postgres18": 5432, "mariadb": 3306, "redis": 6379, "valkey": 6379}
#: The longest that any call may take: to connect and to operate, and a little.
DEADLINE = 6.0
#: What the connection of who listens has said, and until when another one listens, seconds.
LISTENS = {"postgres18": b"listen", "redis": b"BLPOP"}
RESTORED = 15.0


@contextmanager
def through(trial: Trial, *, producers: bool = True) -> Iterator[FaultProxy]:
    """A line between the trial's workers and its store, and its producers too."""
    address = parse_url(trial.where.url)
    port = address.port or PORTS[trial.store_kind]
    with FaultProxy(address.host or "127.0.0.1", port) as line:
        url = msgspec.structs.replace(address, host="127.0.0.1", port=line.port).reveal()
        direct = trial.where.url
        trial.administrator = direct
        if producers:
            trial.move(url)
        else:
            trial.workers.environment["LONGSHORE_STORE"] = url
        try:
            yield line
        finally:
            line.heal()
            if trial.account is None:
                trial.settle()
            trial.rest()
            trial.move(direct)


def _pair(trial: Trial) -> None:
    for _ in range(2):
        trial.worker()
    trial.ready(4)


@row("F35", "the line of who listens stands, and no other", on=("postgres18", "redis"), jobs=500)
def deaf(trial: Trial) -> None:
    rate = min(trial.plan.rate, 20)
    with through(trial, producers=False) as line:
        trial.worker()
        trial.ready(2)
        # A process joins a moment before it listens.
        trial.until(lambda: _deaf(line, LISTENS[trial.store_kind]) >= 2, 30, "two who listen")
        trial.at_least("connections of listeners that are dead", line.doomed, 1)
        since = now()
        trial.load(rate=rate).end(300)
        trial.wait(max(0.0, RESTORED - (now() - since) / 1e6))
        restored = now()
        trial.load(max(20, trial.jobs // 5), rate=rate).end(300)
        trial.settle()
        waits, later = trial.waits(since, restored), trial.waits(restored)
        trial.figures["longest wait, s"] = waits[-1]
        # Looked for once a second, and the 0.2 s of the promise.
        trial.at_most("p99 of the wait, s", quantile(waits, 0.99), 1.2, timed=True)
        trial.at_most("median once it hears again, s", quantile(later, 0.5), 0.1, timed=True)


def _deaf(line: FaultProxy, saying: bytes) -> int:
    """How many connections have said this and hear nothing from now on."""
    line.blackhole(saying)
    return line.doomed


@row("F57", "the line stands for some leases, and nobody says so", on=SERVERS)
def half_open(trial: Trial) -> None:
    with through(trial) as line:
        _pair(trial)
        load = trial.load(endless=True)
        trial.until(lambda: trial.started() > 20, PATIENCE, "work")
        line.blackhole()
        trial.wait(60 if trial.jobs >= 5000 else 3 * trial.lease)
        line.heal()
        back = until_back(trial)
        load.stop()
        account = trial.settle()
        trial.figures |= {"uncertain": account.uncertain, "back, s": back}
        trial.at_most("every client back, s", back, BACK, timed=True)
        trial.at_most("the longest call, s", _longest_call(trial), DEADLINE, timed=True)


def _longest_call(trial: Trial) -> float:
    """The longest that a producer waited for an answer, seconds."""
    asked = {line.n: line.at for line in trial.lines if line.word is Word.ATTEMPTED}
    answers = (Word.ACKED, Word.UNCERTAIN, Word.REFUSED)
    return max(
        ((line.at - asked[line.n]) / 1e6 for line in trial.lines if line.word in answers),
        default=0.0,
    )


@row("F58", "all connections are reset, several times a second", on=SERVERS)
def resets(trial: Trial) -> None:
    with through(trial) as line:
        _pair(trial)
        trial.load()
        with steadily(2, line.cut) as often:
            trial.loads[-1].end(600)
        account = trial.settle()
        trial.figures |= {"resets": often[0], "uncertain": account.uncertain}
        trial.at_least("resets", often[0], 3)
        trial.exactly("tracebacks", tracebacks(trial), 0)


@row("F59", "everything takes 200 ms longer, then passes at 20 KB a second", on=SERVERS, jobs=500)
def slow_line(trial: Trial) -> None:
    with through(trial, producers=False) as line:
        _pair(trial)
        line.delay(0.2)
        trial.load(max(16, trial.jobs // 4), ms=(900, 1100), rate=min(trial.plan.rate, 10)).end(600)
        line.slow(20_000)
        trial.load(max(16, trial.jobs // 10), rate=5).end(600)
        line.heal()
        account = trial.settle(300)
        trial.exactly("duplicated: a lease that was not renewed", account.duplicated, 0)


@row("F60", "replies are lost, whatever they are to", on=SERVERS)
def lost_replies(trial: Trial) -> None:
    with through(trial) as line:
        _pair(trial)
        load = trial.load(endless=True)
        hits = 0
        for _ in range(trial.scaled(200, least=15)):
            line.drop_reply(trial.random.randint(1, 12))
            with suppress(AssertionError):
                trial.until(lambda: line.hit, 10, "a reply that is lost")
            hits += line.hit
        load.stop()
        account = trial.settle()
        trial.figures |= {"replies lost": hits, "uncertain": account.uncertain}
        trial.at_least("replies lost", hits, 10)
        stored = trial.history()
        trial.exactly("stored twice", len(stored) - len(trial.records()), 0)
        trial.exactly("tracebacks", tracebacks(trial), 0)


@row("F61", "replies are torn after 1 to 64 bytes", on=SERVERS)
def torn_replies(trial: Trial) -> None:
    with through(trial) as line:
        _pair(trial)
        load = trial.load(endless=True)
        hits = 0
        for size in range(1, 65, 1 if trial.jobs >= 1000 else 5):
            line.truncate(size)
            with suppress(AssertionError):
                trial.until(lambda: line.hit, 10, "a reply that is torn")
            hits += line.hit
        load.stop()
        account = trial.settle()
        trial.figures |= {"replies torn": hits, "uncertain": account.uncertain}
        trial.at_least("replies torn", hits, 10)
        trial.exactly("tracebacks", tracebacks(trial), 0)


@row("F62", "a worker starts before its store can be reached", on=SERVERS)
def absent_at_start(trial: Trial) -> None:
    """That it waits, and refuses a wrong password at once, are rules of a worker's start."""
    with through(trial, producers=False) as line:
        line.refuse()
        worker = trial.worker()
        trial.until(
            lambda: "waiting for the store" in worker.said() or not worker.alive,
            PATIENCE,
            "a word of its waiting",
        )
        trial.wait(trial.lease)
        trial.holds("it waits", worker.alive, worker.said()[-300:])
        line.heal()
        since = now()
        trial.load()
        trial.until(lambda: trial.started() or not worker.alive, PATIENCE, "its first job")
        trial.at_most("its first job after, s", (now() - since) / 1e6, 5, timed=True)
        if not worker.alive:
            trial.worker()
        secret = "not-the-password"
        address = parse_url(trial.administrator)
        url = (
            msgspec.structs.replace(address, user="nobody", password=None)
            .reveal()
            .replace("nobody@", f"nobody:{secret}@")
        )
        wrong = trial.worker(environment={"LONGSHORE_STORE": url})
        if trial.store_kind != "postgres18":  # whose test servers trust everybody
            with suppress(AssertionError):
                trial.until(lambda: not wrong.alive, 20, "its end")
            code = wrong.process.poll()
            trial.holds("wrong password: exit code 5", code == 5, str(code))
        trial.holds("no password in any log", secret not in trial.workers.said())
        if wrong.alive:
            wrong.lose()
        trial.settle()


@row("F74", "an awaited call is cancelled at any moment", on=SERVERS, jobs=10_000)
def cancelled_calls(trial: Trial) -> None:
    with through(trial) as line:
        later = {"delay": 5}
        known = {
            n: _id_of(trial, n) for n in [trial.give("work", options=later) for _ in range(10)]
        }
        line.delay(0.002)
        wrong, whole = asyncio.run(_cancelling(trial, known))
        line.heal()
        trial.reopen()  # what awaited is closed
        trial.worker()
        trial.settle()
        trial.figures |= {"calls answered": whole, "calls cancelled": trial.jobs - whole}
        trial.exactly("answers to somebody else's question", wrong, 0)
        trial.at_least("calls answered", whole, trial.jobs / 4)
        trial.at_least("calls cancelled", trial.jobs - whole, trial.jobs / 10)


async def _cancelling(trial: Trial, known: Mapping[int, str]) -> tuple[int, int]:
    """Ask for jobs one by one, cancelling half of the calls; how many answers are of others.

    And how many there were: a line that answers nobody would show nothing.
    """
    app: Any = trial.app
    wrong = whole = 0
    for _ in range(trial.jobs):
        n = trial.random.choice(list(known))
        asking = asyncio.ensure_future(app.jobs.aget(known[n]))
        if trial.random.random() < 0.5:
            await asyncio.wait([asking], timeout=trial.random.uniform(0, 0.02))
            asking.cancel()
        try:
            handle = await asking
        except (asyncio.CancelledError, LongshoreError):
            continue
        whole += 1
        wrong += handle.id != known[n] or handle.record.state is JobState.DEAD
    await app.jobs.aclose()
    return wrong, whole


def _id_of(trial: Trial, n: int) -> str:
    return next(line.job_id for line in trial.lines if line.n == n and line.word is Word.ACKED)
