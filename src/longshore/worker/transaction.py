"""``ctx.transaction()``: a job's work and its success in one commit."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Protocol, TypeAlias, cast

import msgspec

from longshore.core.model import Ending, Lease, Patch
from longshore.core.store import Operation, Store
from longshore.errors import Interrupted, LeaseLost, TransactionRefused
from longshore.joining.driving import adriven, driven, home_of, joined
from longshore.joining.here import HERE, Place
from longshore.joining.kinds import recognise
from longshore.joining.through import Through
from longshore.running import RunState
from longshore.worker.report import describe

log = logging.getLogger("longshore.worker")

#: How a job would end that succeeded with this result.
Success: TypeAlias = Callable[[RunState, Any], Ending]

#: What begins a transaction where the driver does not do it by itself. SQLite's write lock is taken
#: at once: a transaction that begins by reading cannot always go on to write.
_BEGIN: Final = {"sqlite": "begin immediate"}


class AfterSuccess(Protocol):
    """What a SQL store has beside the operations of every store."""

    def after_success(self, lease: Lease, error: str) -> Operation[None]:
        """Keep what a body raised after its transaction had ended the job well."""
        ...


class JobTransaction:
    """The block of one job. It opens a connection of its own and closes it.

    Leaving it commits the work and the job's success; an exception inside undoes both.
    """

    def __init__(self, run: RunState, store: Store, success: Success) -> None:
        self._run = run
        self._given = store
        self._store, self._lease = home_of(store, run.lease)
        self._success = success
        self._result: Any = None
        self._open = False
        self._connection: Any = None
        self._through: Through | None = None
        self._place: Place | None = None

    @property
    def is_open(self) -> bool:
        """Whether it was entered and not left."""
        return self._open

    def succeed(self, result: Any) -> None:
        """Say what the job's result is."""
        if not self._open:
            raise _refused(self._run, "succeed() belongs inside the block of ctx.transaction()")
        self._result = result

    def __enter__(self) -> Any:
        self._once()
        # Before the block, which in SQLite keeps everybody else from writing.
        self._run.report.keep(self._run, ())
        connect: Callable[[], Any] = self._way("connect")
        self._take(connect())
        begin = _BEGIN.get(self._way("database"))
        if begin is not None:
            try:
                self._connection.execute(begin)
            except BaseException:
                self._leave()
                self._connection.close()
                raise
        return self._connection

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        through = self._leave()
        try:
            if error is not None:
                # What the body raised counts, also where the connection is gone.
                with suppress(Exception):
                    self._connection.rollback()
                return
            ending = self._success(self._run, self._result)
            patch = self._said()
            if patch is not None:
                driven(through, joined(self._store).save([patch]))
            held = driven(through, joined(self._store).finish([self._at_home(ending)]))
            if self._lease not in held:
                self._connection.rollback()
                raise self._lost()
            self._connection.commit()
            self._run.report.settled(self._run, ending)
        finally:
            # What was not committed is gone with the connection. Some drivers close it once only.
            with suppress(Exception):
                self._connection.close()

    async def __aenter__(self) -> Any:
        self._once()
        await self._run.report.akeep(self._run, ())
        connect: Callable[[], Awaitable[Any]] = self._way("aconnect")
        self._take(await connect())
        return self._connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        through = self._leave()
        try:
            if error is not None:
                with suppress(Exception):  # as above
                    await self._connection.rollback()
                return
            ending = self._success(self._run, self._result)
            patch = self._said()
            if patch is not None:
                await adriven(through, joined(self._store).save([patch]))
            held = await adriven(through, joined(self._store).finish([self._at_home(ending)]))
            if self._lease not in held:
                await self._connection.rollback()
                raise self._lost()
            await self._connection.commit()
            self._run.report.settled(self._run, ending)
        finally:
            with suppress(Exception):  # as above
                await self._connection.close()

    # --- helpers ------------------------------------------------------------------------------

    def _way(self, name: str) -> Any:
        """What the store has to open a connection with."""
        way = getattr(self._store, name, None)
        if way is not None:
            return way
        store = self._store.name
        if getattr(self._store, "connect", None) is None:
            why = f"the {store} store is no SQL database and has no transactions to offer"
        else:
            why = f"the driver of the {store} store blocks; write `with ctx.transaction()`"
        raise _refused(self._run, why)

    def _once(self) -> None:
        if self._run.transaction is not None:
            raise _refused(self._run, "its transaction was entered before, and may be once only")

    def _take(self, connection: Any) -> None:
        self._run.transaction = self
        self._connection = connection
        self._through = recognise(connection)
        self._through.store = self._store
        # What the job enqueues meanwhile belongs to its work; outside it would wait for itself.
        self._place = Place(self._given, self._through)
        HERE.set((*HERE.get(), self._place))
        self._open = True

    def _leave(self) -> Through:
        self._open = False
        if self._place is not None:
            self._place.over = True
        HERE.set(tuple(place for place in HERE.get() if place is not self._place))
        assert self._through is not None  # noqa: S101 - it was entered
        return self._through

    def _said(self) -> Patch | None:
        """What the body has said inside the block: it belongs to the block."""
        patch = self._run.report.unsaved(self._run)
        if patch is None:
            return None
        return msgspec.structs.replace(patch, lease=self._lease)

    def _at_home(self, ending: Ending) -> Ending:
        if self._lease is self._run.lease:
            return ending
        return msgspec.structs.replace(ending, lease=self._lease)

    def _lost(self) -> LeaseLost:
        job = self._run.claimed
        self._run.lost = True
        return LeaseLost(
            f"job {job.id} ({job.kind}) belongs to another process by now, so its work was rolled"
            " back here; it is done there"
        )


def keep_error(store: Store, run: RunState) -> None:
    """Store what a body raised after its transaction had ended the job well."""
    error = run.error
    if error is None or isinstance(error, Interrupted):
        return
    text = describe(error)
    job = run.claimed
    log.warning(
        "job %s (%s) raised %s: %s after its transaction was committed; it has succeeded",
        job.id,
        job.kind,
        text.name,
        text.message,
    )
    store, lease = home_of(store, run.lease)
    keeping = cast("AfterSuccess", store)  # it had a transaction to give
    store.run(keeping.after_success(lease, f"{text.name}: {text.message}"))


def _refused(run: RunState, why: str) -> TransactionRefused:
    return TransactionRefused(f"job {run.claimed.id} ({run.claimed.kind}): {why}.")
