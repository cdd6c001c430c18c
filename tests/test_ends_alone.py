"""A worker that is told to stop ends in time, although its store does not answer any more."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest

from longshore.worker.errands import end_together
from tests.fault_tools import behind, line_to
from tests.harbour_tools import Harbour, eventually
from tests.places import each, place

GRACE = 2.0
#: The longest that a call may take.
CALL = 5.0


@pytest.mark.timed
@pytest.mark.slow
@pytest.mark.timeout(90)
@pytest.mark.parametrize("kind", each("postgres18", "mariadb", "redis"))
def test_a_worker_ends_although_its_store_does_not_answer(kind: str, tmp_path: Path) -> None:
    """Its bodies have their time, then the store has that of one call: leases do the rest."""
    with line_to(kind) as line, place(kind, tmp_path) as where:
        harbour = Harbour(tmp_path, lease=15, **behind(line, where).environment)
        try:
            held = harbour.app.nap.enqueue(30)
            worker = harbour.worker("--shutdown-timeout", str(GRACE), processes=2)
            eventually(lambda: harbour.starts(held.id), 30, "its start")
            line.blackhole()
            told = time.monotonic()
            worker.send_signal(signal.SIGTERM)
            worker.wait(30)
            assert time.monotonic() - told < GRACE + CALL
            line.heal()
            assert "Traceback" not in harbour.logs()
        finally:
            line.heal()
            harbour.stop()


def test_who_does_not_end_in_time_is_left_behind() -> None:
    done, began = list[str](), time.monotonic()

    def slow() -> None:
        threading.Event().wait(5)

    end_together([slow, lambda: done.append("quick")], began + 0.2)
    assert done == ["quick"]
    assert time.monotonic() - began < 2
