"""A claim that lies with a store until jobs arrive."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from longshore.core.store import Claim, Operation, Watch


@runtime_checkable
class StandingWatch(Watch, Protocol):
    """A watch that can leave a claim with its store, to be carried out at the next word from it.

    So who has nothing to do has new jobs one round trip earlier: the hint comes with the claim's
    answer. One thread uses it, the one that waits.
    """

    @property
    def asked(self) -> bool:
        """Whether a claim lies with the store that was not answered yet."""
        ...

    def ask(self, op: Operation[Claim]) -> bool:
        """Leave this claim with the store; false where that cannot be just now.

        A wait ends when it is answered. Until then it may be carried out at any time, so whoever
        wants to claim otherwise, or no more, calls :meth:`recall` first.
        """
        ...

    def recall(self) -> None:
        """Have it carried out now; returns when it is answered, or known to be lost."""
        ...

    def brought(self) -> Claim | None:
        """The answer, once; ``None`` if it was lost, as each answer of a server may be."""
        ...

    def drop(self) -> None:
        """Give it up: what it has claimed, if it has, is not known here."""
        ...
