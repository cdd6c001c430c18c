"""Ends bodies before their time: timeouts, cancels, and what to do with those that do not stop."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from longshore.core.model import Ending, Lease
from longshore.errors import AttemptTimeout, Cancelled, Interrupted, LongshoreError
from longshore.running import RunState
from longshore.worker.claims import given_back
from longshore.worker.deadlines import Deadlines
from longshore.worker.journal import log
from longshore.worker.lanes import Lanes
from longshore.worker.perform import Performer

STUCK = 5.0


class Stops:
    """For the bodies of one process. ``ours`` says whether a run is still this process's."""

    def __init__(
        self, lanes: Lanes, performer: Performer, ours: Callable[[RunState], bool]
    ) -> None:
        self._lanes = lanes
        self._performer = performer
        self._ours = ours
        self._deadlines = Deadlines()
        #: Told of a body that neither its end nor an exception could stop.
        #: The answer says whether somebody will end this process and then report the ending.
        self.on_stuck: Callable[[RunState, Ending], bool] = lambda _run, _ending: False
        #: Runs whose ends the supervisor reports.
        self.left_behind: set[RunState] = set()

    def begun(self, run: RunState) -> None:
        """Its body starts: stop it when its time is over."""
        if run.claimed.timeout is not None:
            self._deadlines.add(run, run.claimed.timeout / 1e6, self._time_out)

    def stop_body(self, run: RunState, verdict: LongshoreError) -> None:
        """Raise a verdict in a body; one that does not stop is reported as stuck."""
        if self._lanes.interrupt(run, verdict):
            self._deadlines.add(run, STUCK, self._stuck)

    def cancel(self, inflight: Mapping[str, RunState], leases: Iterable[Lease]) -> None:
        """End the bodies of those of these leases that are still here."""
        for lease in leases:
            run = inflight.get(lease.job_id)
            if run is not None and run.lease == lease and not run.cancelled:
                run.cancelled = True
                text = f"job {lease.job_id} ({run.claimed.kind}) was cancelled"
                self.stop_body(run, Cancelled(text))

    def abandoned(
        self, inflight: dict[str, RunState], ended: Collection[str]
    ) -> Iterator[tuple[RunState, Ending]]:
        """How runs end whose bodies did not, but for the ``ended``; others report some of them."""
        for run in list(inflight.values()):
            if run in self.left_behind:
                del inflight[run.claimed.id]
            elif run.claimed.id not in ended:
                run.lost = True
                own = None if isinstance(run.verdict, Interrupted) else run.verdict
                yield run, self._performer.raised(run, own) if own else given_back(run)

    def end(self) -> None:
        """Watch no more."""
        self._deadlines.stop()

    def _time_out(self, run: RunState) -> None:
        if self._ours(run) and not run.ended_at:
            limit = (run.claimed.timeout or 0) / 1e6
            text = f"job {run.claimed.id} ({run.claimed.kind}) took longer than {limit:g} s"
            self.stop_body(run, AttemptTimeout(text))

    def _stuck(self, run: RunState) -> None:
        if self._ours(run) and not run.ended_at and run.verdict:
            log.error(
                "job %s (%s) does not stop: %s", run.claimed.id, run.claimed.kind, run.verdict
            )
            ending = self._performer.raised(run, run.verdict)
            run.ended_at = 0
            if self.on_stuck(run, ending):
                self.left_behind.add(run)
