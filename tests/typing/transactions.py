"""Transactions as type checkers see them: see `api.py` beside this file."""

from __future__ import annotations

import sqlite3
from typing import Any, assert_type

import psycopg
import pymysql  # type: ignore[import-untyped]
from django.db import (  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
    connection as django_connection,
)
from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from longshore import JobContext, JobHandle, Longshore

jobs = Longshore("memory://")


@jobs.job
def plain(user_id: int, *, locale: str = "en") -> str:
    return f"{user_id}{locale}"


Longshore("redis://localhost", outbox="postgresql://localhost/shop")
Longshore(outbox=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def driver_connections(
    one: sqlite3.Connection,
    two: psycopg.Connection[tuple[Any, ...]],
    three: pymysql.Connection[Any],
) -> None:
    assert_type(plain.using(connection=one).enqueue(1), JobHandle[str])
    plain.using(connection=two).enqueue(1)
    plain.using(connection=three).enqueue(1)
    plain.using(connection=django_connection).enqueue(1)
    plain.using(session=one)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with jobs.transaction(one) as same:
        assert_type(same, sqlite3.Connection)
    jobs.transaction(5)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


def sqlalchemy_connections(
    four: Connection, five: Session, six: scoped_session[Session], engine: Engine
) -> None:
    plain.using(connection=four).enqueue(1)
    plain.using(session=five).enqueue(1)
    plain.using(session=six).enqueue(1)
    plain.using(connection=engine)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    plain.using(connection="postgresql://")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    plain.using(session=four)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with jobs.transaction(five):
        pass
    jobs.transaction(engine)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


async def awaiting_connections(
    one: psycopg.AsyncConnection[tuple[Any, ...]],
    two: AsyncConnection,
    three: AsyncSession,
    four: async_scoped_session[AsyncSession],
    engine: AsyncEngine,
) -> None:
    assert_type(await plain.using(connection=one).aenqueue(1), JobHandle[str])
    await plain.using(connection=two).aenqueue(1)
    await plain.using(session=three).aenqueue(1)
    await plain.using(session=four).aenqueue(1)
    plain.using(connection=engine)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async with jobs.transaction(three) as same:
        assert_type(same, AsyncSession)


def attaching(engine: Engine, awaiting: AsyncEngine) -> None:
    assert_type(jobs.attach(sessionmaker(engine)), sessionmaker[Session])
    assert_type(jobs.attach(async_sessionmaker(awaiting)), async_sessionmaker[AsyncSession])
    jobs.attach(scoped_session(sessionmaker(engine)))
    jobs.attach(Session)
    jobs.attach(engine)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    jobs.attach(Session(engine))  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


def body(ctx: JobContext) -> None:
    with ctx.transaction() as database:
        database.execute("select 1")
        ctx.succeed({"any": "result"})
    ctx.succeed()
    ctx.succeed(1, 2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ctx.transaction(database)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def awaiting_body(ctx: JobContext) -> None:
    async with ctx.transaction() as database:
        await database.execute("select 1")
