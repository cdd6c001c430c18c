"""``longshore keys``: what it makes is a key, and each time another."""

from longshore.core.keyring import read_keys
from tests.cli.tools import Call


def test_a_new_key_can_be_used_as_it_is_printed(run: Call) -> None:
    said = [run("keys", "new"), run("keys", "new", "2027-01")]
    assert [one.code for one in said] == [0, 0]
    assert "LONGSHORE_ENCRYPTION_KEYS" in said[0].err
    keys = read_keys([one.out.strip() for one in said])
    assert keys[1].kid == "2027-01"
    assert keys[0].secret != keys[1].secret
    assert not [one for one in said if one.out.strip().partition(":")[2] in one.err]


def test_as_json(run: Call) -> None:
    told = run("-o", "json", "keys", "new", "k1").json
    (key,) = read_keys(told["key"])
    assert (told["name"], key.kid) == ("k1", "k1")


def test_a_name_that_cannot_be_one_is_refused(run: Call) -> None:
    for name in ("a b", "env", "x" * 33, 'k"'):
        said = run("keys", "new", name)
        assert (said.code, said.out) == (2, ""), name
        assert "NAME" in said.err


def test_settings_are_shown_without_the_keys(run: Call, monkeypatch) -> None:
    key = run("keys", "new", "k1").out.strip()
    monkeypatch.setenv("LONGSHORE_ENCRYPTION_KEYS", key)
    for words in (("config", "show", "--resolved"), ("-o", "json", "config", "show"), ("check",)):
        said = run(*words)
        assert said.code == 0
        assert key.partition(":")[2] not in said.out + said.err
    assert run("-o", "json", "config", "show").json["settings"]["encryption_keys"] == "k1"
