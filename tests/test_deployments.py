"""Stores as people deploy them: odd names and passwords, servers with odd defaults."""

import os
import sqlite3
from pathlib import Path

import psycopg
import pymysql
import pytest

from longshore import Longshore
from longshore.core.fitness import store_findings
from longshore.core.store_url import parse_url
from longshore.errors import ConfigurationError, StoreDenied, StoreUnfit
from longshore.stores.postgres.problems import explained
from longshore.stores.redis.wire import Place
from longshore.stores.sqlite import file as sqlite_file
from tests.servers import private


def app_at(url: str) -> Longshore:
    app = Longshore(url)

    @app.job(kind="note")
    def note(number: int) -> None:
        """Never run."""

    return app


def refusals(app: Longshore) -> list[str]:
    (facts,) = app.store.facts()
    return [one.found for one in store_findings(facts, processes=1) if one.refuses]


# --- one file, one name -----------------------------------------------------------------------


def test_a_sqlite_file_with_a_hard_link_is_refused(tmp_path: Path) -> None:
    path, other = tmp_path / "jobs.db", tmp_path / "other.db"
    app = app_at(f"sqlite:///{path}")
    app.push({"kind": "note", "args": [1]})
    os.link(path, other)
    app.push({"kind": "note", "args": [2]})  # what is open goes on: nobody may have used the link
    for name in (path, other):
        late = app_at(f"sqlite:///{name}")
        with pytest.raises(StoreUnfit, match="has 2 names"):
            late.push({"kind": "note", "args": [3]})
        assert any("has 2 names" in found for found in refusals(late))
        late.close()
    other.unlink()
    late = app_at(f"sqlite:///{path}")
    assert late.query.count() == 2
    late.close()
    app.close()


def test_a_sqlite_file_that_is_mounted_by_itself_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "jobs db"
    sqlite3.connect(path).close()
    app = app_at(f"sqlite:///{tmp_path}/jobs%20db")
    mounts = tmp_path / "mounts"
    named = str(path).replace(" ", r"\040")  # as the system tells it
    mounts.write_text(f"/dev/a / ext4 rw 0 0\n/dev/b {named} ext4 rw 0 0\n")
    monkeypatch.setattr(sqlite_file, "MOUNTS", str(mounts))
    with pytest.raises(StoreUnfit, match="mounted by itself"):
        app.push({"kind": "note", "args": [1]})
    assert any("mounted by itself" in found for found in refusals(app))
    mounts.write_text(f"/dev/a / ext4 rw 0 0\n/dev/b {tmp_path} ext4 rw 0 0\n")
    assert refusals(app) == []
    app.close()


def test_a_symbolic_link_to_a_sqlite_file_is_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "jobs.db")
    for name in ("jobs.db", "link.db"):
        app = app_at(f"sqlite:///{tmp_path}/{name}")
        app.push({"kind": "note", "args": [1]})
        assert refusals(app) == []
        app.close()
    app = app_at(f"sqlite:///{tmp_path}/jobs.db")
    assert app.query.count() == 2
    app.close()


# --- addresses --------------------------------------------------------------------------------


def test_the_folder_of_a_socket_keeps_its_case() -> None:
    assert parse_url("postgresql://app@%2Frun%2FPg%2Fs:5433/Shop").host == "/run/Pg/s"
    assert parse_url("postgresql://app@DB.Example:5433/Shop").host == "db.example"


@pytest.mark.parametrize(
    ("user", "password", "said"),
    [
        (None, None, None),
        (None, "secret", b"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n"),
        ("jobs_web", "secret", b"*3\r\n$4\r\nAUTH\r\n$8\r\njobs_web\r\n$6\r\nsecret\r\n"),
        ("jobs_web", None, b"*3\r\n$4\r\nAUTH\r\n$8\r\njobs_web\r\n$0\r\n\r\n"),
    ],
)
def test_redis_is_told_who_comes(
    user: str | None, password: str | None, said: bytes | None
) -> None:
    greeting = Place(host="localhost", port=1, user=user, password=password).greeting()
    assert [line for line in greeting if b"AUTH" in line] == ([said] if said else [])


def test_a_pooler_without_the_database_is_no_server_that_is_away() -> None:
    error = psycopg.OperationalError("connection failed: FATAL:  no such database: shop")
    assert isinstance(explained(error, "there"), StoreDenied)


# --- encryption of connections ------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "mysql://app:secret@127.0.0.1:9/shop?ssl_ca={}",
        "rediss://app:secret@127.0.0.1:9/0?ca={}",
        "rediss://app:secret@127.0.0.1:9/0?cert={}",
    ],
)
@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_certificate_that_cannot_be_used_is_named(
    tmp_path: Path, url: str, text: str | None
) -> None:
    """At once: a server that is tried again and again does not mend a missing file."""
    file = tmp_path / "file.pem"
    if text:
        file.write_text(text)
    option = url.partition("?")[2].partition("=")[0]
    app = app_at(url.format(file))
    with pytest.raises(ConfigurationError, match=rf"{option}=.*file\.pem cannot be used") as raised:
        app.push({"kind": "note", "args": [1]})
    assert "@127.0.0.1:9/" in str(raised.value)
    assert "secret" not in str(raised.value)
    app.close()


# --- MariaDB ----------------------------------------------------------------------------------


@pytest.mark.servers
@pytest.mark.private
def test_mariadb_with_odd_defaults_and_passwords() -> None:
    with private("mariadb") as server:
        port = parse_url(server.url).port
        admin = pymysql.connect(host="127.0.0.1", port=port, user="root", autocommit=True)
        with admin, admin.cursor() as cursor:
            cursor.execute("set global completion_type = 'CHAIN', global sql_select_limit = 1")
            cursor.execute("create database odd")
            for number, password in enumerate(("plain", "é", "пароль")):
                cursor.execute(f"create user u{number}@'%%' identified by %s", (password,))
                cursor.execute(f"grant all on odd.* to u{number}@'%'")
        for number, password in enumerate(
            ("plain", "%C3%A9", "%D0%BF%D0%B0%D1%80%D0%BE%D0%BB%D1%8C")
        ):
            app = app_at(f"mysql://u{number}:{password}@127.0.0.1:{port}/odd")
            note = app.job(kind="odd.note")(print)
            app.enqueue_many([note.bind(n) for n in range(3)])
            for n in range(5):
                note.enqueue(n)
            other = app_at(f"mysql://u{number}:{password}@127.0.0.1:{port}/odd")
            assert other.query.count() == 8 * (number + 1), "all that was acknowledged is committed"
            assert refusals(other) == []
            other.close()
            app.close()
