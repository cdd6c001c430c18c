"""Jobs of ``isolation="process"``: each runs in a fresh interpreter of its own.

The parent's slot keeps the lease and the token; the child has one socket to its parent and no
store of its own for the run. A spare child is kept warm so that its start is hidden. Timeouts and
cancellation end the child, first politely, then with SIGKILL; its memory is gone with it.
"""

from __future__ import annotations

import select
import signal
import socket
import sys
import threading
import time

from longshore.core.model import Ending, JobState, Why
from longshore.core.outcome import Attempt
from longshore.errors import AppImportFailed, LeaseLost, StoreError
from longshore.running import RunState
from longshore.worker.control import (
    Answer,
    Ask,
    Boot,
    Done,
    FromChild,
    Perform,
    Refused,
    Said,
    Stop,
    parent_channel,
)
from longshore.worker.options import WorkerOptions

POLITE = 2.0
TICK = 0.1


class IsolatedJobs:
    """Runs jobs in children, one each. It ends with :meth:`close`, which ends the spare."""

    def __init__(self, app: str, cwd: str) -> None:
        self._options = WorkerOptions(app=app, cwd=cwd)
        self._spare: _Child | None = None
        self._lock = threading.Lock()
        self._closed = False

    def perform(self, run: RunState) -> Ending:
        """Run one job to its end; raised into this thread, a verdict ends the child."""
        child = self._take()
        try:
            child.channel.send(Perform(run.claimed, run.lease))
            self._warm()
            stopping = False
            while True:
                if run.stopping and not (stopping or run.once):
                    stopping = True
                    child.channel.send(Stop())
                for message in child.next_messages():
                    match message:
                        case Said():
                            _said(run, message)
                        case Ask():
                            child.channel.send(_answered(run, message))
                        case Done(ending=ending, started_at=started, ended_at=ended):
                            run.started_at, run.ended_at = started, ended
                            if message.settled:
                                run.report.settled(run, ending)
                            return ending
                        case Refused(message=text):
                            raise AppImportFailed(text)
                        case _:
                            pass
                if child.gone:
                    return _died(run, child.exit_code())
        finally:
            child.end()

    def close(self) -> None:
        """End the spare child."""
        with self._lock:
            self._closed = True
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.end()

    def _take(self) -> _Child:
        with self._lock:
            spare, self._spare = self._spare, None
        return spare or _Child(self._options)

    def _warm(self) -> None:
        with self._lock:
            if self._spare is None and not self._closed:
                self._spare = _Child(self._options)


class _Child:
    """One fresh interpreter; it boots while nobody waits for it."""

    def __init__(self, options: WorkerOptions) -> None:
        import subprocess  # noqa: PLC0415 - only jobs in a process of their own need it

        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "longshore.programs.isolated_child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd=options.cwd,
            )
        self.channel = parent_channel(ours)
        self.channel.send(Boot(options))
        self.gone = False

    def next_messages(self) -> list[FromChild]:
        # Short waits: an exception raised into this thread arrives between them.
        readable, _, _ = select.select([self.channel.socket], [], [], TICK)
        if not readable:
            return []
        messages = self.channel.receive()
        if messages is None:
            self.gone = True
            return []
        return messages

    def exit_code(self) -> int:
        return self._process.wait(POLITE)

    def end(self) -> None:
        """Terminate, then kill; always reaped."""
        import subprocess  # noqa: PLC0415 - as above

        self.channel.close()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(POLITE)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()


def _said(run: RunState, said: Said) -> None:
    """Pass on what the child has said, as if its body ran here."""
    if said.progress is not None:
        run.report(run.lease, said.progress)
    if said.line is not None:
        run.report.log(run.lease, said.line)
    if said.steps:
        run.report.leave(run.lease, said.steps)


def _answered(run: RunState, ask: Ask) -> Answer:
    """Do what the child has asked for."""
    try:
        if ask.keep is None:
            return Answer(ask.number, tuple(run.report.steps(run)))
        run.report.keep(run, ask.keep)
    except LeaseLost as error:
        return Answer(ask.number, lost=True, error=str(error))
    except StoreError as error:
        return Answer(ask.number, error=str(error))
    return Answer(ask.number)


def _died(run: RunState, code: int) -> Ending:
    run.ended_at = time.time_ns() // 1000
    attempt = Attempt(run.claimed, run.lease, run.started_at, run.ended_at)
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    entry = attempt.entry(Why.INTERRUPTED)
    return Ending(
        run.lease,
        JobState.AVAILABLE,
        interrupted=True,
        entry=entry,
        reason=f"its process died: {how}",
    )
