"""Limits, turns and identity as type checkers see them; `api.py` says how to read this."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, assert_type

from longshore import (
    BoundJob,
    Concurrency,
    Job,
    JobHandle,
    Longshore,
    Rate,
    Unique,
    UniqueHeld,
    Waiting,
)
from longshore.core.limits import LimitRecord

jobs = Longshore("memory://")


def by_tenant(tenant_id: int) -> str:
    return f"t{tenant_id}"


def weight(tenant_id: int) -> float:
    return 2.0 if tenant_id == 1 else 1.0


# --- declare ----------------------------------------------------------------------------------


@jobs.job(
    identity=("tenant_id", "card"),
    unique=Unique(until="started", ttl="1h", on_conflict="replace"),
    concurrency=[Concurrency(to=3, key="tenant_id", group="tenant"), Concurrency(to=50)],
    rate=Rate(10, per="1m", key=by_tenant),
    fair_by="tenant_id",
    fair_weight={"big": 3, "small": 0.5},
    at_most_once=True,
)
def validate_card(tenant_id: int, card: str) -> bool:
    return bool(card) and tenant_id > 0


@jobs.job
async def plain(url: str) -> bytes:
    return url.encode()


jobs.job(identity="card", unique=Unique(), concurrency=Concurrency(1), rate=[Rate(1, per=60)])
jobs.job(identity=by_tenant, fair_by=by_tenant, fair_weight=weight, unique=None)
jobs.job(identity=None, concurrency=(), rate=(), fair_by=None, fair_weight=1, at_most_once=False)
assert_type(Unique(ttl=timedelta(hours=1)).until, Literal["finished", "started"])
assert_type(Concurrency(to=3, key=by_tenant).to, int)
assert_type(Rate(10, per=60).group, str | None)

jobs.job(unique=True)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
jobs.job(identity=5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
jobs.job(concurrency=3)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
jobs.job(concurrency=Rate(1, per=1))  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
jobs.job(rate=[Concurrency(1)])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
jobs.job(fair_by=7)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
jobs.job(fair_weight="2")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
jobs.job(at_most_once="yes")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
Unique(until="start")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Unique(on_conflict="drop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Unique(tll=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Concurrency(to="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Concurrency(3, "tenant_id")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Concurrency(key="tenant_id")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Rate(10)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Rate(10, per=[1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Rate(10, per=1, group=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Rate(10, per=1).to = 5  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


class Limited(Job, app=jobs):
    identity = ("tenant_id",)
    unique = Unique(until="started")
    concurrency = (Concurrency(to=3, key="tenant_id", group="tenant"),)
    rate = Rate(10, per="1m")
    fair_by = "tenant_id"
    fair_weight = 2.5
    at_most_once = True

    def perform(self, tenant_id: int) -> int:
        return tenant_id


class Awaited(Job, app=jobs):
    identity = "url"

    async def perform(self, url: str) -> bytes:
        return url.encode()


class WrongUnique(Job, app=jobs):
    unique = True  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    def perform(self) -> None: ...


class WrongRate(Job, app=jobs):
    rate = Concurrency(1)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    def perform(self) -> None: ...


class WrongIdentity(Job, app=jobs):
    identity = 7  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    def perform(self) -> None: ...


# --- using ------------------------------------------------------------------------------------

assert_type(plain.using(unique=Unique(), at_most_once=True).enqueue("x"), JobHandle[bytes])
assert_type(Limited.using(unique=None).bind(7), BoundJob[int])

plain.using(unique=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
plain.using(at_most_once=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
plain.using(concurrency=Concurrency(1))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Limited.using(identity="tenant_id")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# --- follow -----------------------------------------------------------------------------------


def follow(handle: JobHandle[str]) -> None:
    assert_type(handle.why_waiting(), Waiting)
    assert_type(handle.why_waiting().text, str)
    assert_type(handle.why_waiting().held_by, tuple[str, ...])
    assert_type(validate_card.find(tenant_id=7, card="x"), JobHandle[bool] | None)
    assert_type(validate_card.in_progress(tenant_id=7, card="x"), JobHandle[bool] | None)
    assert_type(Limited.find(tenant_id=7), JobHandle[int] | None)
    assert_type(Awaited.in_progress(url="x"), JobHandle[bytes] | None)
    try:
        validate_card.enqueue(7, "x")
    except UniqueHeld as error:
        assert_type(error.holder, str | None)

    validate_card.find(7)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    _id = validate_card.find(tenant_id=7).id  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    handle.why_waiting().explain()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def operate() -> None:
    jobs.pause(kind="app.sync", reason="provider down", for_="15m")
    jobs.pause(kind=validate_card)
    jobs.resume(kind=Limited)
    jobs.limits.set("tenant", to=5)
    jobs.limits.set("tenant", to=0, per="1m")
    jobs.limits.reset("tenant")
    assert_type(jobs.limits.list(), tuple[LimitRecord, ...])
    assert_type(jobs.limits.get("tenant"), tuple[LimitRecord, ...])

    jobs.pause("app.sync")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    jobs.pause(kind=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    jobs.resume()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    jobs.limits.set("tenant")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    jobs.limits.set("tenant", to="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    jobs.limits.set("tenant", 5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def twins(handle: JobHandle[str]) -> None:
    assert_type(await handle.awhy_waiting(), Waiting)
    assert_type(await validate_card.afind(tenant_id=7, card="x"), JobHandle[bool] | None)
    assert_type(await validate_card.ain_progress(tenant_id=7, card="x"), JobHandle[bool] | None)
    assert_type(await Limited.afind(tenant_id=7), JobHandle[int] | None)
    assert_type(await Awaited.ain_progress(url="x"), JobHandle[bytes] | None)
    await jobs.apause(kind=validate_card)
    await jobs.aresume(kind=Limited)
    await jobs.limits.aset("tenant", to=5)
    await jobs.limits.areset("tenant")
    assert_type(await jobs.limits.aget("tenant"), tuple[LimitRecord, ...])
    assert_type(await jobs.limits.alist(), tuple[LimitRecord, ...])
