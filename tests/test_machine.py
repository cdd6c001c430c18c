"""The stores of this repository live long random lives beside the reference model."""

from pathlib import Path

import pytest

from longshore.testing.machine import check_store
from tests.stores import OPEN


@pytest.mark.timeout(400)  # a failing life is made short before it is shown: that takes minutes
@pytest.mark.parametrize(("store", "examples"), [("memory", 300), ("sqlite", 180)])
def test_a_store_lives_as_the_model_does(store: str, examples: int, tmp_path: Path) -> None:
    check_store(OPEN[store](tmp_path), examples=examples)
