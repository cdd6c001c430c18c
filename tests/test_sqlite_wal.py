"""A log that cannot be folded in, since somebody reads an old snapshot of the file."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from longshore.stores.sqlite import file, wal
from longshore.stores.sqlite.store import SQLiteStore
from tests.store_tools import job

FEW = 100_000
LARGE = b'"' + b"x" * 1_000_000 + b'"'


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(wal, "MOST", FEW)
    monkeypatch.setattr(file, "MOST", FEW)
    return tmp_path / "jobs.db"


def test_a_log_that_only_grows_is_told_of_and_becomes_short_again(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SQLiteStore(str(path), synchronous="normal")
    store.migrate()

    def work(rounds: int) -> int:
        for _ in range(rounds):
            store.run(store.insert([job(payload=LARGE)]))
        store._look_again = 0.0  # as some seconds later
        store.run(store.insert([job()]))
        return path.with_name("jobs.db-wal").stat().st_size

    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("begin")
        assert reader.execute("select count(*) from longshore_job").fetchone() == (0,)
        held = work(30)
        work(1)
        reader.execute("rollback")
    assert held > 30_000_000, "far more than the log that is folded in now and then"
    assert caplog.text.count("its log jobs.db-wal has grown to") == 1, "and once"
    # At the end of the reader it is folded in by the next commit, and begun anew by the one after.
    assert work(2) <= FEW + 4_000_000
    store.close()


def test_a_log_that_is_folded_in_is_not_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SQLiteStore(str(tmp_path / "jobs.db"), synchronous="normal")
    for _ in range(30):
        store.run(store.insert([job(payload=LARGE)]))
    store._look_again = 0.0
    store.run(store.insert([job()]))
    assert "has grown" not in caplog.text
    store.close()
