"""The parent of a worker: starts, watches, replaces and stops child processes.

Duties: give each child a process record before it may claim; beat for all of them, so that a child
busy in C code loses no lease; see a child die and give its jobs back at once; hand signals down
with one deadline. It does not import the application and holds no token. How it dies: by a signal,
after its children have drained; killed outright, its children see their socket close and drain.

The main thread never talks to the store: what must be done there is an errand for a second thread,
so that a store that hangs delays no signal.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing

import msgspec

from longshore.core.store import Orders, ProcessBeat, Store
from longshore.middleware import Event
from longshore.worker.control import (
    Drain,
    Finished,
    Found,
    FromChild,
    Go,
    Hello,
    Lost,
    Quiet,
    Refused,
    Resting,
    Stuck,
    Ticked,
    Unreadable,
    Waiting,
)
from longshore.worker.door import Ask, Door, Report
from longshore.worker.errands import Errands, end_together
from longshore.worker.family import GRACE, Child, Stage
from longshore.worker.fence import boot_seconds
from longshore.worker.heart import Heart
from longshore.worker.identity import child_process, default_name
from longshore.worker.journal import log
from longshore.worker.launch import BOOT_LIMIT, Launches
from longshore.worker.logs import tell
from longshore.worker.options import WorkerOptions
from longshore.worker.orphans import bury_orphans
from longshore.worker.places import Places
from longshore.worker.probe import Probes
from longshore.worker.recycle import PATIENCE, Recycling
from longshore.worker.relay import Relay, started
from longshore.worker.signals import Signals
from longshore.worker.sources import Sources
from longshore.worker.ticker import Ticker

#: How long, after the deadline of the bodies, a store may keep a worker from ending, seconds: what
#: is left of five the program needs to end. ``LEAST``: after the last child, however late it was.
LAST, LEAST = 4.0, 1.0
#: How often people hear that the store is still waited for, seconds.
WORD = 30.0

Load = Callable[[str], None]
Connect = Callable[[Hello], Store]
Banner = Callable[[Hello, Sequence[int]], None]


class Supervisor:
    """One worker program. :meth:`run` returns its exit code."""

    def __init__(
        self, options: WorkerOptions, first: Launches, load: Load, connect: Connect, banner: Banner
    ) -> None:
        self._options = options
        self._launches = first
        self._load = load
        self._connect = connect
        self._banner = banner
        self._selector = selectors.DefaultSelector()
        self._children: list[Child] = []
        self._store: Store | None = None
        self._ground: tuple[object, ...] = ()
        self._heart: Heart | None = None
        self._outbox: Store | None = None
        self._relay: Relay | None = None
        self._ticker: Ticker | None = None
        self._errands = Errands()
        self._recycling = Recycling(options.max_rss)
        self._places = Places(options)
        self._probes = Probes(options, first, self._selector)
        self._interrupts = 0
        self._stopping = False
        self._quiet = False
        self._again = False  # re-exec when all children are gone
        self._name = ""
        self._leave_by = float("inf")
        self._exit_code = 0
        self._returned = 0
        self._ended = 0
        self._fenced = 0  # writes of children that are gone
        self._sources = Sources()
        self._next_word = 0.0  # when to say again that the store is waited for

    # --- life ---------------------------------------------------------------------------------

    def run(self, signals: Signals) -> int:
        """Work until stopped; the calling thread must be the main one."""
        with closing(Door(self._options.name or default_name())) as door:
            if (wanted := self._options.name) not in (None, door.name):
                log.warning("the name %r is taken here; this worker is %r", wanted, door.name)
            self._name = door.name
            self._selector.register(signals.descriptor, selectors.EVENT_READ, signals)
            self._selector.register(door.descriptor, selectors.EVENT_READ, door)
            for number in range(self._options.processes):
                self._spawn(number)
            self._launches.drop()
            try:
                while self._children or (self._places and not self._stopping):
                    self._turn(signals)
            finally:
                self._end()
        if self._again:
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - itself
        return self._exit_code or (9 if self._returned else 0)

    def _turn(self, signals: Signals) -> None:
        for key, _ in self._selector.select(timeout=self._pause()):
            match key.data:
                case Signals():
                    for number in signals.read():
                        self._signalled(number)
                case Door() as door:
                    door.answer(self._answer)
                case Child() as child if key.fd == child.pidfd:
                    self._reap(child)
                case Child() as child:
                    self._hear(child)
                case _:
                    pass
        self._watch_over()
        if not self._stopping and self._heart is not None and self._heart.gone is not None:
            tell(f"this worker ends: {self._heart.gone}")
            self._exit_code = 4
            self._stop(0)

    def _pause(self) -> float:
        now = time.monotonic()
        times = [] if self._stopping else self._places.waiting(self._children)
        times += [child.kill_at for child in self._children if child.kill_at is not None]
        times += [now + left for child in self._children if (left := child.left()) is not None]
        # Without pidfd (not Linux) the end of a child is looked for.
        ceiling = 0.5 if hasattr(os, "pidfd_open") else 0.05
        return max(0.0, min([ceiling, *(due - now for due in times)]))

    def _end(self) -> None:
        self._probes.end()
        for child in self._children:
            child.kill()
            child.popen.wait()
            child.bury()
        ends = [self._errands.finish]
        ends += [part.stop for part in (self._relay, self._ticker, self._heart) if part is not None]
        # What a store that does not answer was not told, the ends of leases tell it.
        now = time.monotonic()
        end_together(ends, max(now + LEAST, min(self._leave_by, now + LAST)))
        for store in (self._outbox, self._store):
            if store is not None:
                store.close()
        self._selector.close()

    # --- children -----------------------------------------------------------------------------

    def _spawn(self, number: int) -> None:
        options = self._places.options(number, self._children)
        if options is None:
            self._places.settled(number)
            return
        try:
            child = Child(number, options, self._launches.take())
        except OSError as error:
            # No more processes, memory or descriptors for us: those that are there go on.
            log.error("a child could not be started: %s", error)
            self._places.wait_longer(number)
            return
        self._children.append(child)
        self._selector.register(child.channel.socket, selectors.EVENT_READ, child)
        if child.pidfd is not None:
            self._selector.register(child.pidfd, selectors.EVENT_READ, child)

    def _hear(self, child: Child) -> None:
        messages = child.channel.receive()
        if messages is None:
            # Its socket closed; its end itself is seen by the process descriptor.
            self._selector.unregister(child.channel.socket)
            child.deaf = True
            return
        for message in messages:
            self._heard(child, message)

    def _heard(self, child: Child, message: FromChild) -> None:
        match message:
            case Found(store=url):
                if self._store is None:
                    self._load(url)
            case Waiting(why=why):
                self._wait_for_store(child, why)
            case Hello():
                self._greet(child, message)
            case Refused():
                self._refused(child, message)
            case Stuck(ending=ending):
                child.stuck.append(ending)
                self._replace(child)
            case Resting(on=on):
                child.resting = on
            case Unreadable() if not self._stopping:
                tell("a new child speaks as another release does: starting again")
                self._start_anew()
            case Finished(ended=ended, returned=returned, done=done):
                child.finished, child.done = True, done
                self._ended += ended
                self._returned += returned if self._stopping else 0
            case _:
                log.warning("child %d said something unexpected: %r", child.pid, message)

    def _replace(self, child: Child) -> None:
        """A body of it does not stop; those beside it have the time that they have at any stop."""
        child.drain(child.shutdown_timeout)
        if not (self._stopping or self._has_child(child.number)):
            self._places.again(child.number, worked=True)

    def _refused(self, child: Child, refused: Refused) -> None:
        child.refused = True
        if not (self._stopping and self._exit_code == refused.exit_code):
            tell(refused.message)  # of several children the others would say the same
        if self._store is None:
            # The very first start failed: nothing was running, so say so and end.
            self._exit_code = refused.exit_code
            self._stop(0)

    def _wait_for_store(self, child: Child, why: str) -> None:
        """It boots as long as the store takes; of all children one is enough to hear of that."""
        now = child.started_at = time.monotonic()
        if now >= self._next_word and not self._stopping:
            self._next_word = now + WORD
            tell(f"waiting for the store: {why}")

    def _greet(self, child: Child, hello: Hello) -> None:
        child.hello = hello
        child.stage = Stage.JOINING
        if self._store is None:
            self._ground = hello.ground
            self._store = self._connect(hello)
            self._heart = Heart(self._store, hello.lease, self._members, self._obey)
            self._heart.renewed = self._renewed
            self._heart.start()
            if self._options.scheduler:
                self._ticker = Ticker(self._store, hello.app, self._ticked)
                self._ticker.start(hello.schedules)
            if hello.outbox is not None:
                self._outbox = self._connect(msgspec.structs.replace(hello, store=hello.outbox))
            self._relay = started(self._store, self._outbox, drain=self._options.until_empty)
            self._banner(hello, [each.pid for each in self._children])
        elif hello.ground != self._ground and not self._stopping:
            tell(f"the store or its settings have changed (now {hello.address}): starting again")
            self._start_anew()
            return
        elif self._ticker is not None and self._options.reload:
            self._ticker.declare(hello.schedules)
        self._sources.note(hello.files)
        process = child_process(hello, self._options, self._name, child.pid)
        store = self._store

        def join() -> None:
            now = boot_seconds()
            store.run(store.register(process))
            child.beacon.renew(now)
            # Only now may it claim: a claim reads the record that was just written.
            child.process_id = process.id
            child.stage = Stage.WORKING
            child.channel.send(Go(process.id))
            if self._quiet:
                child.channel.send(Quiet(on=True))
            if self._stopping:
                child.channel.send(Drain(0))

        self._errands.add(f"register child {child.pid}", join, lambda: child.buried)
        self._replace_others(child)

    def _replace_others(self, child: Child) -> None:
        """The new child is up, so its predecessor may go: after a reload, or when it is large."""
        for other in self._children:
            if other is not child and other.number == child.number and not self._stopping:
                other.drain(PATIENCE if other.large else other.shutdown_timeout)

    def _reap(self, child: Child) -> None:
        if child.popen.poll() is None:
            return
        for what in (child.pidfd, None if child.deaf else child.channel.socket):
            if what is not None:
                self._selector.unregister(what)
        # What it said last may still lie in the socket.
        if not child.deaf:
            while (messages := child.channel.receive()) is not None:
                for message in messages:
                    self._heard(child, message)
        self._children.remove(child)
        self._recycling.forget(child)
        self._places.gone(child)
        worked = child.has_worked
        self._give_back(child)
        replaced = self._has_child(child.number)
        if child.done:
            self._places.settled(child.number)
        elif not (self._stopping or replaced):
            # One that was killed young may have been unlucky; the next such death is no accident.
            unlucky = child.hello is not None and not self._places.waits(child.number)
            self._places.again(child.number, worked=worked or unlucky)

    def _give_back(self, child: Child) -> None:
        """Its jobs run again at once; which had started is read from its memory."""
        store, crash = self._store, child.crash()
        request = child.rescue(crash)
        if not child.finished and not child.refused and not self._stopping:
            log.error("child %d: %s\n%s", child.pid, crash.message, crash.traceback or "")
        self._fenced += child.beacon.read_fenced()
        self._launches.turnstile.died(child.beacon.read_place())
        child.process_id = None
        child.bury()
        if store is None or request.dead is None:
            return

        def give_back() -> None:
            given = child.give_back(store, request)
            self._returned += given if self._stopping else 0

        self._errands.add(f"give back the jobs of child {child.pid}", give_back)

    def _watch_over(self) -> None:
        bury_orphans([*(child.pid for child in self._children), *self._probes.pids])
        now = time.monotonic()
        if not self._stopping:
            self._start_successors(now)
        for child in list(self._children):
            if child.pidfd is None:
                self._reap(child)
            if child.kill_at is not None and now >= child.kill_at:
                child.kill_at = now + GRACE
                child.kill()
            if child.stage is Stage.BOOTING and now - child.started_at > BOOT_LIMIT:
                log.error("child %d did not boot within %d s", child.pid, BOOT_LIMIT)
                child.kill()
            if child.stage is Stage.WORKING and child.has_worked:
                self._places.settled(child.number)
            self._keep_watch(child, now)
        places = [child.beacon.read_place() for child in self._children]
        self._launches.turnstile.look(places, now)
        if self._options.reload and not self._stopping:
            self._look_for_changes()
        if self._probes.has_loaded(now):
            self._start_anew()
        self._look_for_rest()

    def _start_successors(self, now: float) -> None:
        missing = [number for number in self._places.due(now) if not self._has_child(number)]
        last = [each for each in self._children if not self._has_child(each.number, each)]
        large = [child for child in last if self._recycling.is_due(child, now)]
        if self._options.max_jobs is not None:
            # How many are left for its successor is known when it has ended.
            for child in large:
                child.drain(PATIENCE)
            large = []
        for number in (*missing, *(child.number for child in large)):
            self._spawn(number)

    def _has_child(self, number: int, besides: Child | None = None) -> bool:
        """Whether a child works in this place, or boots; one that drains may take its time."""
        there = [child for child in self._children if child.number == number]
        return any(child.stage is not Stage.DRAINING and child is not besides for child in there)

    def _keep_watch(self, child: Child, now: float) -> None:
        """Kill a child that is stuck, or that must not go on without its lease."""
        if child.process_id is None or child.killed:
            return
        beating = self._heart is not None and self._heart.healthy
        why = child.is_stuck(now, store_answers=beating) or child.has_overstayed()
        if why is not None:
            log.error("child %d %s; it is killed and replaced", child.pid, why)
            child.kill()

    def _look_for_changes(self) -> None:
        if (changed := self._sources.changed()) is not None:
            tell(f"reloading: {changed} changed")
            # The old children go on until the new code is up: a syntax error stops nothing.
            for number in {child.number for child in self._children}:
                self._spawn(number)

    def _look_for_rest(self) -> None:
        """Where nobody has anything left, each may end; what one still runs may enqueue more."""
        theirs = [child for child in self._children if child.stage is not Stage.DRAINING]
        if all(child.resting for child in theirs) and not self._places.waiting(theirs):
            for child in theirs:
                child.dismiss()

    # --- the heart's questions (another thread) -----------------------------------------------

    def _renewed(self, at: float, lost: frozenset[str]) -> None:
        """Each child learns from its memory that its lease goes on."""
        for child in list(self._children):
            child.renew(at, lost)

    def _members(self) -> list[ProcessBeat]:
        return [beat for child in list(self._children) if (beat := child.beat()) is not None]

    def _obey(self, orders: Orders) -> None:
        callers = self._launches.turnstile.callers(orders.processes, len(self._members()))
        for child in list(self._children):
            if child.process_id in orders.lost:
                log.error("child %d lost its lease and is replaced", child.pid)
                child.channel.send(Lost())
                child.drain(0)
                continue
            child.pass_on(orders, callers)

    def _ticked(self, events: tuple[Event, ...]) -> None:
        """Every child may have a slot for the jobs; one of them tells the application."""
        working = [child for child in list(self._children) if child.stage is Stage.WORKING]
        for number, child in enumerate(working):
            child.channel.send(Ticked(() if number else events))

    def _answer(self, ask: Ask) -> Report:
        """For a visitor at the door."""
        if ask.what in ("quiet", "resume"):
            self._hush(on=ask.what == "quiet")
        reports = tuple(child.report() for child in self._children)
        fenced = self._fenced + sum(child.beacon.read_fenced() for child in self._children)
        working = any(child.stage is Stage.WORKING for child in self._children)
        beating = self._heart is not None and self._heart.healthy
        state = "draining" if self._stopping else "quiet" if self._quiet else "working"
        ready = working and beating and state == "working"
        live = not any(report.stuck for report in reports)
        return Report(self._name, os.getpid(), state, ready and live, reports, live, fenced)

    def _hush(self, *, on: bool) -> None:
        self._quiet = on
        for child in self._children:
            child.channel.send(Quiet(on=on))

    # --- stopping -----------------------------------------------------------------------------

    def _signalled(self, number: int) -> None:
        match number:
            case signal.SIGTERM | signal.SIGINT | signal.SIGQUIT:
                self._again = False
                # Counted: the first Ctrl-C after a HUP or a TERM is not the second one.
                self._interrupts += number == signal.SIGINT
                if number == signal.SIGINT and self._interrupts > 1:
                    self._exit_code = 130
                self._stop(0 if number == signal.SIGQUIT or self._exit_code == 130 else None)
            case signal.SIGHUP if not self._stopping:
                self._probes.begin()
            case signal.SIGTSTP | signal.SIGCONT:
                self._hush(on=number == signal.SIGTSTP)
            case signal.SIGUSR1 | signal.SIGTTIN:
                # Without its handler, which a child has when it says hello, it would die of it.
                for child in (each for each in self._children if each.hello is not None):
                    child.popen.send_signal(signal.SIGUSR1)
            case _:
                pass

    def _start_anew(self) -> None:
        self._again = True
        self._stop(None)

    def _stop(self, timeout: float | None) -> None:
        self._stopping = True
        self._probes.end()
        times = [child.shutdown_timeout if timeout is None else timeout for child in self._children]
        for child, given in zip(self._children, times, strict=True):
            child.drain(given)
        self._leave_by = min(self._leave_by, time.monotonic() + max(times, default=0.0) + LAST)
