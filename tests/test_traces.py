"""Tracebacks that are put together of remembered frames read as those of the standard library."""

import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

import pytest

from longshore.worker import traces
from longshore.worker.report import describe
from longshore.worker.traces import CHAIN, quickly


class Odd(Exception):
    """With a name of its own module."""

    class Inner(Exception):
        """And one with dots."""


def plain() -> None:
    raise ValueError("no")


def silent() -> None:
    raise Odd


def nested_name() -> None:
    raise Odd.Inner("two\nlines")


def deep(depth: int = 70) -> None:
    # By turns, for what calls itself is told in fewer lines.
    deeper(depth - 1) if depth else plain()


def deeper(depth: int) -> None:
    deep(depth - 1) if depth > 0 else plain()


def caused() -> None:
    try:
        plain()
    except ValueError as error:
        raise KeyError("key") from error


def during() -> None:
    try:
        caused()
    except KeyError:
        nested_name()


def hushed() -> None:
    try:
        plain()
    except ValueError:
        raise Odd("alone") from None


def in_an_expression() -> None:
    values: list[Any] = [1, [2, (3, {})]]
    str(values[1][1][1]["there"]["is"] + values[0])


def from_made_code() -> None:
    exec("def made():\n    raise ValueError('no file')\nmade()", {})


QUICK = (plain, silent, nested_name, deep, caused, during, hushed, in_an_expression, from_made_code)


def noted() -> None:
    error = ValueError("no")
    error.add_note("and a note")
    raise error


def misspelt() -> None:
    exec("plian", {"plain": 1})


def no_attribute() -> None:
    exec("''.jion([])")


def unreadable() -> None:
    compile("1 +", "somewhere", "eval")


def grouped() -> None:
    raise ExceptionGroup("some", [ValueError(1), KeyError(2)])


def endless() -> None:
    endless()


def never_raised_itself() -> None:
    raise ValueError("no") from KeyError("never raised")


def circle() -> None:
    one, two = ValueError(1), ValueError(2)
    one.__cause__, two.__cause__ = two, one
    raise one


def a_long_chain() -> None:
    error: BaseException | None = None
    for number in range(CHAIN + 2):
        error = raised(lambda number=number, error=error: raise_from(number, error))
    assert error is not None
    raise error


def raise_from(number: int, error: BaseException | None) -> None:
    raise ValueError(number) from error


class Nowhere(Exception):
    __module__ = None  # type: ignore[assignment]


def of_no_module() -> None:
    raise Nowhere


class Touchy(Exception):
    """One whose attributes raise something else when they are not there."""

    def __getattr__(self, name: str) -> object:
        return self.__dict__["inner"][name]


class Itself(str):
    __slots__ = ()

    def __format__(self, spec: str) -> str:
        return "formatted"


class Formats(Exception):
    def __str__(self) -> str:
        return Itself("as it is")


def formatting() -> None:
    raise Formats


class Unsayable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no message")


def unsayable() -> None:
    raise Unsayable


RICHER = (
    of_no_module, unsayable, noted, misspelt, no_attribute, unreadable, grouped, endless,
    never_raised_itself, circle, a_long_chain,
)  # fmt: skip


def raised(body: Callable[[], None]) -> BaseException:
    try:
        body()
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError("it raises")


def as_python_says(error: BaseException) -> str:
    return "".join(traceback.TracebackException.from_exception(error, limit=-60).format())


@pytest.mark.parametrize("body", QUICK)
def test_it_is_what_the_standard_library_writes(body: Callable[[], None]) -> None:
    for _ in range(2):  # made, then remembered
        error = raised(body)
        assert quickly(error) == as_python_says(error)


@pytest.mark.parametrize("body", RICHER)
def test_where_there_is_more_to_say_the_standard_library_says_it(
    body: Callable[[], None],
) -> None:
    error = raised(body)
    assert quickly(error) is None
    assert describe(error).traceback == as_python_says(error)


def test_a_message_is_told_as_it_is() -> None:
    error = raised(formatting)
    assert quickly(error) == as_python_says(error)
    assert (describe(error).traceback or "").endswith("Formats: as it is\n")


def test_an_error_whose_attributes_raise_is_still_told() -> None:
    def body() -> None:
        raise Touchy

    try:
        said = as_python_says(raised(body))
    except KeyError:  # the library itself does not manage before Python 3.13
        said = "(its traceback could not be made: KeyError)"
    assert describe(raised(body)).traceback == said


def test_a_line_as_long_as_a_program_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "LONGEST", 10)
    monkeypatch.setattr(traces, "frames", {})
    error = raised(plain)
    assert quickly(error) == as_python_says(error)
    assert traces.frames == {}


def test_frames_of_different_places_in_one_function_differ() -> None:
    def body(first: bool) -> None:
        if first:
            raise ValueError("one")
        raise ValueError("two")

    texts = [quickly(raised(lambda first=first: body(first))) for first in (True, False)]
    assert 'raise ValueError("one")' in (texts[0] or "")
    assert 'raise ValueError("two")' in (texts[1] or "")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "REMEMBERED", 8)
    monkeypatch.setattr(traces, "frames", {})
    for number in range(30):
        code = compile(f"raise ValueError({number})", f"made-{number}", "exec")
        error = raised(lambda code=code: exec(code, {}))
        assert f"made-{number}" in (quickly(error) or "")
        assert len(traces.frames) <= 8


def test_a_frame_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "frames", {})
    looked: list[object] = []
    plainly = traceback.format_tb

    def look(entry: TracebackType, limit: int) -> list[str]:
        looked.append(entry)
        return plainly(entry, limit)

    monkeypatch.setattr(traceback, "format_tb", look)
    texts = {quickly(raised(plain)) for _ in range(10)}
    assert len(texts) == 1
    assert len(looked) == 2  # the test's own frame and the body's
