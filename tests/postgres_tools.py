"""What tests of the PostgreSQL store share: a database of their own, claims and leases."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from longshore.core.model import Ending, JobState, Lease
from longshore.core.operation import drive
from longshore.core.store import (
    Claim,
    ClaimRequest,
    Exchanged,
)
from longshore.core.store_url import parse_url
from longshore.stores.postgres.core import first_id
from longshore.stores.postgres.execute import execute
from longshore.stores.postgres.store import PostgresStore
from tests.places import Place, place, postgres
from tests.store_tools import EVERYTHING

PLENTY = 20


@pytest.fixture
def where(tmp_path: Path) -> Iterator[Place]:
    with place("postgres18", tmp_path) as made:
        yield made


@pytest.fixture
def store(where: Place) -> Iterator[PostgresStore]:
    opened = PostgresStore(where.url)
    yield opened
    opened.close()


@pytest.fixture
def look(where: Place) -> Iterator[psycopg.Connection[Any]]:
    """A connection beside the store's."""
    with contextlib.closing(postgres(parse_url(where.url))) as connection:
        yield connection


def exchange(
    store: PostgresStore, number: int, wanted: int, ended: list[Lease] | None = None
) -> Exchanged:
    endings = [Ending(lease, JobState.SUCCEEDED) for lease in ended or ()]
    request = ClaimRequest("p", number, wanted, EVERYTHING)
    return store.run(store.exchange(endings, request))


def leases(given: Claim, process: str = "p") -> list[Lease]:
    return [Lease(claimed.id, process, claimed.run) for claimed in given.jobs]


def id_of(day: int, number: int) -> str:
    return first_id(day)[:-12] + f"{number:012x}"


def kill_others(look: psycopg.Connection[Any]) -> None:
    look.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )


def over(connection: psycopg.Connection[Any], op: Any) -> Any:
    """An operation over a connection that is not the store's."""

    def one(statement: Any) -> Any:
        if statement.query.name == "repeated":
            return False
        return execute(connection.cursor(), statement)

    return drive(op, one)
