"""One child of a worker: loads the application, works, and ends with its supervisor.

Boot order: the options come over the control socket; the application is imported and checked; the
store is waited for and looked at; a hello goes back; the supervisor registers the process and says
go; only then is anything claimed. It ends when told to drain, when its work is done, or when the
supervisor is gone.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import faulthandler
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import NoReturn

from longshore.cli.exit import IN_MEMORY, Failure, kind_of
from longshore.core.model import Ending
from longshore.core.registry import NO_JOBS
from longshore.errors import LongshoreError
from longshore.middleware import Event
from longshore.programs.boot import load
from longshore.running import RunState
from longshore.worker.accord import Member
from longshore.worker.arrival import arrive
from longshore.worker.beacon import Beacon
from longshore.worker.control import (
    Among,
    Boot,
    Cancel,
    Channel,
    Drain,
    Enough,
    Finished,
    Found,
    Go,
    Hello,
    Lost,
    ParkedKinds,
    Quiet,
    Refused,
    Resting,
    Stuck,
    Ticked,
    ToChild,
    Waiting,
    child_channel,
)
from longshore.worker.engine import GRACE
from longshore.worker.heart import BEAT
from longshore.worker.isolated import IsolatedJobs
from longshore.worker.journal import Journal, log
from longshore.worker.location import Host, own_files
from longshore.worker.logs import logging_of
from longshore.worker.options import WorkerOptions, lines_of, weights_of
from longshore.worker.perform import Performer
from longshore.worker.plan import Plan
from longshore.worker.shared import Pace
from longshore.worker.signals import handle_here
from longshore.worker.turnstile import Passage

#: What a worker says that an administrator has started.
AS_ROOT = "this worker runs as root, and so does every job. Start it as an ordinary user."
#: How long what the application does at the exit may take, seconds.
EXIT = 3.0


def main(control: int, shared: int, crash: int, *line: int) -> None:
    """The life of a child.

    The descriptors are its socket, its page of shared memory and where to write how it crashed, and
    of a worker with many children the two sides of their turnstile and what siblings know.
    """
    faulthandler.enable(crash)
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    channel = child_channel(socket.socket(fileno=control))
    messages = channel.messages()
    boot = next(messages, None)
    if not isinstance(boot, Boot):
        return
    options = boot.options
    try:
        with logging_of(options.verbosity):
            app, where = load(options)
        channel.send(Found(app.settings.store.reveal()))
        beacon = Beacon(shared)
        engine, isolated = build(app, options, beacon)
        if line:
            inner, outer, pace = line
            engine.passage = Passage(inner, outer, beacon, app.settings.lease)
            engine.durations.pace = Pace(pace)
        warnings = arrive(
            app.client.store,
            processes=options.processes,
            waits=lambda why: channel.send(Waiting(why)),
        )
        if not len(app.registry):
            warnings = (NO_JOBS, *warnings)
        if os.geteuid() == 0:
            warnings = (AS_ROOT, *warnings)
        hello = _hello(app, where, options, warnings)
    except LongshoreError as error:
        kind = kind_of(error)
        channel.send(Refused(int(kind.exit), f"longshore: {error} {kind.pointer}"))
        return
    channel.send(hello)
    # Orders meant for workers may come first (there are parked jobs, be quiet): they are repeated.
    order = next((order for order in messages if isinstance(order, Go | Drain)), None)
    if not isinstance(order, Go):
        return
    work(app, engine, channel, messages, order.process_id, options)
    isolated.close()


def leave(code: int) -> NoReturn:
    """End this process as a program does, its exit handlers included, but within a time.

    Threads of the application, or bodies that were given up, must not keep the process alive, nor
    may a handler that hangs or a stream that a job has closed.
    """
    try:
        late = threading.Timer(EXIT, os._exit, (code,))
        late.daemon = True
        late.start()
        _flush()
        # The interpreter does no more for them, but waits for every thread first.
        handlers: Callable[[], None] | None = getattr(atexit, "_run_exitfuncs", None)
        if handlers is not None:
            handlers()
        _flush()
    finally:
        os._exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def work(  # noqa: PLR0917 - one caller, each of another type
    app: Host,
    engine: Member,
    channel: Channel[ToChild],
    messages: Iterator[ToChild],
    process_id: str,
    options: WorkerOptions,
) -> None:
    """Run the engine in this thread; a second one listens to the supervisor."""
    timeout = app.settings.shutdown_timeout
    if options.shutdown_timeout is not None:
        timeout = options.shutdown_timeout

    def stuck(_run: RunState, ending: Ending) -> bool:
        channel.send(Stuck(ending))
        threading.Thread(target=_end_without, args=(engine,), daemon=True).start()
        return True

    def stop(_number: int, _frame: FrameType | None) -> None:
        # Not in here: this thread may just hold the lock of the watch that a drain wakes.
        _thread.start_new_thread(engine.drain, (timeout,))

    engine.stops.on_stuck = stuck
    engine.rests = lambda on: channel.send(Resting(on))
    handle_here(signal.SIGTERM, stop)
    threading.Thread(
        target=_listen,
        args=(engine, messages, min(timeout, _orphaned(app.settings.lease))),
        name="longshore-control",
        daemon=True,
    ).start()
    app.around.publish(Event(name="worker.started"))
    engine.run(process_id)
    app.around.publish(Event(name="worker.stopped"))
    channel.send(Finished(engine.room.ended, engine.jobs_returned, engine.done))


def _end_without(engine: Member) -> None:
    """Wait for nobody once those that do not stop are all that runs."""
    pause = threading.Event()
    while not engine.stops.left_behind.issuperset(engine.fence.runs()):
        pause.wait(0.1)
    engine.drain(0)


def build(app: Host, options: WorkerOptions, beacon: Beacon) -> tuple[Member, IsolatedJobs]:
    """Check the application and put its engine together; nothing is claimed yet."""
    for declaration in app.registry:
        declaration.signature.resolve()
    store = app.client.store
    if not store.shared:
        raise Failure(
            IN_MEMORY,
            f"the {store.name} store lives in one process only; run the worker inside it "
            "(jobs.worker().run()), or choose another store, for example sqlite:///jobs.db.",
        )
    performer = Performer(app.registry.by_kind(), app.registry.digest(), app.around)
    performer.sealer = app.sealer
    isolated = IsolatedJobs(options.app, options.cwd, store, performer.declaration)
    performer.isolated = isolated.perform
    plan = Plan(
        lines=lines_of(options.queues),
        weights=weights_of(options.queues),
        slots=options.threads,
        poll_interval=app.settings.poll_interval,
        lease=app.settings.lease,
        kinds_digest=app.registry.digest(),
        until_empty=options.until_empty,
        max_jobs=options.max_jobs,
        idle_timeout=options.idle_timeout,
    )
    if failpoints := os.environ.get("LONGSHORE_FAILPOINTS"):
        from longshore.worker.failpoints import install  # noqa: PLC0415 - only tests of faults do

        store = install(store, failpoints)
    return Member(store, plan, performer, Journal(app.around, performer, store), beacon), isolated


def _listen(engine: Member, messages: Iterator[ToChild], timeout: float) -> None:
    # The same iterator that gave the first order: what came with it in one piece is in there.
    for message in messages:
        match message:
            case Drain(timeout=seconds):
                engine.drain(seconds)
            case Lost():
                engine.lose()
            case Enough():
                engine.enough()
            case Quiet(on=on):
                engine.quiet(on=on)
                if on:
                    engine.journal.publish(Event(name="worker.quiet"))
            case Ticked(events=events):
                _ticked(engine, events)
            case _:
                _obey(engine, message)
    # The supervisor is gone and with it the beats: finish what fits into the lease.
    engine.drain(timeout)
    # Where the store is gone too, or a body does not stop: nothing may outlive the lease.
    engine.fence.wait_for_the_end()
    log.error("neither a supervisor nor a lease is left; this process ends with all it runs")
    os._exit(1)


def _obey(engine: Member, message: ToChild) -> None:
    """What a beat has brought."""
    match message:
        case Cancel(leases=leases):
            engine.cancel(leases)
        case ParkedKinds(kinds=kinds):
            engine.serve_parked(kinds)
        case Among(processes=processes):
            engine.durations.among(processes)
        case _:
            pass


def _ticked(engine: Member, events: Iterable[Event]) -> None:
    engine.look()
    for event in events:
        engine.journal.publish(event)


def _orphaned(lease: float) -> float:
    """For how long a child may work without a supervisor that beats for it.

    The lease was renewed a third of it and a beat ago at the longest; at 0.8 of it everything must
    be over here, the moment after the deadline included, for then others take the jobs.
    """
    return max(0.0, (0.8 - 1 / 3) * lease - BEAT - GRACE)


def _hello(app: Host, where: str, options: WorkerOptions, warnings: tuple[str, ...]) -> Hello:
    settings = app.settings
    return Hello(
        app=app.module,
        where=where,
        store=settings.store.reveal(),
        address=app.client.store.address,
        retention=settings.retention,
        prefix=settings.prefix,
        durability=settings.durability,
        outbox=None if settings.outbox is None else settings.outbox.reveal(),
        lease=settings.lease,
        shutdown_timeout=settings.shutdown_timeout,
        kinds=app.registry.names(),
        schedules=app.planned.schedules(),
        files=own_files(options.cwd) if options.reload else (),
        warnings=warnings,
    )


if __name__ == "__main__":
    exit_code = 1
    try:
        with contextlib.suppress(KeyboardInterrupt):  # before it was left to the supervisor
            main(*map(int, sys.argv[1:]))
        exit_code = 0
    except BaseException as error:  # noqa: BLE001 - our fault: no thread may keep this process
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        leave(exit_code)
