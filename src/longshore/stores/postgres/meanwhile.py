"""A connection whose owner has something else to do while the server works."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

import psycopg
from psycopg import abc

T = TypeVar("T")


class Connection(psycopg.Connection[Any]):
    """A blocking connection; ``meanwhile`` is done once in each wait, after something was sent."""

    meanwhile: Callable[[], None] | None = None

    def wait(self, gen: abc.PQGen[T], *args: Any, **kwargs: Any) -> T:
        """Run what sends and reads, as the driver does."""
        if self.meanwhile is not None:
            gen = _after_sending(gen, self.meanwhile)
        return super().wait(gen, *args, **kwargs)


def _after_sending(gen: abc.PQGen[T], meanwhile: Callable[[], None]) -> Generator[Any, Any, T]:
    """The same steps; the first pause is where the question is on its way."""
    try:
        pause = next(gen)
    except StopIteration as done:
        answer: T = done.value
        return answer
    meanwhile()
    while True:
        ready = yield pause
        try:
            pause = gen.send(ready)
        except StopIteration as done:
            answer = done.value
            return answer
