"""The fresh interpreter of one job with ``isolation="process"``: boot, run it, exit."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from types import FrameType
from typing import ParamSpec, TypeVar

from longshore import discovery
from longshore.app import Longshore
from longshore.core.batches import Together
from longshore.core.model import (
    Ending,
    Inserted,
    Lease,
    LogLine,
    NewJob,
    Patch,
    Progress,
    Step,
)
from longshore.core.store import Store
from longshore.errors import (
    AppNotFound,
    Interrupted,
    LeaseLost,
    LongshoreError,
    StoreError,
    StoreUnavailable,
)
from longshore.programs.boot import load
from longshore.running import RunState
from longshore.worker.control import (
    Answer,
    Ask,
    Begun,
    Boot,
    Channel,
    Done,
    Doubted,
    Insert,
    Perform,
    Refused,
    Said,
    Stop,
    ToChild,
    child_channel,
)
from longshore.worker.options import WorkerOptions
from longshore.worker.perform import Performer
from longshore.worker.signals import handle_here
from longshore.worker.transaction import JobTransaction, keep_error

#: Jobs of so many bytes of arguments are sent at a time.
_PIECE = 4 << 20

_PR_SET_PDEATHSIG = 1

P = ParamSpec("P")
T = TypeVar("T")


def main(descriptor: int, crash: int) -> None:
    """Boot, run one job, exit; ``crash`` is where to write how it crashed."""
    faulthandler.enable(crash)
    _die_with_parent()
    sock = socket.socket(fileno=descriptor)
    channel = child_channel(sock)
    messages = channel.messages()
    boot = next(messages, None)
    if not isinstance(boot, Boot):
        return
    try:
        app, _ = load(boot.options)
    except LongshoreError as error:
        channel.send(Refused(3, str(error)))
        return
    order = next(messages, None)
    if not isinstance(order, Perform):
        return
    try:
        _declare(app, order, boot.options)
    except LongshoreError as error:
        channel.send(Refused(3, str(error)))
        return
    handle_here(signal.SIGTERM, _stop)
    performer = Performer(app.registry.by_kind(), app.registry.digest(), app.around)
    performer.sealer = app.sealer
    reports = _Reports(channel, app, performer)
    run = reports.run = RunState(order.job, order.lease, 0, reports)
    app.client.divert(reports, _out_of_reach if _in_memory(app) else None)
    threading.Thread(target=reports.listen, args=(messages, run), daemon=True).start()
    pid = os.getpid()
    performer.is_quiet = True  # its worker tells, as it tells the end
    channel.send(Begun())
    declaration = performer.declaration(order.job.kind)
    if declaration is not None and declaration.coroutine:
        import asyncio  # noqa: PLC0415 - only for coroutine jobs

        ending = asyncio.run(performer.aperform(run))
    else:
        ending = performer.perform(run)
    if os.getpid() != pid:
        # A copy that the body forked off and let return: the job is its parent's.
        os._exit(0 if run.error is None else 1)
    # The body is over; the parent ends this process as soon as it has heard how.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    reports.finished()
    settled = run.ending is not None
    if settled:
        with contextlib.suppress(StoreError):  # it is logged; the success stands
            keep_error(app.store, run)
    # What it has printed is there when its end is told.
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    reports.over = True
    channel.send(Done(ending, run.started_at, run.ended_at, settled))


def _declare(app: Longshore, order: Perform, options: WorkerOptions) -> None:
    """See that the job is declared here: its worker may have imported more than the application."""
    kind, place = order.job.kind, order.declared_in
    if kind not in app.registry.by_kind() and place is not None:
        discovery.import_module(place, cwd=options.cwd)
    if kind not in app.registry.by_kind():
        raise AppNotFound(
            f"the process of its own that job {order.job.id} was to run in knows no kind {kind!r}:"
            f" it is declared in {place or 'no module'}, and not as that is imported. Declare it at"
            " the top of a module"
        )


class _Reports:
    """All that a body says goes to the parent; only a transaction opens a connection of its own.

    What is said inside its block belongs to it, and is saved over that connection.
    """

    run: RunState

    def __init__(self, channel: Channel[ToChild], app: Longshore, performer: Performer) -> None:
        self._channel = channel
        self._app = app
        self._performer = performer
        self._answers: SimpleQueue[Answer] = SimpleQueue()
        self._asking = threading.Lock()
        self._number = 0
        self._block: JobTransaction | None = None
        self._inside: list[Said] = []
        self.over = False  # the body is: this process ends as a program does

    def listen(self, messages: Iterator[ToChild], run: RunState) -> None:
        """Hear what the parent has to say; without it there is nobody to run the job for."""
        for message in messages:
            match message:
                case Answer():
                    self._answers.put(message)
                case Stop():
                    run.stopping = True
                case Doubted(on=on):
                    run.doubted = on
                case _:
                    pass
        if not self.over:
            os._exit(1)

    def __call__(self, _lease: Lease, progress: Progress) -> None:
        self._say(Said(progress=progress))

    def log(self, _lease: Lease, line: LogLine) -> None:
        self._say(Said(line=line))

    def leave(self, _lease: Lease, steps: Sequence[Step]) -> None:
        self._say(Said(steps=tuple(steps)))

    def steps(self, run: RunState) -> Sequence[Step]:
        return self._asked(run, Ask).steps

    async def asteps(self, run: RunState) -> Sequence[Step]:
        return await _in_thread(self.steps, run)

    def keep(self, run: RunState, steps: Sequence[Step]) -> None:
        self._asked(run, lambda number: Ask(number, tuple(steps)))

    async def akeep(self, run: RunState, steps: Sequence[Step]) -> None:
        await _in_thread(self.keep, run, steps)

    def insert(
        self, jobs: Sequence[NewJob], together: Together | None = None
    ) -> Sequence[Inserted]:
        """What the body enqueues goes to the parent, behind what it has said before."""
        run = self.run

        def ask(number: int) -> Insert:
            rest = list(jobs)
            while len(rest) > 1 and (size := _fit(rest)) < len(rest):
                self._channel.send(Insert(number, tuple(rest[:size]), more=True))
                rest = rest[size:]
            return Insert(number, tuple(rest), together)

        return self._asked(run, ask).inserted

    async def ainsert(
        self, jobs: Sequence[NewJob], together: Together | None = None
    ) -> Sequence[Inserted]:
        return await _in_thread(self.insert, jobs, together)

    def unsaved(self, run: RunState) -> Patch | None:
        said, self._inside = self._inside, []
        progress = next((one.progress for one in reversed(said) if one.progress), None)
        lines = tuple(one.line for one in said if one.line is not None)
        return Patch(run.lease, progress, lines=lines) if said else None

    def transaction(self, run: RunState) -> JobTransaction:
        self._block = JobTransaction(run, self._app.store, self._performer.success)
        return self._block

    def settled(self, run: RunState, ending: Ending) -> None:
        run.ending = ending

    def finished(self) -> None:
        """The body is over: tell what was said in a block that was rolled back."""
        said, self._inside = self._inside, []
        for one in said:
            self._channel.send(one)

    def _say(self, said: Said) -> None:
        if self._block is not None and self._block.is_open:
            self._inside.append(said)
        else:
            self._channel.send(said)

    def _asked(self, run: RunState, question: Callable[[int], Ask | Insert]) -> Answer:
        with self._asking:
            self._number += 1
            self._channel.send(question(self._number))
            answer = self._answers.get()
            while answer.number != self._number:  # who had asked was interrupted
                answer = self._answers.get()
        if answer.trouble is not None:
            error = answer.trouble.error()
            run.lost = run.lost or isinstance(error, LeaseLost)
            raise error
        return answer


def _die_with_parent() -> None:
    """Its job runs elsewhere as soon as its parent is dead: by then this body must be over too."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - not everywhere

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _fit(jobs: Sequence[NewJob]) -> int:
    """How many of these go in one message; at least one does."""
    size = 0
    for number, job in enumerate(jobs):
        size += len(job.payload)
        if size > _PIECE:
            return max(number, 1)
    return len(jobs)


def _in_memory(app: Longshore) -> bool:
    return any(part.store == "memory" for part in app.settings.store.parts)


def _out_of_reach() -> Store:
    raise StoreUnavailable(
        "the memory store is in the worker's process, and this job has one of its own: it can"
        " enqueue, report and use steps, but neither read jobs nor open a transaction. Read them"
        " outside of it, or choose a store that processes share, such as sqlite:///jobs.db"
    )


async def _in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    import asyncio  # noqa: PLC0415 - a coroutine has it loaded

    return await asyncio.to_thread(call, *args, **kwargs)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Interrupted("the worker ends this job")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
