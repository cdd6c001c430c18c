"""What a PostgreSQL database holds of steps and logs once their jobs are gone."""

from pathlib import Path

import pytest

from tests.places import place, postgres
from tests.steps_tools import assert_nothing_is_left

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("kind", ["postgres16", "postgres18"])
def test_no_steps_are_left_of_jobs_that_are_gone(kind: str, tmp_path: Path) -> None:
    with place(kind, tmp_path) as where:
        assert_nothing_is_left(where, postgres)
