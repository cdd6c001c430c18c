"""Keys, boxes, and what is refused (rows B43 and B50): encryption before any store is asked."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64decode, b64encode
from hashlib import sha256
from hmac import digest, new
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from longshore import ConfigurationError, InvalidOption, Longshore, Unique
from longshore.core import sealing
from longshore.core.codec.outputs import Unfilled
from longshore.core.keyring import read_keys, written
from longshore.core.model import Step
from longshore.core.sealing import Sealer, is_box
from longshore.errors import Undecryptable
from tests.encryption_tools import MARKER, NEW, OLD, application, key

JOB, KIND = "01928374-5566-7788-9907-0123456789ab", "app.send"
CALL = b'{"v":1,"args":[],"kwargs":{"user_id":42}}'
SECRET = bytes([7]) * 32
BODY = b64encode(SECRET).decode()


@pytest.fixture
def sealer() -> Sealer:
    return Sealer(read_keys([OLD]))


# --- keys ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (f"k1:{BODY[:20]}", "has 15 bytes, and must have 32"),
        (f"k1:{b64encode(bytes(33)).decode()}", "has 33 bytes"),
        ("k1:", "has 0 bytes"),
        (f"k1:{BODY[:-3]}!!!", "is not base64"),
        (f"k1:{BODY}é", "is not base64"),
        (BODY, "has no name"),
        (f":{BODY}", "a name that is not allowed"),
        (f"k 1:{BODY}", "has no name"),
        (f"{'k' * 33}:{BODY}", "a name that is not allowed"),
        (f"env:{BODY}", "a name that is not allowed"),
        (f"{OLD} {key('k1', 9)}", "two keys are called 'k1'"),
        ([f'k"1:{BODY}'], "a name that is not allowed"),
        ([SECRET], "is of type bytes"),
        (SECRET, "is of type bytes"),
        ({"k1": BODY}, "is of type dict"),
        ([key(f"k{n}") for n in range(33)], "33 keys are given, 32 are the most"),
    ],
)
def test_a_bad_key_is_refused_at_once_and_never_printed(given: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Longshore("memory://", encryption_keys=given)
    text = str(caught.value)
    assert said in text
    assert text.endswith("It was given by: arguments.")
    assert not [part for part in (BODY[:12], BODY[-12:], repr(SECRET)[2:9]) if part in text]
    assert caught.value.__suppress_context__


def test_keys_come_from_environment_file_and_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def names() -> list[str]:
        return [one.kid for one in Longshore("memory://").settings.encryption_keys]

    monkeypatch.setenv("LONGSHORE_ENCRYPTION_KEYS", f"{NEW}, {OLD}")
    assert names() == ["k2", "k1"]
    monkeypatch.setenv("LONGSHORE_ENCRYPTION_KEYS", "env:VAULT")
    with pytest.raises(ConfigurationError, match="env:VAULT names a variable that is not set"):
        names()
    monkeypatch.setenv("VAULT", OLD)
    assert names() == ["k1"]
    file = tmp_path / "keys"
    file.write_text(f"{OLD}\n{NEW}\n")
    file.chmod(0o600)
    monkeypatch.setenv("LONGSHORE_ENCRYPTION_KEYS", f"file:{file}")
    assert names() == ["k1", "k2"]
    file.chmod(0o604)
    with pytest.raises(ConfigurationError, match=f"chmod 600 {file}"):
        names()
    monkeypatch.setenv("LONGSHORE_ENCRYPTION_KEYS", f"file:{tmp_path}/none")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        names()


def test_both_alphabets_and_missing_padding_are_the_same_key() -> None:
    secret = bytes(range(224, 256))
    standard = b64encode(secret).decode()
    url = standard.replace("+", "-").replace("/", "_").rstrip("=")
    assert standard != url
    assert read_keys([f"k:{standard}"]) == read_keys([f"k:{url}"])
    assert read_keys([written("k", secret)])[0].secret == secret


def test_nothing_that_shows_settings_shows_a_key() -> None:
    jobs = application(keys=[NEW, OLD])
    keys = jobs.settings.encryption_keys
    shown = " ".join(
        [
            repr(jobs.settings),
            repr(keys),
            str(keys[0]),
            repr(jobs.sealer),
            f"{jobs.settings.rows()}",
        ]
    )
    assert "<key k2>" in shown
    assert {name: value for name, value, _ in jobs.settings.rows()}["encryption_keys"] == ("k2, k1")
    for one in keys:
        assert b64encode(one.secret).decode()[:12] not in shown
        assert repr(one.secret)[2:10] not in shown


# --- boxes --------------------------------------------------------------------------------------


def test_a_box_is_what_the_page_says() -> None:
    """A known answer, made here a second time from what docs/adr/0024 tells, with other code."""
    sealer = Sealer(read_keys([f"k1:{BODY}"]))
    box = sealer.call(JOB, KIND, CALL)
    assert box == (
        b'{"v":1,"kid":"k1","box":"apOK1OTe1x0TQ4v8qqrVOWYpsg7TruyQngmeYcqUoTW6YH6XisytgeicL81IuUkOrIm2W0NsP89B1LteLnTJOkOBFDr3"}'
    )
    beside = f'["longshore",1,"call","{JOB}","{KIND}"]'.encode()
    content = digest(SECRET, b"longshore 1 content", sha256)
    nonces = digest(SECRET, b"longshore 1 nonces", sha256)
    nonce = digest(nonces, len(beside).to_bytes(8, "big") + beside + CALL, sha256)[:12]
    sealed = b64decode(json.loads(box)["box"])
    assert sealed[:12] == nonce
    assert AESGCM(content).decrypt(nonce, sealed[12:], beside) == CALL
    assert sealer.opened_call(JOB, KIND, box) == CALL


def test_a_box_opens_only_where_it_belongs(sealer: Sealer) -> None:
    other = JOB.replace("0", "1")
    call, result = sealer.call(JOB, KIND, CALL), sealer.result(JOB, KIND, b"1")
    step = sealer.step(JOB, KIND, Step("one", b"1", 1, 1))
    renamed = Step("two", step.value, 1, 1)
    for refused in (
        lambda: sealer.opened_call(other, KIND, call),
        lambda: sealer.opened_call(JOB, "app.other", call),
        lambda: sealer.opened_call(JOB, KIND, result),
        lambda: sealer.opened_result(JOB, KIND, call),
        lambda: sealer.opened_result(other, KIND, result),
        lambda: sealer.opened_result(JOB, "app.other", result),
        lambda: sealer.opened_step(JOB, KIND, renamed),
        lambda: sealer.opened_step(other, KIND, step),
        # A call that may not move does not become one that may.
        lambda: sealer.opened_call(other, KIND, call[:-1] + f',"as":"{JOB}"}}'.encode()),
    ):
        with pytest.raises(Undecryptable, match="does not open"):
            refused()
    assert sealer.opened_result(JOB, KIND, result) == b"1"
    assert sealer.opened_step(JOB, KIND, step).value == b"1"


def test_a_call_that_moves_opens_in_any_job_of_its_kind_and_in_no_other(sealer: Sealer) -> None:
    box = sealer.call(JOB, KIND, CALL, moves_from=JOB)
    assert sealer.opened_call("another", KIND, box) == CALL
    with pytest.raises(Undecryptable):
        sealer.opened_call(JOB, "app.other", box)
    with pytest.raises(Undecryptable):
        sealer.opened_call("another", KIND, box.replace(JOB.encode(), b"another"))


def test_every_changed_byte_is_noticed(sealer: Sealer) -> None:
    box = sealer.call(JOB, KIND, CALL)
    for place in range(len(box)):
        changed = box[:place] + bytes([box[place] ^ 1]) + box[place + 1 :]
        if is_box(changed):
            with pytest.raises(Undecryptable):
                sealer.opened_call(JOB, KIND, changed)
    for length in range(len(box)):
        with pytest.raises(Undecryptable):
            sealer.opened_call(JOB, KIND, box[:length])


def test_outputs_are_filled_in_where_the_store_has_put_them(sealer: Sealer) -> None:
    plain = f'{{"v":1,"args":[],"kwargs":{{"x":"longshore:output:{JOB}"}}}}'.encode()
    box = sealer.call("taker", KIND, Unfilled.of(plain, ("x",)))
    mark = f'"longshore:output:{JOB}"'.encode()
    assert box.count(mark) == 1
    filled = box.replace(mark, b'{"total":3}')
    assert sealer.opened_call("taker", KIND, filled).endswith(b'{"x":{"total":3}}}')
    # An output that looks like a mark is not filled again, and an encrypted one is opened.
    assert mark in sealer.opened_call("taker", KIND, box.replace(mark, mark))
    sealed = sealer.result(JOB, "app.source", b'"from it"')
    assert b'"x":"from it"' in sealer.opened_call("taker", KIND, box.replace(mark, sealed))
    foreign = sealer.result("another", "app.source", b'"from it"')
    with pytest.raises(Undecryptable):
        sealer.opened_call("taker", KIND, box.replace(mark, foreign))


def test_the_first_key_encrypts_and_all_decrypt(sealer: Sealer) -> None:
    both = Sealer(read_keys([NEW, OLD]))
    assert both.opened_call(JOB, KIND, sealer.call(JOB, KIND, CALL)) == CALL
    box = both.call(JOB, KIND, CALL)
    assert b'"kid":"k2"' in box
    with pytest.raises(Undecryptable, match="the key 'k2', which is not among those"):
        sealer.opened_call(JOB, KIND, box)
    with pytest.raises(Undecryptable, match="another key under that name"):
        Sealer(read_keys([key("k2", 9)])).opened_call(JOB, KIND, box)


def test_no_nonce_comes_twice_in_a_million() -> None:
    """The generator alone, over what differs least: ids that follow each other, one content."""
    mac = new(digest(SECRET, b"longshore 1 nonces", sha256), digestmod="sha256")
    nonces = {
        sealing._nonce(mac, b'["longshore",1,"call","%036d","app.send"]' % number, CALL)
        for number in range(1_000_000)
    }
    assert len(nonces) == 1_000_000
    assert {len(nonce) for nonce in nonces} == {12}


def test_what_differs_in_anything_has_another_nonce(sealer: Sealer) -> None:
    def nonce(box: bytes) -> bytes:
        return b64decode(json.loads(box)["box"])[:12]

    boxes = [
        sealer.call(JOB, KIND, CALL),
        sealer.call(JOB, KIND, CALL + b" "),
        sealer.call(JOB, KIND + "x", CALL),
        sealer.call(JOB + "x", KIND, CALL),
        sealer.call(JOB, KIND, CALL, moves_from=JOB),
        sealer.result(JOB, KIND, CALL),
        sealer.step(JOB, KIND, Step("a", CALL, 1, 1)).value,
        sealer.step(JOB, KIND, Step("b", CALL, 1, 1)).value,
        Sealer(read_keys([key("k1", 2)])).call(JOB, KIND, CALL),
    ]
    assert len({nonce(box) for box in boxes}) == len(boxes)
    # A request that is repeated has to be the same.
    assert sealer.call(JOB, KIND, CALL) == boxes[0]


# --- declarations -------------------------------------------------------------------------------


def test_without_a_key_it_is_refused_when_declared_and_when_enqueued() -> None:
    jobs = Longshore("memory://")
    with pytest.raises(ConfigurationError, match=r"job one .* no key.*longshore keys new"):
        jobs.job(kind="one", encrypt=True)(print_nothing)
    two: Any = jobs.job(kind="two")(print_nothing)
    with pytest.raises(ConfigurationError, match="job two"):
        two.using(encrypt=True)
    with pytest.raises(ConfigurationError, match="job two"):
        jobs.push({"kind": "two", "encrypt": True})
    assert jobs.query.count() == 0


@pytest.mark.parametrize("value", [None, 1, "yes"])
def test_encrypt_is_true_or_false(value: Any) -> None:
    jobs: Any = application()
    with pytest.raises(InvalidOption, match="must be True or False"):
        jobs.job(kind="one", encrypt=value)(print_nothing)
    with pytest.raises(InvalidOption, match="must be True or False"):
        jobs.vault.using(encrypt=value)


def test_without_the_package_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, sealer: Sealer
) -> None:
    box = sealer.call(JOB, KIND, CALL)
    monkeypatch.setitem(
        sys.modules,
        "cryptography.hazmat.primitives.ciphers.aead",
        None,  # as if it were not there
    )
    jobs: Any = Longshore("memory://", encryption_keys=[OLD])
    with pytest.raises(ConfigurationError, match=r"pip install 'longshore\[encryption\]'"):
        jobs.job(kind="one", encrypt=True)(print_nothing)
    with pytest.raises(Undecryptable, match=r"pip install 'longshore\[encryption\]'"):
        jobs.sealer.opened_call(JOB, KIND, box)


def test_who_encrypts_nothing_loads_nothing_for_it() -> None:
    program = (
        "import sys; from longshore import Longshore;"
        f"Longshore('memory://', encryption_keys=[{OLD!r}]);"
        "assert not [name for name in sys.modules if name.startswith('cryptography')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_keys_and_identities_of_an_encrypted_job_tell_nothing() -> None:
    jobs: Any = application(keys=[NEW, OLD])
    vault = jobs.vault.using(unique=Unique())
    plain = jobs.vault.using(encrypt=False, unique=Unique()).enqueue(name="ada", secret="x")
    handle = vault.enqueue(name="ada", secret=MARKER)
    assert (plain.record.identity, plain.is_duplicate) == ('vault {"name":"ada"}', False)
    for told in (handle.record.identity, handle.record.rules.hold.key):
        assert len(told) == 64
        assert "ada" not in told
    assert vault.enqueue(name="ada", secret="other").id == handle.id
    assert vault.find(name="ada").id == handle.id
    # An exchange of keys, in any order, changes them only when the oldest goes.
    for keys, same in (([OLD], True), ([OLD, NEW], True), ([NEW, OLD], True), ([NEW], False)):
        again = application(keys=keys).vault.using(unique=Unique())
        found = again.enqueue(name="ada", secret="x").record.rules.hold.key
        assert (found == handle.record.rules.hold.key) is same


def test_the_list_of_kinds_differs_with_the_keys() -> None:
    digests = {
        application(keys=keys).registry.digest()
        for keys in ([OLD], [NEW], [NEW, OLD], [key("k1", 9)])
    }
    assert len(digests) == 4
    assert application(keys=[OLD, NEW]).registry.digest() in digests  # their order does not count


def print_nothing() -> None: ...
