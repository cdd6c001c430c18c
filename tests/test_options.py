"""Options of jobs: queues, priorities, attempts, tags, meta (rows B15, B16, B21, B25)."""

import pytest

from longshore.core.options import (
    check_max_attempts,
    check_meta,
    check_priority,
    check_queue,
    check_tags,
)
from longshore.errors import InvalidOption, InvalidPriority, InvalidQueueName


@pytest.mark.parametrize("name", ["default", "a", "_x", "0", "mail.bulk-2", "x" * 64])
def test_queue_names(name):
    assert check_queue(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "x" * 300, "a b", "a/b", "../x", "{x}", "a\x00", "a\n", "*", ".a", "-a", "Mail", "é", 7],
)
def test_bad_queue_names(name):
    with pytest.raises(InvalidQueueName, match="queue="):
        check_queue(name)


@pytest.mark.parametrize("value", [-32_768, -1, 0, 32_767])
def test_priorities(value):
    assert check_priority(value) == value


@pytest.mark.parametrize("value", [-32_769, 32_768, 10**9, "high", "1", True, 1.0, None])
def test_bad_priorities(value):
    with pytest.raises(InvalidPriority, match=r"priority=.*-32768 to 32767"):
        check_priority(value)


@pytest.mark.parametrize("value", [0, -1, 10**6, True, "5", 2.5, None])
def test_bad_max_attempts(value):
    assert check_max_attempts(1) == 1
    assert check_max_attempts(100_000) == 100_000
    with pytest.raises(InvalidOption, match=r"max_attempts=.*from 1 .*to 100000"):
        check_max_attempts(value)


def test_tags():
    assert check_tags([]) == ()
    assert check_tags(["eu", "x" * 64]) == ("eu", "x" * 64)
    assert len(check_tags([f"t{n}" for n in range(20)])) == 20


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ("eu", "not a list"),
        (7, "not a list"),
        ([f"t{n}" for n in range(21)], "at most 20"),
        (["ok", "x" * 65], r"tags\[1\]"),
        ([""], r"tags\[0\]"),
        (["a\nb"], r"tags\[0\]"),
        ([7], r"tags\[0\]"),
        (["longshore.x"], "reserved"),
    ],
)
def test_bad_tags(tags, says):
    with pytest.raises(InvalidOption, match=says):
        check_tags(tags)


def test_meta():
    assert check_meta({"tenant": 7, "x": [1]}) == {"tenant": 7, "x": [1]}


@pytest.mark.parametrize(
    ("meta", "says"),
    [
        ([], "not a mapping"),
        ({1: 2}, "not text"),
        ({"longshore.x": 1}, "reserved"),
        ({"x": "y" * 8_192}, "8192"),
        ({"x": object()}, "JSON"),
    ],
)
def test_bad_meta(meta, says):
    with pytest.raises(InvalidOption, match=says):
        check_meta(meta)
