"""Slots: threads that run ordinary jobs, and one event loop for coroutines.

Jobs wait in a lane's ``ready`` queue in the order of their claim; every slot takes the next one
itself. A hand-off between threads costs more than a tiny job, so a slot that is awake goes on by
itself, and no more slots are woken than the jobs that wait are worth: see ``Engine.nudge``.

``permits`` is one list for both lanes: a job runs only with a permit, so a process never runs more
jobs at once than it has slots. ``list.pop`` and ``append`` are atomic, which makes it a semaphore
that costs a tenth of a microsecond.
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

from longshore.core.model import Ending
from longshore.errors import Interrupted, LongshoreError
from longshore.running import RunState
from longshore.worker.journal import log

if TYPE_CHECKING:
    import asyncio

Done = Callable[[RunState, Ending], None]

#: Tasks that bodies have left behind get so many seconds when the worker stops.
LEFT = 0.5

#: How often this process has been forked off: a body that forks and returns in its copy must not
#: go on there as a worker.
_forks = 0


def _count_fork() -> None:
    global _forks  # noqa: PLW0603 - a number of the process
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


def leave_fork(run: RunState) -> None:
    """End a forked copy whose body is over; the job is its parent's."""
    os._exit(0 if run.error is None else 1)


class Performs(Protocol):
    """What a lane needs of a :class:`Performer`."""

    def perform(self, run: RunState, started_at: int = 0) -> Ending: ...
    async def aperform(self, run: RunState) -> Ending: ...
    def raised(self, run: RunState, error: BaseException) -> Ending: ...


class ThreadLane:
    """The threads of one process that run ordinary jobs. It ends with :meth:`stop`.

    Threads are started when needed and stay. They are daemons: a body that never returns must not
    keep the process alive; what it held goes back by its lease.
    """

    def __init__(self, slots: int, permits: list[None], performer: Performs, done: Done) -> None:
        self.ready: deque[RunState] = deque()
        self._most = slots
        self._permits = permits
        self._performer = performer
        self._done = done
        self.head: RunState | None = None  # the first ready job at the store thread's last look
        #: Called when a permit was given back.
        self.freed: Callable[[], None] = lambda: None
        self._spare: list[None] = []  # each entry sends one slot to rest
        self._slots: list[_Slot] = []
        self._asleep: list[_Slot] = []
        self._stopped = False

    def wake(self, wanted: int) -> None:
        """Let up to ``wanted`` more slots work; called by the store thread."""
        for _ in range(wanted):
            if self._asleep or len(self._slots) < self._most:
                try:
                    self._permits.pop()
                except IndexError:
                    return
                if not self._wake_one():
                    self._permits.append(None)
                    return

    def _wake_one(self) -> bool:
        try:
            slot = self._asleep.pop()
        except IndexError:
            return self._start_one()
        slot.bell.put(item=True)
        return True

    def _start_one(self) -> bool:
        slot = _Slot(self, len(self._slots))
        try:
            slot.thread.start()
        except RuntimeError as error:
            # The system has no more threads for us: the slots that are there go on.
            log.error("a slot could not be started (%s); %d are there", error, len(self._slots))
            return False
        self._slots.append(slot)
        return True

    def interrupt(self, run: RunState, verdict: LongshoreError) -> bool:
        """Raise ``verdict`` in the slot that runs this job; false if none does (any more)."""
        return any(slot.interrupt(run, verdict) for slot in list(self._slots))

    @property
    def awake(self) -> int:
        """How many slots are at work."""
        return len(self._slots) - len(self._asleep)

    def running(self) -> list[RunState]:
        """The jobs whose bodies run now."""
        return [run for slot in list(self._slots) if (run := slot.current) is not None]

    def shed(self, spare: int) -> None:
        """Let so many of the slots at work rest after their job although there is more to do."""
        self._spare = [None] * spare

    def stop(self) -> None:
        """Let idle slots end; those at work end after their job."""
        self._stopped = True
        for slot in list(self._slots):
            slot.bell.put(item=False)

    def work(self, slot: _Slot) -> None:
        """The life of a slot, in its own thread."""
        ready, performer, done = self.ready, self._performer, self._done
        last, born, clean = 0, _forks, contextvars.Context()
        while True:
            try:
                run = ready.popleft()
            except IndexError:
                if not self._rest(slot):
                    return
                last = 0
                continue
            # One job begins where the one before it ended: a look at the clock is saved. What it
            # sets in its context, of a tenant or of decimals, is nobody's after it.
            ending = clean.copy().run(slot.take, run, performer, last)
            if _forks != born:
                leave_fork(run)
            last = run.ended_at
            done(run, ending)
            del run, ending  # with an error there are the frames of its body, and all they hold
            if self._spare and self._is_spare():
                if not self._rest(slot, though_ready=True):
                    return
                last = 0

    def _is_spare(self) -> bool:
        try:
            self._spare.pop()
        except IndexError:  # another slot was quicker
            return False
        return True

    def _rest(self, slot: _Slot, *, though_ready: bool = False) -> bool:
        """Sleep until woken with a permit; false when the lane stops."""
        self._permits.append(None)
        if self._stopped:
            return False
        self.freed()
        self._asleep.append(slot)
        # A job may have come between the look and the sleep, when nobody could be woken yet.
        if self.ready and self._permits and not though_ready:
            self.wake(1)
        return slot.bell.get()


class _Slot:
    """One thread and its job. The lock makes sure that an interruption hits that job only."""

    def __init__(self, lane: ThreadLane, number: int) -> None:
        self.bell: SimpleQueue[bool] = SimpleQueue()
        self.current: RunState | None = None
        self._lock = threading.Lock()
        self.thread = threading.Thread(
            target=lane.work, args=(self,), name=f"longshore-slot-{number}", daemon=True
        )

    def take(self, run: RunState, performer: Performs, started_at: int) -> Ending:
        """Perform one job so that nothing raised into this thread survives it."""
        self.current = run
        try:
            ending = performer.perform(run, started_at)
            with self._lock:
                self.current = None
        except BaseException as error:  # noqa: BLE001 - see below
            # Raised into the thread just as the body was over, or while its end was written down.
            self._let_go()
            ending = performer.raised(run, run.verdict or error)
        if run.verdict is not None:
            _forget(self.thread)
        return ending

    def _let_go(self) -> None:
        """Make sure that nothing more is raised into this thread."""
        while self.current is not None:
            try:
                with self._lock:
                    self.current = None
            except BaseException:  # noqa: BLE001, S112 - a second verdict; the first one counts
                continue

    def interrupt(self, run: RunState, verdict: LongshoreError) -> bool:
        with self._lock:
            if self.current is not run:
                return False
            run.verdict = run.verdict or verdict  # the first one is how it ends
            _raise_in(self.thread, type(run.verdict))
            return True


def _raise_in(thread: threading.Thread, error: type[BaseException]) -> None:
    import ctypes  # noqa: PLC0415 - heavy, and most workers interrupt nothing

    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident or 0), ctypes.py_object(error)
    )


def _forget(thread: threading.Thread) -> None:
    """Take back what was raised into a thread and has not arrived yet."""
    import ctypes  # noqa: PLC0415 - as above

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), None)


class AsyncLane:
    """One event loop in a thread of its own; every coroutine job is a task of it.

    It is started by the first coroutine job, so processes without one do not import asyncio.
    """

    def __init__(
        self,
        permits: list[None],
        performer: Performs,
        done: Done,
    ) -> None:
        self.ready: deque[RunState] = deque()
        self._permits = permits
        self._performer = performer
        self._done = done
        self.head: RunState | None = None
        self.freed: Callable[[], None] = lambda: None
        self._tasks: dict[RunState, asyncio.Task[Ending]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._called = False
        self._stopping = False
        self._born = 0

    def wake(self, wanted: int) -> None:  # noqa: ARG002 - tasks are cheap: all that may start do
        """Start tasks for ready jobs; any thread may call it."""
        if self._loop is None:
            self._start()
        # One call under way covers every job that is ready when it runs.
        if not self._called and self._loop is not None:
            self._called = True
            self._loop.call_soon_threadsafe(self._fill)

    def interrupt(self, run: RunState, verdict: LongshoreError) -> bool:
        """Cancel the task of this job; false if there is none (any more)."""
        if self._loop is None or run not in self._tasks:
            return False
        run.verdict = run.verdict or verdict
        self._loop.call_soon_threadsafe(self._cancel, run)
        return True

    def running(self) -> list[RunState]:
        """The jobs whose tasks run now."""
        return list(self._tasks)

    def call(self, what: Callable[[], None]) -> None:
        """Have this done in the loop, if there is one."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(what)

    def current(self) -> RunState | None:
        """The job whose task the loop is in just now, asked from another thread."""
        import asyncio  # noqa: PLC0415 - where there is a loop it is loaded

        task = None if self._loop is None else asyncio.current_task(self._loop)
        return next((run for run, one in list(self._tasks.items()) if one is task), None)

    @property
    def thread_id(self) -> int:
        """Of the thread that the loop lives in; 0 while there is none."""
        return (self._thread and self._thread.ident) or 0

    def stop(self) -> None:
        """End the loop; its tasks must have ended or are given up."""
        self._stopping = True
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=1)

    def _start(self) -> None:
        # It imports asyncio: 40 ms that only workers with coroutine jobs pay.
        from longshore.worker.precise import precise_loop  # noqa: PLC0415

        # The store thread and a slot may come here at once.
        with self._starting:
            if self._loop is not None:
                return
            loop = precise_loop()
            self._born = _forks
            self._thread = threading.Thread(
                target=self._live, args=(loop,), name="longshore-loop", daemon=True
            )
            self._thread.start()
            self._loop = loop

    def _live(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._stopping:
            try:
                loop.run_forever()
            except BaseException:  # noqa: BLE001 - see below
                # SystemExit and KeyboardInterrupt of a task that a body left behind end a loop, and
                # so may a body; the other jobs need it.
                log.exception("the event loop was ended by a task and goes on")
        try:
            self._end_left(loop)
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    def _end_left(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let tasks that bodies have left behind come to their ``finally``; jobs had their time."""
        import asyncio  # noqa: PLC0415 - where there is a loop it is loaded

        left = asyncio.all_tasks(loop).difference(self._tasks.values())
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=LEFT))

    def _fill(self) -> None:
        self._called = False
        loop = self._loop
        while loop is not None and self.ready:
            try:
                self._permits.pop()
            except IndexError:
                return
            try:
                run = self.ready.popleft()
            except IndexError:
                self._permits.append(None)
                return
            # Of its own: this may be called at the end of another job, in its context.
            task = loop.create_task(self._performer.aperform(run), context=contextvars.Context())
            self._tasks[run] = task
            task.add_done_callback(partial(self._over, run))

    def _over(self, run: RunState, task: asyncio.Task[Ending]) -> None:
        self._tasks.pop(run, None)
        self._permits.append(None)
        if self._born != _forks:
            leave_fork(run)
        if task.cancelled():
            # Before its first step, by a body that cancels whatever it finds in its loop.
            text = f"job {run.claimed.id} ({run.claimed.kind}) was cancelled before it began"
            ending = self._performer.raised(run, run.verdict or Interrupted(text))
        elif (error := task.exception()) is not None:
            ending = self._performer.raised(run, run.verdict or error)
        else:
            ending = task.result()
        self._done(run, ending)
        if self.ready:
            self._fill()
        else:
            self.freed()

    def _cancel(self, run: RunState) -> None:
        task = self._tasks.get(run)
        if task is not None:
            task.cancel()
