"""When a process looks for jobs again."""

from __future__ import annotations

from random import uniform

from longshore.core.store import Claim, ClaimRequest
from longshore.errors import ClientClosed, StoreError
from longshore.worker.journal import log

SOON, FRUITLESS = 0.001, 20


class Looks:
    """Kept after each claim; ``interval`` is how often one looks that is told of nothing, seconds.

    ``more``: the store may have jobs for us; ``next``: if not, when to look, by the monotonic
    clock; ``again_at``: until then the store is left alone, for it failed, ``trouble`` times in a
    row.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self.more = True
        self.next = self.again_at = 0.0
        self.trouble = 0
        self._fruitless = 0  # claims in a row that brought nothing but asked for another at once

    def plan(self, now: float, request: ClaimRequest, claim: Claim) -> None:
        """When to claim again after this."""
        due_in = claim.due_in
        # Asked again at once, the store did not look at everything. It marks what it looks at.
        self._fruitless = self._fruitless + 1 if due_in == 0 and not claim.jobs else 0
        at_once = due_in == 0 and self._fruitless <= FRUITLESS
        self.more = len(claim.jobs) >= request.wanted or at_once
        wait = self._interval * uniform(0.9, 1.0)  # noqa: S311 - spreads workers
        if due_in:
            wait = min(wait, due_in / 1e6)
        elif due_in == 0:
            wait = min(wait, SOON * 2 ** min(self._fruitless - FRUITLESS, 10))
        self.next = now + wait

    def soon(self, now: float) -> bool:
        """Whether the store may have jobs for us, and may be asked."""
        return self.more and now >= self.again_at

    def failed(self, error: StoreError, now: float) -> None:
        """Wait the trouble of a store out."""
        if isinstance(error, ClientClosed):
            raise error  # for good
        self.trouble += 1
        wait = min(0.1 * 2**self.trouble, 5.0) * uniform(0.5, 1.0)  # noqa: S311 - jitter
        self.again_at = now + wait
        log.warning("the store failed (%s); trying again in %.1f s", error, wait)
