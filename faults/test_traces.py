"""Every store plays scripts of other seeds beside the memory store, by every way to drive it."""

import random
from pathlib import Path

import pytest

from longshore.testing.conformance.bench import Bench
from longshore.testing.conformance.trace import RETENTION, Script, Stage
from tests.places import each
from tests.stores import OPEN

SCRIPTS = 10


@pytest.mark.timeout(900)
@pytest.mark.parametrize("awaiting", [False, True], ids=["blocking", "awaiting"])
@pytest.mark.parametrize("store", each(*OPEN))
def test_scripts_of_any_seed_give_one_trace(store: str, awaiting: bool, tmp_path: Path) -> None:
    bench = Bench(OPEN[store](tmp_path), awaiting=awaiting)
    try:
        for _ in range(SCRIPTS):
            seed = random.SystemRandom().randrange(1_000_000)
            print(f"{store}: seed {seed}")
            bench.open(RETENTION)
            Script(seed, Stage(bench.store, bench.clock, bench.drive)).play()
    finally:
        bench.close()
