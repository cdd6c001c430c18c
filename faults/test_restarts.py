"""Servers crash ten times in a row, or stay away for long, under load."""

from pathlib import Path

import pytest

from tests.places import each
from tests.restart_tools import ACKNOWLEDGED, Load, under_load

pytestmark = [pytest.mark.timeout(600)]
#: Enqueue again at once, so that every crash comes in the middle of many requests.
PACE = 0.0005
CRASHING = each("postgres16", "postgres18", "mariadb", "redis", "valkey")


@pytest.mark.parametrize("kind", CRASHING)
def test_ten_crashes_lose_nothing(kind: str, tmp_path: Path) -> None:
    with under_load(kind, tmp_path, pace=PACE) as load:
        for number in range(10):
            load.crash(down=(number % 3) / 2, after=200)
        load.settle()
        tell(kind, load)


@pytest.mark.parametrize("kind", CRASHING)
def test_an_outage_longer_than_the_patience_of_a_store(kind: str, tmp_path: Path) -> None:
    with under_load(kind, tmp_path, lease=60) as load:
        load.crash(down=20)
        load.settle()
        tell(kind, load)


@pytest.mark.parametrize("kind", each("postgres18", "redis"))
def test_of_servers_that_keep_nothing_the_accounts_show_the_loss(kind: str, tmp_path: Path) -> None:
    """A run of the others counts only if this one loses."""
    with under_load(kind, tmp_path, pace=PACE, durable=False) as load:
        for _ in range(3):
            load.crash()
        with pytest.raises(AssertionError, match=ACKNOWLEDGED):
            load.settle(within=5)


def tell(kind: str, load: Load) -> None:
    """One line for the report, shown with -rP."""
    tried = sum(len(producer.tried) for producer in load.producers)
    acked = sum(len(producer.acked) for producer in load.producers)
    print(
        f"{kind}: {len(load.back)} crashes, {tried} enqueued, {acked} acknowledged, none lost;"
        f" the slowest client was back after {max(load.back):.2f} s"
    )
