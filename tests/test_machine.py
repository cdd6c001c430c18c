"""The stores of this repository live long random lives beside the reference model.

The lives are the same in every run; `./dev faults` lives others. With ``SHRINK=1`` in the
environment a life that fails is made short, which takes minutes.
"""

import os
from pathlib import Path

import pytest

from longshore.testing.machine import check_store
from tests.places import each
from tests.stores import OPEN

#: How many lives each store has, driven blocking and awaiting. Where one takes longer there are
#: fewer, and those that run the same statements share the lives.
EXAMPLES = {
    "memory": (150, 12),
    "sqlite": (60, 8),
    "postgres18": (16, 8),
    "mariadb": (16, 8),
    "valkey": (16, 8),
}
OTHERS = (6, 6)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("awaiting", [False, True], ids=["blocking", "awaiting"])
@pytest.mark.parametrize("store", each(*OPEN))
def test_a_store_lives_as_the_model_does(store: str, awaiting: bool, tmp_path: Path) -> None:
    examples = EXAMPLES.get(store, OTHERS)[awaiting]
    # A run that is out of time would go on to look for a shorter life that takes as long.
    shrink = "SHRINK" in os.environ
    open_store = OPEN[store](tmp_path)
    check_store(open_store, examples=examples, awaiting=awaiting, shrink=shrink, random=False)
