"""The claim that a process with nothing to do leaves with its store until jobs arrive."""

from __future__ import annotations

import time

from longshore.core.standing import StandingWatch
from longshore.core.store import Claim, ClaimRequest, Store, Watch
from longshore.errors import StoreError
from longshore.worker.claims import Claims
from longshore.worker.looks import Looks


class Standing:
    """One claim at a time, and only where the store's watch can carry one.

    It may be carried out at any moment, so nothing else is claimed while it stands, and a process
    that wants no more jobs has it carried out first: :meth:`recall`.
    """

    def __init__(self, store: Store, watch: Watch | None, claims: Claims, looks: Looks) -> None:
        self._store = store
        self._looks = looks
        self._watch = watch if isinstance(watch, StandingWatch) else None
        self._claims = claims
        self._request: ClaimRequest | None = None

    @property
    def possible(self) -> bool:
        """Whether one may be left now."""
        return self._watch is not None and self._request is None

    def place(self, request: ClaimRequest) -> None:
        """Leave this one with the store, or nothing where that cannot be just now."""
        if self._watch is not None and self._watch.ask(self._store.claim(request)):
            self._request = request
        else:
            self._claims.arrived(request.claim_id, 0, 0)

    def came(self, *, again: bool) -> tuple[ClaimRequest, Claim | None] | None:
        """What it brought, if it was carried out; no claim where that cannot be known.

        Where the answer was lost the same claim is asked for ``again``: it brings what it had
        taken.
        """
        request, watch = self._request, self._watch
        if request is None or watch is None or watch.asked:
            return None
        self._request, claim = None, watch.brought()
        if claim is None and again:
            try:
                claim = self._store.run(self._store.claim(request))
            except StoreError as error:
                self._looks.failed(error, time.monotonic())
        return request, claim

    def recall(self, *, again: bool) -> tuple[ClaimRequest, Claim | None] | None:
        """What it brings when it is carried out now."""
        if self._request is not None and self._watch is not None:
            self._watch.recall()
        return self.came(again=again)

    def forget(self) -> None:
        """Claim nothing more: what it took all the same goes back with the next beat."""
        request, self._request = self._request, None
        if request is not None and self._watch is not None:
            self._watch.drop()
            self._claims.arrived(request.claim_id, 0, 0)
