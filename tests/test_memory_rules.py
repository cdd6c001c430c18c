"""The memory store's lanes and gates against plain models: the order of turns, and who may start.

The other stores are compared with this one, so it is compared with what the words say: a claim
takes what a walk over all jobs would take, whatever is marked as blocked on the way.
"""

from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.core.limits import (
    BLOCKED,
    TURN,
    Fair,
    Limit,
    Rules,
    SetKind,
    SetLimit,
    Setting,
    effective,
    started,
)
from longshore.core.model import Ending, JobState, Lease, NewJob
from longshore.core.store import ClaimRequest, Line, NewProcess
from longshore.core.turns import Turns
from longshore.stores.clock import ManualClock
from longshore.stores.memory.lanes import Lane, TurnLane, value_of
from longshore.stores.memory.row import Row
from longshore.stores.memory.store import MemoryStore

SECOND = 1_000_000
PER = 100 * SECOND
QUEUES = ("a", "b")
KINDS = ("app.x", "app.y")


def new_job(number: int, rules: Rules | None, **fields) -> NewJob:
    given = {"queue": "a", "kind": "app.x", "priority": 0, "scheduled_at": 0} | fields
    return NewJob(
        id=f"{number:06d}",
        payload=b"{}",
        state=JobState.AVAILABLE,
        created_at=given["scheduled_at"],
        rules=rules,
        **given,
    )


# --- turns --------------------------------------------------------------------------------------

VALUES = st.sampled_from(["", "=a", "=b", "=c", "=d"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), VALUES, st.integers(0, 5), st.integers(0, 1)),
        st.tuples(st.just("take"), st.integers(1, 3)),
        st.tuples(st.just("pass over"), st.integers(1, 2)),
        st.tuples(st.just("withdraw"), st.integers(0, 30)),
    ),
    max_size=60,
)


class Lines:
    """A lane that takes turns, and beside it all its rows in a list."""

    def __init__(self, plain: list[Row]) -> None:
        lane = Lane()
        for row in plain:
            lane.add(self.entry(row))
        self.lane = TurnLane(lane)
        self.rows = list(plain)
        self.turns: dict[int, Turns] = {}

    numbers = count(1)

    def entry(self, row: Row):
        row.place = next(self.numbers)
        return (row.priority, row.scheduled_at, row.new.id, row.place, row)

    def add(self, row: Row) -> None:
        self.lane.add(self.entry(row))
        self.rows.append(row)

    def withdraw(self, row: Row) -> None:
        row.place = 0
        self.lane.forget(row)
        self.rows.remove(row)

    def expected(self) -> tuple[Row, bool]:
        """The row whose turn it is, and whether turns are taken."""
        level = min(row.priority for row in self.rows)
        heads: dict[str, Row] = {}
        for row in sorted(self.rows, key=lambda row: (row.scheduled_at, row.new.id)):
            if row.priority == level:
                heads.setdefault(value_of(row), row)
        turns = self.turns.setdefault(level, Turns(0, {}))
        places = {key: (row.scheduled_at, row.new.id) for key, row in heads.items()}
        return heads[turns.next(places)], any(heads)

    def give(self, *, starts: bool) -> None:
        if not self.rows:
            assert self.lane.head() is None
            assert self.lane.pop() is None
            return
        row, by_turns = self.expected()
        head, first = self.lane.head(), self.lane.first()
        assert head is not None
        assert head[4] is row
        assert first is not None
        assert first[4] is min(self.rows, key=self.place)
        assert self.lane.pop() is row
        self.rows.remove(row)
        if starts:
            self.lane.used(row)
            if by_turns:
                fair = row.new.rules.fair if row.new.rules else None
                self.turns[row.priority].take(value_of(row), fair.step if fair else TURN)

    @staticmethod
    def place(row: Row) -> tuple[int, int, str]:
        return row.priority, row.scheduled_at, row.new.id


def make_row(number: int, value: str, at: int, priority: int) -> Row:
    step = TURN // (1 + ord(value[-1]) % 3) if value else TURN
    rules = Rules(fair=Fair(value, step)) if value else None
    return Row.of(new_job(number, rules, scheduled_at=at, priority=priority), {})


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 5), STEPS)
def test_a_lane_gives_rows_as_turns_say(plain, steps):
    numbers = count()
    lines = Lines([make_row(next(numbers), "", at, 0) for at in range(plain)])
    for step in steps:
        match step:
            case ("add", value, at, priority):
                lines.add(make_row(next(numbers), value, at, priority))
            case ("take", rows):
                for _ in range(rows):
                    lines.give(starts=True)
            case ("pass over", rows):
                for _ in range(rows):
                    lines.give(starts=False)
            case ("withdraw", number):
                if lines.rows:
                    lines.withdraw(lines.rows[number % len(lines.rows)])
    while lines.rows:
        lines.give(starts=True)


def test_values_that_are_gone_leave_nothing_behind():
    lines = Lines([])
    for number in range(1000):
        # Two come again and again, so that the clock goes on; the third is never seen again.
        for value in ("=a", "=b", f"={number}"):
            lines.add(make_row(number, value, 0, 0))
            lines.give(starts=True)
    (level,) = lines.lane._levels.values()
    assert not level.values
    assert len(level.turns.ends) < 500
    assert len(level.here) + len(level.later) < 500


# --- who may start ------------------------------------------------------------------------------

LIMITS = (
    Limit("account", "1", 1),
    Limit("account", "1", 2),  # as another release of the same application declares it
    Limit("account", "2", 1),
    Limit("host", "", 2),
    Limit("mail", "", 2, PER),
    Limit("mail", "x", 1, PER),
)
RULES = st.lists(st.sampled_from(LIMITS), max_size=3, unique_by=lambda limit: limit.key).map(
    lambda limits: Rules(limits=tuple(limits)) if limits else None
)
ACTS = st.one_of(
    st.tuples(
        st.just("insert"),
        st.lists(
            st.tuples(RULES, st.sampled_from(QUEUES), st.sampled_from(KINDS), st.integers(0, 1)),
            min_size=1,
            max_size=5,
        ),
    ),
    st.tuples(
        st.just("claim"),
        st.integers(1, 4),
        st.sampled_from([(("*",),), (("a",),), (("b",), ("a",)), (("a", "b"),)]),
        st.sampled_from([0, 1, 9]),
    ),
    st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from(["succeeded", "available"])),
    st.tuples(st.just("cancel"), st.integers(0, 30)),
    st.tuples(st.just("move"), st.integers(0, 30), st.sampled_from(QUEUES)),
    st.tuples(
        st.just("set"),
        st.sampled_from(["account", "host", "mail"]),
        st.sampled_from([None, 0, 1, 3]),
    ),
    st.tuples(st.just("pause"), st.sampled_from(KINDS), st.booleans()),
    st.tuples(st.just("time"), st.sampled_from([7, 50, 100])),
    st.tuples(st.just("promote"), st.sampled_from([1, 100])),
)


class Beside:
    """A memory store, and what it holds in plain lists; every claim is foretold."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(clock=self.clock)
        process = NewProcess(
            id="p",
            app="app",
            name="n",
            host="h",
            pid=1,
            lease=10**15,
            queues=("*",),
            kinds=(),
            slots=9,
            embedded=False,
        )
        self.store.run(self.store.register(process))
        self.waiting: dict[str, NewJob] = {}
        self.queues: dict[str, str] = {}
        self.running: dict[str, tuple[NewJob, int]] = {}
        self.starts: dict[str, list[int]] = {}
        self.settings: dict[str, Setting] = {}
        self.paused: set[str] = set()
        self.claims = self.made = 0

    def insert(self, some) -> None:
        new = [
            new_job(
                self.made + number,
                rules,
                queue=queue,
                kind=kind,
                priority=priority,
                scheduled_at=self.clock.now(),
            )
            for number, (rules, queue, kind, priority) in enumerate(some)
        ]
        self.made += len(new)
        self.store.run(self.store.insert(new))
        self.waiting |= {job.id: job for job in new}
        self.queues |= {job.id: job.queue for job in new}

    def claim(self, wanted: int, lines, free: int) -> None:
        self.claims += 1
        expected = self.foretold(wanted, lines, free)
        request = ClaimRequest("p", self.claims, wanted, tuple(map(Line, lines)), free=free)
        claim = self.store.run(self.store.claim(request))
        assert [job.id for job in claim.jobs] == expected
        for job in claim.jobs:
            self.running[job.id] = (self.waiting.pop(job.id), job.run)

    def foretold(self, wanted: int, lines, free: int) -> list[str]:
        taken: dict[str, NewJob] = {}
        rated = 0
        for queues in lines:
            rows = [
                job
                for job in self.waiting.values()
                if job.id not in taken and (self.queues[job.id] in queues or "*" in queues)
            ]
            for job in sorted(rows, key=lambda job: (job.priority, job.scheduled_at, job.id)):
                limits = job.rules.limits if job.rules else ()
                if len(taken) == wanted:
                    break
                if job.kind in self.paused or any(self.full(limit, taken) for limit in limits):
                    continue
                rates = [limit for limit in limits if limit.per is not None]
                if rates and rated >= free:
                    return list(taken)
                rated += bool(rates)
                taken[job.id] = job
                for limit in rates:
                    self.starts.setdefault(limit.key, []).append(self.clock.now())
        return list(taken)

    def full(self, declared: Limit, taken: dict[str, NewJob]) -> bool:
        limit = effective(declared, self.settings.get(declared.name))
        if limit.per is not None:
            ledger = [(at, 1) for at in self.starts.get(limit.key, [])]
            return started(ledger, limit.per, self.clock.now()) >= limit.to
        running = [job for job, _ in self.running.values()] + list(taken.values())
        keys = [one.key for job in running if job.rules for one in job.rules.limits]
        return keys.count(limit.key) >= limit.to

    def end(self, number: int, to: str) -> None:
        if self.running:
            job_id = list(self.running)[number % len(self.running)]
            job, run = self.running.pop(job_id)
            ending = Ending(Lease(job_id, "p", run), JobState(to))
            self.store.run(self.store.finish([ending]))
            if to == "available":
                self.waiting[job_id] = job

    def cancel(self, number: int) -> None:
        if self.waiting:
            job_id = list(self.waiting)[number % len(self.waiting)]
            assert self.store.run(self.store.cancel([job_id], None)).changed == (job_id,)
            del self.waiting[job_id]

    def move(self, number: int, queue: str) -> None:
        if self.waiting:
            job_id = list(self.waiting)[number % len(self.waiting)]
            self.store.run(self.store.move([job_id], queue))
            self.queues[job_id] = queue

    def set(self, name: str, to: int | None) -> None:
        setting = None if to is None else Setting(to)
        self.store.run(self.store.set_limit(SetLimit(name, setting)))
        self.settings.pop(name, None)
        if setting is not None:
            self.settings[name] = setting

    def pause(self, kind: str, paused: bool) -> None:
        self.store.run(self.store.set_kind(SetKind(kind, paused)))
        (self.paused.add if paused else self.paused.discard)(kind)

    def time(self, seconds: int) -> None:
        self.clock.advance(seconds * SECOND)

    def promote(self, limit: int) -> None:
        self.store.run(self.store.promote(limit))

    def recount(self) -> None:
        """Everything that is kept beside the rows against the rows."""
        state = self.store._state
        waiting = [row for row in state.rows.values() if row.state is JobState.AVAILABLE]
        blocked = [row for row in waiting if row.blocked_by is not None]
        assert sum(gate.count for gate in state.gates.values()) == len(blocked)
        for gate in state.gates.values():
            assert gate.count == sum(gate.counts.values())
            assert gate.counts.keys() == gate.lanes.keys()
        running: dict[str, set[str]] = {}
        for job_id, (job, _) in self.running.items():
            for limit in job.rules.limits if job.rules else ():
                if limit.per is None:
                    running.setdefault(limit.key, set()).add(job_id)
        assert {key: set(rows) for key, rows in state.slots.items()} == running


@settings(max_examples=150, deadline=None)
@given(st.lists(ACTS, max_size=50))
def test_a_claim_takes_what_a_walk_over_all_jobs_would_take(acts):
    beside = Beside()
    for act, *arguments in acts:
        getattr(beside, act)(*arguments)
        beside.recount()
    # In the end, with time to do it, every job runs.
    for kind in KINDS:
        beside.pause(kind, paused=False)
    for name in ("account", "host", "mail"):
        beside.set(name, None)
    for _ in range(2 * beside.made + 2):
        beside.claim(9, (("*",),), 9)
        while beside.running:
            beside.end(0, "succeeded")
        beside.time(100)
    assert not beside.waiting
    state = beside.store._state
    assert not state.gates
    assert not state.slots
    assert state.opens.earliest() is None


def test_more_that_have_room_than_are_admitted_at_once_all_come():
    beside = Beside()
    to = BLOCKED + 300
    rules = Rules(limits=(Limit("mail", "", to, PER),))
    beside.insert([(rules, "a", "app.x", 0)] * (2 * to))

    def claimed() -> int:
        """As a worker comes: again while it is told to come at once."""
        started = 0
        for _ in range(8):
            beside.claims += 1
            request = ClaimRequest("p", beside.claims, 1000, (Line(("*",)),))
            claim = beside.store.run(beside.store.claim(request))
            started += len(claim.jobs)
            if claim.due_in:
                break
        return started

    assert claimed() == to
    beside.time(100)
    assert claimed() == to


def test_one_claim_marks_no_more_than_a_thousand():
    beside = Beside()
    rules = Rules(limits=(Limit("account", "1", 0),))
    beside.insert([(rules, "a", "app.x", 0)] * (BLOCKED + 1) + [(None, "a", "app.x", 0)])
    answers = []
    for number in (1, 2):
        request = ClaimRequest("p", number, 9, (Line(("*",)),))
        claim = beside.store.run(beside.store.claim(request))
        (record,) = beside.store.run(beside.store.limits())
        answers.append((len(claim.jobs), claim.due_in, record.blocked))
    assert answers == [(0, 0, BLOCKED), (1, None, BLOCKED + 1)]


def test_a_clock_that_steps_back_makes_no_room_for_who_comes_now():
    beside = Beside()
    mail = (Rules(limits=(Limit("mail", "", 2, PER),)), "a", "app.x", 0)
    beside.insert([mail] * 2)
    beside.claim(9, (("*",),), 9)
    assert len(beside.running) == 2
    beside.clock.set_wall(beside.clock.now() - 60 * SECOND)
    beside.insert([mail])
    claim = beside.store.run(beside.store.claim(ClaimRequest("p", 9, 9, (Line(("*",)),))))
    assert claim.jobs == ()
    assert claim.due_in is not None


def test_a_rate_that_opened_for_another_queue_opens_again():
    beside = Beside()
    beside.insert([(Rules(limits=(Limit("mail", "", 2, PER),)), "a", "app.x", 0)] * 6)
    beside.claim(1, (("*",),), 9)
    beside.time(50)
    beside.claim(9, (("*",),), 9)
    beside.time(50)
    beside.claim(9, (("b",),), 9)
    beside.time(50)
    beside.claim(9, (("a",),), 9)
    assert len(beside.running) == 4
