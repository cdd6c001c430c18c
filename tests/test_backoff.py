"""Backoff: the waits of every policy, jitter, and policies that break (rows B17, B21)."""

import math
import random as randomness

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.core.backoff import (
    LONGEST_WAIT,
    Backoff,
    as_backoff,
    constant,
    exponential,
    polynomial,
    safe_wait,
)
from longshore.errors import InvalidOption

ERROR = ValueError("x")
FAILURES = st.integers(1, 100_000)
DRAWS = st.floats(0, 1, exclude_max=True)


def least():
    return 0.0


@given(FAILURES, DRAWS)
def test_polynomial_waits_between_its_bounds(failures, draw):
    n = failures - 1
    wait = polynomial().wait(failures, ERROR, lambda: draw)
    assert min(n**4 + 15, LONGEST_WAIT) <= wait <= min(n**4 + 15 + 10 * (n + 1), LONGEST_WAIT)


def test_24_waits_of_polynomial_take_16_6_days_in_the_mean():
    waits = [polynomial().wait(failures, ERROR, lambda: 0.5) for failures in range(1, 25)]
    assert sum(waits) / 86_400 == pytest.approx(16.6, abs=0.05)


def test_polynomial_without_jitter_is_the_formula():
    assert [polynomial(jitter=0).wait(n, ERROR, randomness.random) for n in (1, 2, 3)] == [
        15,
        16,
        31,
    ]


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1), FAILURES, DRAWS)
def test_exponential_waits_between_base_and_jittered_cap(one, other, jitter, failures, draw):
    base, cap = sorted((one, other))
    wait = exponential(base, cap, jitter=jitter).wait(failures, ERROR, lambda: draw)
    assert base <= wait <= cap * (1 + jitter)


def test_exponential_doubles_up_to_its_cap():
    backoff = exponential("2s", "1m", jitter=0)
    waits = [backoff.wait(failures, ERROR, least) for failures in (1, 2, 3, 4, 5, 6, 100_000)]
    assert waits == [2, 4, 8, 16, 32, 60, 60]


@given(st.floats(0, LONGEST_WAIT), st.floats(0, 1), FAILURES, DRAWS)
def test_constant_waits_at_least_what_it_says(wait, jitter, failures, draw):
    found = constant(wait, jitter=jitter).wait(failures, ERROR, lambda: draw)
    assert wait <= found <= min(wait * (1 + jitter), LONGEST_WAIT)


@pytest.mark.parametrize(
    "backoff",
    [
        polynomial(),
        exponential("1s", "1h"),
        constant("1m"),
        as_backoff("1m", field="wait"),
        as_backoff(lambda attempt, error: 60, field="backoff"),
    ],
    ids=["polynomial", "exponential", "constant", "duration", "callable"],
)
def test_every_policy_jitters_unless_told_not_to(backoff):
    draws = randomness.Random(1).random
    assert len({backoff.wait(3, ERROR, draws) for _ in range(20)}) == 20


def test_a_callable_sees_the_attempt_and_the_error():
    seen = []

    def remember(attempt, error):
        seen.append((attempt, error))
        return "2m"

    assert as_backoff(remember, field="backoff", jitter=0).wait(7, ERROR, least) == 120
    assert seen == [(7, ERROR)]


def test_a_policy_is_taken_as_it_is():
    backoff = exponential()
    assert as_backoff(backoff, field="backoff") is backoff


def test_without_a_policy_it_is_polynomial():
    assert as_backoff(None) == polynomial()


def test_somebody_elses_policy_is_a_policy():
    class Mine:
        def wait(self, failures, error, random):
            return 4.0

    mine = Mine()
    assert isinstance(mine, Backoff)
    assert as_backoff(mine, field="backoff") is mine
    assert safe_wait(mine, 1, ERROR, least) == (4.0, None)


async def coroutine_function(attempt, error):
    return 3


@pytest.mark.parametrize(
    "value",
    ["5", -1, True, math.nan, "2y", {}, int, coroutine_function],
    ids=lambda value: getattr(value, "__name__", repr(value)),
)
def test_what_cannot_be_a_policy_is_refused_when_declared(value):
    with pytest.raises(InvalidOption, match=r"^backoff=.*A policy is polynomial\(\)"):
        as_backoff(value, field="backoff")


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: constant("5"), "wait="),
        (lambda: constant(-1), "wait="),
        (lambda: constant("366d"), "365 days"),
        (lambda: exponential("10s", "5s"), "below the base"),
        (lambda: exponential(base=True), "base="),
        (lambda: constant(1, jitter=1.5), "jitter=1.5"),
        (lambda: constant(1, jitter=-0.1), "jitter=-0.1"),
        (lambda: polynomial(jitter=True), "jitter=True"),
        (lambda: polynomial(jitter=math.nan), "jitter=nan"),
    ],
)
def test_bad_parameters_are_refused_when_declared(make, names):
    with pytest.raises(InvalidOption, match=names):
        make()


class Mute(Exception):
    def __str__(self):
        raise RuntimeError


def raising(problem):
    def backoff(attempt, error):
        raise problem

    return backoff


class LateCoroutine:
    def __call__(self, attempt, error):
        return coroutine_function(attempt, error)


@pytest.mark.parametrize(
    "function",
    [
        raising(KeyError("x")),
        raising(Mute()),
        raising(SystemExit(3)),
        raising(RecursionError()),
        lambda attempt, error: None,
        lambda attempt, error: -1,
        lambda attempt, error: math.nan,
        lambda attempt, error: math.inf,
        lambda attempt, error: 10**400,
        lambda attempt, error: "5 parsecs",
        lambda attempt, error: True,
        lambda attempt: 3,
        LateCoroutine(),
    ],
)
def test_a_policy_that_breaks_never_loses_the_job(function):
    backoff = as_backoff(function, field="backoff")
    wait, note = safe_wait(backoff, 3, ERROR, least)
    assert wait == 2**4 + 15
    assert note is not None
    assert "raised" in note
    assert len(note) < 500


def test_somebody_elses_broken_policy_never_loses_the_job():
    class Mine:
        def wait(self, failures, error, random):
            return "nonsense"

    wait, note = safe_wait(Mine(), 1, ERROR, least)
    assert wait == 15
    assert "Mine" in note


def test_a_policy_that_works_leaves_no_note():
    assert safe_wait(constant("3s", jitter=0), 1, ERROR, least) == (3.0, None)
