"""Rates of one name count together, so they have one period."""

from __future__ import annotations

import pytest

from longshore import Concurrency, InvalidOption, Longshore, Rate


def sync() -> None: ...


@pytest.mark.parametrize("other", [("sync", "all"), ("all", None)])
def test_rates_that_count_together_have_one_period(other: tuple[str, str | None]) -> None:
    kind, group = other
    jobs = Longshore("memory://")
    jobs.job(kind=kind, rate=Rate(5, per="10s", group=group))(sync)
    with pytest.raises(InvalidOption, match=rf"that of job {kind} as 'all', in 100 ms here"):
        jobs.job(kind="fast", rate=Rate(50, per="100ms", group="all"))(sync)
    assert jobs.registry.find("fast") is None
    jobs.job(kind="same", rate=Rate(50, per="10s", group="all"))(sync)
    jobs.job(kind="apart", concurrency=Concurrency(to=5, group="all"))(sync)
    jobs.close()
