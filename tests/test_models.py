"""The models of `models/` hold for every order of events, and each of their mutants does not.

They need Spin and a C compiler, which come with no wheel: left out with the servers.
"""

from pathlib import Path

import pytest

from tools.models import Model, names

pytestmark = [pytest.mark.slow, pytest.mark.servers]


def test_there_is_a_model_of_each_part_where_the_order_of_events_decides() -> None:
    assert names() == ["batch", "lease", "tick", "unique"]


@pytest.mark.parametrize("name", names())
def test_a_model_holds_and_none_of_its_mutants_does(name: str, tmp_path: Path) -> None:
    model = Model(name, tmp_path)
    whole = model.run()
    assert whole.holds, f"{name}: {whole.what}; python -m tools.models {name} says more"
    # A model of a few states would hold because nothing happens in it.
    assert whole.states > 10_000
    numbers = [mutant.number for mutant in model.mutants]
    assert numbers == list(range(1, len(numbers) + 1))
    unseen = [mutant.name for mutant in model.mutants if model.run(mutant.number).holds]
    assert unseen == []
