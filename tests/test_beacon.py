"""The page that a child shares with its supervisor: its places, and what it costs a reader."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from longshore.worker.beacon import Beacon


@pytest.fixture
def beacon() -> Iterator[Beacon]:
    shared = Beacon.create()
    with closing(Beacon(shared)) as beacon:
        os.close(shared)
        yield beacon


def job(number: int) -> str:
    return f"{number:036}"


def settled(place: int) -> Any:
    return SimpleNamespace(place=place)


def test_every_place_is_taken_once_and_again_only_when_it_was_settled(beacon: Beacon) -> None:
    places = list(iter(lambda: beacon.started(job(1), 1), -1))
    assert len(places) == len(set(places)) > 4000
    assert beacon.started(job(1), 1) == -1
    beacon.settled([settled(places[7]), settled(places[3])])
    # What waited longest comes first: a body that was given up may still have something to say.
    assert [beacon.started(job(1), 2) for _ in range(3)] == [places[7], places[3], -1]
    assert {run for _, run in beacon.read_started()} == {1, 2}


def test_a_settled_place_waits_until_all_others_were_taken(beacon: Beacon) -> None:
    first = beacon.started(job(0), 1)
    beacon.settled([settled(first)])
    others = {beacon.started(job(number), 1) for number in range(1, 4000)}
    assert first not in others


def test_a_page_of_which_nobody_takes_places_is_cheap() -> None:
    """A supervisor has one for each of its children."""
    shared = Beacon.create()
    tracemalloc.start()
    try:
        with closing(Beacon(shared)):
            size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        os.close(shared)
    assert size < 10_000
