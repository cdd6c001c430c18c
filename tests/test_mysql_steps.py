"""What a MariaDB database holds of steps and logs once their jobs are gone."""

from pathlib import Path

import pytest

from tests.places import mysql, place
from tests.steps_tools import assert_nothing_is_left

pytestmark = pytest.mark.servers


def test_no_steps_are_left_of_jobs_that_are_gone(tmp_path: Path) -> None:
    with place("mariadb", tmp_path) as where:
        assert_nothing_is_left(where, mysql)
