"""Servers crash under load: what they acknowledged is not lost, and everybody comes back.

Ten crashes in a row, long outages and more servers are in `./dev faults`.
"""

from pathlib import Path

import pytest

from tests.places import each
from tests.restart_tools import ACKNOWLEDGED, under_load

pytestmark = [pytest.mark.slow, pytest.mark.private, pytest.mark.timeout(120)]


@pytest.mark.parametrize("kind", each("postgres18", "mariadb", "redis", "valkey"))
def test_a_server_crashes_twice_under_load(kind: str, tmp_path: Path) -> None:
    with under_load(kind, tmp_path) as load:
        load.crash()
        load.crash(down=1)
        load.settle()


@pytest.mark.servers
def test_of_a_server_that_keeps_nothing_the_accounts_show_the_loss(tmp_path: Path) -> None:
    """Without this the tests above would prove nothing."""
    with under_load("valkey", tmp_path, durable=False, pace=0.0005) as load:
        load.crash()
        # An acknowledged job never ran, or one that ran is not stored any more.
        with pytest.raises(AssertionError, match=f"{ACKNOWLEDGED}|every stored job ran"):
            load.settle(within=3)
