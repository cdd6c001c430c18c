"""``ctx.step``, ``ctx.iterate``, ``ctx.checkpoint``: what runs do only once, and where they stop.

Each is a *plan*: a generator that yields what is to be asked of the worker and is sent the answers,
so that a method and its awaitable twin have one body.
"""

from __future__ import annotations

import threading
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import msgspec

from longshore.core.model import Step
from longshore.core.steps import MAX_STEP, SAVE_EVERY, Book, Cursor, Position
from longshore.core.wording import shown
from longshore.errors import Cancelled, Interrupted, LeaseLost, StepRefused
from longshore.joblog import JobLog
from longshore.running import Notes, RunState

if TYPE_CHECKING:
    from longshore.core.codec.values import Values

T = TypeVar("T")

_MAKING = threading.Lock()


class _Load:
    """Read the steps that are saved."""


class _Call:
    """Do what the step is to do."""


class _Keep(msgspec.Struct):
    """Save these before going on."""

    steps: Sequence[Step]


_Plan = Generator["_Load | _Call | _Keep", Any, T]


def follow(run: RunState, plan: _Plan[T], call: Callable[[], Any] | None = None) -> T:
    """Run a plan, blocking."""
    reply: Any = None
    try:
        while True:
            match plan.send(reply):
                case _Load():
                    reply = _opened_all(run, run.report.steps(run))
                case _Keep(steps=steps):
                    run.report.keep(run, _sealed(run, steps))
                    reply = None
                case _Call():
                    reply = call() if call is not None else None
    except StopIteration as done:
        value: T = done.value
        return value
    finally:
        plan.close()


async def afollow(
    run: RunState, plan: _Plan[T], call: Callable[[], Awaitable[Any]] | None = None
) -> T:
    """Run the same plan, awaiting."""
    reply: Any = None
    try:
        while True:
            match plan.send(reply):
                case _Load():
                    reply = _opened_all(run, await run.report.asteps(run))
                case _Keep(steps=steps):
                    await run.report.akeep(run, _sealed(run, steps))
                    reply = None
                case _Call():
                    reply = await call() if call is not None else None
    except StopIteration as done:
        value: T = done.value
        return value
    finally:
        plan.close()


def _sealed(run: RunState, steps: Sequence[Step]) -> tuple[Step, ...]:
    """Steps as they are stored: those of an encrypted job encrypted."""
    return tuple(steps) if run.seal is None else run.seal.steps(steps)


def _opened_all(run: RunState, steps: Sequence[Step]) -> Sequence[Step]:
    return steps if run.seal is None else run.seal.opened_steps(steps)


def notes_of(run: RunState) -> Notes:
    """The log and the steps of a run; made at the first look."""
    if run.notes is None:
        log = JobLog(run.claimed.kind, run.lease.run, lambda line: run.report.log(run.lease, line))
        run.notes = Notes(log)
    return run.notes


# --- steps --------------------------------------------------------------------------------------


def stepped(run: RunState, name: str, func: Callable[..., Any]) -> _Plan[Any]:
    """The value of a step: what is saved, else what it returns now, saved."""
    book = yield from _book(run)
    saved = book.use(name, cursor=False)
    values = step_values(book.label, name, func)
    if saved is None:
        try:
            value = yield _Call()
            data = encoded(values, value)
        except BaseException:  # what the call raised is not thrown in here: then this is closed
            book.forget(name)
            raise
        saved = book.step(name, data, _now())
        _refuse_late(run)
        yield _Keep((saved,))
    return values.decode(saved.value)


def step_values(label: str, name: str, func: Callable[..., Any]) -> Values:
    """How values of this step are written."""
    # What builds nodes takes milliseconds to import; only who uses steps pays them.
    from longshore.core.codec.values import Values  # noqa: PLC0415

    return Values.returned(f"{label}, step {name!r}", func)


def encoded(values: Values, value: Any) -> bytes:
    """What a step has returned, to be saved."""
    if _close(value):
        raise StepRefused(f"{values.what} is a coroutine: `await ctx.astep(...)`")
    return values.encode(value, MAX_STEP)


def _close(value: object) -> bool:
    """Whether it is a coroutine: one that nobody will await, which Python would say elsewhere."""
    if isinstance(value, CoroutineType):
        cast("CoroutineType[object, object, object]", value).close()
        return True
    return False


async def awaited(value: Any) -> Any:
    """What a function of ``astep`` has given, be it awaitable or not."""
    return await value if hasattr(value, "__await__") else value


# --- loops --------------------------------------------------------------------------------------


class Loop(Generic[T]):
    """The items of one loop of a job behind the position that is saved; ``for`` and ``async for``.

    Made by :meth:`JobContext.iterate`. It ends with the loop.
    """

    def __init__(
        self,
        run: RunState | None,
        name: str,
        source: Callable[[Any], Iterable[tuple[Any, T]] | AsyncIterable[tuple[Any, T]]],
        start: Any,
    ) -> None:
        self._run = run
        self._name = name
        self._source = source
        self._start = start

    def __iter__(self) -> Iterator[T]:
        run = self._run
        if run is None:
            for _, item in self._blocking(self._start):
                yield item
            return
        track = follow(run, _opened(run, self._name, self._source, self._start))
        if track is None:
            return
        for at, item in self._blocking(track.start):
            yield item
            if track.passed(at):
                follow(run, track.saved())
        follow(run, track.ended())

    async def __aiter__(self) -> AsyncIterator[T]:
        run = self._run
        if run is None:
            async for _, item in self._awaiting(self._start):
                yield item
            return
        track = await afollow(run, _opened(run, self._name, self._source, self._start))
        if track is None:
            return
        async for at, item in self._awaiting(track.start):
            yield item
            if track.passed(at):
                await afollow(run, track.saved())
        await afollow(run, track.ended())

    def _blocking(self, start: Any) -> Iterable[tuple[Any, T]]:
        items = self._source(start)
        if isinstance(items, AsyncIterable):
            raise StepRefused(
                f"{_label(self._run)}: the source of {self._name!r} is asynchronous; write"
                " `async for ... in ctx.iterate(...)`"
            )
        return self._pairs(items)

    async def _awaiting(self, start: Any) -> AsyncGenerator[tuple[Any, T]]:
        items = self._source(start)
        if isinstance(items, AsyncIterable):
            async for pair in items:
                yield self._pair(pair)
        else:
            for pair in self._pairs(items):
                yield pair

    def _pairs(self, items: Any) -> Iterator[tuple[Any, T]]:
        try:
            pairs: Iterator[Any] = iter(items)
        except TypeError:
            _close(items)
            raise self._no_pairs(f"returned {shown(items)}") from None
        for pair in pairs:
            yield self._pair(pair)

    def _pair(self, pair: Any) -> tuple[Any, T]:
        try:
            at, item = pair
        except (TypeError, ValueError):
            raise self._no_pairs(f"yielded {shown(pair)}") from None
        return at, item

    def _no_pairs(self, did: str) -> StepRefused:
        return StepRefused(
            f"{_label(self._run)}: the source of {self._name!r} {did}. It has to yield pairs: the"
            " cursor of an item and the item."
        )


class _Track:
    """One loop of one run: where it begins, and when its position has to be saved."""

    def __init__(self, run: RunState, book: Book, cursor: Cursor, start: Any) -> None:
        self.start = start
        self._run = run
        self._book = book
        self._cursor = cursor
        self._save_at = time.monotonic() + SAVE_EVERY
        self._checked = False
        book.begin(cursor)

    def passed(self, at: Any) -> bool:
        """An item is dealt with; whether something has to be done before the next."""
        run, cursor = self._run, self._cursor
        cursor.passed(at)
        if not self._checked:
            self._checked = True
            cursor.value()  # one that cannot be stored is found at the first item
        return time.monotonic() >= self._save_at or run.cancelled or run.stopping or run.lost

    def saved(self) -> _Plan[None]:
        """Save how far it is, and stop where that is wanted."""
        yield from checkpointed(self._run)
        self._save_at = time.monotonic() + SAVE_EVERY

    def ended(self) -> _Plan[None]:
        """It has come to its end: no later run begins it again."""
        self._book.end(self._cursor)
        _refuse_late(self._run)
        value = self._cursor.value(done=True)
        yield _Keep((self._book.step(self._cursor.name, value, _now(), cursor=True),))


def _opened(
    run: RunState, name: str, source: Callable[[Any], Any], start: Any
) -> _Plan[_Track | None]:
    """Begin a loop where the last run left it; ``None`` when it has come to its end."""
    from longshore.core.codec.values import Values  # noqa: PLC0415 - as above

    book = yield from _book(run)
    saved = book.use(name, cursor=True)
    values = Values.taken(f"{book.label}, loop {name!r}", source, start)
    cursor = Cursor(name, lambda at: values.encode(at, MAX_STEP))
    cursor.begin(start)
    if saved is not None:
        position = msgspec.json.decode(saved.value, type=Position)
        if position.done:
            return None
        start = values.decode(bytes(position.at))
        cursor.begin(start)
    return _Track(run, book, cursor, start)


# --- stopping -----------------------------------------------------------------------------------


def checkpointed(run: RunState) -> _Plan[None]:
    """Save how far open loops are; stop if that is wanted."""
    book = None if run.notes is None else run.notes.book
    if book is not None and _may_save(run):
        loose = book.loose(_now())
        if loose:
            yield _Keep(loose)
    job = run.claimed
    if run.lost:
        raise _lost(run)
    if run.cancelled:
        raise Cancelled(f"job {job.id} ({job.kind}) was cancelled while it ran")
    if run.stopping and not run.once:
        raise Interrupted(f"the worker is stopping; job {job.id} ({job.kind}) goes back")


def left_behind(run: RunState) -> tuple[Step, ...]:
    """How far loops were when the body ended, to be saved with its end."""
    book = None if run.notes is None else run.notes.book
    return () if book is None or run.ending is not None else _sealed(run, book.loose(_now()))


def _book(run: RunState) -> _Plan[Book]:
    _refuse_late(run)
    notes = notes_of(run)
    if notes.book is not None:
        return notes.book
    # Nobody can have saved anything before the first run.
    saved: Sequence[Step] = () if run.lease.run == 1 else (yield _Load())
    book = Book(_label(run), run.lease.run, saved)
    with _MAKING:  # two threads or tasks of it may have come here at once
        first = run.notes.book if run.notes is not None else None
        notes.book = first or book
        return notes.book


def _refuse_late(run: RunState) -> None:
    if run.lost:
        raise _lost(run)
    if run.ending is not None:
        raise StepRefused(
            f"{_label(run)} has ended with its transaction: nothing more can be saved. Put steps"
            " and loops before ctx.transaction()."
        )
    if run.transaction is not None and run.transaction.is_open:
        raise StepRefused(
            f"{_label(run)}: inside ctx.transaction() a step would stay saved where the rest is"
            " rolled back. Put it before the block."
        )


def _may_save(run: RunState) -> bool:
    in_block = run.transaction is not None and run.transaction.is_open
    return not (run.lost or in_block or run.ending is not None)


def _label(run: RunState | None) -> str:
    return "no job" if run is None else f"job {run.claimed.id} ({run.claimed.kind})"


def _lost(run: RunState) -> LeaseLost:
    return LeaseLost(
        f"{_label(run)} belongs to another process by now: nothing of this run is saved any more,"
        " and it runs there"
    )


def _now() -> int:
    return time.time_ns() // 1000
