"""``enqueue``: what may be written, what is stored, and what is refused with its position."""

import json
import re
from collections.abc import Sequence

import pytest

from longshore import Longshore, errors
from longshore.core.model import JobState
from tests.cli.tools import Call

# --- B54: enqueue ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("user_id:={",), "position 2"),
        (("user_id:=",), "position 1"),
        (("user_id:=NaN",), "NaN is not JSON"),
        (("user_id",), "no = in it at position 8"),
        (("=7",), "no name"),
        (("user_id=1", "user_id=2"), "given twice"),
        (('{"user_id": 1,}',), "position"),
        (('{"user_id": 1, "user_id": 2}',), "given twice"),
        (("[" * 100_000,), "nested too deeply"),
        (("user_id=seven",), "args.user_id"),
        (("user_id=1", "locale:=5"), "args.locale"),
        (("user_id=1", "nope=2"), "'nope'"),
        ((), "`user_id`"),
    ],
)
def test_b54_arguments(run: Call, shop: Longshore, words: Sequence[str], message: str) -> None:
    said = run("enqueue", "mail.send", *words)
    assert said.code == 2
    assert message in said.err
    assert said.number // 100 == 2
    assert shop.query.count() == 0


@pytest.mark.parametrize(
    ("stdin", "message"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"user_id=1", "line 1, position 1"),
        (b'{"user_id":\n 1x}', "line 2, position 3"),
        (b"7", "int"),
        (b'"\xff"', "byte 2"),
        (b"[" + b" " * 2_000_000, "more than 1048576 bytes"),
    ],
)
def test_b54_standard_input(run: Call, shop: Longshore, stdin: bytes, message: str) -> None:
    said = run("enqueue", "mail.send", "-", stdin=stdin)
    assert said.code == 2
    assert message in said.err
    assert "position" in said.err or "byte" in said.err
    assert said.number // 100 == 2
    assert shop.query.count() == 0


def test_b54_a_hundred_megabytes_are_not_read(run: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from longshore.cli.job_input import read_input

    class Endless:
        asked = 0

        def read(self, size: int, /) -> bytes:
            self.asked += size
            return b" " * size

    stream = Endless()
    with pytest.raises(errors.LongshoreError, match="more than 1000 bytes"):
        read_input(["-"], lambda: stream, 1000)
    assert stream.asked == 1001


@pytest.mark.parametrize("kind", ["mail.sent", "snd", "nothing"])
def test_an_unknown_job_is_refused_with_the_nearest(run: Call, kind: str) -> None:
    said = run("enqueue", kind)
    assert (said.code, said.number) == (2, 203)
    assert ("Did you mean" in said.err) == (kind != "nothing")


@pytest.mark.parametrize(
    ("words", "stdin", "kwargs"),
    [
        (("user_id=42", "locale=fr"), b"", {"user_id": 42, "locale": "fr"}),
        (("user_id:=42", "locale=7"), b"", {"user_id": 42, "locale": "7"}),
        (("user_id=42", 'tags:=["a"]'), b"", {"user_id": 42, "tags": ["a"]}),
        (('{"user_id": 42}',), b"", {"user_id": 42}),
        (("-",), b'{"user_id": 42}', {"user_id": 42}),
        (("user_id=42", "locale=a=b"), b"", {"user_id": 42, "locale": "a=b"}),
    ],
)
def test_enqueue_stores_what_was_written(
    run: Call, shop: Longshore, words: Sequence[str], stdin: bytes, kwargs: dict[str, object]
) -> None:
    said = run("enqueue", "mail.send", *words, stdin=stdin)
    assert said.code == 0, said.err
    record = shop.get(said.out.strip()).record
    assert json.loads(record.payload)["kwargs"] == kwargs
    assert (record.queue, record.state) == ("mail", JobState.AVAILABLE)


def test_enqueue_by_the_last_part_of_a_kind_and_a_list(run: Call, shop: Longshore) -> None:
    said = run("enqueue", "month", '["2030-01"]', "-o", "json")
    assert said.code == 0, said.err
    assert said.json["job"]["kind"] == "report.month"
    assert said.json["job"]["args"] == ["2030-01"]


def test_enqueue_options(run: Call, shop: Longshore) -> None:
    said = run(
        *("enqueue", "send", "user_id=1", "--in", "5m", "--queue", "vip"),
        *("--priority", "-3", "--tag", "a", "--tag", "b"),
    )
    record = shop.get(said.out.strip()).record
    assert (record.queue, record.priority, record.tags) == ("vip", -3, ("a", "b"))
    assert record.state is JobState.SCHEDULED
    assert record.scheduled_at - record.created_at == 300_000_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--at", "2030-01-01T00:00"), "time zone"),
        (("--at", "soon"), "ISO 8601"),
        (("--in", "5m", "--at", "2030-01-01T00:00Z"), "--in and --at"),
        (("--in", "-5"), ">= 0"),
        (("--queue", "a b"), "lower-case"),
        (("--priority", "high"), "-32768"),
        (("--priority", "99999"), "-32768"),
        (("--timeout", "5"), "--wait"),
        (("--tag", "longshore.x"), "reserved"),
    ],
)
def test_wrong_enqueue_options(
    run: Call, shop: Longshore, options: Sequence[str], message: str
) -> None:
    said = run("enqueue", "send", "user_id=1", *options)
    assert said.code == 2
    assert message in said.err
    assert shop.query.count() == 0


def test_waiting_ends_with_the_timeout(run: Call) -> None:
    said = run("enqueue", "send", "user_id=1", "--wait", "--timeout", "0.05")
    assert (said.code, said.number) == (7, 700)
    assert "still available" in said.err


@pytest.mark.parametrize("given", ["2030-01-01", "2030-01-01T09:00", "2030-01-01 09:00"])
def test_the_advice_for_a_time_without_a_zone_is_taken(run: Call, given: str) -> None:
    refused = run("enqueue", "fail", "--at", given)
    assert refused.code == 2
    first, second = re.findall(r"2030-01-01T\S+(?:Z|01:00)", refused.err)
    for advice in (first, second):
        assert run("enqueue", "fail", "--at", advice).code == 0
