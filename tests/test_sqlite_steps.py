"""What a SQLite file holds of steps and logs once their jobs are gone."""

import sqlite3
from pathlib import Path

from tests.places import place
from tests.steps_tools import assert_nothing_is_left


def test_no_steps_are_left_of_jobs_that_are_gone(tmp_path: Path) -> None:
    with place("sqlite", tmp_path) as where:
        assert_nothing_is_left(where, lambda _: sqlite3.connect(tmp_path / "jobs.db"))
