"""A PostgreSQL database: what claims and inserts read where jobs have rules, however many wait."""

from typing import Any

import msgspec
import psycopg
import pytest

from longshore.core.fitness import store_findings
from longshore.core.limits import BLOCKED, Fair, Hold, Limit, Rules, SetKind
from longshore.core.model import Ending, JobState, Lease
from longshore.core.store import Filter
from longshore.core.store_url import parse_url
from longshore.stores.postgres.store import PostgresStore
from tests import postgres_tools
from tests.places import Place
from tests.store_tools import claim, job, register

pytestmark = pytest.mark.servers

where = postgres_tools.where
store = postgres_tools.store
look = postgres_tools.look

ONE_AT_ONCE = Rules(limits=(Limit("account", "7", to=1),))
UNIQUE = Rules(hold=Hold("key"))


def test_a_claim_reads_nothing_of_a_hundred_thousand_that_wait_for_a_limit(
    store: PostgresStore, look: psycopg.Connection[Any]
) -> None:
    register(store)
    running, free = job(rules=ONE_AT_ONCE), job(queue="z")
    store.run(store.insert([running, free]))
    assert claim(store, 1, 1) == [running.id]
    many(look, 100_000, blocked_by="c:account:7", rules=ONE_AT_ONCE)
    look.execute("vacuum analyze longshore_job")
    buffers = reads(look, store, "look", process_id="p", claim_id=9, now=None, any=True)
    assert buffers < 60, buffers
    assert claim(store, 2) == [free.id]
    lease = Lease(running.id, "p", 1)
    before = read_by(look)
    store.run(store.finish([Ending(lease, JobState.SUCCEEDED)]))
    assert len(claim(store, 3)) == 1
    assert read_by(look) - before < 1000
    blocked = look.execute("select count(*) from longshore_job where blocked_by is not null")
    assert 100_000 - BLOCKED < blocked.fetchone()[0] < 100_000


def test_a_claim_reads_the_first_of_each_value_that_takes_turns(
    store: PostgresStore, look: psycopg.Connection[Any]
) -> None:
    register(store)
    store.migrate()
    for value in range(10):
        many(look, 10_000, fair_key=f"={value}", rules=Rules(fair=Fair(f"={value}")))
    look.execute("vacuum analyze longshore_job")
    assert len(claim(store, 1)) == 10
    before = read_by(look)
    assert len(claim(store, 2)) == 10
    assert read_by(look) - before < 1000


def test_a_unique_key_is_found_by_its_index(
    store: PostgresStore, look: psycopg.Connection[Any]
) -> None:
    store.migrate()
    many(look, 20_000, rules=None)
    store.run(store.insert([job(rules=UNIQUE, identity="me")]))
    look.execute("vacuum analyze longshore_job")
    before = read_by(look)
    answer = store.run(store.insert([job(rules=UNIQUE)]))
    assert answer[0].held
    page = store.run(store.find(Filter(identities=("me",)), limit=10))
    assert [record.id for record in page.records] == [answer[0].id]
    assert read_by(look) - before < 100


def test_a_paused_kind_costs_each_of_its_jobs_one_look(store: PostgresStore) -> None:
    register(store)
    new = [job(kind="app.other") for _ in range(50)]
    store.run(store.insert(new))
    store.run(store.set_kind(SetKind("app.other", paused=True)))
    assert claim(store, 1) == []
    records = store.run(store.get([one.id for one in new])).values()
    assert {record.blocked_by for record in records} == {"k:app.other"}
    store.run(store.set_kind(SetKind("app.other", paused=False)))
    assert claim(store, 2, 50) == [one.id for one in new]


def many(look: psycopg.Connection[Any], count: int, **columns: Any) -> None:
    """Rows as an insert, or a claim that met them, leaves them."""
    rules = columns.pop("rules")
    given = {"rules": None if rules is None else msgspec.json.encode(rules).decode(), **columns}
    look.execute(
        "insert into longshore_job (id, scheduled_at, created_at, max_attempts, priority, state,"
        f" queue, kind, payload, {', '.join(given)})"
        " select gen_random_uuid(), n, n, 25, 0, 'available', 'default', 'app.job', '{}',"
        f" {', '.join(['%s::text'] * len(given))} from generate_series(1, %s) as n",
        [*given.values(), count],
    )


def reads(look: psycopg.Connection[Any], store: PostgresStore, name: str, **params: Any) -> int:
    """How many pages one query of the store looks at."""
    text = store.sql[name].text
    (row,) = look.execute(f"explain (analyze, buffers, format json) {text}", params).fetchall()
    plan = row[0][0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def read_by(look: psycopg.Connection[Any]) -> int:
    """How many pages of the jobs and their indexes have been looked at by anybody."""
    look.execute("select pg_stat_force_next_flush()")
    row = look.execute(
        "select heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit"
        " from pg_statio_user_tables where relname = 'longshore_job'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_doctor_tells_of_a_search_path_without_a_schema(
    where: Place, look: psycopg.Connection[Any]
) -> None:
    look.execute(f"alter database {parse_url(where.url).path} set search_path = nowhere")
    store = PostgresStore(where.url)
    (found,) = [one for one in store_findings(store.facts()[0]) if one.about == "schema"]
    store.close()
    assert found.refuses
    assert "search_path is nowhere" in found.found
