"""``outbox``: jobs on their way to a store elsewhere, and those that cannot go."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from longshore import Longshore
from longshore.worker.relay import Relay
from tests.cli.tools import Call

APP = """
from longshore import Longshore

jobs = Longshore("sqlite:///jobs.db", outbox="sqlite:///shop.db")

@jobs.job(kind="app.mail")
def mail(user: int) -> None: ...
"""


class Shop:
    """The application, and a way to enqueue in a transaction of its own database."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "shop.db"
        self.jobs = Longshore(f"sqlite:///{folder}/jobs.db", outbox=f"sqlite:///{self.database}")
        self.mail = self.jobs.job(kind="app.mail")(mail)
        self.jobs.migrate()

    def enqueue(self, user: int, **options: Any) -> str:
        with closing(sqlite3.connect(self.database)) as connection:
            handle = self.mail.using(connection=connection, **options).enqueue(user)
            connection.commit()
        return handle.id

    def relay(self) -> None:
        assert self.jobs.outbox is not None
        Relay(self.jobs.store, self.jobs.outbox.store).drain()

    def park(self) -> str:
        """A job whose id another one has."""
        taken = self.enqueue(1)
        self.relay()
        self.enqueue(2, id=taken)
        self.relay()
        return taken


def mail(user: int) -> None:
    """A job's body."""


@pytest.fixture
def shop(folder: Path) -> Iterator[Shop]:
    (folder / "shop.py").write_text(APP)
    made = Shop(folder)
    yield made
    made.jobs.close()


def test_an_application_without_an_outbox(run: Call) -> None:
    said = run("outbox", "list")
    assert said.code == 5
    assert "no outbox is set" in said.err


def test_what_waits_is_listed_with_what_is_parked(run: Call, shop: Shop) -> None:
    empty = run("outbox", "list", "-o", "table")
    assert (empty.code, empty.out) == (0, "")
    assert "nothing waits" in empty.err
    taken = shop.park()
    later = shop.enqueue(3)
    bad, good = run("outbox", "list", "-o", "json").json["rows"]
    assert (bad["id"], bad["kind"], bad["queue"]) == (taken, "app.mail", "default")
    assert "another job has this id" in bad["parked"]
    assert (good["id"], good["parked"]) == (later, None)
    assert run("outbox", "list", "--parked", "-o", "json").json["rows"] == [bad]
    assert "the first 1" in run("outbox", "list", "--limit", "1", "-o", "table").err


def test_rows_are_sent_on_once_the_reason_is_gone(run: Call, shop: Shop) -> None:
    taken = shop.park()
    assert shop.jobs.query.count() == 1
    (row,) = run("outbox", "list", "-o", "json").json["rows"]
    shop.jobs.store.run(shop.jobs.store.delete([taken]))
    said = run("outbox", "retry", str(row["row"]))
    assert (said.code, said.out) == (0, "")
    assert "1 row on their way again" in said.err
    shop.relay()
    assert shop.jobs.get(taken).record.payload.endswith(b'{"user":2}}')
    assert run("outbox", "list", "-o", "json").json["rows"] == []


def test_all_rows_are_sent_on(run: Call, shop: Shop) -> None:
    shop.park()
    assert run("outbox", "retry", "--all").code == 0
    assert run("outbox", "list", "--parked", "-o", "json").json["rows"] == []


def test_rows_are_discarded_when_a_person_says_so(run: Call, shop: Shop) -> None:
    shop.park()
    kept = shop.enqueue(3)
    assert run("outbox", "discard", "--all").code == 6
    assert len(run("outbox", "list", "-o", "json").json["rows"]) == 2
    assert run("outbox", "discard", "--all", "--yes").code == 0
    (row,) = run("outbox", "list", "-o", "json").json["rows"]
    assert row["id"] == kept


def test_rows_that_are_on_their_way_are_left_alone(run: Call, shop: Shop) -> None:
    shop.enqueue(3)
    (row,) = run("outbox", "list", "-o", "json").json["rows"]
    for verb in (["retry"], ["discard", "--yes"]):
        said = run("outbox", *verb, str(row["row"]))
        assert said.code == 8
        assert "not parked" in said.err
    assert run("outbox", "retry").code == 2
    assert run("outbox", "retry", "7", "--all").code == 2


def test_what_nobody_can_read_is_listed(run: Call, shop: Shop) -> None:
    shop.enqueue(1)
    with closing(sqlite3.connect(shop.database)) as connection:
        rows = [(b"not json",), (b'{"v":99,"job":{}}',)]
        for row in rows:
            connection.execute(
                "insert into longshore_outbox (store, job, made_at) "
                "select store, ?, made_at from longshore_outbox limit 1",
                row,
            )
        connection.commit()
    _, damaged, newer = run("outbox", "list", "-o", "json").json["rows"]
    assert "cannot be read" in damaged["parked"]
    assert "newer release" in newer["parked"]
    assert damaged["id"] is newer["kind"] is None


def test_doctor_tells_of_rows_that_are_parked(run: Call, shop: Shop) -> None:
    shop.enqueue(3)
    assert "1 job on the way, none parked" in run("doctor").out
    shop.park()
    said = run("doctor", "-o", "json").json["findings"]
    (found,) = [one for one in said if one["about"] == "outbox"]
    assert found["result"] == "warn"
    assert "another job has this id" in found["found"]
    assert "longshore outbox" in found["do"]


def test_what_was_for_a_store_that_was_emptied_is_adopted(
    run: Call, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    kept = shop.enqueue(3)
    with closing(sqlite3.connect(shop.database)) as connection:
        connection.execute("update longshore_outbox set store = 'c37b'")
        connection.commit()
    shop.relay()
    assert "the outbox has 1 job for store c37b" in caplog.text
    assert "longshore outbox adopt c37b" in run("outbox", "list").err
    said = run("doctor", "-o", "json").json["findings"]
    (found,) = [one for one in said if one["about"] == "outbox"]
    assert found["result"] == "warn"
    assert run("outbox", "adopt", "another").code == 8
    assert run("outbox", "adopt", "c37b").code == 0
    shop.relay()
    assert shop.jobs.get(kept).state == "available"


def test_what_changes_while_a_person_is_asked_is_left_alone(
    run: Call, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.park()

    def meanwhile(*_: object) -> None:
        with closing(sqlite3.connect(shop.database)) as connection:
            connection.execute("update longshore_outbox set parked = null")
            connection.commit()

    monkeypatch.setattr("longshore.cli.commands.outbox.confirm", meanwhile)
    said = run("outbox", "discard", "--all")
    assert (said.code, "0 rows deleted" in said.err) == (1, True)


def test_doctor_tells_of_an_outbox_that_cannot_be_used(run: Call, shop: Shop) -> None:
    shop.jobs.close()
    shop.database.write_bytes(b"no database" * 100)
    said = run("doctor", "-o", "json")
    assert said.code == 1
    (found,) = [one for one in said.json["findings"] if one["about"] == "outbox"]
    assert found["result"] == "fail"
