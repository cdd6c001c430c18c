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

from longshore.core.model import Ending, JobState, NewJob, Why
from longshore.core.outcome import Attempt
from longshore.errors import AppImportFailed, LongshoreError
from longshore.running import RunState
from longshore.worker.control import (
    Answer,
    Ask,
    Boot,
    Done,
    Doubted,
    FromChild,
    Insert,
    Perform,
    Refused,
    Said,
    Stop,
    Trouble,
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
            listener, stopping, lost = _Listener(run, child), False, False
            while True:
                if (run.lost or run.doubted) != lost:
                    lost = not lost
                    child.channel.send(Doubted(lost))
                if run.stopping and not (stopping or run.once):
                    stopping = True
                    child.channel.send(Stop())
                for message in child.next_messages():
                    ending = listener.hear(message)
                    if ending is not None:
                        return ending
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


class _Listener:
    """Does what one child asks for, until it tells its end."""

    def __init__(self, run: RunState, child: _Child) -> None:
        self._run = run
        self._child = child
        self._pieces: list[NewJob] = []

    def hear(self, message: FromChild) -> Ending | None:
        """The end of the job, if this is it."""
        run = self._run
        match message:
            case Said():
                _said(run, message)
            case Ask():
                self._child.channel.send(_answered(run, message))
            case Insert(jobs=jobs, more=more):
                self._pieces += jobs
                if not more:
                    pieces, self._pieces = self._pieces, []
                    self._child.channel.send(_inserted(run, message, pieces))
            case Done(ending=ending, started_at=started, ended_at=ended):
                run.started_at, run.ended_at = started, ended
                if message.settled:
                    run.report.settled(run, ending)
                return ending
            case Refused(message=text):
                raise AppImportFailed(text)
            case _:
                pass
        return None


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
    except LongshoreError as error:
        return _refused(run, ask.number, error)
    return Answer(ask.number)


def _inserted(run: RunState, asked: Insert, jobs: list[NewJob]) -> Answer:
    """Store what the child has enqueued."""
    try:
        return Answer(asked.number, inserted=tuple(run.report.insert(jobs, asked.together)))
    except LongshoreError as error:
        return _refused(run, asked.number, error)


def _refused(run: RunState, number: int, error: LongshoreError) -> Answer:
    if isinstance(error, type(run.verdict)):
        raise error  # it was raised into this thread: the child is to end
    return Answer(number, trouble=Trouble.of(error))


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
