"""One child of a supervisor, seen from outside: its process, its socket, its shared memory."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from enum import Enum

from longshore.core.interruptions import Crash, crash_of
from longshore.core.model import Ending
from longshore.core.store import Orders, ProcessBeat, Rescue, Store
from longshore.worker.control import (
    Among,
    Boot,
    Cancel,
    Drain,
    Enough,
    Hello,
    ParkedKinds,
    parent_channel,
)
from longshore.worker.crash import ended
from longshore.worker.door import ChildReport
from longshore.worker.fence import ENDS, boot_seconds
from longshore.worker.journal import log
from longshore.worker.launch import Launch
from longshore.worker.options import WorkerOptions
from longshore.worker.rescues import rescue_all
from longshore.worker.vigil import Vigil

#: How long after its deadline a child that was told to end is killed, seconds.
GRACE = 2.0
#: A child that ended no job and lived no longer than this did not work, it only started.
SHORT_LIFE = 5.0


class Stage(Enum):
    """How far a child has come."""

    BOOTING = "booting"
    JOINING = "joining"  # said hello; its process record is being made
    WORKING = "working"
    DRAINING = "draining"


class Child:
    """A child from its start to its burial; the supervisor never repairs one, it replaces it."""

    def __init__(self, number: int, options: WorkerOptions, launch: Launch) -> None:
        self.number = number
        self.stage = Stage.BOOTING
        self.process_id: str | None = None
        self.hello: Hello | None = None
        self.stuck: list[Ending] = []
        self.finished = False
        self.done = False  # finished, and needs no successor
        self.refused = False
        self.deaf = False  # its socket is closed
        self.large = False  # it holds more memory than it may
        self.resting = False  # it has nothing left to do
        self._dismissed = False
        self.started_at = time.monotonic()
        self.kill_at: float | None = None
        self.killed = False
        self.buried = False
        self._vigil: Vigil | None = None
        self._given = options.shutdown_timeout
        self.popen = launch.popen
        self.beacon = launch.beacon
        self._crash = launch.crash_file
        # A stopped child must not stop its supervisor once their socket is full.
        launch.socket.settimeout(1.0)
        self.channel = parent_channel(launch.socket)
        self.channel.send(Boot(options))
        self.pidfd = os.pidfd_open(self.popen.pid) if hasattr(os, "pidfd_open") else None

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def shutdown_timeout(self) -> float:
        """How long its jobs may go on when it is told to end."""
        if self._given is not None:
            return self._given
        return self.hello.shutdown_timeout if self.hello else 0.0

    @property
    def has_worked(self) -> bool:
        """Whether it did more than start."""
        _, _, ended, _ = self.beacon.read_head()
        lived = time.monotonic() - self.started_at
        return self.hello is not None and (ended > 0 or lived > SHORT_LIFE)

    def drain(self, timeout: float) -> None:
        """Ask it to end; killed if it is still there some time after its deadline."""
        if self.stage is Stage.BOOTING:
            timeout = 0.0
            self.popen.terminate()
        self.stage = Stage.DRAINING
        self.channel.send(Drain(timeout))
        deadline = time.monotonic() + timeout + GRACE
        self.kill_at = min(self.kill_at or deadline, deadline)

    def dismiss(self) -> None:
        """Nobody has anything left to do: it may end, once it has nothing itself."""
        if not self._dismissed:
            self._dismissed = True
            self.channel.send(Enough())

    def beat(self) -> ProcessBeat | None:
        """Its part of a beat; ``None`` while it has no process record."""
        if self.process_id is None:
            return None
        oldest, _, _, _ = self.beacon.read_head()
        return ProcessBeat(self.process_id, oldest)

    def how_it_ended(self) -> str:
        """For people, once it is reaped."""
        return ended(self.popen.returncode or 0)

    def crash(self) -> Crash:
        """What is known of its end, once it is reaped and before it is buried."""
        return crash_of(self.how_it_ended(), self._crash.read())

    def rescue(self, crash: Crash) -> Rescue:
        """What gives back its jobs, of which its memory tells which had started and which ended."""
        started, over = self.beacon.read_started(), self.beacon.read_over()
        return Rescue(self.process_id, started, crash=crash, over=over)

    def give_back(self, store: Store, request: Rescue) -> int:
        """What it had goes back, and bodies that did not stop end as they were told; how many."""
        if self.stuck:
            store.run(store.finish(tuple(self.stuck)))
        given, interrupted = rescue_all(store, request)
        if not self.finished and given:
            log.warning(
                "gave back %d jobs of child %d, %d of them interrupted",
                given,
                self.pid,
                interrupted,
            )
        return given

    def renew(self, at: float, lost: Collection[str]) -> None:
        """Its lease was renewed, asked for at ``at``, unless it is among the lost."""
        if self.process_id is not None and self.process_id not in lost:
            self.beacon.renew(max(at, self.beacon.renewed()))

    def pass_on(self, orders: Orders, callers: int) -> None:
        """Tell it what a beat brought: what it is to cancel, what it may serve, how many ask."""
        mine = tuple(lease for lease in orders.cancels if lease.process_id == self.process_id)
        if mine:
            self.channel.send(Cancel(mine))
        if orders.parked_kinds:
            self.channel.send(ParkedKinds(tuple(sorted(orders.parked_kinds))))
        self.channel.send(Among(callers))

    def left(self) -> float | None:
        """Seconds until it is killed for a body that must end before the lease does, if any."""
        if self.hello is None or self.process_id is None or self.killed:
            return None
        if not self.beacon.read_exclusive():
            return None
        renewed = self.beacon.renewed()
        return renewed + ENDS * self.hello.lease - boot_seconds() if renewed else None

    def has_overstayed(self) -> str | None:
        """Why it must not go on without its lease; ``None`` while it may."""
        left = self.left()
        if left is None or left > 0:
            return None
        number = self.beacon.read_exclusive()
        return f"was not renewed, and still runs {number} jobs that must not run elsewhere at once"

    def is_stuck(self, now: float, *, store_answers: bool) -> str | None:
        """Why it makes no progress; ``None`` while it does, or works in C code."""
        if self.hello is None or self.stage is not Stage.WORKING:
            return None
        if self._vigil is None:
            self._vigil = Vigil(self.hello.lease)
        return self._vigil.look(self.beacon, self.pid, now, store_answers=store_answers)

    def report(self) -> ChildReport:
        """What it does, for people."""
        _, busy, ended, _ = self.beacon.read_head()
        doubt = None if self._vigil is None else self._vigil.doubt
        return ChildReport(self.pid, self.stage.value, busy, ended, doubt)

    def kill(self) -> None:
        """SIGKILL; its end is seen like any other."""
        self.killed = True
        if self.popen.poll() is None:
            self.popen.kill()

    def bury(self) -> None:
        """Free what it held here."""
        self.buried = True
        self.channel.close()
        self.beacon.close()
        self._crash.close()
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None
