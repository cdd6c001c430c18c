"""Every store lives random lives beside the model, other ones in each run."""

from pathlib import Path

import pytest

from longshore.testing.machine import check_store
from tests.places import each
from tests.stores import OPEN


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("awaiting", [False, True], ids=["blocking", "awaiting"])
@pytest.mark.parametrize("store", each(*OPEN))
def test_a_store_lives_as_the_model_does(store: str, awaiting: bool, tmp_path: Path) -> None:
    check_store(OPEN[store](tmp_path), examples=200, awaiting=awaiting, shrink=False)
