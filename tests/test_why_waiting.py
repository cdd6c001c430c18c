"""Why a job waits: one word, one sentence and the facts, the same over every store."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from longshore import Concurrency, JobNotFound, Longshore, Rate, Waiting
from longshore.core.limits import KindRecord, Limit, LimitRecord, Rules, Setting
from longshore.core.model import JobRecord, JobState
from longshore.core.store import ProcessRecord, QueueRecord
from longshore.core.waiting import Facts, Reason, explain
from tests.limits_tools import Hand

SECOND = 1_000_000


@pytest.fixture(params=["memory", "sqlite"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Longshore]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db"
    app = Longshore(url)
    yield app
    app.close()


def declare(jobs: Longshore, **options: Any) -> Any:
    @jobs.job(kind="sync", **options)
    def sync(account: int = 7) -> None: ...

    return sync


# --- asked of a store ---------------------------------------------------------------------------


def test_a_job_that_nobody_takes(jobs: Longshore) -> None:
    handle = declare(jobs).enqueue()
    why = handle.why_waiting()
    assert (why.reason, str(why)) == ("no worker", why.text)
    assert "Start one: longshore worker" in why.text
    hand = Hand(jobs)
    why = asyncio.run(handle.awhy_waiting())
    assert (why.reason, why.workers) == ("next", ("hand",))
    hand.claim()
    why = handle.why_waiting()
    assert why.reason == "running"
    assert "in process hand, run 1" in why.text
    hand.die()
    assert handle.cancel()
    assert handle.why_waiting() == Waiting(reason=Reason.ENDED, text="It has ended: cancelled.")


def test_a_job_that_is_not_due(jobs: Longshore) -> None:
    handle = declare(jobs).using(delay="1h").enqueue()
    why = handle.why_waiting()
    assert (why.reason, why.due_at) == ("not due", handle.record.scheduled_at)
    assert why.text.startswith("It is due in 59 min")


def test_a_paused_queue_and_a_paused_kind(jobs: Longshore) -> None:
    handle = declare(jobs).enqueue()
    jobs.pause(kind="sync", reason="provider down", for_="1h")
    why = handle.why_waiting()
    assert why.reason == "paused kind"
    assert why.text.startswith("Its kind sync is paused: provider down. It goes on in 59 min")
    assert why.resumes_at is not None
    jobs.queues["default"].pause()
    why = handle.why_waiting()
    assert (why.reason, why.text) == ("paused queue", "Its queue default is paused.")


def test_a_full_limit_names_who_holds_it(jobs: Longshore) -> None:
    sync = declare(jobs, concurrency=Concurrency(to=2, key="account", group="account"))
    holders = [sync.enqueue() for _ in range(2)]
    waiting = sync.enqueue()
    hand = Hand(jobs)
    hand.claim(2)
    for _ in range(2):  # whether a claim has met it, and marked it, or not
        why = waiting.why_waiting()
        assert (why.reason, why.key, why.used, why.of) == ("limited", "c:account:7", 2, 2)
        assert sorted(why.held_by) == sorted(handle.id for handle in holders)
        assert why.text.startswith("The limit account of 7 is full: 2 of 2 run: ")
        hand.claim()
    jobs.limits.set("account", to=3)
    assert waiting.why_waiting().reason == "next"


def test_a_rate_that_is_used_up_says_when_it_opens(jobs: Longshore) -> None:
    sync = declare(jobs, rate=Rate(1, per="1h"))
    sync.enqueue()
    waiting = sync.enqueue()
    hand = Hand(jobs)
    hand.claim()
    hand.claim()
    why = waiting.why_waiting()
    assert (why.reason, why.key, why.used, why.of) == ("rate", "r:sync:", 1, 1)
    assert why.text.startswith("The rate sync is used up: 1 of 1 started in 1 h. It opens in 59")
    assert why.opens_at is not None
    assert why.opens_at > time.time() * SECOND


def test_a_parked_job(jobs: Longshore) -> None:
    handle = jobs.push({"kind": "unknown"})
    declare(jobs)
    parked = threading.Event()
    jobs.on("job.parked")(lambda _: parked.set())
    with jobs.worker(threads=1).running():
        assert parked.wait(10)
    why = handle.why_waiting()
    assert why.reason == "parked"
    assert "UnknownJob" in why.text


def test_a_job_that_is_gone(jobs: Longshore) -> None:
    handle = declare(jobs).enqueue()
    jobs.query.filter(id=handle.id).delete()
    with pytest.raises(JobNotFound):
        handle.why_waiting()


# --- the words themselves -----------------------------------------------------------------------

JOB = JobRecord(
    id="01940000-0000-7000-8000-000000000000",
    kind="sync",
    queue="mail",
    state=JobState.AVAILABLE,
    payload=b"{}",
    priority=0,
    run=0,
    failures=0,
    interruptions=0,
    max_attempts=25,
    scheduled_at=0,
    created_at=0,
    attempted_at=None,
    claimed_at=None,
    finalized_at=None,
    expires_at=None,
    timeout=None,
    keep_result=None,
    claimed_by=None,
    cancel_requested=False,
    parked=None,
    reason=None,
    result=None,
    result_error=None,
    progress=None,
    tags=(),
    meta={},
    runs=(),
)
PROCESS = ProcessRecord(
    id="p",
    app="app",
    name="worker",
    host="host",
    pid=1,
    queues=("*",),
    kinds=("sync",),
    slots=2,
    embedded=False,
    started_at=0,
    seen_at=0,
    lease_left=1,
    running=0,
)
QUEUE = QueueRecord(
    name="mail",
    paused=False,
    reason=None,
    resumes_at=None,
    depth=1,
    scheduled=0,
    running=0,
    latency=0,
)
FULL = LimitRecord(
    key="c:a:",
    name="a",
    value="",
    to=5,
    per=None,
    used=5,
    blocked=1,
    holders=tuple(f"h{n}" for n in range(5)),
    opens_at=None,
    setting=None,
)
A = Rules(limits=(Limit("a", "", 5),))


def job(**fields: Any) -> JobRecord:
    return msgspec.structs.replace(JOB, **fields)


def process(**fields: Any) -> ProcessRecord:
    return msgspec.structs.replace(PROCESS, **fields)


@pytest.mark.parametrize(
    ("facts", "reason", "told"),
    [
        (Facts(job=job(state=JobState.DEAD, reason="poison"), now=1), "ended", "dead: poison."),
        (
            Facts(job=job(state=JobState.RETRYING, scheduled_at=2 * SECOND), now=0),
            "not due",
            "It is tried again in 2 s.",
        ),
        (Facts(job=job(state=JobState.WAITING), now=0), "dependencies", "other jobs"),
        (
            Facts(job=job(expires_at=SECOND), now=3 * SECOND),
            "expired",
            "It expired 2 s ago and will be cancelled.",
        ),
        (
            Facts(job=job(expires_at=SECOND, attempted_at=1), now=3 * SECOND, processes=[PROCESS]),
            "next",
            "It starts next: worker serves its queue mail.",
        ),
        (Facts(job=JOB, now=0, queues=[QUEUE], processes=[PROCESS]), "next", "starts next"),
        (
            Facts(job=JOB, now=0, kinds=[KindRecord(kind="other", reason=None, resumes_at=None)]),
            "no worker",
            "No worker is alive",
        ),
        (Facts(job=JOB, now=0, processes=[process(lease_left=0)]), "no worker", "No worker is"),
        (
            Facts(job=JOB, now=0, processes=[process(queues=("low", "-mail*"))]),
            "no worker",
            "None of 1 worker process serves its queue mail.",
        ),
        (
            Facts(job=JOB, now=0, processes=[process(kinds=()), process(kinds=("other",))]),
            "no worker",
            "None of 2 worker processes of its queue mail knows its kind sync.",
        ),
        (
            Facts(job=JOB, now=0, processes=[process(running=2, queues=("mail:8", "low"))]),
            "busy",
            "Every slot is busy: 2 jobs run in 1 worker process of its queue mail.",
        ),
        (Facts(job=JOB, now=0, processes=[process(queues=("%%",))]), "next", "worker serves"),
        (
            Facts(job=JOB, now=0, processes=[process(slots=1, running=1)]),
            "busy",
            "Every slot is busy: 1 job runs in 1 worker process of its queue mail.",
        ),
        (
            Facts(job=JOB, now=0, processes=[PROCESS, process(name="other")]),
            "next",
            "It starts next: worker, other serve its queue mail.",
        ),
        (
            Facts(job=job(parked="the key k2 is not among those of this process."), now=0),
            "parked",
            "It is parked: the key k2 is not among those of this process. It waits for a worker",
        ),
        (
            Facts(
                job=JOB,
                now=0,
                queues=[msgspec.structs.replace(QUEUE, paused=True, reason="Wait for Ann ...")],
            ),
            "paused queue",
            "Its queue mail is paused: Wait for Ann ....",
        ),
        (
            Facts(job=job(rules=A), now=0, limits=[FULL]),
            "limited",
            "The limit a is full: 5 of 5 run: h0, h1, h2 and 2 more.",
        ),
        (
            Facts(
                job=job(rules=A),
                now=0,
                limits=[msgspec.structs.replace(FULL, used=4, setting=Setting(3))],
            ),
            "limited",
            "4 of 3 run",
        ),
        (
            Facts(
                job=job(rules=A, blocked_by="c:a:"),
                now=0,
                limits=[msgspec.structs.replace(FULL, used=4)],
                processes=[PROCESS],
            ),
            "next",
            "starts next",
        ),
        (
            Facts(
                job=job(rules=A, blocked_by="r:b:x"),
                now=0,
                limits=[
                    FULL,
                    msgspec.structs.replace(
                        FULL, key="r:b:x", name="b", value="x", per=SECOND, opens_at=500_000
                    ),
                ],
            ),
            "rate",
            "The rate b of x is used up: 5 of 5 started in 1 s. It opens in 500 ms.",
        ),
    ],
)
def test_words(facts: Facts, reason: str, told: str) -> None:
    why = explain(facts)
    assert why.reason == reason
    assert told in why.text
