"""How a body is called from its payload: by position only where it cannot tell."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from longshore import JobState, Longshore
from longshore.errors import PayloadMismatch
from tests.codec_samples import LIMIT, signature


def pair(first: int, second: str) -> None: ...


def by_name(first: int, *, second: str) -> None: ...


def perhaps(first: int, second: str = "b") -> None: ...


@functools.wraps(pair)
def wrapped(*args: Any, **kwargs: Any) -> None: ...


def marked(first: int, second: str) -> None: ...


marked.__dict__["note"] = "somebody looks at it"

TWISTED = b'{"v":1,"args":[],"kwargs":{"second":"b","first":1}}'


def test_a_bare_function_is_called_by_position_in_the_order_of_its_parameters() -> None:
    resolved = signature(pair)
    resolved.resolve()
    assert resolved.decode_call(TWISTED) == ((1, "b"), {})


@pytest.mark.parametrize("func", [by_name, perhaps, wrapped, marked])
def test_who_can_tell_gets_its_arguments_by_name(func: Callable[..., None]) -> None:
    resolved = signature(func)
    resolved.resolve()
    assert resolved.decode_call(TWISTED) == ((), {"first": 1, "second": "b"})
    assert resolved.decode_call(TWISTED) == resolved.decode(TWISTED)


@pytest.mark.parametrize("func", [pair, by_name, perhaps])
@pytest.mark.parametrize(
    "payload",
    [
        b'{"v":1,"args":[],"kwargs":{"first":"x","second":"b"}}',
        b'{"v":1,"args":[],"kwargs":{"first":1,"second":"b","third":3}}',
        b'{"v":1,"args":[],"kwargs":{"second":"b"}}',
        b'{"v":1,"args":[],"kwargs":{"first":1,"second":"b"}',
    ],
)
def test_what_does_not_fit_is_refused_with_the_same_words(
    func: Callable[..., None], payload: bytes
) -> None:
    resolved = signature(func)
    with pytest.raises(PayloadMismatch) as careful:
        signature(func).decode(payload, limit=LIMIT)
    resolved.resolve()
    with pytest.raises(PayloadMismatch) as quick:
        resolved.decode_call(payload)
    assert str(quick.value) == str(careful.value)


def test_a_payload_with_positions_is_read_too() -> None:
    resolved = signature(pair)
    resolved.resolve()
    args, kwargs = resolved.decode_call(b'{"v":1,"args":[1],"kwargs":{"second":"b"}}')
    assert (list(args), kwargs) in (([1], {"second": "b"}), ([], {"first": 1, "second": "b"}))


def test_a_decorator_around_a_body_sees_names() -> None:
    jobs = Longshore("memory://")
    seen: list[Any] = []

    def noting(func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def around(*args: Any, **kwargs: Any) -> Any:
            seen.append((args, kwargs))
            return func(*args, **kwargs)

        return around

    @jobs.job(kind="add")
    @noting
    def add(first: int, second: int) -> int:
        return first + second

    handle = add.enqueue(1, 2)
    jobs.worker(threads=1).run(until_empty=True)
    assert handle.result(timeout=5) == 3
    assert seen == [((), {"first": 1, "second": 2})]


def test_a_body_that_raises_what_a_decoder_raises_has_failed() -> None:
    jobs = Longshore("memory://")
    calls: list[int] = []

    @jobs.job(kind="spoil", max_attempts=1)
    def spoil(number: int) -> None:
        calls.append(number)
        raise ValueError("not the payload's fault")

    handle = spoil.enqueue(1)
    jobs.worker(threads=1).run(until_empty=True)
    assert calls == [1]
    assert handle.refresh().state is JobState.DEAD
