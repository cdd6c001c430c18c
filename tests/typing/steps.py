"""Right and wrong uses of steps, loops and logs, as both type checkers see them. Never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import assert_type

from longshore import JobContext, JobHandle, LogLine, Longshore

jobs = Longshore("memory://")


class Receipt:
    number: int


def charge(order_id: int, *, currency: str = "EUR") -> Receipt:
    return Receipt()


async def acharge(order_id: int) -> Receipt:
    return Receipt()


def rows_after(cursor: int) -> Iterator[tuple[int, str]]:
    yield cursor, "row"


async def days_after(cursor: datetime) -> AsyncIterator[tuple[datetime, Receipt]]:
    yield cursor, Receipt()


def steps(ctx: JobContext) -> None:
    assert_type(ctx.step("charge", charge, 7, currency="USD"), Receipt)
    assert_type(ctx.step("double", lambda: 2 * 21), int)
    ctx.step("charge", charge, "7")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ctx.step("charge", charge, 7, colour=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    for row in ctx.iterate("rows", rows_after, start=0):
        assert_type(row, str)
    ctx.log.info("page %d", 3)
    ctx.log.wrn("page")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


async def asteps(ctx: JobContext, handle: JobHandle[int]) -> None:
    assert_type(await ctx.astep("charge", acharge, 7), Receipt)
    await ctx.astep("charge", charge, 7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async for receipt in ctx.iterate("days", days_after, start=datetime.now(UTC)):
        assert_type(receipt, Receipt)
    await ctx.acheckpoint()
    assert_type(handle.logs(), list[LogLine])
    assert_type(await handle.alogs(after=3), list[LogLine])
