"""Jobs that run in a fresh interpreter each, in which nothing else runs.

They are those of ``isolation="process"``, and those whose process has died under them twice. The
parent's slot keeps the lease and the token; the child has one socket to its parent and no
store of its own for the run. A spare child is kept warm so that its start is hidden. Timeouts and
cancellation end the child, first politely, then with SIGKILL; its memory is gone with it.
"""

from __future__ import annotations

import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from longshore.core.interruptions import Crash, crash_of, died, is_suspect
from longshore.core.model import Ending, NewJob, Run
from longshore.core.outcome import Attempt
from longshore.core.registry import Declaration
from longshore.core.store import Store
from longshore.errors import AppImportFailed, LongshoreError, StoreError
from longshore.running import RunState
from longshore.worker.control import (
    Answer,
    Ask,
    Begun,
    Boot,
    Done,
    Doubted,
    FromChild,
    Insert,
    Perform,
    Refused,
    Said,
    Stop,
    ToChild,
    Trouble,
    parent_channel,
)
from longshore.worker.crash import CrashFile, ended
from longshore.worker.location import module_of
from longshore.worker.options import WorkerOptions

#: From TERM to KILL, seconds; less where its worker stops, which gives the job back soon.
POLITE, HURRIED = 2.0, 0.8
TICK = 0.1
#: A process has so many seconds to come up, and so many of them may die while they do.
BOOT, BOOTS = 60.0, 2


class IsolatedJobs:
    """Runs jobs in children, one each. It ends with :meth:`close`, which ends the spare."""

    def __init__(
        self,
        app: str | None,
        cwd: str,
        store: Store,
        declaration: Callable[[str], Declaration | None],
    ) -> None:
        self._options = WorkerOptions(app=app, cwd=cwd)
        self._declaration = declaration
        self._store = store
        self._spare: _Child | None = None
        self._lock = threading.Lock()
        self._closed = False

    def perform(self, run: RunState, begun: Callable[[], None]) -> Ending:
        """Run one job to its end; raised into this thread, a verdict ends the child.

        ``begun`` is called when its body begins: what came before was the start of a process.
        """
        crash = Crash("")
        for _ in range(BOOTS):
            child = self._take()
            listener = _Listener(run, child, begun)
            try:
                ending = self._listen(run, child, listener)
                if ending is not None:
                    return ending
                crash = child.crash()
                if listener.begun:
                    return self._died(run, crash)
            finally:
                child.end(listener, HURRIED if run.stopping else POLITE)
        raise AppImportFailed(
            f"the process for job {run.claimed.id} ({run.claimed.kind}) died before its body began,"
            f" {BOOTS} times: {crash.message}"
        )

    def _listen(self, run: RunState, child: _Child, listener: _Listener) -> Ending | None:
        """How the job ended; ``None`` where its process did."""
        declaration = self._declaration(run.claimed.kind)
        place = None if declaration is None else module_of(declaration)
        child.say(Perform(run.claimed, run.lease, place))
        if not is_suspect(run.claimed):
            self._warm()
        stopping = lost = False
        boots_until = time.monotonic() + BOOT
        while not child.gone:
            if (run.lost or run.doubted) != lost:
                lost = not lost
                child.say(Doubted(lost))
            if run.stopping and not (stopping or run.once):
                stopping = True
                child.say(Stop())
            for message in child.next_messages():
                ending = listener.hear(message)
                if ending is not None:
                    return ending
            if not listener.begun and time.monotonic() > boots_until:
                raise AppImportFailed(
                    f"the process for job {run.claimed.id} ({run.claimed.kind}) did not come up"
                    f" within {BOOT:g} s: does the application wait for something when it is"
                    " imported?"
                )
        return None

    def close(self) -> None:
        """End the spare child."""
        with self._lock:
            self._closed = True
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.end(None, 0)

    def _died(self, run: RunState, crash: Crash) -> Ending:
        """Nothing else ran in its process, so that this death is its own."""
        run.ended_at = time.time_ns() // 1000
        job = run.claimed
        history: Sequence[Run] | None = None
        # Who cannot be asked now is not blamed: it runs alone once more.
        with suppress(StoreError):
            history = self._store.run(self._store.get([job.id]))[job.id].runs
        return died(Attempt(job, run.lease, run.started_at, run.ended_at), crash, history)

    def _take(self) -> _Child:
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None and spare.is_dead():
            spare.end(None, 0)
            spare = None
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
        self._crash = CrashFile()
        with theirs:
            fds = (theirs.fileno(), self._crash.descriptor)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "longshore.programs.isolated_child", *map(str, fds)],
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                cwd=options.cwd,
            )
        self.channel = parent_channel(ours)
        self.gone = False
        self.say(Boot(options))

    def say(self, message: ToChild) -> None:
        """Send; who is dead hears nothing, and is noticed where it is listened to."""
        with suppress(OSError):
            self.channel.send(message)

    def is_dead(self) -> bool:
        """Whether its process has ended."""
        return self._process.poll() is not None

    def next_messages(self, wait: float = TICK) -> list[FromChild]:
        """What it has said, after a while perhaps nothing; sets ``gone`` when there is no more.

        Waits are short: an exception raised into this thread arrives between them.
        """
        dead = self.is_dead()  # before the look: what it had said last is there then
        readable, _, _ = select.select([self.channel.socket], [], [], 0 if dead else wait)
        if not readable:
            # A process that it has left behind may hold the other end for as long as it likes.
            self.gone = dead
            return []
        messages = self.channel.receive()
        if messages is None:
            self.gone = True
            return []
        return messages

    def crash(self) -> Crash:
        """What is known of its end, once it is gone."""
        import subprocess  # noqa: PLC0415 - as above

        try:
            self._process.wait(POLITE)
        except subprocess.TimeoutExpired:  # its body has closed the line, and can tell no end
            self._process.kill()
        return crash_of(ended(self._process.wait()), self._crash.read())

    def end(self, listener: _Listener | None, polite: float) -> None:
        """Terminate, and kill what is there after so many seconds; always reaped.

        Until then it is listened to: who cleans up may have something to say, and must not wait
        for somebody who does not hear.
        """
        try:
            if listener is not None and not self.is_dead():
                self._process.terminate()
                until = time.monotonic() + polite
                while not self.gone and (left := until - time.monotonic()) > 0:
                    for message in self.next_messages(min(TICK, left)):
                        listener.hear(message)
        finally:
            if not self.is_dead():
                self._process.kill()
            self._process.wait()
            self.channel.close()
            self._crash.close()


class _Listener:
    """Does what one child asks for, until it tells its end."""

    def __init__(self, run: RunState, child: _Child, begun: Callable[[], None]) -> None:
        self._run = run
        self._child = child
        self._tell = begun
        self.begun = False
        self._pieces: list[NewJob] = []

    def hear(self, message: FromChild) -> Ending | None:
        """The end of the job, if this is it."""
        run = self._run
        match message:
            case Begun():
                self.begun = True
                self._tell()
            case Said():
                _said(run, message)
            case Ask():
                self._child.say(_answered(run, message))
            case Insert(jobs=jobs, more=more):
                self._pieces += jobs
                if not more:
                    pieces, self._pieces = self._pieces, []
                    self._child.say(_inserted(run, message, pieces))
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
