"""Ids: UUIDv7 text that sorts in the order of making, whatever threads, forks and clocks do."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from uuid import UUID

import pytest

from longshore import ids
from longshore.ids import is_id, new_id


def test_an_id_is_a_version_7_uuid_of_now() -> None:
    before = time.time_ns() // 1_000_000
    made = UUID(new_id())
    after = time.time_ns() // 1_000_000
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    # Another test of this process may have run ahead of the clock.
    assert before <= made.int >> 80 <= after + 2000


def test_ids_of_one_process_grow() -> None:
    made = [new_id() for _ in range(50_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert all(is_id(one) for one in made)


def test_a_clock_that_goes_back_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    first = new_id()
    now = time.time_ns()
    monkeypatch.setattr(ids, "time_ns", lambda: now - 3_600_000_000_000)
    made = [first, *(new_id() for _ in range(1000))]
    assert made == sorted(set(made))


def test_a_moment_whose_room_is_used_up_goes_on_in_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    later = time.time_ns() + 1_000_000_000
    monkeypatch.setattr(ids, "time_ns", lambda: later)
    # The latest start and the longest steps: 32 768 ids and not one more.
    monkeypatch.setattr(os, "urandom", lambda size: b"\xff" * size)
    made = [new_id() for _ in range(100_000)]
    assert made == sorted(set(made))
    assert len({one[:13] for one in made}) == 4
    assert all(is_id(one) for one in made)


def test_threads_never_share_an_id() -> None:
    made: list[list[str]] = [[] for _ in range(8)]
    go = threading.Event()

    def fill(own: list[str]) -> None:
        go.wait(10)
        own.extend(new_id() for _ in range(5_000))

    threads = [threading.Thread(target=fill, args=(own,)) for own in made]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(30)
    assert len({one for own in made for one in own}) == 40_000
    assert all(own == sorted(own) for own in made)


def test_a_signal_handler_gets_ids_of_its_own() -> None:
    from_handler: list[str] = []

    def handle(_signal: int, _frame: FrameType | None) -> None:
        from_handler.append(new_id())

    made = _interrupted(handle, new_id, seconds=0.3)
    assert from_handler
    assert len({*made, *from_handler}) == len(made) + len(from_handler)


def _interrupted(
    handle: Callable[[int, FrameType | None], None], call: Callable[[], str], *, seconds: float
) -> list[str]:
    """What ``call`` gives while a timer's signal comes in every half millisecond."""
    before = signal.signal(signal.SIGALRM, handle)
    made: list[str] = []
    deadline = time.monotonic() + seconds
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        while time.monotonic() < deadline:
            made.append(call())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return made


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_child_makes_other_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    # One and the same millisecond on both sides: only chance can tell them apart.
    monkeypatch.setattr(ids, "time_ns", lambda: now)
    new_id()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, "".join(new_id() for _ in range(100)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    own = {new_id() for _ in range(100)}
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read().decode()
    assert os.waitpid(child, 0)[1] == 0
    childs = set(re.findall(".{36}", told))
    assert len(childs) == 100
    assert not own & childs


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0193ab5c",
        "0193ab5c-0000-7000-8000-00000000000",
        "0193ab5c-0000-7000-8000-0000000000000",
        "0193AB5C-0000-7000-8000-000000000000",
        "{193ab5c-0000-7000-8000-000000000000",
        "0193ab5c00007000800000000000000000000",
        "0193ab5c-0000-7000-8000-000000000000\n",
        "\u0660193ab5c-0000-7000-8000-000000000000",
    ],
)
def test_what_is_no_id(text: str) -> None:
    assert not is_id(text)
