"""Many enqueue the same unique job at once, in rounds, while what runs it crashes.

The small test and the one in memory do so with threads of one process; the long programmes with
processes that are killed (`tests/apps/enqueuing.py`).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from typing import Any

from longshore import JobHandle, JobState, Longshore
from longshore.core.model import LIVE
from tests.harbour_tools import APPS, Harbour, eventually
from tests.limits_tools import Hand
from tests.owners_tools import Watcher, overlaps

THREADS = 5


def one_holder(jobs: Longshore, validate: Any, *, rounds: int, threads: int = 50) -> None:
    """In each round all threads enqueue the same job of kind `validate`; then it ends.

    In every other round its process dies in between.
    """
    hand = Hand(jobs)
    gate, errors, made = threading.Barrier(threads + 1), list[Exception](), list[Any]()

    def run() -> None:
        try:
            for _ in range(rounds):
                gate.wait(30)
                made.append(validate.enqueue(7))
                gate.wait(30)
        except Exception as error:  # noqa: BLE001 - told below
            errors.append(error)
            gate.abort()

    started = [threading.Thread(target=run) for _ in range(threads)]
    for thread in started:
        thread.start()
    for number in range(rounds):
        gate.wait(30)
        gate.wait(30)
        live = jobs.query.filter(kind="validate", state=["available", "running"])
        assert live.count() == 1, number
        assert len({handle.id for handle in made}) == 1
        assert sum(not handle.is_duplicate for handle in made) == 1
        made.clear()
        (job,) = hand.claim()
        if number % 2:
            # A crash in between: the job goes back, and holds the key all the while.
            hand.die(job)
            hand = Hand(jobs, f"hand{number}")
            assert validate.enqueue(7).id == job.id
        assert jobs.get(job.id).cancel()
        if not number % 2:
            hand.die()
            hand = Hand(jobs, f"hand{number}")
        assert jobs.get(job.id).state is JobState.CANCELLED
    for thread in started:
        thread.join(30)
    assert errors == []


class Enqueuer:
    """A process that enqueues the same job in several threads each time it is told to."""

    def __init__(self, harbour: Harbour) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "enqueuing.py", str(THREADS)],
            cwd=APPS,
            env=harbour.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.killed = False
        self._ready = False

    def go(self) -> None:
        assert self.process.stdin is not None
        if not self._ready:
            assert self._line() == ["ready"]
            self._ready = True
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def answers(self) -> list[list[str]]:
        """(id, new or there) of each thread; of a killed one those that it told before."""
        lines = [self._line() for _ in range(THREADS)]
        return [line for line in lines if line]

    def kill(self) -> None:
        self.killed = True
        self.process.kill()

    def stop(self) -> None:
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.process.wait(timeout=10)

    def _line(self) -> list[str]:
        assert self.process.stdout is not None
        return self.process.stdout.readline().split()


class Contest:
    """Enqueuers and two workers over one unique job, in rounds, killed now and then.

    In an even round the job runs until all have their answer: they all got the same. In an odd
    one it ends at once, while they enqueue: each new one begins after the last has ended. Always
    one more enqueue must find the key held or free, never stuck.
    """

    def __init__(self, harbour: Harbour, *, enqueuers: int = 10, seed: int = 1) -> None:
        self.harbour = harbour
        self.jobs: Longshore = harbour.jobs
        self.held: Any = harbour.app.held
        self.kills = Counter[str]()
        #: What somebody was told that it had made, and what may have been made by who was killed.
        self.made: set[str] = set()
        self._random = random.Random(seed)
        self._open = harbour.folder / "open"
        self._enqueuers = [Enqueuer(harbour) for _ in range(enqueuers)]

    def run(self, rounds: int, *, kill_every: int) -> Watcher:
        """Each ``kill_every`` rounds an enqueuer dies in their middle, in others a worker."""
        for _ in range(2):
            self.harbour.worker(threads=2)
        self.harbour.await_ready(2)
        live = self.jobs.query.filter(kind="held", state=list(LIVE))
        with Watcher(live.count, gap=0.02) as watcher:
            for number in range(rounds):
                kill = number % kill_every == kill_every - 1
                other = number % kill_every == kill_every // 2
                self._round(number, kill_enqueuer=kill, kill_worker=other)
        assert watcher.most == 1
        self._settle()
        return watcher

    def stop(self) -> None:
        for enqueuer in self._enqueuers:
            enqueuer.stop()

    def _round(self, number: int, *, kill_enqueuer: bool, kill_worker: bool) -> None:
        at_once = number % 2 == 1
        if at_once:
            self._open.touch()
        for enqueuer in self._enqueuers:
            enqueuer.go()
        if kill_enqueuer:
            self._kill_enqueuer()
        if kill_worker and at_once:
            self._kill_worker()
        answers = [answer for each in self._enqueuers for answer in each.answers()]
        wrong = [answer for answer in answers if answer[1] not in ("new", "there")]
        assert not wrong, wrong
        new = [job_id for job_id, how in answers if how == "new"]
        assert len(set(new)) == len(new)
        assert len(new) >= 1 - kill_enqueuer
        self.made.update(new)
        told = {job_id for job_id, _ in answers}
        if kill_enqueuer:
            self.made |= told
            self._replace()
        assert told <= self.made
        if not at_once:
            self._end_one(told, kill_worker=kill_worker)
        eventually(lambda: not self._live(), 40, f"the end of round {number}")
        self._open.unlink(missing_ok=True)

    def _end_one(self, told: set[str], *, kill_worker: bool) -> None:
        """All were told the same job, which holds the key whoever dies, until it may end."""
        (job_id,) = told
        assert self._live() == [job_id]
        if kill_worker:
            eventually(lambda: self.harbour.starts(job_id), what="its start")
            self._kill_worker(int(self.harbour.starts(job_id)[0][1]))
            eventually(lambda: len(self.harbour.starts(job_id)) == 2, 20, "its second start")
        again: JobHandle[Any] = self.held.enqueue(7)
        assert (again.id, again.is_duplicate) == (job_id, True)
        (self.harbour.folder / job_id).touch()

    def _live(self) -> list[str]:
        return [handle.id for handle in self.jobs.query.filter(kind="held", state=list(LIVE))]

    def _kill_enqueuer(self) -> None:
        threading.Event().wait(self._random.uniform(0, 0.02))
        self._random.choice(self._enqueuers).kill()
        self.kills["enqueuers"] += 1

    def _replace(self) -> None:
        for place, enqueuer in enumerate(self._enqueuers):
            if enqueuer.killed:
                enqueuer.stop()
                self._enqueuers[place] = Enqueuer(self.harbour)

    def _kill_worker(self, pid: int | None = None) -> None:
        """The child of that number; else any."""
        if pid is None:
            threading.Event().wait(self._random.uniform(0, 0.02))
            children = [
                child for one in self.harbour.workers for child in self.harbour.children(one)
            ]
            pid = self._random.choice(children).pid if children else None
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            self.kills["workers"] += 1

    def _settle(self) -> None:
        """Each that was made succeeded, nobody made more than was told, and no two ran at once."""
        stored = {handle.id: handle.state for handle in self.jobs.query}
        assert set(stored.values()) == {JobState.SUCCEEDED}
        assert self.made <= set(stored)
        # Who was killed may have made one that nobody heard of.
        assert len(stored) - len(self.made) <= self.kills["enqueuers"] * THREADS
        assert overlaps(self.harbour.lines()) == []
