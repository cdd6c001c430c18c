"""Values that cannot be stored: refused at the call with their path, the same in every store."""

import math
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from longshore.core.codec import encode_literal
from longshore.errors import (
    PayloadTooLarge,
    UnstorableArgument,
)
from tests.codec_samples import (
    LIMIT,
    Items,
    anything,
    circle,
    encode,
    send,
    signature,
    takes,
)


def nested(depth):
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


def doubling():
    value: list[Any] = []
    for _ in range(60):
        value = [value, value]
    return value


UNSTORABLE = [
    pytest.param(object(), "", id="B1 object"),
    pytest.param({1}, "", id="B1 set"),
    pytest.param((1,), "", id="B1 tuple"),
    pytest.param(len, "", id="B1 function"),
    pytest.param(threading.Lock(), "", id="B1 lock"),
    pytest.param(b"x", "", id="B1 bytes"),
    pytest.param({"items": [0, 1, 2, Items()]}, r"\.items\[3\]", id="B1 path"),
    pytest.param([1, {2}], r"\[1\]", id="B1 in a list"),
    pytest.param(math.nan, "", id="B2 nan"),
    pytest.param(math.inf, "", id="B2 inf"),
    pytest.param([1.0, -math.inf], r"\[1\]", id="B2 nested"),
    pytest.param({1: 2}, "", id="B5 keys"),
    pytest.param({"a": {1: 1, "1": 2}}, r"\.a", id="B5 duplicate keys"),
    pytest.param("\ud800", "", id="B6 surrogate"),
    pytest.param(["a", "\udfff"], r"\[1\]", id="B6 surrogate nested"),
    pytest.param({"\ud800": 1}, "", id="B6 surrogate key"),
    pytest.param("a\0b", "", id="B6 NUL"),
    pytest.param({"a": ["\0"]}, r"\.a\[0\]", id="B6 NUL nested"),
    pytest.param({"a\0": 1}, "", id="B6 NUL key"),
    pytest.param(circle(), "", id="B7 circle"),
    pytest.param(nested(65), "", id="B7 depth 65"),
    pytest.param(nested(100_000), "", id="B7 depth 100000"),
    pytest.param({str(n): n for n in range(10_001)}, "", id="S3 keys"),
    pytest.param(10**5000, "", id="B3 digits"),
]


class TestUnstorable:
    @pytest.mark.parametrize(("value", "path"), UNSTORABLE)
    def test_an_unannotated_parameter_refuses_it_with_its_path(self, value, path):
        with pytest.raises(UnstorableArgument, match=rf"app\.job: args\.second{path}") as caught:
            encode(anything, 1, value)
        assert "nothing was enqueued" in str(caught.value)

    @pytest.mark.parametrize(("value", "path"), UNSTORABLE)
    def test_push_refuses_it_with_its_path(self, value, path):
        with pytest.raises(UnstorableArgument, match=rf"args\[1\]{path}"):
            encode_literal([0, value], {}, limit=LIMIT)
        with pytest.raises(UnstorableArgument, match=rf"args\.user{path}"):
            encode_literal([], {"user": value}, limit=LIMIT)

    @pytest.mark.parametrize(
        ("annotation", "value", "path"),
        [
            (float, math.nan, ""),
            (list[float], [1.0, math.inf], r"\[1\]"),
            (str, "\ud800", ""),
            (str | None, "\0", ""),
            (dict[str, str], {"k": "\0"}, r"\.k"),
            (Path, Path("\udcff"), ""),
            (Items, Items(), ""),
            (list[Items], [Items()], r"\[0\]"),
            (dict[float, int], {1.0: 1, math.nan: 2}, ""),
        ],
    )
    def test_an_annotated_parameter_refuses_it_with_its_path(self, annotation, value, path):
        with pytest.raises(UnstorableArgument, match=rf"args\.user{path} "):
            takes(annotation).encode((value,), {}, limit=LIMIT)

    def test_push_refuses_names_that_are_not_text(self):
        with pytest.raises(UnstorableArgument, match="key of type `int`"):
            encode_literal([], {1: 2}, limit=LIMIT)  # type: ignore[dict-item]

    @pytest.mark.parametrize(
        "value",
        [2**53 + 1, 2**63, -(2**63) - 1, 2**64, 10**30, -(10**4000)],
        ids=lambda value: f"{value.bit_length()} bits",
    )
    def test_b3_whole_numbers_of_any_size_are_exact(self, value):
        for func in (lambda x: 0, lambda x, *more: 0):
            func.__annotations__ = {"x": int}
            job = signature(func)
            assert job.decode(job.encode((value,), {}, limit=LIMIT))[1] == {"x": value}
        assert signature(anything).decode(encode(anything, [value]))[1] == {"first": [value]}
        assert f"[{value}]".encode() in encode_literal([value], {}, limit=LIMIT)

    @pytest.mark.parametrize(
        "text", ["\u2028\u2029", "\U0001f600", "\x01\x1f\x7f", "\\u0000", "</script>", "\u202e"]
    )
    def test_b6_other_text_is_kept(self, text):
        for value in (text, [text], {text: text}):
            assert signature(anything).decode(encode(anything, value))[1] == {"first": value}
        assert signature(send).decode(encode(send, 1, locale=text))[1]["locale"] == text

    def test_b7_the_deepest_that_passes_comes_back(self):
        payload = encode(anything, nested(64))
        assert signature(anything).decode(payload)[1] == {"first": nested(64)}

    @pytest.mark.parametrize("annotation", [Any, list[Any], list[list[Any]]], ids=str)
    def test_a_small_value_that_would_be_huge_as_text_is_stopped(self, annotation):
        started = time.monotonic()
        with pytest.raises(PayloadTooLarge):
            takes(annotation).encode((doubling(),), {}, limit=LIMIT)
        with pytest.raises(PayloadTooLarge):
            takes(annotation).encode(([["x" * 100_000] * 100_000],), {}, limit=LIMIT)
        assert time.monotonic() - started < 10

    @pytest.mark.parametrize(
        ("func", "value"), [(send, "x" * LIMIT), (anything, "x" * LIMIT), (anything, [1] * 600_000)]
    )
    def test_b8_too_large_says_how_large_and_what_to_do(self, func, value):
        with pytest.raises(PayloadTooLarge, match=r"1048\d+|1200\d+") as caught:
            signature(func).encode(
                (1,), {"locale" if func is send else "second": value}, limit=LIMIT
            )
        assert str(LIMIT) in str(caught.value)
        assert "reference" in str(caught.value)

    def test_b8_the_limit_is_exact(self):
        payload = encode(send, 1, locale="fr")
        job = signature(send)
        assert job.encode((1,), {"locale": "fr"}, limit=len(payload)) == payload
        with pytest.raises(PayloadTooLarge, match=f"{len(payload)} bytes"):
            job.encode((1,), {"locale": "fr"}, limit=len(payload) - 1)

    @pytest.mark.parametrize(
        "annotation", [Any, list, list[int], list[str], list[int | str], set[int]]
    )
    def test_b9_a_million_tiny_arguments_are_refused_quickly(self, annotation):
        value: Any = ["a" if annotation == list[str] else 1] * 1_000_000
        if annotation == set[int]:
            value = set(range(1_000_000))
        job = takes(annotation)
        job.resolve()
        started = time.monotonic()
        with pytest.raises(PayloadTooLarge):
            job.encode((value,), {}, limit=LIMIT)
        assert time.monotonic() - started < 5  # 1 s is the aim; machines are shared

    def test_a_literal_payload_is_what_a_signature_reads(self):
        payload = encode_literal([42], {"locale": "fr"}, limit=LIMIT)
        assert signature(send).decode(payload) == ((), {"user_id": 42, "locale": "fr"})
