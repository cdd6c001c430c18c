"""The limits of a store: what holds for them now, and what people set at run time."""

from __future__ import annotations

from typing import Final

from longshore.callers import warn
from longshore.client import Plan, ask
from longshore.core.durations import Duration
from longshore.core.limits import LimitRecord, SetLimit, Setting
from longshore.core.restraints import check_name, check_per, check_to
from longshore.core.rules import Declared
from longshore.core.wording import did_you_mean
from longshore.errors import InvalidOption
from longshore.handle import App

#: So many keys are looked through for those of one name.
_KEYS: Final = 1_000_000


class Limits:
    """The limits of a store by name: a limit's ``group``, else its kind, else ``kind.key``.

    Example: ``jobs.limits.set("account", to=5)``
    """

    def __init__(self, app: App) -> None:
        self._app = app

    def set(self, name: str, *, to: int, per: Duration | None = None) -> None:
        """From the next claim on let this hold for every key of the limit, whatever the code says.

        Parameters: ``to``, how many may run or start, 0 for none; ``per``, the period of a rate,
        as declared if left out. Raises :class:`InvalidOption`.

        Example: ``jobs.limits.set("account", to=5)``
        """
        self._app.client.follow(self._set(name, to, per))

    async def aset(self, name: str, *, to: int, per: Duration | None = None) -> None:
        """The awaitable twin of :meth:`set`."""
        await self._app.client.afollow(self._set(name, to, per))

    def reset(self, name: str) -> None:
        """From the next claim on let the code decide again."""
        self._app.client.follow(self._reset(name))

    async def areset(self, name: str) -> None:
        """The awaitable twin of :meth:`reset`."""
        await self._app.client.afollow(self._reset(name))

    def list(self, *, limit: int = 1000) -> tuple[LimitRecord, ...]:
        """Every key that is in use or blocks jobs, and every name that was set; by key."""
        return self._app.client.follow(self._list(limit))

    async def alist(self, *, limit: int = 1000) -> tuple[LimitRecord, ...]:
        """The awaitable twin of :meth:`list`."""
        return await self._app.client.afollow(self._list(limit))

    def get(self, name: str) -> tuple[LimitRecord, ...]:
        """The keys of one limit that are in use or block jobs, and what was set for it."""
        return self._app.client.follow(self._get(name))

    async def aget(self, name: str) -> tuple[LimitRecord, ...]:
        """The awaitable twin of :meth:`get`."""
        return await self._app.client.afollow(self._get(name))

    def __repr__(self) -> str:
        return "<limits>"

    # --- one body for each pair of twins ------------------------------------------------------

    def _set(self, name: str, to: int, per: Duration | None) -> Plan[None]:
        check_name(name)
        setting = Setting(
            check_to(to, field="to", least=0),
            None if per is None else check_per(per, field="per"),
        )
        self._check(name, setting)
        yield from ask(self._app.client.store.set_limit(SetLimit(name, setting)))

    def _reset(self, name: str) -> Plan[None]:
        yield from ask(self._app.client.store.set_limit(SetLimit(check_name(name), None)))

    def _list(self, limit: int) -> Plan[tuple[LimitRecord, ...]]:
        most = check_to(limit, field="limit")
        return (yield from ask(self._app.client.store.limits(limit=most)))

    def _get(self, name: str) -> Plan[tuple[LimitRecord, ...]]:
        check_name(name)
        found = yield from self._list(_KEYS)
        return tuple(record for record in found if record.name == name)

    def _check(self, name: str, setting: Setting) -> None:
        """What was declared here tells a wrong setting; other applications may have others."""
        declared: dict[str, Declared] = {}
        for job in self._app.registry:
            if job.restraints is not None:
                declared.update((limit.name, limit) for limit in job.restraints.limits)
        limit = declared.get(name)
        if limit is None:
            near = did_you_mean(name, declared)
            if near:
                warn(f"no job of this application has a limit {name!r}.{near}")
        elif limit.per is None and setting.per is not None:
            raise InvalidOption(
                f"limit {name} is a concurrency: it counts jobs that run, and has no per=. Leave it"
                " out."
            )
