"""The store thread of one process: it claims, hands out, gathers endings and reports them.

Duties: keep the lanes fed but never more than a little ahead, finish and claim in one exchange,
flush endings at once, but not more often than every 5 ms while busy, give back what cannot start
soon, drain on request. It owns no lease and no signal. Errors of the store are waited out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from longshore.core.model import Ending, Lease
from longshore.core.store import Claim, ClaimRequest, Exchanged, Store, Watch
from longshore.errors import Interrupted, StoreError
from longshore.running import RunState
from longshore.worker.asks import Asks
from longshore.worker.buffer import CLAIM
from longshore.worker.claims import Claims, begun, given_back
from longshore.worker.fence import Fence, OwnPage, boot_seconds
from longshore.worker.journal import Journal
from longshore.worker.lanes import Lanes
from longshore.worker.later import Later
from longshore.worker.looks import Looks
from longshore.worker.loopwatch import LoopWatch
from longshore.worker.order import Order
from longshore.worker.perform import Performer
from longshore.worker.plan import Beacon, Mode, Plan
from longshore.worker.remaining import Remaining
from longshore.worker.reports import Reports
from longshore.worker.room import Room
from longshore.worker.standing import Standing
from longshore.worker.stops import Stops
from longshore.worker.turnstile import Free, Passing

T = TypeVar("T")
Batch: TypeAlias = "list[tuple[RunState, Ending]]"

GATHER, FLUSH, GRACE = 0.005, 500, 1.0
#: How long to wait before a claim that was refused for want of a lease is repeated.
PATIENCE = 0.2
#: The store thread turns at least so often, seconds: by that it is seen to live.
TURN = 1.0
#: So long it may exchange again and again without a turn, seconds.
AT_ONCE = 0.1


class Engine:
    """One process's share of a worker; see the module's text for what it does and how it ends."""

    def __init__(
        self,
        store: Store,
        plan: Plan,
        performer: Performer,
        journal: Journal,
        beacon: Beacon | None,
    ) -> None:
        self._store = store
        self._plan = plan
        self.journal = journal
        self._beacon = beacon
        self._performer = performer
        performer.begin = self._begin
        self._lanes = Lanes(plan.slots, performer, self._done)
        self.durations = self._lanes.durations
        self._ready = (self._lanes.threads.ready, self._lanes.tasks.ready)
        self._order = Order(plan.lines, plan.weights)
        #: How many jobs it has claimed and ended, and for how many more there is room.
        self.room = Room(plan, self._lanes, self._order.most)
        self.stops = Stops(
            self._lanes, performer, lambda run: self._inflight.get(run.claimed.id) is run
        )
        performer.begun = self.stops.begun
        self._watch: Watch = store.watch()
        self._reports = Reports(store, performer.success, self._watch.wake)
        #: How near the end of the lease is; who renews it says so on its page.
        self.fence = Fence(plan.lease, beacon or OwnPage(), performer, self._at_the_fence)
        self.fence.runs = lambda: list(self._inflight.values())
        self.fence.interrupt = self._lanes.interrupt
        self.fence.also = LoopWatch(self._lanes.tasks, boot_seconds).look
        if plan.until_empty:
            self.journal.teller.idle = self.look  # who was told may have enqueued more
        self.process_id = ""
        self.mode = Mode.CLAIMING
        #: Asked when others have the process's jobs: a new id to go on with, or None to stop.
        self.on_lost: Callable[[], str | None] = lambda: None
        #: Before each claim: it may have to wait for those of its siblings.
        self.passage: Passing = Free()
        self.jobs_returned = 0  # their bodies had begun
        self.fenced_writes = 0  # came back refused: the job was another process's by then
        self.done = False  # ended by itself: its limits are reached
        self._inflight: dict[str, RunState] = {}
        self._ended: Batch = []
        self._held: Batch = []
        # A job that ends before ``_flush_at`` is reported then, a later one at once.
        self._flush_at = self._deadline = 0.0
        self._claims = Claims()
        self._asks = Asks(store, plan, self._claims, self._order, self._lanes)
        self._parked_kinds: tuple[str, ...] = ()
        self._looks = Looks(plan.poll_interval)
        self._remaining = Remaining(store, plan.lines, limited=bool(performer.limited_kinds()))
        # Frozen while one stands, a process is given jobs: what may run once only would be dead.
        watch = None if self.fence.once else self._watch
        self._standing = Standing(store, watch, self._claims, self._looks)
        self._last_job = time.monotonic()
        self._sleeping = self._interrupted = self._given_up = False

    # --- what others ask of it ----------------------------------------------------------------

    def run(self, process_id: str) -> None:
        """Work until drained; the calling thread becomes the store thread."""
        self.process_id = process_id
        try:
            self.fence.start()
            # Listened before looked: what comes after the first claim is then hinted at.
            self._watch.wait(0)
            while self.mode is not Mode.STOPPED:
                self._turn()
        finally:
            self.fence.stop()
            self._lanes.stop()
            self.stops.end()
            self._watch.close()
            self.journal.teller.close(max(GRACE, self._deadline - time.monotonic()))

    def quiet(self, *, on: bool) -> None:
        """Stop or start claiming; what was claimed goes on."""
        if self.mode in (Mode.CLAIMING, Mode.QUIET):
            self.mode = Mode.QUIET if on else Mode.CLAIMING
            self._looks.more = True
            self._watch.wake()

    def drain(self, timeout: float) -> None:
        """Stop claiming, give back what has not started, and after ``timeout`` what still runs."""
        self._deadline = min(self._deadline or float("inf"), time.monotonic() + timeout)
        self.mode = Mode.DRAINING
        self._watch.wake()

    def cancel(self, leases: Sequence[Lease]) -> None:
        """A person wants these running jobs to end."""
        self.stops.cancel(self._inflight, leases)

    def serve_parked(self, kinds: Sequence[str]) -> None:
        """Parked jobs of these kinds exist; take those that this process can read."""
        known = tuple(kind for kind in kinds if self._performer.declaration(kind) is not None)
        if known and self.mode is Mode.CLAIMING:
            self._parked_kinds = known
            self._watch.wake()

    def lose(self) -> None:
        """Others have the jobs of this process: drop them."""
        self._given_up = True
        self._watch.wake()

    def look(self) -> None:
        """There are new jobs: claim now, whatever the store has told."""
        self._looks.more = True
        self._watch.wake()

    @property
    def oldest_claim(self) -> int:
        """The oldest claim with unfinished jobs; what is older never arrived here."""
        return self._claims.oldest

    @property
    def begun(self) -> frozenset[tuple[str, int]]:
        """The jobs whose bodies had begun when this process was told to leave, and their runs."""
        runs = [run for run in list(self._inflight.values()) if run.started_at]
        return frozenset((run.claimed.id, run.lease.run) for run in runs)

    def _at_the_fence(self) -> None:
        self._looks.again_at = 0.0  # where it opens the store has answered a beat just now
        self._watch.wake()

    # --- called by slots ----------------------------------------------------------------------

    def _begin(self, run: RunState) -> None:
        job = run.claimed
        if job.kind in self.fence.exclusive:
            self.fence.enter(run)
        if self._beacon is not None:
            run.place = self._beacon.started(job.id, job.run)

    def _done(self, run: RunState, ending: Ending) -> None:
        if run.place >= 0 and self._beacon is not None:
            self._beacon.ended(run.place)
        self.fence.leave(run)
        self._ended.append((run, ending))
        # Waking the store thread costs more than a tiny job, so only when it has something to do.
        if self._sleeping and (
            len(self._ready[0]) + len(self._ready[1]) <= self.room.low
            or len(self._ended) >= FLUSH
            or (not self._held and len(self._ended) == 1)
        ):
            self._sleeping = False
            self._watch.wake()

    # --- the store thread ---------------------------------------------------------------------

    def _turn(self) -> None:
        now = time.monotonic()
        self._gather()
        if self.mode is Mode.DRAINING:
            self._standing.forget()
            self._wind_down(now)
        if self.fence.closed and not self._given_up:
            # Perhaps others have our jobs: what did not start goes back, and ends wait.
            self._standing.forget()
            self._give_back(self._lanes.take_back(lambda _run: True))
            self.passage.leave()
        elif now < self._looks.again_at:
            self.passage.leave()
        else:
            asks = self.mode is Mode.CLAIMING and bool(self._wanted(now) or self._parked_kinds)
            if asks or self.mode is Mode.QUIET:
                self._came(self._standing.recall(again=self._may_claim()))
            admitted = asks and self.passage.enter(hurry=self._must_flush(now))
            now = time.monotonic()  # it may have waited
            self._gather()
            if admitted or self._must_flush(now) or self._given_up:
                self._talk(now, self._wanted(now) if admitted else 0, admitted=admitted)
                self._gather()
            if admitted or not asks:
                soon = self._looks.soon(time.monotonic()) and self.durations.brief
                self.passage.leave(back=soon and self._may_claim())
        self._tend(now)
        if self._finished(now):
            self.passage.leave()
            self.mode = Mode.STOPPED
            return
        pause = self._pause(time.monotonic())
        if pause > 0:
            self._leave_claim()
            self._sleeping = True
            # Looked at again: a slot that came before the flag was up did not wake anybody.
            if not self._ended or self._held:
                self._looks.more = self._watch.wait(pause) or self._looks.more
            self._sleeping = False
            self._came(self._standing.came(again=self._may_claim()))

    def _gather(self) -> None:
        ended = self._ended
        count = len(ended)
        if count:
            # Two whole steps: what a slot adds between them stays for the next time.
            self._held += ended[:count]
            del ended[:count]

    def _unfinished(self) -> int:
        here = len(self._inflight) + self.room.coming - self.room.going
        return here - len(self._held) - len(self._ended)

    def _wanted(self, now: float) -> int:
        if self.mode is not Mode.CLAIMING or self.journal.teller.full:
            return 0
        starved = self._lanes.starved()
        if starved == 0 or (starved is None and not self._looks.more and now < self._looks.next):
            return 0
        return self.room.more(self._unfinished(), starved)

    def _must_flush(self, now: float) -> bool:
        return bool(self._held) and (
            len(self._held) >= FLUSH
            or self._unfinished() == 0
            or now >= self._flush_at
            or self.mode is Mode.DRAINING
        )

    def _talk(self, now: float, wanted: int, *, admitted: bool) -> None:
        """Finish and claim in as few round trips as possible; a store's trouble is waited out."""
        try:
            if self._given_up:
                self._lose()
                return
            self._reports.save(now, self._held)
            if self._held:
                self._flush_at = now + GATHER
            if self._parked_kinds and admitted:
                kinds, self._parked_kinds = self._parked_kinds, ()
                left = min(self.room.left, CLAIM)
                if left and self.mode is Mode.CLAIMING:
                    self._claim(now, left, kinds)
                    wanted = min(wanted, self.room.left)
            if wanted and self._held:
                self._exchange(now, wanted)
            elif wanted:
                self._claim(now, wanted)
            elif self._held:
                batch = self._held
                held = self._store.run(self._store.finish(self._reports.untold(batch)))
                self._held = []
                self._settle(batch, held)
        except StoreError as error:
            self._looks.failed(error, now)
        else:
            self._looks.trouble = 0

    def _claim(self, now: float, wanted: int, kinds: tuple[str, ...] = ()) -> None:
        request = self._asks.request(self.process_id, wanted, kinds)
        claim = self._asks.run(request, self._store.claim(request), self.passage)
        self._take(now, request, claim)

    def _exchange(self, now: float, wanted: int) -> None:
        """Report and claim; what one brought is taken in while the store is at the next."""
        take, until = Later(lambda: None), now + AT_ONCE
        while wanted:
            batch, self._held = self._held, []
            try:
                request = self._asks.request(self.process_id, wanted)
                op = self._store.exchange(self._reports.untold(batch), request)
                op.meanwhile = take
                answer = self._asks.run(request, op, self.passage)
            except BaseException:
                self._held[:0] = batch
                raise
            finally:
                take()
            now = time.monotonic()
            self._gather()
            self.room.coming, self.room.going = len(answer.claim.jobs), len(batch)
            take = Later(self._take_in, now, request, batch, answer)
            on = now < min(until, self.passage.until)
            wanted = self._further(now, request, batch, answer) if on else 0
        take()

    def _further(self, now: float, last: ClaimRequest, batch: Batch, answer: Exchanged) -> int:
        """How many jobs to ask for at once: none where anything else is to be seen to first."""
        more = len(answer.claim.jobs) >= last.wanted and not self._given_up
        # What shares lines or has rates is decided with all taken in.
        plain = self._order.plain and self._lanes.plain
        busy = self._parked_kinds or self.fence.closed or self._reports.asks(batch)
        return self._wanted(now) if more and plain and not busy else 0

    def _take_in(self, now: float, request: ClaimRequest, batch: Batch, answer: Exchanged) -> None:
        self.room.coming = self.room.going = 0
        self._settle(batch, answer.held)
        self._take(now, request, answer.claim)
        self._show()

    def _settle(self, batch: Batch, held: frozenset[Lease]) -> None:
        held = self._reports.standing(batch, held)
        self.fenced_writes += len(batch) - len(held)
        self.durations.learn(batch)
        self._claims.over(batch, self._inflight)
        if self.room.crowded:
            self.room.crowded = not any(run.started_at for run, _ in batch)
        if self._beacon is not None:
            self._beacon.settled(run for run, _ in batch)
        cut_short = self.room.over(batch)
        self._last_job = time.monotonic()
        # What has ended may have enqueued more, or has become available again itself.
        self._looks.more = self._looks.more or self._plan.until_empty
        if self.mode is Mode.DRAINING:
            self.jobs_returned += cut_short
        self.journal.finished(batch, held)

    def _take(self, now: float, request: ClaimRequest, claim: Claim) -> None:
        jobs = claim.jobs
        self._claims.arrived(request.claim_id, len(jobs), time.monotonic())
        if not claim.live:
            # It ran out: the next beat renews it, unless others have our jobs. That is told too.
            self._looks.more, self._looks.again_at = True, now + PATIENCE
            return
        if not request.parked_kinds:
            self._looks.plan(now, request, claim)
            self._order.took(jobs)
            self._lanes.came(jobs, free=request.free, wanted=request.wanted)
        if not jobs:
            return
        self._last_job = now
        self.room.claimed += len(jobs)
        runs = begun(claim, self.process_id, request.claim_id, self._reports)
        self._inflight.update(runs)
        late = self.fence.closed or self.fence.due  # others may have them
        use = self._give_back if late else self._lanes.hand_out
        use(list(runs.values()))

    def _may_claim(self) -> bool:
        return self.mode is Mode.CLAIMING and not self.fence.due

    def _leave_claim(self) -> None:
        """Where there is nothing to do, the next jobs come with the word that they are there."""
        looks, free = self._looks, isinstance(self.passage, Free) and self._lanes.starved() is None
        busy = self._inflight or looks.more or looks.trouble or not free
        held_back = self._given_up or self._parked_kinds or self.fence.closed or self._plan.ends
        may = self._may_claim() and self._standing.possible and not self.journal.teller.full
        may = may and not (busy or held_back)
        wanted = self.room.more(self._unfinished(), None) if may else 0
        if wanted:
            self._standing.place(self._asks.request(self.process_id, wanted))

    def _came(self, brought: tuple[ClaimRequest, Claim | None] | None) -> None:
        """Take what a standing claim has brought; of one that was lost a beat gives it back."""
        if brought is not None:
            self._looks.more = True
            request, claim = brought
            # It may lie here for long, as where the machine was suspended: others have the jobs.
            mine = request.process_id == self.process_id and not self.fence.due
            if claim is not None and mine:
                self._take(time.monotonic(), request, claim)
            else:
                self._claims.arrived(request.claim_id, 0, 0)

    def _lose(self) -> None:
        """The lease is gone: others have our jobs, so nothing we hold may be reported."""
        for run in self._inflight.values():
            run.lost = True
        self.journal.dropped(self.process_id, list(self._inflight.values()))
        self.fenced_writes += len(self._held)
        # Bodies have run, whoever has their jobs; those that never began are another's to run.
        self.room.over(self._held)
        self.room.claimed -= self._lanes.clear()
        self._inflight.clear()
        self._claims.clear()
        self._standing.forget()
        self._held.clear()
        fresh = self.on_lost()
        self._given_up = False
        if fresh is None:
            self.drain(0)
        else:
            self.process_id = fresh
            self._looks.more = True

    # --- between exchanges --------------------------------------------------------------------

    def _tend(self, now: float) -> None:
        if not self.fence.closed:
            self._reports.save(now)
        self._show()
        if self._lanes.waiting:
            self._lanes.nudge()
            stale = self._lanes.stale(lambda claim_id: self._claims.age(claim_id, now))
            if stale:
                # Claimed again at once, they would only be kept from others: see ``_wanted``.
                self.room.crowded = True
                self._give_back(stale)

    def _show(self) -> None:
        """Let who outlives this process know how far it is."""
        if self._beacon is not None:
            fenced = self.fenced_writes + self._reports.fenced
            self._beacon.tend(self.oldest_claim, len(self._inflight), self.room.ended, fenced)

    def _give_back(self, runs: Sequence[RunState]) -> None:
        self._held += [(run, given_back(run)) for run in runs]

    def _pause(self, now: float) -> float:
        if self.fence.closed:
            return 0.1
        if now < self._looks.again_at:
            return min(self._looks.again_at - now, TURN)
        if self._must_flush(now) or self.passage.waits:
            return 0
        wait = min(self._plan.poll_interval, TURN)
        hungry = self._unfinished() < self._plan.slots and self.room.left > 0
        if self.mode is Mode.CLAIMING and hungry:
            wait = 0 if self._looks.more else max(0.0, self._looks.next - now)
        if self._held:
            wait = min(wait or GATHER, self._flush_at - now)
        if self._lanes.waiting:
            wait = min(wait or GATHER, GATHER)
        wait = min(wait, self._reports.due_in(now))
        if self.mode is Mode.DRAINING or self._plan.idle_timeout is not None:
            wait = min(wait, 0.05)
        return min(wait, self.passage.left(now))

    def _finished(self, now: float) -> bool:
        if self._inflight or self._held or self._ended:
            return False
        if self.journal.teller.busy and not 0 < self._deadline <= now:
            return False
        plan = self._plan
        idle = 0 if self.passage.waits else now - self._last_job
        self.done = self.mode is not Mode.DRAINING and (
            (plan.until_empty and not self._looks.more and self._remaining.none(self._claims.last))
            or self.room.left == 0
            or (plan.idle_timeout is not None and idle >= plan.idle_timeout)
        )
        return self.done or self.mode is Mode.DRAINING

    # --- stopping -----------------------------------------------------------------------------

    def _wind_down(self, now: float) -> None:
        self._give_back(self._lanes.take_back(lambda _run: True))
        running = self._lanes.running()
        self._performer.note_once(self._store, [run for run in running if not run.stopping])
        for run in running:
            run.stopping = True
        if now < self._deadline:
            return
        if not self._interrupted:
            self._interrupted = True
            for run in running:
                self._lanes.interrupt(run, Interrupted("the worker is stopping"))
        if now >= self._deadline + GRACE:
            ended = {run.claimed.id for run, _ in [*self._held, *self._ended]}
            self._held += self.stops.abandoned(self._inflight, ended)
