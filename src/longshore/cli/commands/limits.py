"""``longshore limits``: what is counted under each limit, and values set at run time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click

from longshore.app import Longshore
from longshore.cli.exit import NO_LIMIT, Failure
from longshore.cli.output import Columns, Out, out_of
from longshore.cli.parts import Group, Seconds, Whole, option
from longshore.cli.session import stored
from longshore.cli.views import ago, moment, span, to_seconds
from longshore.core.durations import describe
from longshore.core.limits import LimitRecord, Setting
from longshore.core.wording import did_you_mean, many, shown

#: More keys than any screen shows; a name has one for each value of its argument.
MOST: Final = 100_000


@click.group(
    "limits",
    cls=Group,
    examples=(
        "longshore limits list",
        "longshore limits set account --to 5",
        "longshore limits reset account",
    ),
)
def command() -> None:
    """List, show, set and reset limits on concurrency and rate.

    A limit's name is its group, else the kind of its job, else kind.argument.
    """


def view(limit: LimitRecord) -> dict[str, Any]:
    """One key of a limit as a JSON record."""
    return {
        "name": limit.name,
        "key": limit.key or None,
        "value": limit.value,
        "to": limit.to,
        "per_seconds": span(limit.per),
        "used": limit.used,
        "blocked": limit.blocked,
        "holders": list(limit.holders),
        "opens_at": moment(limit.opens_at),
        "set": _set(limit.setting),
    }


def _set(setting: Setting | None) -> dict[str, Any] | None:
    return None if setting is None else {"to": setting.to, "per_seconds": span(setting.per)}


def _allowed(limit: dict[str, Any]) -> str:
    per = limit["per_seconds"]
    return str(limit["to"]) if per is None else f"{limit['to']}/{describe(round(per * 1_000_000))}"


COLUMNS: Columns = {
    "limit": lambda limit: limit["name"],
    "value": lambda limit: limit["value"],
    "used": lambda limit: str(limit["used"]) if limit["key"] else "",
    "of": _allowed,
    "blocked": lambda limit: str(limit["blocked"]) if limit["key"] else "",
    "opens": lambda limit: to_seconds(limit["opens_at"]),
    "set": lambda limit: "yes" if limit["set"] else "",
}


@command.command("list", examples=("longshore limits list", "longshore limits list -o json"))
@option(
    "--limit",
    variable="LIMITS_LIMIT",
    type=Whole(1, MOST),
    default=1000,
    help="At most so many keys.",
)
@click.pass_context
def list_(ctx: click.Context, limit: int) -> None:
    """List every key of a limit that is used, or that jobs wait for, and what was set."""
    out = out_of(ctx)
    with stored(ctx) as app:
        found = app.limits.list(limit=limit)
        out.rows("limits", [view(one) for one in found], COLUMNS, empty="no limit is used or set")
        if len(found) == limit:
            out.say(f"the first {limit}; --limit shows more")


@command.command("show", examples=("longshore limits show account",))
@click.argument("name", metavar="NAME")
@click.pass_context
def show(ctx: click.Context, name: str) -> None:
    """Show one limit: each of its keys, and the jobs that run under it."""
    with stored(ctx) as app:
        found = _existing(app, name)
        out_of(ctx).fields({"limit": _whole(name, found)}, _lines(name, found))


@command.command(
    "set",
    examples=("longshore limits set account --to 5", "longshore limits set mail --to 100 --per 1m"),
)
@click.argument("name", metavar="NAME")
@option("--to", variable="LIMITS_TO", type=Whole(0, 1_000_000), required=True, help="How many.")
@option(
    "--per",
    variable="LIMITS_PER",
    type=Seconds(0.001),
    help="For a rate: in what time; else the declared one stays.",
)
@click.pass_context
def set_(ctx: click.Context, name: str, to: int, per: float | None) -> None:
    """Set a limit for the next claims, in place of what the code says; until it is reset.

    0 starts no more jobs of it. What runs goes on.
    """
    with stored(ctx) as app:
        app.limits.set(name, to=to, per=per)
        _tell(out_of(ctx), app, name)


@command.command("reset", examples=("longshore limits reset account",))
@click.argument("name", metavar="NAME")
@click.pass_context
def reset(ctx: click.Context, name: str) -> None:
    """Give a limit back to the code."""
    with stored(ctx) as app:
        app.limits.reset(name)
        _tell(out_of(ctx), app, name)


def _existing(app: Longshore, name: str) -> Sequence[LimitRecord]:
    found = app.limits.get(name)
    if not found:
        near = did_you_mean(name, {one.name for one in app.limits.list()})
        raise Failure(NO_LIMIT, f"no limit {shown(name)} is used, waited for or set.{near}")
    return found


def _tell(out: Out, app: Longshore, name: str) -> None:
    found = app.limits.get(name)
    out.fields({"limit": _whole(name, found)}, _lines(name, found))


def _whole(name: str, found: Sequence[LimitRecord]) -> dict[str, Any]:
    return {
        "name": name,
        "set": _set(_setting(found)),
        "keys": [view(one) for one in found if one.key],
    }


def _setting(found: Sequence[LimitRecord]) -> Setting | None:
    return next((one.setting for one in found if one.setting is not None), None)


def _lines(name: str, found: Sequence[LimitRecord]) -> list[tuple[str, str]]:
    setting = _setting(found)
    told = "no; the code decides"
    if setting is not None:
        per = "" if setting.per is None else f" in {describe(setting.per)}"
        told = f"{setting.to}{per}"
    lines = [("limit", name), ("set", told)]
    for one in found:
        if one.key:
            lines.append((one.value or "all", _state(one)))
            lines += [("held by", holder) for holder in one.holders]
    return lines


def _state(limit: LimitRecord) -> str:
    used = f"{limit.used} of {limit.to} running"
    if limit.per is not None:
        used = f"{limit.used} of {limit.to} started in {describe(limit.per)}"
    waits = f", {many(limit.blocked, 'job')} waiting" if limit.blocked else ""
    opens = f", opens {ago(limit.opens_at)}" if limit.opens_at is not None else ""
    return f"{used}{waits}{opens}"
