"""Kinds of jobs, paused and resumed in all queues at once."""

from __future__ import annotations

from longshore.callers import warn
from longshore.client import Plan, ask
from longshore.core.durations import Duration, microseconds
from longshore.core.limits import SetKind
from longshore.core.options import check_reason
from longshore.core.wording import did_you_mean
from longshore.handle import App
from longshore.query.where import Kind, kind_names


def pause(app: App, kind: Kind, reason: str | None, for_: Duration | None) -> Plan[None]:
    """The plan behind ``jobs.pause``: every name under which jobs of this kind are stored."""
    duration = None if for_ is None else microseconds(for_, field="for_", minimum=0.001)
    told = check_reason(reason)
    for name in _names(app, kind):
        order = SetKind(name, paused=True, reason=told, pause_for=duration)
        yield from ask(app.client.store.set_kind(order))


def resume(app: App, kind: Kind) -> Plan[None]:
    """The plan behind ``jobs.resume``."""
    for name in _names(app, kind):
        yield from ask(app.client.store.set_kind(SetKind(name, paused=False)))


def _names(app: App, kind: Kind) -> tuple[str, ...]:
    if not isinstance(kind, str):
        return kind_names(kind, app.registry)
    declared = app.registry.find(kind)
    if declared is not None:
        return declared.names
    near = did_you_mean(kind, app.registry.names())
    if near:
        # It may be a kind of another application in the same store, so it is no error.
        warn(f"no job of kind {kind!r} is declared in this application.{near}")
    return (kind,)
