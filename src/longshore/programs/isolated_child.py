"""The fresh interpreter of one job with ``isolation="process"``: boot, run it, exit."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
from types import FrameType

from longshore.app import Longshore
from longshore.context import RunState
from longshore.core.model import Ending, Lease, Progress
from longshore.errors import Interrupted, LongshoreError, StoreError
from longshore.programs.boot import load
from longshore.worker.control import (
    Boot,
    Channel,
    Done,
    Perform,
    Refused,
    Said,
    ToChild,
    child_channel,
)
from longshore.worker.perform import Performer
from longshore.worker.transaction import JobTransaction, keep_error


def main(descriptor: int) -> None:
    """Boot, run one job, exit."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
    # The parent's end closing is the only order that may still come, and it means: end.
    threading.Thread(target=_die_with_parent, args=(sock,), daemon=True).start()
    signal.signal(signal.SIGTERM, _stop)
    performer = Performer(app.registry.by_kind(), app.registry.digest(), app.around)

    run = RunState(order.job, order.lease, 0, _Reports(channel, app, performer))
    pid = os.getpid()
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
    settled = run.ending is not None
    if settled:
        with contextlib.suppress(StoreError):  # it is logged; the success stands
            keep_error(app.store, run)
    channel.send(Done(ending, run.started_at, run.ended_at, settled))


class _Reports:
    """Progress goes to the parent; only a transaction opens a connection of its own."""

    def __init__(self, channel: Channel[ToChild], app: Longshore, performer: Performer) -> None:
        self._channel = channel
        self._app = app
        self._performer = performer

    def __call__(self, _lease: Lease, progress: Progress) -> None:
        self._channel.send(Said(progress))

    def transaction(self, run: RunState) -> JobTransaction:
        return JobTransaction(run, self._app.store, self._performer.success)

    def settled(self, run: RunState, ending: Ending) -> None:
        run.ending = ending


def _die_with_parent(sock: socket.socket) -> None:
    select.select([sock], [], [])
    os._exit(1)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Interrupted("the worker ends this job")


if __name__ == "__main__":
    main(int(sys.argv[1]))
