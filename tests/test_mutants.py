"""Every mutant kept in the repository still fits the sources it breaks; ./dev mutants runs them."""

import shutil
from pathlib import Path

import pytest

from tools import mutants_table
from tools.mutants import DoesNotFit, Mutant, apply, read_mutants

ROOT = Path(__file__).resolve().parent.parent
MUTANTS = read_mutants(ROOT)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_still_fits(mutant: Mutant, tmp_path: Path) -> None:
    source, copy = ROOT / mutant.file, tmp_path / mutant.file
    copy.parent.mkdir(parents=True)
    shutil.copy(source, copy)
    apply(mutant, tmp_path)
    assert copy.read_text("utf-8") != source.read_text("utf-8")
    if copy.suffix == ".py":
        compile(copy.read_text("utf-8"), mutant.file, "exec")


def test_a_mutant_without_its_line_is_told() -> None:
    lost = MUTANTS[0]._replace(old="a line that nobody wrote")
    with pytest.raises(DoesNotFit, match="0 times"):
        apply(lost, ROOT)


def test_each_store_is_broken_in_many_ways() -> None:
    for store in ("memory", "sqlite", "postgres", "mysql", "redis"):
        assert sum(mutant.store == store for mutant in MUTANTS) >= 40, store


def test_the_page_about_mutants_is_as_they_are() -> None:
    text = mutants_table.PAGE.read_text("utf-8")
    assert text == mutants_table.page(MUTANTS), "python -m tools.mutants --table writes it anew"


def test_a_mutant_that_breaks_something_new_is_on_the_page_too() -> None:
    new = MUTANTS[0]._replace(name="memory/new", breaks="I-0", killer="test_new")
    assert "### I-0\n\n* `test_new`: memory/new\n" in mutants_table.page([*MUTANTS, new])
