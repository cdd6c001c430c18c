"""The machine's pulse: a test that failed while it stood still is run once more, no other is."""

import os
import signal
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests import conftest, servers
from tests.harbour_tools import are_stopped, eventually
from tests.pulse import BEAT, STILL, Pulse


def test_a_machine_that_goes_on_has_a_pulse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: list[int] = []
    monkeypatch.setattr(os, "fsync", beats.append)
    pulse = Pulse(tmp_path)
    pulse.start()
    try:
        eventually(lambda: len(beats) > 2)
    finally:
        pulse.stop()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_keeps_nothing_for_a_while_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stands = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda _: stands.wait(STILL + BEAT))
    begun = time.monotonic()
    pulse = Pulse(tmp_path)
    pulse.start()
    try:
        eventually(lambda: pulse.delays(begun))
        stands.set()
        assert min(pulse.delays()) >= STILL
        assert pulse.delays(time.monotonic() + 60) == []
    finally:
        stands.set()
        pulse.stop()


def test_a_machine_that_stands_still_before_the_first_beat_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    make = tempfile.TemporaryFile

    def late(dir: Path) -> object:  # noqa: A002 - as its caller names it
        goes_on.wait()
        return make(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", late)
    pulse = Pulse(tmp_path)
    pulse.start()
    try:
        threading.Event().wait(STILL + 2 * BEAT)
        goes_on.set()
        eventually(pulse.delays)
        assert min(pulse.delays()) >= STILL
    finally:
        goes_on.set()
        pulse.stop()


def test_the_keeper_of_a_run_tells_when_the_machine_stood_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(servers.VARIABLE, os.environ[servers.VARIABLE])
    sections: list[tuple[str, ...]] = []
    test = cast(
        "Any",
        SimpleNamespace(
            stash={conftest.BEGUN: time.monotonic()},
            add_report_section=lambda *told: sections.append(told),
        ),
    )
    keeping = servers.Keeping()
    keeping.begin()
    try:
        assert servers.delays(time.monotonic() + 60) == []
        os.kill(keeping.pid, signal.SIGSTOP)
        eventually(lambda: are_stopped(keeping.pid))
        threading.Event().wait(STILL + 2 * BEAT)
        os.kill(keeping.pid, signal.SIGCONT)
        eventually(lambda: conftest.has_stood_still(test))
        test.stash[conftest.BEGUN] = time.monotonic() + 60
        assert not conftest.has_stood_still(test)
    finally:
        keeping.end()
    assert "stood still for [" in sections[-2][2]
    assert sections[-1] == ("call", "machine", "it stood still for no time")
