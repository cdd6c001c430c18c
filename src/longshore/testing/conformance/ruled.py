"""Operations on jobs with rules, each prepared so that all it may have to write is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from longshore.core.limits import Fair, Hold, Limit, OnConflict, Rules, SetKind, SetLimit, Setting
from longshore.core.model import Lease
from longshore.core.store import Beat, Line, Operation, ProcessBeat, Rescue
from longshore.testing.conformance.bench import (
    DAY,
    HOUR,
    LEASE,
    MINUTE,
    SECOND,
    Bench,
    died,
    failed,
    interrupted,
    parked,
    released,
    succeeded,
)
from longshore.testing.conformance.restraint import ACCOUNT, HOST, fair, limited, pause, unique

WIDE: Final = Limit("account", "8", 2)
#: A rate of two, and all that can be ruled of one job.
MAIL: Final = Limit("mail", "", 2, MINUTE)
ALL: Final = Rules(Hold("all", until_started=True), (ACCOUNT, MAIL), Fair("=a"), at_most_once=True)


def insert_held(bench: Bench) -> Operation[Any]:
    """Keys that are free, held, held too long, and held by one who gets new arguments."""
    bench.add(rules=unique("held"))
    bench.add(rules=unique("over", ttl=SECOND))
    bench.add(rules=Rules(Hold("mine"), (ACCOUNT,)), identity="old")
    bench.pass_time(MINUTE)
    new = [bench.new(rules=unique(key)) for key in ("free", "held", "over", "free")]
    rules = Rules(Hold("mine", on_conflict=OnConflict.REPLACE), (HOST,), Fair("=a"))
    new.append(bench.new(rules=rules, payload=b"{}", identity="new"))
    new.append(bench.new(rules=ALL))
    return bench.store.insert(new)


def insert_refused(bench: Bench) -> Operation[Any]:
    bench.add(rules=unique("held"))
    refused = bench.new(rules=unique("held", on_conflict=OnConflict.RAISE))
    return bench.store.insert([bench.new(rules=unique("free")), refused, bench.new()])


def claim_ruled(bench: Bench) -> Operation[Any]:
    """Takes some, blocks some for each reason, lets some in whose time has come."""
    bench.process(lease=HOUR)
    bench.add(2, rules=limited(MAIL))
    pause(bench, "app.two", pause_for=SECOND)
    bench.add(kind="app.two", priority=-1)
    bench.claim("p1")
    bench.pass_time(2 * MINUTE)
    pause(bench, "app.three")
    bench.add(2, kind="app.three", priority=-2)
    bench.add(expires_at=bench.now, rules=limited(ACCOUNT), priority=-1)
    bench.add(rules=ALL)
    bench.add(2, rules=fair("b", 2, ACCOUNT))
    bench.add(3, rules=limited(MAIL))
    bench.add(2, rules=limited(HOST))
    bench.add(2)
    return bench.store.claim(bench.request("p1", 6))


def claim_parked_ruled(bench: Bench) -> Operation[Any]:
    bench.process(lease=HOUR)
    bench.add(3, rules=limited(Limit("account", "7", 2), MAIL), kind="app.new")
    for _ in range(3):
        bench.finish(*(parked(lease, "d1") for lease in bench.leases()))
        bench.pass_time(MINUTE)
    bench.add(rules=limited(ACCOUNT))
    bench.claim("p1")
    return bench.store.claim(bench.request("p1", parked_kinds=("app.new",), kinds_digest="d2"))


def exchange_ruled(bench: Bench) -> Operation[Any]:
    """Gives slots back, to its own claim too."""
    one, two, three, four = _running(bench)
    told = [succeeded(one), released(two), died(three), failed(four, bench.now + HOUR)]
    # Ahead of what the endings give back: whose next run this claim would begin.
    bench.add(2, rules=limited(ACCOUNT), priority=-1)
    bench.add(2, rules=limited(WIDE), priority=-1)
    return bench.store.exchange(told, bench.request("p1", 3))


def finish_ruled(bench: Bench) -> Operation[Any]:
    one, two, three, four = _running(bench)
    late = Lease(one.job_id, "p1", 7)
    told = [interrupted(one), succeeded(two, b"1"), failed(three, bench.now + HOUR)]
    return bench.store.finish([*told, parked(four, "d1"), succeeded(late)])


def rescue_ruled(bench: Bench) -> Operation[Any]:
    leases = _running(bench)
    bench.do(bench.store.cancel([leases[2].job_id], "stop"))
    started = frozenset((lease.job_id, lease.run) for lease in leases[:3])
    return bench.store.rescue(Rescue("p1", started))


def beat_ruled(bench: Bench) -> Operation[Any]:
    _running(bench)
    return bench.store.beat(Beat((ProcessBeat("p1", 1_000),), LEASE))


def promote_ruled(bench: Bench) -> Operation[Any]:
    """Expires some that others wait behind, and opens what is due to open."""
    _running(bench)
    bench.add(2, rules=Rules(Hold("x"), (HOST,)), expires_at=bench.now + SECOND)
    bench.add(rules=limited(MAIL), scheduled_at=bench.now + SECOND)
    bench.claim("p2")
    bench.pass_time(HOUR)
    return bench.store.promote(100)


def prune_ruled(bench: Bench) -> Operation[Any]:
    bench.finish(*map(succeeded, _running(bench)))
    bench.pass_time(365 * DAY)
    return bench.store.prune(100)


def cancel_ruled(bench: Bench) -> Operation[Any]:
    return bench.store.cancel(_next(bench), "stop")


def delete_ruled(bench: Bench) -> Operation[Any]:
    return bench.store.delete(_next(bench))


def move_ruled(bench: Bench) -> Operation[Any]:
    return bench.store.move(_next(bench), "far")


def retry_ruled(bench: Bench) -> Operation[Any]:
    """One takes its key again, one finds it held, one had given it up."""
    bench.process()
    rules = [unique("a"), unique("b"), Rules(Hold("c", until_started=True), (ACCOUNT,), Fair("=a"))]
    jobs = [bench.add(rules=one, identity="mine")[0] for one in rules]
    bench.finish(*map(died, bench.leases()))
    bench.add(rules=unique("b"))
    return bench.store.retry(jobs)


def set_limit(bench: Bench) -> Operation[Any]:
    _running(bench)
    bench.do(bench.store.set_limit(SetLimit("account", Setting(0))))
    return bench.store.set_limit(SetLimit("account", Setting(2)))


def reset_limit(bench: Bench) -> Operation[Any]:
    bench.do(bench.store.set_limit(SetLimit("account", Setting(0))))
    bench.process()
    bench.add(2, rules=limited(ACCOUNT))
    bench.claim("p1")
    return bench.store.set_limit(SetLimit("account", None))


def set_kind(bench: Bench) -> Operation[Any]:
    bench.add()
    return bench.store.set_kind(SetKind("app.job", paused=True, reason="x", pause_for=MINUTE))


def resume_kind(bench: Bench) -> Operation[Any]:
    bench.process()
    bench.add(2)
    pause(bench, pause_for=HOUR)
    bench.claim("p1")
    return bench.store.set_kind(SetKind("app.job", paused=False))


RULED: Final[Mapping[str, Callable[[Bench], Operation[Any]]]] = {
    prepare.__name__: prepare
    for prepare in (
        insert_held,
        insert_refused,
        claim_ruled,
        claim_parked_ruled,
        exchange_ruled,
        finish_ruled,
        rescue_ruled,
        beat_ruled,
        promote_ruled,
        prune_ruled,
        cancel_ruled,
        delete_ruled,
        move_ruled,
        retry_ruled,
        set_limit,
        reset_limit,
        set_kind,
        resume_kind,
    )
}

#: Of these, whose repetition gives the same answer.
RULED_AGAIN: Final = frozenset(
    {
        *("claim_ruled", "claim_parked_ruled", "exchange_ruled", "finish_ruled", "beat_ruled"),
        *("insert_refused", "set_limit", "reset_limit", "set_kind", "resume_kind"),
    }
)


def _running(bench: Bench) -> list[Lease]:
    """Four running jobs under every sort of rule, with others that wait for each of them."""
    bench.process("p2", lease=2 * HOUR)
    bench.process("p1")
    for rules in (ALL, limited(WIDE, MAIL), limited(WIDE, HOST), fair("b")):
        bench.add(rules=rules)
    leases = bench.leases("p1")
    assert len(leases) == 4
    for rules in (limited(ACCOUNT), limited(WIDE), limited(HOST, WIDE), limited(MAIL), fair("c")):
        bench.add(2, rules=rules)
    bench.claim("p2", 1)
    return leases


def _next(bench: Bench) -> list[str]:
    """Jobs that are the next of their keys, so that others must take their places; one waits."""
    bench.process()
    bench.add(rules=limited(ACCOUNT))
    bench.add(rules=limited(HOST))
    first = bench.leases()
    jobs = bench.add(3, rules=Rules(limits=(ACCOUNT, HOST)))
    held = bench.add(rules=unique("held"), queue="other", identity="mine")
    bench.add(2, rules=limited(ACCOUNT), priority=1)
    bench.claim("p1", 5, lines=[Line(("default",))])
    bench.finish(*map(succeeded, first))
    return [*jobs[:2], *held]
