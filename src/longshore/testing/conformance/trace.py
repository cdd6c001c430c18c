"""One script, every operation, the same answers: a store beside the memory store, step by step.

A script is made from a seed while it is played: the seed decides what comes next, the answers so
far decide what it is about (whose lease, which job). Both stores are given the same request at the
same time of the same clock; where their answers differ the play ends and says at which step. So all
stores whose play comes to its end give one trace. What it does is in :mod:`.acts`.

What the seam leaves to a store is left out of the comparison (:mod:`.answers`) or settled before
it: a due job may stay scheduled until somebody looks at its queue, an expired one until it is
looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from longshore.core.store import Filter, Retention
from longshore.stores.clock import ManualClock
from longshore.stores.memory.store import MemoryStore
from longshore.testing.conformance.acts.notes import Notes
from longshore.testing.conformance.acts.people import People
from longshore.testing.conformance.acts.runs import Runs
from longshore.testing.conformance.acts.ticking import Ticking
from longshore.testing.conformance.acts.together import Grouped
from longshore.testing.conformance.acts.upkeep import Upkeep
from longshore.testing.conformance.bench import SECOND, Bench
from longshore.testing.conformance.lockstep import Stage

#: What is played on a store driven blocking, and driven awaiting.
SEEDS: Final = (2, 22)

#: How often a script performs each operation at least.
LEAST: Final = 20

#: Odd microseconds: no step of time ends exactly where a retention does.
RETENTION: Final = Retention(succeeded=20 * SECOND + 3, cancelled=30 * SECOND + 3, dead=None)

OPERATIONS: Final = (
    *("insert", "register", "claim", "finish", "exchange", "save", "beat"),
    *("elect", "promote", "rescue", "prune", "get", "find", "count"),
    *("cancel", "retry", "delete", "move", "set_queue", "queues", "processes"),
    *("set_kind", "kinds", "set_limit", "limits", "bundles", "members"),
    *("steps", "logs", "expect"),
    *("declare", "fire", "set_schedule", "schedules", "ticks"),
)


class TraceConformance:
    """What a store answers to a long mixed script is what every store answers."""

    def test_a_script_gives_the_trace_that_all_stores_give(self, bench: Bench) -> None:
        bench.open(RETENTION)
        Script(SEEDS[bench.awaiting], Stage(bench.store, bench.clock, bench.drive)).play()


class Script(Grouped, Ticking, Notes, People, Upkeep, Runs):
    """Plays one seed on a store and on the memory store; :attr:`trace` is what was answered.

    ``done`` counts operations, ``met`` what they met with: retries, promotions by a claim, jobs
    rescued, held back by a pause, parked, expired and so on.
    """

    def __init__(self, seed: int, stage: Stage | None = None) -> None:
        clock = ManualClock()
        memory = MemoryStore(clock=clock, retention=RETENTION)
        super().__init__(seed, Stage(memory, clock, memory.run), stage)

    def play(self, *, every: int = 1) -> Script:
        """Play to the end; fails at the first difference.

        Parameters: ``every``, 3 for a third of each act, where it is enough to perform them all.
        """
        for slot in range(3):
            self.birth(slot)
        deck = [act for act, times in self.acts().items() for _ in range(0, times, every)]
        self.random.shuffle(deck)
        for number, act in enumerate(deck):
            act()
            if number % 30 == 0:
                self.everything()
        self.rescue_many()
        self.everything()
        return self

    def acts(self) -> Mapping[Callable[[], None], int]:
        """What may come next, and how often it does."""
        return {
            self.insert: 64,
            self.batch: 14,
            self.flow: 14,
            self.carry: 18,
            self.join: LEAST + 8,
            self.claim: 50,
            self.claim_again: 10,
            self.claim_parked: 16,
            self.finish: 60,
            self.finish_again: 10,
            self.exchange: 24,
            self.pass_time: 60,
            self.pause: 24,
            self.register: LEAST,
            self.save: 30,
            self.beat: 30,
            self.elect: LEAST,
            self.promote: LEAST,
            self.rescue: 12,
            self.rescue_dead: 16,
            self.prune: LEAST,
            self.declare: 24,
            self.set_schedule: 30,
            self.fire: 44,
            **dict.fromkeys((self.get, self.find, self.count, self.queues), LEAST),
            **dict.fromkeys((self.processes, self.cancel), LEAST),
            self.retry: LEAST + 2,
            self.delete: LEAST,
            **dict.fromkeys((self.move, self.set_limit, self.crowd, self.members), LEAST),
            **dict.fromkeys((self.steps, self.logs, self.expect, self.ticks), LEAST),
            self.set_kind: 24,
            self.kinds: LEAST,
            self.bundles: LEAST,
            self.schedules: LEAST,
        }

    def everything(self) -> None:
        """Compare every stored job and every figure."""
        self.settle()
        self.pages(Filter(), 100_000, oldest_first=True)
        for name in ("queues", "processes", "kinds", "limits"):
            self.ask(name)
        self.show(None)
        self.ask("count", Filter())
        self.ask("steps", list(self.noted))
        self.every_bundle()
