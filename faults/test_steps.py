"""A loop over 100 000 items whose process is killed ten times, on every store."""

from pathlib import Path

import pytest

from tests.places import each
from tests.stepper_tools import kill_a_loop, stepper

pytestmark = [pytest.mark.timeout(300)]


@pytest.mark.parametrize("kind", each("sqlite", "postgres18", "mariadb", "redis", "valkey"))
def test_ten_kills_repeat_a_second_each_and_miss_nothing(kind: str, tmp_path: Path) -> None:
    with stepper(tmp_path) as opened:
        kill_a_loop(opened(kind), "rows_apart", 10)
