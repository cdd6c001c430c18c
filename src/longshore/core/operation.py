"""Operations of a store, and the two ways to drive one: blocking and awaiting, from one body."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
P = ParamSpec("P")
S = TypeVar("S")


class Operation(Generic[T_co]):
    """One whole queue operation, not yet driven.

    ``start()`` gives a fresh generator each time, so a driver may begin again; ``writes`` tells
    the driver to wrap it in one write transaction. ``meanwhile`` is what whoever asks has to do at
    any rate: a driver calls it while it waits for another process, and else before it begins; once
    or more often.
    """

    __slots__ = ("meanwhile", "name", "start", "writes")

    def __init__(
        self,
        name: str,
        start: Callable[[], Generator[Any, Any, T_co]],
        *,
        writes: bool,
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.start = start
        self.writes = writes
        self.meanwhile = meanwhile

    def before(self) -> None:
        """For a driver that will not wait for another process: do now what else there is to do."""
        if self.meanwhile is not None:
            self.meanwhile()


def operation(
    *, writes: bool
) -> Callable[
    [Callable[Concatenate[S, P], Generator[Any, Any, T]]], Callable[Concatenate[S, P], Operation[T]]
]:
    """Turn a generator method into a factory of operations."""

    def wrap(
        body: Callable[Concatenate[S, P], Generator[Any, Any, T]],
    ) -> Callable[Concatenate[S, P], Operation[T]]:
        name = body.__name__

        @wraps(body)
        def make(self: S, /, *args: P.args, **kwargs: P.kwargs) -> Operation[T]:
            return Operation(name, lambda: body(self, *args, **kwargs), writes=writes)

        return make

    return wrap


def drive(op: Operation[T], execute: Callable[[Any], Any]) -> T:
    """Run an operation once with a blocking ``execute``; errors are thrown into its body."""
    body = op.start()
    try:
        statement = next(body)
        while True:
            try:
                reply = execute(statement)
            except Exception as error:  # noqa: BLE001 - the operation may know what to do with it
                statement = body.throw(error)
            else:
                statement = body.send(reply)
    except StopIteration as done:
        value: T = done.value
        return value


async def adrive(op: Operation[T], execute: Callable[[Any], Awaitable[Any]]) -> T:
    """Run the same operation with an awaiting ``execute``."""
    body = op.start()
    try:
        statement = next(body)
        while True:
            try:
                reply = await execute(statement)
            except Exception as error:  # noqa: BLE001 - the operation may know what to do with it
                statement = body.throw(error)
            else:
                statement = body.send(reply)
    except StopIteration as done:
        value: T = done.value
        return value
