"""Two stores in lockstep: the same request at the same time, and the answers compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
import pytest

from longshore.core.limits import kind_key
from longshore.core.model import JobRecord, JobState, Lease
from longshore.core.store import Claim, Filter, Operation, Page, Store
from longshore.stores.clock import ManualClock
from longshore.testing.conformance.answers import DUE_LATER, View, only

T = TypeVar("T")


class Drive(Protocol):
    """Drives one operation to its end."""

    def __call__(self, op: Operation[T], /) -> T: ...


class Stage(msgspec.Struct, frozen=True):
    """A store that a script is played on, with its clock and its driver."""

    store: Store
    clock: ManualClock
    do: Drive


class Lockstep:
    """A first store whose answers are right, and perhaps another that must answer like it.

    :attr:`trace` is what was answered, operation by operation; ``done`` counts these, ``met`` what
    they met with: retries, jobs rescued, parked, held back by a pause and so on.
    """

    def __init__(self, seed: int, first: Stage, other: Stage | None) -> None:
        self.seed = seed
        self.stages = [first] if other is None else [first, other]
        self.trace: list[tuple[str, object]] = []
        self.done: Counter[str] = Counter()
        self.met: Counter[str] = Counter()
        self.vague: set[Lease] = set()

    @property
    def now(self) -> int:
        """The time, the same on every stage."""
        return self.stages[0].clock.now()

    def pass_on_all(self, duration: int) -> None:
        """Move every clock on by microseconds."""
        for stage in self.stages:
            stage.clock.advance(duration)

    def records(self, ids: Sequence[str]) -> Mapping[str, JobRecord]:
        """Jobs as the first store has them; not part of the trace."""
        found: Mapping[str, JobRecord] = self.look("get", ids)
        return found

    def state_of_all(self) -> Mapping[str, JobState]:
        page: Page = self.look("find", Filter(), limit=100_000)
        return {record.id: record.state for record in page.records}

    def pages(self, where: Filter, limit: int, *, oldest_first: bool) -> None:
        """Compare three pages; what a cursor looks like is each store's own affair."""
        cursors: list[str | None] = [None for _ in self.stages]
        for _ in range(3):
            pages = [
                stage.do(
                    stage.store.find(where, limit=limit, cursor=cursor, oldest_first=oldest_first)
                )
                for stage, cursor in zip(self.stages, cursors, strict=True)
            ]
            self.compare("find", (where, limit, oldest_first), pages)
            cursors = [page.cursor for page in pages]
            if cursors[0] is None:
                return
            self.met["second page"] += 1

    def ask(self, name: str, *args: Any, again: bool = False, **named: Any) -> Any:
        """Give one request to all stores and compare their answers."""
        answers = [stage.do(getattr(stage.store, name)(*args, **named)) for stage in self.stages]
        self.compare(name, (*args, *named.items()), answers, again=again)
        return answers[0]

    def look(self, name: str, *args: Any, **named: Any) -> Any:
        """What the first store answers; not part of the trace."""
        first = self.stages[0]
        return first.do(getattr(first.store, name)(*args, **named))

    def compare(
        self, name: str, said: object, answers: Sequence[object], *, again: bool = False
    ) -> None:
        """Fail where an answer is not that of the memory store."""
        self.done[name] += 1
        view = View(self.now, self.vague, again=again)
        expected, *others = (view.of(name, answer) for answer in answers)
        self.trace.append((name, expected))
        for answer in others:
            if answer != expected:
                pytest.fail(self.difference(name, said, answer, expected))
        if name in {"claim", "exchange"} and not again:
            self.compare_due(name, said, answers)

    def compare_due(self, name: str, said: object, answers: Sequence[Any]) -> None:
        """Whether each claim says rightly when there may be more.

        Which jobs have been met and found to wait for a rate or a kind is a store's own affair: so
        where stores differ, each is right that says what its own records say.
        """
        claims: list[Claim] = [answer if name == "claim" else answer.claim for answer in answers]
        dues = [claim.due_in for claim in claims]
        if len({*dues}) == 1:
            self.trace.append(("due", dues[0]))
            return
        for stage, due in zip(self.stages, dues, strict=True):
            expected = self.next_look(stage)
            if due != expected:
                pytest.fail(self.difference(name, said, ("due", due), ("due", expected)))

    def next_look(self, stage: Stage) -> int | None:
        """In how long a store has something more to give, by its own records."""
        records = stage.do(stage.store.find(Filter(), limit=100_000)).records
        waited_for = {record.blocked_by for record in records}
        times = [record.scheduled_at for record in records if record.state in DUE_LATER]
        for limit in stage.do(stage.store.limits()):
            times += [limit.opens_at or 0] * (limit.key in waited_for)
        for kind in stage.do(stage.store.kinds()):
            times += [kind.resumes_at or 0] * (kind_key(kind.kind) in waited_for)
        return min((at - self.now for at in times if at > self.now), default=None)

    def difference(self, name: str, said: object, answer: object, expected: object) -> str:
        before = ", ".join(operation for operation, _ in self.trace[-8:-1])
        return (
            f"seed {self.seed}, step {len(self.trace)}: {name} {said}\nafter {before}:"
            f"\nthis store   {only(answer, expected)}\nother stores {only(expected, answer)}"
        )
