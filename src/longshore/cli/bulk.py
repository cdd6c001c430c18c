"""Verbs on jobs: by id, each told apart; by query, counted and confirmed before a change."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import click
import msgspec

from longshore.app import Longshore
from longshore.cli.exit import (
    DECLINED,
    INCOMPLETE,
    NEEDS_ALL,
    NEEDS_YES,
    UNIQUE_HELD,
    USAGE,
    WRONG_STATE,
    Failure,
    Kind,
    kind_of,
)
from longshore.cli.output import Out
from longshore.cli.query_text import read_query
from longshore.core.model import LIVE, JobRecord, JobState
from longshore.core.store import Changed, Operation, Store
from longshore.core.wording import many
from longshore.errors import JobNotFound
from longshore.query import Changes, JobQuery

Progress = Callable[[Changes], object]


class Verb(msgspec.Struct, frozen=True):
    """One thing that can be done to jobs.

    ``usual``: the states a query means when it names none. ``allowed``: the states it applies to
    when jobs are named by id. ``advice``: what to do instead, by state.
    """

    name: str
    done: str
    usual: frozenset[JobState]
    allowed: frozenset[JobState]
    advice: dict[JobState, str]
    order: Callable[[Store, Sequence[str], str | None], Operation[Changed]]
    act: Callable[[JobQuery, str | None, Progress], Changes]


_ENDED_ADVICE: Final = dict.fromkeys(frozenset(JobState) - LIVE, "it has ended already")

RETRY: Final = Verb(
    "retry",
    "made available",
    usual=frozenset({JobState.DEAD, JobState.RETRYING}),
    allowed=frozenset({JobState.DEAD, JobState.CANCELLED, JobState.RETRYING, JobState.SCHEDULED}),
    advice={
        JobState.SUCCEEDED: "it is done already; enqueue it again to run it once more",
        JobState.RUNNING: "it runs now; cancel it first",
        JobState.AVAILABLE: "it waits for a worker already",
        JobState.WAITING: "it waits for other jobs",
    },
    order=lambda store, ids, _: store.retry(ids),
    act=lambda query, _, progress: query.retry(progress=progress),
)
CANCEL: Final = Verb(
    "cancel",
    "cancelled",
    usual=LIVE,
    allowed=LIVE,
    advice=_ENDED_ADVICE,
    order=lambda store, ids, reason: store.cancel(ids, reason),
    act=lambda query, reason, progress: query.cancel(reason, progress=progress),
)
DISCARD: Final = Verb("discard", "discarded", LIVE, LIVE, _ENDED_ADVICE, CANCEL.order, CANCEL.act)


class Asked(msgspec.Struct, frozen=True):
    """How a person chose jobs for a verb, and what they allowed."""

    ids: tuple[str, ...]
    query: str | None
    all: bool
    yes: bool
    dry_run: bool
    reason: str | None = None


def perform(app: Longshore, out: Out, verb: Verb, asked: Asked) -> None:
    """Do what was asked; raises :class:`Failure` with the exit code of what stood against it."""
    if asked.ids and (asked.query is not None or asked.all):
        raise Failure(USAGE, f"{verb.name} takes ids or a query, not both.")
    if asked.ids:
        _by_id(app, out, verb, asked)
    else:
        _by_query(app, out, verb, asked)


def confirm(what: str, asked: Asked, *, kind: Kind = NEEDS_YES) -> None:
    """Go on only if ``--yes`` was given or a person says so."""
    if asked.yes:
        return
    if kind is NEEDS_YES and _somebody_is_there():
        if click.confirm(f"{what}. Go on?", err=True):
            return
        raise Failure(DECLINED, "nothing was changed.")
    flag = "--all --yes" if kind is NEEDS_ALL else "--yes"
    raise Failure(kind, f"{what}; nothing was changed. Repeat with {flag} to go on.")


def _somebody_is_there() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


class _Line(msgspec.Struct, frozen=True):
    """What became of one id."""

    id: str
    outcome: str
    why: str = ""


_LINE: Final[dict[str, Callable[[Any], str]]] = {
    "id": lambda line: line.id,
    "outcome": lambda line: line.outcome,
    "why": lambda line: line.why,
}


def _by_id(app: Longshore, out: Out, verb: Verb, asked: Asked) -> None:
    ids = list(dict.fromkeys(text.lower() for text in asked.ids))
    found = app.client.run(app.store.get(ids))
    fit = [id_ for id_ in ids if id_ in found and found[id_].state in verb.allowed]
    answer = Changed()
    if fit and not asked.dry_run:
        answer = app.client.run(verb.order(app.store, fit, asked.reason))
    changed, requested, held = set(answer.changed), set(answer.requested), set(answer.held)
    if asked.dry_run:
        changed = set(fit)
    lines = list[_Line]()
    problems = list[tuple[Kind, str]]()
    for id_ in ids:
        if id_ in changed:
            lines.append(_Line(id_, f"would be {verb.done}" if asked.dry_run else verb.done))
        elif id_ in requested:
            lines.append(_Line(id_, "asked to end", "it runs now"))
        else:
            kind, why = _refusal(verb, id_, found.get(id_), held=id_ in held)
            problems.append((kind, why))
            lines.append(_Line(id_, "skipped", why))
    if len(ids) > 1 or not problems:
        out.rows("jobs", lines, _LINE)
    if problems:
        raise _failure(problems, len(ids))


def _refusal(verb: Verb, id_: str, job: JobRecord | None, *, held: bool) -> tuple[Kind, str]:
    if held:
        return UNIQUE_HELD, f"another job holds the unique key of job {id_}"
    if job is None:
        missing = JobNotFound()
        return kind_of(missing), f"there is no job {id_}: it never existed here, or was pruned"
    # A state that allows it, and yet the store skipped it: it has changed in between.
    advice = verb.advice.get(job.state, "its state has just changed; look again")
    return WRONG_STATE, f"job {id_} is {job.state}: {advice}"


def _failure(problems: Sequence[tuple[Kind, str]], asked: int) -> Failure:
    kinds = {kind.number: kind for kind, _ in problems}
    kind = next(iter(kinds.values())) if len(kinds) == 1 else INCOMPLETE
    if asked == 1:
        return Failure(kind, f"{problems[0][1]}.")
    return Failure(kind, f"{len(problems)} of {many(asked, 'job')} were skipped.")


def _by_query(app: Longshore, out: Out, verb: Verb, asked: Asked) -> None:
    text = (asked.query or "").strip()
    where = read_query(text, app.registry)
    everything = where.is_empty
    if where.states is None:
        where = msgspec.structs.replace(where, states=verb.usual)
    query = JobQuery(app, where)
    found = _counted(out, query)
    states = ", ".join(sorted(where.states or ()))
    about = f"{many(found, 'job')} for {text or 'the empty query'} ({states})"
    if everything and not asked.all:
        confirm(
            f"{about}: an empty query means every one",
            msgspec.structs.replace(asked, yes=False),
            kind=NEEDS_ALL,
        )
    if asked.dry_run:
        _report(out, Changes(examined=query.examined), found, verb)
        return
    if found:
        confirm(f"{verb.name}: {about}", asked)
    seen = 0

    def told(so_far: Changes) -> None:
        nonlocal seen
        seen = so_far.changed + so_far.requested + so_far.skipped + so_far.held
        advance(seen)

    try:
        with out.progress(verb.name, found) as advance:
            total = verb.act(query, asked.reason, told)
    except KeyboardInterrupt:
        out.say(f"{verb.name}: {seen} of {many(found, 'job')} done; repeat the command to go on")
        raise
    _report(out, total, found, verb)


def _counted(out: Out, query: JobQuery) -> int:
    if not query.where.is_counted:
        out.say("counting; this reads rows")
    return query.count()


def _report(out: Out, total: Changes, found: int, verb: Verb) -> None:
    numbers = {
        "matched": found,
        "changed": total.changed,
        "requested": total.requested,
        "skipped": total.skipped,
        "held": total.held,
        "examined": total.examined,
    }
    names = {"changed": verb.done, "requested": "asked to end", "held": "unique key held"}
    shown = [(name, n) for name, n in numbers.items() if n or name != "held"]
    out.fields(numbers, [(names.get(name, name), str(n)) for name, n in shown])
