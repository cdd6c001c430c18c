"""Operations on schedules that write, each prepared so that it has much to do, for the faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from longshore.core.limits import Hold, Rules
from longshore.core.schedules import CatchUp, Declare, SetSchedule
from longshore.core.store import Operation
from longshore.testing.conformance.bench import HOUR, Bench
from longshore.testing.conformance.planning import (
    catch_up,
    declare,
    due,
    order,
    schedule,
    skipping,
    to_half_past,
)


def declare_anew(bench: Bench) -> Operation[Any]:
    to_half_past(bench)
    declare(bench, *(schedule(bench, name) for name in ("edited", "gone", "kept")))
    bench.pass_time(2 * HOUR)
    edited = schedule(bench, "edited", when="*/10 * * * *")
    schedules = (edited, schedule(bench, "kept"), schedule(bench, "new"))
    return bench.store.declare(Declare("app", schedules, fresh=True))


def fire(bench: Bench) -> Operation[Any]:
    to_half_past(bench)
    rules = Rules(hold=Hold("k"))
    bench.add(rules=rules)
    names = {"rules": rules}
    declare(
        bench,
        schedule(bench, "all", catch_up=CatchUp.ALL),
        skipping(bench, name="skips", catch_up=CatchUp.ALL),
        schedule(bench, "held", job=names),
        schedule(bench, "holds", job={"rules": Rules(hold=Hold("other"))}),
    )
    bench.pass_time(HOUR)
    catch_up(bench, "skips")
    bench.pass_time(2 * HOUR)
    return bench.store.fire([due(bench, name) for name in ("skips", "holds", "held", "all")])


def edit(bench: Bench) -> Operation[Any]:
    to_half_past(bench)
    order(bench, "add", schedule=schedule(bench))
    bench.pass_time(2 * HOUR)
    other = schedule(bench, when="30 * * * *")
    return bench.store.set_schedule(SetSchedule(name="s", verb="add", app="app", schedule=other))


def unschedule(bench: Bench) -> Operation[Any]:
    to_half_past(bench)
    order(bench, "add", schedule=schedule(bench))
    bench.pass_time(2 * HOUR)
    catch_up(bench)
    return bench.store.set_schedule(SetSchedule(name="s", verb="remove"))


PLANNED: Final[Mapping[str, Callable[[Bench], Operation[Any]]]] = {
    each.__name__: each for each in (declare_anew, fire, edit, unschedule)
}

#: Those whose repetition gives the same answer.
PLANNED_AGAIN: Final = frozenset({"declare_anew", "fire", "edit"})
