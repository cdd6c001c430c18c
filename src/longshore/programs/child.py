"""One child of a worker: loads the application, works, and ends with its supervisor.

Boot order: the options come over the control socket; the application is imported and checked; the
store is waited for and looked at; a hello goes back; the supervisor registers the process and says
go; only then is anything claimed. It ends when told to drain, when its work is done, or when the
supervisor is gone.
"""

from __future__ import annotations

import _thread
import contextlib
import faulthandler
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from types import FrameType

from longshore.cli.exit import IN_MEMORY, Failure, kind_of
from longshore.core.model import Ending
from longshore.errors import LongshoreError
from longshore.middleware import Around, Event
from longshore.programs.boot import load
from longshore.running import RunState
from longshore.worker.arrival import arrive
from longshore.worker.beacon import Beacon
from longshore.worker.control import (
    Among,
    Boot,
    Cancel,
    Channel,
    Drain,
    Finished,
    Found,
    Go,
    Hello,
    Lost,
    ParkedKinds,
    Quiet,
    Refused,
    Stuck,
    Ticked,
    ToChild,
    Waiting,
    child_channel,
)
from longshore.worker.engine import GRACE, Engine
from longshore.worker.heart import BEAT
from longshore.worker.isolated import IsolatedJobs
from longshore.worker.journal import Journal, log
from longshore.worker.location import Host, own_files
from longshore.worker.logs import set_up_logging
from longshore.worker.options import WorkerOptions, lines_of, weights_of
from longshore.worker.perform import Performer
from longshore.worker.plan import Plan
from longshore.worker.turnstile import Passage


def main(control: int, shared: int, crash: int, inner: int = -1, outer: int = -1) -> None:
    """The life of a child.

    The descriptors are its socket, its page of shared memory and where to write how it crashed, and
    of a worker with many children the two sides of their turnstile.
    """
    # Ctrl-C reaches the whole group: the supervisor decides, and tells.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable(crash)
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    channel = child_channel(socket.socket(fileno=control))
    messages = channel.messages()
    boot = next(messages, None)
    if not isinstance(boot, Boot):
        return
    options = boot.options
    set_up_logging(options.verbosity)
    try:
        app, where = load(options)
        channel.send(Found(app.settings.store.reveal()))
        beacon = Beacon(shared)
        engine, isolated = build(app, options, beacon)
        if inner >= 0:
            engine.passage = Passage(inner, outer, beacon, app.settings.lease)
        warnings = arrive(
            app.client.store,
            processes=options.processes,
            waits=lambda why: channel.send(Waiting(why)),
        )
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
    # Threads of the application, or bodies that were given up, must not keep the process alive.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def work(  # noqa: PLR0917 - one caller, each of another type
    app: Host,
    engine: Engine,
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
        return True

    def stop(_number: int, _frame: FrameType | None) -> None:
        # Not in here: this thread may just hold the lock of the watch that a drain wakes.
        _thread.start_new_thread(engine.drain, (timeout,))

    engine.stops.on_stuck = stuck
    signal.signal(signal.SIGTERM, stop)
    threading.Thread(
        target=_listen,
        args=(engine, messages, min(timeout, _orphaned(app.settings.lease)), app.around),
        name="longshore-control",
        daemon=True,
    ).start()
    app.around.publish(Event(name="worker.started"))
    engine.run(process_id)
    app.around.publish(Event(name="worker.stopped"))
    channel.send(Finished(engine.jobs_ended, engine.jobs_returned, engine.done))


def build(app: Host, options: WorkerOptions, beacon: Beacon) -> tuple[Engine, IsolatedJobs]:
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
    isolated = IsolatedJobs(options.app or "", options.cwd, store)
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
    return Engine(store, plan, performer, Journal(app.around, performer, store), beacon), isolated


def _listen(engine: Engine, messages: Iterator[ToChild], timeout: float, around: Around) -> None:
    # The same iterator that gave the first order: what came with it in one piece is in there.
    for message in messages:
        match message:
            case Drain(timeout=seconds):
                engine.drain(seconds)
            case Lost():
                engine.lose()
            case Quiet(on=on):
                engine.quiet(on=on)
                if on:
                    around.publish(Event(name="worker.quiet"))
            case Cancel(leases=leases):
                engine.cancel(leases)
            case ParkedKinds(kinds=kinds):
                engine.serve_parked(kinds)
            case Among(processes=processes):
                engine.durations.among(processes)
            case Ticked(events=events):
                _ticked(engine, events, around)
            case _:
                pass
    # The supervisor is gone and with it the beats: finish what fits into the lease.
    engine.drain(timeout)
    # Where the store is gone too, or a body does not stop: nothing may outlive the lease.
    engine.fence.wait_for_the_end()
    log.error("neither a supervisor nor a lease is left; this process ends with all it runs")
    os._exit(1)


def _ticked(engine: Engine, events: Iterable[Event], around: Around) -> None:
    engine.look()
    for event in events:
        around.publish(event)


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
    with contextlib.suppress(KeyboardInterrupt):
        main(*map(int, sys.argv[1:]))
