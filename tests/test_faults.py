"""A few rows of the fault programme, small: ./dev faults plays all of them in full size.

Bounds in seconds are not judged here: they are of the machine too.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from faults.frame import all_rows
from faults.records import Criterion, Result, keep, kept
from faults.trial import Plan, run
from tests.places import SERVERS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SELECTED = (
    *("F02 sqlite", "F03 sqlite", "F04 sqlite", "F07 sqlite", "F16 sqlite", "F51 sqlite"),
    *("F03 redis", "F04 postgres18", "F02 mariadb"),
)


def selected(text: str) -> object:
    marks = [pytest.mark.servers] if text.split()[1] in SERVERS else []
    return pytest.param(*text.split(), marks=marks, id=text.replace(" ", "-"))


@pytest.mark.parametrize(("number", "store"), [selected(text) for text in SELECTED])
def test_a_row_holds(number: str, store: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    result = run(all_rows()[number], Plan(store=store, jobs=100), tmp_path)
    assert result.acked == result.ran >= 100
    assert result.held, result.broken


def test_a_store_without_a_fence_is_seen(tmp_path: Path) -> None:
    """The control: without it the rows above would prove nothing."""
    result = run(all_rows()["C3"], Plan(store="sqlite", jobs=8), tmp_path)
    assert result.held, result.broken
    assert result.zombie >= 1


def test_every_row_says_what_it_is_for() -> None:
    rows = all_rows()
    assert len({row.title for row in rows.values()}) == len(rows)
    for row in rows.values():
        assert row.on, row.number
        assert row.title[0].islower() or row.title[:2].isupper(), row.title


def test_results_are_kept_by_row_store_and_seed(tmp_path: Path) -> None:
    good = Result(
        row="F99", title="t", store="redis", seed=2, jobs=10, rate=5, lease=3, acked=10, lost=1
    )
    slow = Criterion("quick", passed=False, found="3 s", timed=True)
    for one in (good, Result(**{**vars_of(good), "seed": 1, "criteria": (slow,)})):
        keep(one, tmp_path)
    keep(Result(**{**vars_of(good), "lost": 0}), tmp_path)
    first, second = kept("F99", tmp_path)
    assert (first.seed, first.passed, first.held) == (1, False, True)
    assert (second.seed, second.lost, second.passed) == (2, 0, True)
    assert first.broken == "quick (3 s)"
    assert second.command == (
        "./dev faults --row F99 --store redis --seed 2 --jobs 10 --rate 5 --lease 3"
    )


def vars_of(result: Result) -> dict[str, object]:
    return {field: getattr(result, field) for field in result.__struct_fields__}
