"""The examples in docstrings run and give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import longshore

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(longshore.__path__, "longshore.")
    if not module.name.endswith("__main__") and ".programs" not in module.name
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0, f"{result.failed} of {result.attempted} examples; see the output"


def test_there_are_examples() -> None:
    """The walk finds the modules, and they have some."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [
        test
        for name in MODULES
        for test in finder.find(importlib.import_module(name))
        if test.examples
    ]
    assert {"longshore.app.Longshore", "longshore.jobclass.Job"} <= {test.name for test in found}
