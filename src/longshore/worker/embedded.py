"""A worker inside the calling process: for scripts, tests, and web processes.

There is no supervisor here: the death of the process counts as the loss of its host, and a job
that holds the interpreter's lock for longer than a lease may lose it. Start-up says so.
"""

from __future__ import annotations

import _thread
import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from types import FrameType

import msgspec

from longshore.context import current_run
from longshore.core.durations import Duration, seconds
from longshore.core.registry import Isolation
from longshore.core.store import Orders, ProcessBeat, Rescue, Rescued
from longshore.discovery import importing
from longshore.errors import AppNotFound, ConfigurationError, LongshoreError, StoreError
from longshore.middleware import Event
from longshore.worker.arrival import arrive
from longshore.worker.engine import Engine
from longshore.worker.fence import boot_seconds
from longshore.worker.heart import Heart
from longshore.worker.identity import embedded_process
from longshore.worker.isolated import IsolatedJobs
from longshore.worker.journal import Journal, log, tell_dead
from longshore.worker.location import Host, spec_of
from longshore.worker.options import WorkerOptions, lines_of, weights_of
from longshore.worker.perform import Performer
from longshore.worker.plan import Plan
from longshore.worker.relay import Relay, started
from longshore.worker.rescues import rescue_all
from longshore.worker.ticker import Ticker

#: Who closes the application waits so much longer than its jobs have, seconds.
LEAVE = 5.0


class Worker:
    """A worker of one application; made by ``jobs.worker(...)``.

    :meth:`run` blocks, :meth:`running` works in the background of a ``with`` block. Each may be
    used once at a time.
    """

    def __init__(
        self,
        app: Host,
        *,
        queues: tuple[str, ...],
        processes: int,
        threads: int,
        shutdown_timeout: Duration | None,
        name: str | None,
        supervise: Callable[[WorkerOptions], int],
    ) -> None:
        self._app = app
        self._supervise = supervise
        self._isolated: IsolatedJobs | None = None
        self._options = WorkerOptions(
            cwd=os.getcwd(),  # noqa: PTH109 - a path as text, for another process
            queues=queues,
            processes=processes,
            threads=threads,
            name=name,
        ).checked()
        self._shutdown = (
            app.settings.shutdown_timeout
            if shutdown_timeout is None
            else seconds(shutdown_timeout, field="shutdown_timeout")
        )
        self._pid = os.getpid()
        self._failed = False
        self._ended = threading.Event()  # its store thread
        self._thread_id = 0  # of the thread that is its store thread, while it is

    def run(self, *, until_empty: bool = False) -> None:
        """Work in the calling thread until TERM or INT, or until nothing that is due is left.

        Parameters: ``until_empty``, return once no job is available or running here; jobs that
        are due later stay. In the main thread TERM and INT drain: running jobs get
        ``shutdown_timeout``, a second INT ends at once. With more than one process this one
        becomes their supervisor, as under ``longshore worker``, and runs no job itself.

        Example: ``jobs.worker().run(until_empty=True)``
        """
        _refuse_while_imported()
        if self._options.processes > 1:
            self._run_many(until_empty=until_empty)
            return
        engine = self._engine(until_empty=until_empty)
        with _signals(engine, self._shutdown), self._living(engine) as process_id:
            self._thread_id = threading.get_ident()
            try:
                engine.run(process_id)
            finally:
                self._thread_id = 0
                self._ended.set()

    @contextmanager
    def running(self) -> Generator[None]:
        """Work in the background while the block runs, then drain.

        Example: ``with jobs.worker(threads=4).running(): ...``
        """
        _refuse_while_imported()
        if self._options.processes > 1:
            raise ConfigurationError(
                "running() works inside this process; leave processes= at 1, or start "
                "'longshore worker --processes N' beside it"
            )
        engine = self._engine(until_empty=False)
        with self._living(engine) as process_id:
            thread = threading.Thread(
                target=self._work, args=(engine, process_id), name="longshore-store", daemon=True
            )
            thread.start()
            try:
                yield
            finally:
                engine.drain(self._shutdown)
                thread.join()

    def _work(self, engine: Engine, process_id: str) -> None:
        """The life of the store thread beside the program's own."""
        self._failed = False
        self._thread_id = threading.get_ident()
        try:
            engine.run(process_id)
        except Exception:  # noqa: BLE001 - see below
            # A fault of ours. Nobody watches this process from outside, so that its lease is let
            # run out: else what it holds would be called running for as long as the program lives.
            self._failed = True
            log.critical(
                "this worker has failed; others get its jobs when its lease has run out",
                exc_info=True,
            )
        finally:
            self._ended.set()

    def _engine(self, *, until_empty: bool) -> Engine:
        app, options = self._app, self._options
        if os.getpid() != self._pid:
            raise ConfigurationError(
                "this worker was made before a fork; make it in the child process, e.g. in a "
                "post-fork hook of the web server"
            )
        for declaration in app.registry:
            declaration.signature.resolve()
        performer = Performer(app.registry.by_kind(), app.registry.digest(), app.around)
        performer.sealer = app.sealer
        self._isolated = self._apart(performer)
        if self._isolated is not None:
            performer.isolated = self._isolated.perform
        plan = Plan(
            lines=lines_of(options.queues),
            weights=weights_of(options.queues),
            slots=options.threads,
            poll_interval=app.settings.poll_interval,
            lease=app.settings.lease,
            kinds_digest=app.registry.digest(),
            until_empty=until_empty,
        )
        journal = Journal(app.around, performer, app.client.store)
        return Engine(app.client.store, plan, performer, journal, None)

    def _apart(self, performer: Performer) -> IsolatedJobs | None:
        """For jobs in processes of their own: declared so, or interrupted twice."""
        app = self._app
        declared = any(one.isolation is Isolation.PROCESS for one in app.registry)
        # What lies in memory nobody else has interrupted; who cannot be found runs all jobs here.
        if declared or app.client.store.shared:
            try:
                store, known = app.client.store, performer.declaration
                return IsolatedJobs(spec_of(app), self._options.cwd, store, known)
            except AppNotFound:
                if declared:
                    raise
        return None

    def _run_many(self, *, until_empty: bool) -> None:
        code = self._supervise(
            msgspec.structs.replace(
                self._options,
                app=spec_of(self._app),
                shutdown_timeout=self._shutdown,
                until_empty=until_empty,
            )
        )
        if code not in (0, 9):
            raise LongshoreError(f"the worker ended with exit code {code}; its log says why")

    def _register(self) -> str:
        app, options = self._app, self._options
        process = embedded_process(app.module, app.registry, options, app.settings.lease)
        app.client.store.run(app.client.store.register(process))
        return process.id

    def _join(self, engine: Engine) -> str:
        """Register; its lease counts from before that was asked for."""
        asked = boot_seconds()
        engine.process_id = self._register()
        engine.fence.page.renew(asked)
        return engine.process_id

    @contextmanager
    def _living(self, engine: Engine) -> Generator[str]:
        """A registered process with a beating heart; afterwards its record is given up."""
        app, store = self._app, self._app.client.store
        for warning in arrive(store):
            log.warning("%s", warning)
        process_id = self._join(engine)
        engine.on_lost = partial(self._join, engine)

        def obey(orders: Orders) -> None:
            if engine.process_id in orders.lost:
                engine.lose()  # it registers afresh
                return
            engine.cancel(orders.cancels)
            engine.serve_parked(sorted(orders.parked_kinds))
            engine.durations.among(orders.processes)

        def members() -> tuple[ProcessBeat, ...]:
            return () if self._failed else (ProcessBeat(engine.process_id, engine.oldest_claim),)

        def renewed(at: float, lost: frozenset[str]) -> None:
            if engine.process_id not in lost:
                engine.fence.page.renew(at)

        told = partial(self._told_of_rescue, engine.journal)
        heart = Heart(store, app.settings.lease, members, obey, told)
        heart.renewed = renewed
        heart.start()
        ticker = Ticker(store, app.planned.app, partial(self._ticked, engine))
        ticker.start(app.planned.schedules())
        relay = started(store, None if app.outbox is None else app.outbox.store)
        log.info(
            "worker %s started inside this process: %d jobs, %d slots, queues %s; "
            "the death of this process counts as the loss of its host",
            *(process_id, len(app.registry), self._options.threads),
            ",".join(self._options.queues),
        )
        app.around.publish(Event(name="worker.started"))
        self._ended.clear()

        leaving = Once()

        def leave() -> None:
            ticker.stop()
            heart.stop()
            self._give_up(engine, relay)

        def end() -> None:
            self._refuse_inside(engine)
            engine.drain(self._shutdown)
            self._ended.wait(self._shutdown + LEAVE)
            leaving.do(leave)

        app.client.closing.append(end)
        try:
            yield process_id
        finally:
            try:
                leaving.do(leave)
            finally:
                app.client.closing.remove(end)

    def _refuse_inside(self, engine: Engine) -> None:
        """Whoever closes the application waits for its worker, which must not wait for itself."""
        run, here = current_run(), threading.get_ident()
        in_job = run is not None and run.lease.process_id == engine.process_id
        if in_job or here in (self._thread_id, engine.journal.teller.ident):
            raise ConfigurationError(
                "the application was to be closed from inside its own worker, which waits for its"
                " jobs and listeners; close it where the worker was started, after its block"
            )

    def _give_up(self, engine: Engine, relay: Relay | None) -> None:
        """What is left of it goes back now instead of waiting for the lease to run out."""
        app = self._app
        if relay is not None:
            relay.stop()
        if self._isolated is not None:
            self._isolated.close()
        store = app.client.store
        try:
            rescue_all(store, Rescue(engine.process_id, engine.begun), app.around.publish)
        except StoreError as error:
            log.warning("what this worker held goes back when its lease has run out: %s", error)
        app.around.publish(Event(name="worker.stopped"))

    def _told_of_rescue(self, journal: Journal, rescued: Rescued) -> None:
        journal.publish(Event(name="job.rescued", reason=f"{len(rescued.leases)} jobs"))
        tell_dead(self._app.client.store, rescued, journal.publish)

    def _ticked(self, engine: Engine, events: tuple[Event, ...]) -> None:
        if any(event.name == "schedule.fired" for event in events):
            engine.look()
        for event in events:
            engine.journal.publish(event)


class Once:
    """Something that is done by whoever comes first, while the others wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = False

    def do(self, what: Callable[[], None]) -> None:
        """Do it, unless it is done."""
        with self._lock:
            if not self._done:
                self._done = True
                what()


def _refuse_while_imported() -> None:
    """A script without a guard starts its worker anew in every process that imports it."""
    module = importing()
    if module is not None:
        raise ConfigurationError(
            f"importing {module} starts a worker, and each process of that worker imports it"
            ' again. Start it under `if __name__ == "__main__":`, in a web process when it has'
            " started."
        )


@contextmanager
def _signals(engine: Engine, timeout: float) -> Generator[None]:
    """TERM and INT drain, a second INT ends at once; only the main thread may set handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    stopping = False

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        again, stopping = number == signal.SIGINT and stopping, True
        # Not in here: this thread may just hold the lock of the watch that a drain wakes.
        _thread.start_new_thread(engine.drain, (0 if again else timeout,))

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
