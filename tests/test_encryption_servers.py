"""On servers too encrypted jobs run, and the plain text is in nothing that a server keeps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from psycopg import sql

from longshore import Longshore, Unique
from longshore.core.store_url import parse_url
from tests.encryption_tools import MARKER, NEW, OLD, application
from tests.places import Place, mysql, place, postgres
from tests.servers import private

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

#: What is not encrypted, and must be found wherever it is looked for.
CONTROL = "control-of-the-plain-text-0815"


def used(jobs: Any) -> None:
    """Have jobs in every form in which a store keeps arguments, results and steps."""
    vault, delayed = jobs.vault, {"delay": "1h"}
    plain = vault.using(encrypt=False).enqueue("open", CONTROL)
    unique = vault.using(unique=Unique(on_conflict="replace"), **delayed)
    assert unique.enqueue(MARKER, MARKER).id == unique.enqueue(MARKER, f"{MARKER} 2").id
    jobs.schedules.add("nightly", vault.bind(MARKER, MARKER), "0 5 * * *")
    handles = [plain, jobs.schedules.run_now("nightly")]
    with jobs.batch("batch", on_success=vault.using(**delayed).bind("end", MARKER)) as batch:
        handles += [batch.add(vault.bind(f"member {n}", MARKER)) for n in range(3)]
    with jobs.workflow("flow") as flow:
        first = flow.add(vault.bind("first", MARKER))
        second = flow.add(vault.bind("second", first.output))
    vault.using(**delayed).enqueue("later", MARKER)
    with jobs.worker(threads=2).running():
        assert second.handle.result(timeout=60) == f"second first {MARKER}"
        assert [one.result(timeout=60) for one in handles[1:]] == [
            f"{MARKER} {MARKER}",
            *(f"member {n} {MARKER}" for n in range(3)),
        ]
        assert plain.result(timeout=60) == f"open {CONTROL}"
    assert [one for one in jobs.query if MARKER in f"{one.record!r}"] == []


def forms(text: str) -> list[bytes]:
    """How a text looks as it is and in hexadecimal, as dumps write columns of bytes."""
    return [text.encode(), text.encode().hex().encode()]


def judged(content: bytes) -> None:
    assert any(form in content for form in forms(CONTROL)), "nothing was looked at"
    assert not any(form in content for form in forms(MARKER))


def postgres_tables(url: str) -> Iterator[str]:
    with contextlib.closing(postgres(parse_url(url))) as connection:
        rows = connection.execute(
            "select n.nspname, c.relname from pg_class as c join pg_namespace as n"
            " on n.oid = c.relnamespace where c.relkind = 'r' and n.nspname !~ '^pg_|^info'"
        ).fetchall()
        for schema, table in rows:
            whole = sql.SQL("select t::text from {} as t").format(sql.Identifier(schema, table))
            yield from (row[0] for row in connection.execute(whole).fetchall())


def mysql_tables(url: str) -> Iterator[str]:
    with contextlib.closing(mysql(parse_url(url))) as connection, connection.cursor() as cursor:
        cursor.execute("show tables")
        for (table,) in cursor.fetchall():
            cursor.execute(f"select * from `{table}`")
            yield repr(cursor.fetchall())


@pytest.mark.parametrize("kind", ["postgres16", "mariadb"])
def test_the_plain_text_is_in_no_table(kind: str, tmp_path: Path) -> None:
    with place(kind, tmp_path) as where:
        jobs = opened(where)
        used(jobs)
        dump = postgres_tables if kind == "postgres16" else mysql_tables
        judged("\n".join(dump(where.url)).encode())
        jobs.close()


@pytest.mark.private
@pytest.mark.parametrize("kind", ["redis", "valkey"])
def test_the_plain_text_is_in_no_file_of_redis(kind: str, tmp_path: Path) -> None:
    with private(kind) as server, place(kind, tmp_path, server) as where:
        with contextlib.closing(redis.Redis.from_url(where.url)) as client:
            client.config_set("appendonly", "yes")
            client.config_set("rdbcompression", "no")
            jobs = opened(where)
            used(jobs)
            client.save()
            folder = Path(client.config_get("dir")["dir"])
            files = [file for file in folder.rglob("*") if file.suffix in {".rdb", ".aof"}]
            assert {file.suffix for file in files} == {".rdb", ".aof"}
            for file in files:
                if file.name.endswith((".incr.aof", "dump.rdb")):
                    judged(file.read_bytes())
                assert not any(form in file.read_bytes() for form in forms(MARKER))
        jobs.close()


def opened(where: Place) -> Longshore:
    jobs: Any = application(where.url, [NEW, OLD], prefix=where.prefix)
    jobs.migrate()
    return jobs
