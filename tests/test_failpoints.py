"""Failpoints: what their variable means, that each is met when it should be, and only where set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from longshore import ConfigurationError, Longshore
from longshore.worker import failpoints
from longshore.worker.failpoints import Failpoint, install, parse


def test_the_variable_names_points_and_actions() -> None:
    assert parse("after_claim:kill@3, in_tx:stop") == (
        Failpoint("after_claim", "kill", 3),
        Failpoint("in_tx", "stop", 1),
    )
    assert parse("") == ()


@pytest.mark.parametrize("text", ["sometime:kill", "in_tx:jump", "in_tx:kill@x", "in_tx", "x"])
def test_a_misspelt_failpoint_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        parse(text)


@pytest.fixture
def met(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was met, instead of an end."""
    seen: list[str] = []
    for point in failpoints.POINTS:
        monkeypatch.setitem(failpoints.ACTIONS, point, lambda point=point: seen.append(point))
    return seen


def test_each_point_is_met_at_its_moment(tmp_path: Path, met: list[str]) -> None:
    jobs = Longshore(store=f"sqlite:///{tmp_path}/jobs.db")
    jobs.migrate()
    jobs.job(kind="nothing")(lambda: None)
    text = ", ".join(f"{point}:{point}@{at}" for point in failpoints.POINTS for at in (1, 2))
    install(jobs.store, text)
    for _ in range(2):
        jobs.push({"kind": "nothing"})
    jobs.worker(threads=1).run(until_empty=True)
    jobs.close()
    assert met[:2] == ["before_claim", "after_claim"]
    ended = met.index("before_complete")
    assert met[ended:].index("in_tx") < met[ended:].index("complete_sent")
    assert met.count("in_tx") == met.count("before_complete")
    assert "before_tick_insert" not in met


def test_only_the_time_that_is_named_acts(met: list[str]) -> None:
    points = failpoints.Points(parse("in_tx:in_tx@3"))
    for _ in range(5):
        points.meet("in_tx")
        points.meet("after_claim")
    assert met == ["in_tx"]


@pytest.mark.slow
def test_unset_they_are_not_even_imported(tmp_path: Path) -> None:
    told = {True: "set", False: "unset"}
    for given, name in told.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "harbour.py").write_text(
            "import sys\nfrom pathlib import Path\nfrom longshore import Longshore\n"
            f"jobs = Longshore(store='sqlite:///{folder}/jobs.db')\n"
            "@jobs.job(kind='note')\ndef note() -> None:\n"
            "    names = [n for n in sys.modules if n.endswith('failpoints')]\n"
            "    Path('seen').write_text(' '.join(names) or 'none')\n"
        )
        jobs = Longshore(store=f"sqlite:///{folder}/jobs.db")
        jobs.migrate()
        jobs.push({"kind": "note"})
        jobs.close()
        environment = {k: v for k, v in os.environ.items() if k != failpoints.VARIABLE}
        if given:
            environment[failpoints.VARIABLE] = "after_claim:kill@999"
        subprocess.run(
            [*(sys.executable, "-m", "longshore", "-A", "harbour:jobs"), "worker", "--until-empty"],
            cwd=folder,
            env=environment,
            check=True,
            timeout=50,
            capture_output=True,
        )
        expected = "longshore.worker.failpoints" if given else "none"
        assert (folder / "seen").read_text() == expected
