"""How a process asks its store for jobs."""

from __future__ import annotations

from typing import TypeVar

from longshore.core.store import ClaimRequest, Operation, Store
from longshore.errors import StoreError
from longshore.worker.claims import Claims
from longshore.worker.lanes import Lanes
from longshore.worker.order import Order
from longshore.worker.plan import Plan
from longshore.worker.turnstile import Passing

T = TypeVar("T")


class Asks:
    """Only the store thread does."""

    def __init__(
        self, store: Store, plan: Plan, claims: Claims, order: Order, lanes: Lanes
    ) -> None:
        self._store = store
        self._plan = plan
        self._claims = claims
        self._order = order
        self._lanes = lanes

    def request(self, process_id: str, wanted: int, kinds: tuple[str, ...] = ()) -> ClaimRequest:
        """A claim about to be sent; of parked jobs if ``kinds`` are given."""
        claim_id, lines = self._claims.begin(), () if kinds else self._order.lines()
        digest, free, ends = self._plan.kinds_digest, self._lanes.free(), self._plan.ends
        return ClaimRequest(process_id, claim_id, wanted, lines, kinds, digest, free, ends)

    def run(self, request: ClaimRequest, op: Operation[T], passage: Passing) -> T:
        """The store's answer; a claim that fails is open no more. Then siblings may ask."""
        try:
            return self._store.run(op)
        except StoreError:
            self._claims.arrived(request.claim_id, 0, 0)
            raise
        finally:
            passage.leave(back=self._lanes.durations.brief)
