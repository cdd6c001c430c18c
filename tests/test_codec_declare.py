"""Declarations that cannot work, results, and the one form of equal calls."""

import math
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import msgspec
import pytest

from longshore.core.codec import check_callable
from longshore.errors import (
    AmbiguousAnnotation,
    NotAJobFunction,
    PayloadMismatch,
    UnresolvedAnnotation,
    UnstorableResult,
)
from tests.codec_samples import (
    LIMIT,
    Items,
    anything,
    circle,
    encode,
    nothing,
    positions,
    rest,
    send,
    signature,
    takes,
    with_context,
)

if TYPE_CHECKING:
    from decimal import Decimal


class TestDeclaration:
    def test_b33_generator_functions_are_refused(self):
        def rows():
            yield 1

        async def arows():
            yield 1

        for func in (rows, arows):
            with pytest.raises(NotAJobFunction, match="generator"):
                check_callable(func, kind_given=True)

    def test_b12_what_has_no_stable_name_needs_a_kind(self):
        def inner(): ...

        with pytest.raises(NotAJobFunction, match="kind="):
            check_callable(lambda: 0, kind_given=False)
        with pytest.raises(NotAJobFunction, match="nested"):
            check_callable(inner, kind_given=False)
        check_callable(inner, kind_given=True)
        check_callable(lambda: 0, kind_given=True)
        check_callable(send, kind_given=False)
        check_callable(with_context, kind_given=False)

    def test_declaring_costs_nothing_and_resolving_names_the_parameter(self):
        def job(good: int, price: "Decimal") -> None: ...

        def result() -> "list[Decimal]": ...

        signed = signature(job)
        with pytest.raises(UnresolvedAnnotation, match=r"app\.job: .*`price`.*Decimal"):
            signed.resolve()
        with pytest.raises(UnresolvedAnnotation, match="`price`"):
            signed.encode((1, 2), {}, limit=LIMIT)
        with pytest.raises(UnresolvedAnnotation, match="return"):
            signature(result).resolve()

    def test_annotations_as_text_are_resolved_also_from_around_a_nested_function(self):
        class Local(msgspec.Struct):
            x: int

        def job(local: "Local") -> "Local":
            return Local(local.x)

        assert signature(job).decode(encode(job, Local(1)))[1] == {"local": Local(1)}

    @pytest.mark.parametrize(
        "annotation",
        [
            date | datetime,
            UUID | str,
            bytes | str,
            Path | str | None,
            list[int] | list[str],
            list[int] | set[int],
            dict[str, int] | dict[int, int],
            list[UUID | str],
            dict[int | str, int],
            dict[bool, int],
            Any | UUID,
            Items | int,
        ],
        ids=str,
    )
    def test_what_json_cannot_tell_apart_is_refused_naming_the_parameter(self, annotation):
        with pytest.raises(AmbiguousAnnotation, match=r"app\.job: `user`"):
            takes(annotation).resolve()

    def test_an_ambiguous_result_is_refused(self):
        def job() -> date | datetime: ...

        with pytest.raises(AmbiguousAnnotation, match="return annotation"):
            signature(job).resolve()


class TestResult:
    def test_results_come_back_as_annotated(self):
        def job() -> dict[int, UUID]: ...

        value = {1: uuid4()}
        assert signature(job).decode_result(signature(job).encode_result(value)) == value

    @pytest.mark.parametrize("func", [nothing, anything])
    def test_none(self, func):
        assert signature(func).encode_result(None) == b"null"
        assert signature(func).decode_result(b"null") is None

    @pytest.mark.parametrize(
        "value",
        ["x" * 10_000_000, object(), (n for n in ()), math.nan, "\0", "\ud800", circle(), {1: 2}],
        ids=lambda value: type(value).__name__,
    )
    def test_b32_what_cannot_be_stored_is_said_so(self, value):
        with pytest.raises(UnstorableResult, match=r"app\.job: (the )?result"):
            signature(anything).encode_result(value)

    def test_b32_a_coroutine_is_closed_and_refused(self):
        with pytest.raises(UnstorableResult, match="async def"):
            signature(anything).encode_result(with_context("x"))

    def test_a_result_of_another_type_is_refused_with_its_path(self):
        def job() -> list[int]: ...

        with pytest.raises(UnstorableResult, match=r"result\[1\] is `str`"):
            signature(job).encode_result([1, "2"])
        with pytest.raises(PayloadMismatch, match=r"result\[0\]"):
            signature(job).decode_result(b'["x"]')


class TestCanonical:
    @pytest.mark.parametrize(
        ("func", "calls"),
        [
            (send, [((1,), {}), ((), {"user_id": 1}), ((1,), {"locale": "en"})]),
            (positions, [((1,), {}), ((1, "b"), {"c": 0.5}), ((1, "b", 0.5), {})]),
            (rest, [((1,), {}), ((1, 5), {"flag": False})]),
        ],
    )
    def test_equal_calls_have_one_form(self, func, calls):
        job = signature(func)
        payloads = [job.encode(args, kwargs, limit=LIMIT) for args, kwargs in calls]
        assert len({job.canonical(payload) for payload in payloads}) == 1

    def test_pushed_and_enqueued_are_the_same_and_others_are_not(self):
        job = signature(send)
        assert job.canonical(b'{"v":1,"args":[1]}') == b'{"locale":"en","user_id":1}'
        assert job.canonical(encode(send, 1)) == b'{"locale":"en","user_id":1}'
        assert job.canonical(encode(send, 2)) != job.canonical(encode(send, 1))
        assert job.canonical(encode(send, 2), ["locale"]) == b'{"locale":"en"}'

    def test_the_order_of_a_set_or_of_keys_does_not_count(self):
        words = [f"word{n}" for n in range(50)]
        job = takes(set[str])
        forms = {
            job.encode((set(order),), {}, limit=LIMIT) for order in (words, list(reversed(words)))
        }
        assert len(forms) == 1
        free = signature(anything)
        first, second = encode(anything, {"a": 1, "b": 2}), encode(anything, {"b": 2, "a": 1})
        assert free.canonical(first) == free.canonical(second)

    def test_a_default_that_could_not_be_passed_is_left_out(self):
        def job(a: int, b: int = object()) -> None: ...  # type: ignore[assignment]

        assert signature(job).canonical(encode(job, 1)) == b'{"a":1}'
