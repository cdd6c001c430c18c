"""Arguments: stored by name, checked at the call, read back as the same call."""

import functools
import itertools
import threading
import timeit
from datetime import date, datetime
from pathlib import Path
from typing import Literal
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.errors import (
    ArgsMismatch,
    NotAJobFunction,
    PayloadMismatch,
    UnknownPayloadVersion,
)
from tests.codec_samples import (
    LIMIT,
    anything,
    encode,
    extra,
    nothing,
    positions,
    rebuild,
    rest,
    send,
    signature,
    takes,
    with_context,
)


class TestPayload:
    @pytest.mark.parametrize(
        ("func", "args", "kwargs", "payload"),
        [
            (send, (42,), {}, b'{"v":1,"args":[],"kwargs":{"user_id":42}}'),
            (send, (), {"user_id": 1}, b'{"v":1,"args":[],"kwargs":{"user_id":1}}'),
            (
                send,
                (1,),
                {"locale": "fr"},
                b'{"v":1,"args":[],"kwargs":{"user_id":1,"locale":"fr"}}',
            ),
            (nothing, (), {}, b'{"v":1,"args":[],"kwargs":{}}'),
            (positions, (1,), {}, b'{"v":1,"args":[1],"kwargs":{}}'),
            (positions, (1, "x", 2.0), {}, b'{"v":1,"args":[1,"x"],"kwargs":{"c":2.0}}'),
            (rest, (1,), {}, b'{"v":1,"args":[],"kwargs":{"a":1}}'),
            (rest, (1, 2, 3, 4), {}, b'{"v":1,"args":[3,4],"kwargs":{"a":1,"b":2}}'),
            (extra, (1,), {"a": 2}, b'{"v":1,"args":[1],"kwargs":{"a":2}}'),
        ],
    )
    def test_arguments_are_stored_by_name_unless_they_have_none(self, func, args, kwargs, payload):
        assert encode(func, *args, **kwargs) == payload

    @pytest.mark.parametrize(
        ("func", "payload", "call"),
        [
            (send, b'{"v":1,"args":[42]}', ([], {"user_id": 42})),
            (
                send,
                b'{"args":[42],"v":1,"kwargs":{"locale":"x"}}',
                ([], {"user_id": 42, "locale": "x"}),
            ),
            (send, b'{"v":1,"kwargs":{"user_id":1},"trace":{"a":[1]}}', ([], {"user_id": 1})),
            (nothing, b'{"v":1}', ([], {})),
            (positions, b'{"v":1,"args":[1,"x",2]}', ([1, "x"], {"c": 2.0})),
            (rest, b'{"v":1,"args":[1,2,3,4]}', ([1, 2, 3, 4], {})),
            (rest, b'{"v":1,"args":[3,4],"kwargs":{"a":1,"b":2}}', ([1, 2, 3, 4], {})),
            (rest, b'{"v":1,"args":[1],"kwargs":{"flag":true}}', ([], {"a": 1, "flag": True})),
            (extra, b'{"v":1,"args":[1],"kwargs":{"a":2,"b":3}}', ([1], {"a": 2, "b": 3})),
        ],
    )
    def test_a_pushed_payload_may_give_places_and_unknown_keys(self, func, payload, call):
        args, kwargs = signature(func).decode(payload)
        assert (list(args), kwargs) == call

    @given(st.integers(), st.text(st.characters(exclude_characters="\0", codec="utf-8")))
    def test_what_the_short_way_writes_the_function_gets(self, user_id, locale):
        job = signature(send)
        payload = job.encode((user_id,), {"locale": locale}, limit=LIMIT)
        args, kwargs = job.decode(payload)
        assert not args
        assert kwargs == {"user_id": user_id, "locale": locale}

    @given(st.lists(st.integers(), max_size=6), st.booleans())
    def test_a_call_with_places_is_the_same_call_afterwards(self, values, flag):
        def seen(a, b=5, *more, flag=False):
            return a, b, more, flag

        job = signature(rest)
        args, kwargs = job.decode(job.encode((1, *values), {"flag": flag}, limit=LIMIT))
        assert seen(*args, **kwargs) == seen(1, *values, flag=flag)

    def test_a_default_comes_from_the_function_that_runs(self):
        calls = []

        def job(a: int, b: list[int] = [], c: str = "c"):  # noqa: B006
            calls.append((a, b, c))

        args, kwargs = signature(job).decode(encode(job, 1))
        job(*args, **kwargs)
        assert calls == [(1, [], "c")]
        assert calls[0][1] is job.__defaults__[0]

    def test_an_argument_changed_after_the_call_has_no_effect(self):
        items = [1, 2]
        payload = encode(anything, items)
        items.append(3)
        assert signature(anything).decode(payload)[1] == {"first": [1, 2]}

    def test_what_the_worker_fills_is_no_argument(self):
        job = signature(with_context, skip=("ctx",))
        assert job.encode(("u",), {}, limit=99) == b'{"v":1,"args":[],"kwargs":{"url":"u"}}'
        assert job.decode(b'{"v":1,"args":["u"]}') == ((), {"url": "u"})
        for args, kwargs in [(("u", 1), {}), (("u",), {"ctx": 1})]:
            with pytest.raises(ArgsMismatch, match="`ctx`, which the worker fills"):
                job.encode(args, kwargs, limit=99)
        with pytest.raises(PayloadMismatch, match="ctx"):
            job.decode(b'{"v":1,"args":[],"kwargs":{"url":"u","ctx":1}}')

    def test_a_place_behind_one_that_the_worker_fills_keeps_its_number(self):
        def job(url: str, ctx=None, depth: int = 1): ...

        signed = signature(job, skip=("ctx",))
        payload = signed.encode(("u", None, 3), {}, limit=99)
        assert signed.decode(payload) == ((), {"url": "u", "depth": 3})
        with pytest.raises(ArgsMismatch):
            signed.encode(("u", 3), {}, limit=99)

    @pytest.mark.parametrize("func", [lambda ctx=None, /: 0, lambda a, ctx=None, *more: 0])
    def test_a_parameter_that_cannot_be_filled_by_name_is_refused(self, func):
        with pytest.raises(NotAJobFunction, match="`ctx`"):
            signature(func, skip=("ctx",)).resolve()

    def test_the_first_parameter_can_be_left_out(self):
        job = signature(rebuild, drop_first=True)
        assert job.decode(job.encode((7,), {}, limit=99)) == ((), {"report_id": 7})
        with pytest.raises(NotAJobFunction, match="no first positional"):
            signature(nothing, drop_first=True).resolve()

    def test_wrapped_functions_and_other_callables_have_a_signature_too(self):
        @functools.wraps(send)
        def wrapper(*args, **kwargs): ...

        assert signature(wrapper).decode(encode(wrapper, 1)) == ((), {"user_id": 1})
        partial = functools.partial(send, locale="fr")
        assert signature(partial).decode(encode(partial, 1))[1]["user_id"] == 1
        assert encode("abc".split, sep="b") == b'{"v":1,"args":[],"kwargs":{"sep":"b"}}'

    def test_two_threads_may_resolve_one_signature(self):
        job, seen = signature(send), []
        barrier = threading.Barrier(4)

        def run():
            barrier.wait(10)
            seen.append(job.encode((1,), {}, limit=99))

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert len(set(seen)) == 1
        assert len(seen) == 4


class TestBadCalls:
    """B10: at the call site, naming the job, the parameter, the type given and the one expected."""

    @pytest.mark.parametrize(
        ("func", "args", "kwargs", "message"),
        [
            (send, (), {}, "lacks `user_id`"),
            (send, (1, "fr"), {}, "takes 1 positional arguments, 2 were given"),
            (send, (1,), {"lang": "fr"}, "no argument 'lang' .*user_id, locale"),
            (send, (1,), {"user_id": 1}, "`user_id` twice"),
            (send, ("1",), {}, r"args\.user_id is `str`, expected `int`"),
            (send, (True,), {}, r"args\.user_id is `bool`, expected `int`"),
            (send, (1.0,), {}, r"is `float`, expected `int`"),
            (send, (None,), {}, r"is None, expected `int`"),
            (send, (1,), {"locale": b"fr"}, r"args\.locale is `bytes`, expected `str`"),
            (send, (1,), {"locale": uuid4()}, r"is `uuid\.UUID`, expected `str`"),
            (send, (1,), {"locale": Path("x")}, r"expected `str`"),
            (positions, (), {"a": 1}, "no argument 'a'"),
            (rest, (1, 2, 3, "4"), {}, r"args\[3\] is `str`, expected `int`"),
            (extra, (1,), {"x": "y"}, r"args\.x is `str`, expected `int`"),
            (nothing, (1,), {}, "takes 0 positional"),
        ],
    )
    def test_refused(self, func, args, kwargs, message):
        with pytest.raises(ArgsMismatch, match=message) as caught:
            encode(func, *args, **kwargs)
        assert str(caught.value).startswith("app.job: ")
        assert "nothing was enqueued" in str(caught.value)

    @pytest.mark.parametrize(
        ("annotation", "value", "path"),
        [
            (list[int], [1, 2, "3"], r"args\.user\[2\]"),
            (dict[str, list[int]], {"items": [1, None]}, r"args\.user\.items\[1\]"),
            (dict[str, int], {"odd key": None}, r"args\.user\['odd key'\]"),
            (tuple[int, str], (1, 2), r"args\.user\[1\]"),
            (list[int] | None, [None], r"args\.user\[0\]"),
        ],
    )
    def test_the_path_leads_to_the_value(self, annotation, value, path):
        with pytest.raises(ArgsMismatch, match=path):
            takes(annotation).encode((value,), {}, limit=LIMIT)

    @pytest.mark.parametrize(
        ("annotation", "value"),
        [
            (UUID, "0b1c2d3e-4f50-4a6b-8c7d-9e0f1a2b3c4d"),
            (date, datetime(2026, 1, 1)),  # noqa: DTZ001
            (datetime, date(2026, 1, 1)),
            (list[int], (1,)),
            (tuple[int, ...], [1]),
            (tuple[int, int], (1,)),
            (set[int], [1]),
            (dict[int, str], [(1, "a")]),
            (Literal["a", 1], "b"),
            (Literal[1], True),
            (int | None, "x"),
            (float, "1"),
            (float, 2**53 + 1),
            (float, 10**400),
            (bool, 1),
            (None, 0),
            (dict[str, int], {1: 1}),
            (list[str], [["a"]]),
        ],
    )
    def test_no_type_passes_for_another(self, annotation, value):
        with pytest.raises(ArgsMismatch):
            takes(annotation).encode((value,), {}, limit=LIMIT)

    def test_a_secret_value_is_not_in_the_message(self):
        with pytest.raises(ArgsMismatch) as caught:
            encode(send, "hunter2")
        assert "hunter2" not in str(caught.value)

    def test_a_proxy_that_claims_to_be_text_is_refused(self):
        class Proxy:
            @property
            def __class__(self):
                return str

        with pytest.raises(ArgsMismatch):
            encode(send, 1, locale=Proxy())


class TestUnreadable:
    @pytest.mark.parametrize(
        "payload",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b'{"v":1,"args":{}}',
            b'{"v":"1"}',
            b'{"v":0,"args":[1]}',
            b'{"args":[1]}',
            b'{"v":1,"args":[],"kwargs":{}}',
            b'{"v":1,"args":["1"]}',
            b'{"v":1,"args":[1,2]}',
            b'{"v":1,"args":[1],"kwargs":{"user_id":1}}',
            b'{"v":1,"args":[],"kwargs":{"user_id":1.5}}',
            b'{"v":1,"args":[],"kwargs":{"user_id":1,"locale":null}}',
            b'{"v":1,"args":[],"kwargs":{"user_id":1,"gone":2}}',
            b'{"v":1,"args":[],"kwargs":{"user_id":1}x',
            b'{"v":1,"args":[],"kwargs":{"user_id":1}}}',
            b'{"v":1,"args":[],"kwargs":{"user_id":1,"locale":"\\ud800"}}',
            b'{"v":1,"args":[],"kwargs":{"user_id":' + b"9" * 5000 + b"}}",
            b'{"v":1,"args":[' + b"[" * 100_000,
            b'{"v":1,"args":[' + b"[" * 65 + b"]" * 65 + b"]}",
            b"\xff\xfe",
        ],
        ids=lambda payload: repr(payload[:60]),
    )
    @pytest.mark.parametrize("func", [send, rest])
    def test_it_is_a_mismatch_and_nothing_else(self, func, payload):
        if func is rest:
            payload = payload.replace(b"user_id", b"a").replace(b"[1,2]", b"[1,2.5]")
            payload = payload.replace(b"[1]", b'[1,"2"]')
        with pytest.raises(PayloadMismatch, match=r"app\.job"):
            signature(func).decode(payload)

    def test_too_deep_too_wide_or_too_long_is_a_mismatch_at_this_end_too(self):
        job = signature(anything)
        deep = b'{"v":1,"args":[],"kwargs":{"first":' + b"[" * 65 + b"]" * 65 + b"}}"
        wide = b",".join(b'"%d":0' % n for n in range(10_001))
        for payload in (deep, b'{"v":1,"args":[],"kwargs":{"first":{%b}}}' % wide):
            with pytest.raises(PayloadMismatch, match=r"deeper|keys"):
                job.decode(payload)
        with pytest.raises(PayloadMismatch, match="limit is 10"):
            job.decode(b'{"v":1,"args":[1]}', limit=10)

    @pytest.mark.parametrize(
        "payload", [b'{"v":2,"args":[],"kwargs":{"user_id":1}}', b'{"v":9,"args":{"new":"form"}}']
    )
    def test_a_newer_version_waits_for_a_newer_worker(self, payload):
        with pytest.raises(UnknownPayloadVersion, match="version"):
            signature(send).decode(payload)

    @given(st.binary(max_size=60) | st.just(encode(send, 1, locale="fr")), st.data())
    def test_no_bytes_raise_anything_else(self, payload, data):
        changed = bytearray(payload)
        if changed:
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
        try:
            args, kwargs = signature(send).decode(bytes(changed))
        except (PayloadMismatch, UnknownPayloadVersion):
            return
        assert not args
        assert type(kwargs["user_id"]) is int


@pytest.mark.timed
@pytest.mark.parametrize(
    ("budget", "work"),
    [
        (1.5e-6, "encode"),
        (1.0e-6, "decode"),
        (0.5e-6, "nothing"),
        (0.5e-6, "result"),
    ],
)
def test_the_common_job_is_fast(budget, work):
    job, idle = signature(send), signature(nothing)
    payload = job.encode((42,), {"locale": "fr"}, limit=LIMIT)
    calls = {
        "encode": lambda: job.encode((42,), {"locale": "fr"}, limit=LIMIT),
        "decode": lambda: job.decode(payload),
        "nothing": lambda: idle.encode((), {}, limit=LIMIT),
        "result": lambda: idle.encode_result(None),
    }
    calls[work]()
    best = min(timeit.repeat(calls[work], number=5_000, repeat=20)) / 5_000
    assert best < 5 * budget


def test_every_payload_has_one_text():
    values = (1, 1.0, "1", True, None, [], {}, [1], {"1": 1})
    payloads = [encode(anything, value) for value in values]
    assert all(one != other for one, other in itertools.combinations(payloads, 2))
