"""``limits``, paused kinds, unique keys, and what ``jobs show`` says of a job that waits."""

import json
from pathlib import Path

import pytest

from longshore import Longshore
from longshore.core.model import JobState
from tests.cli.tools import Call, claim, end

APP = """
from longshore import Concurrency, Longshore, Rate, Unique

jobs = Longshore("sqlite:///jobs.db")

@jobs.job(kind="app.charge", concurrency=Concurrency(to=1, key="account", group="account"))
def charge(account: int) -> None: ...

@jobs.job(kind="app.mail", rate=Rate(1, per="1h"))
def mail(user: int) -> None: ...

@jobs.job(kind="app.sync", identity=["user"], unique=Unique())
def sync(user: int, full: bool = False) -> None: ...

@jobs.job(kind="app.build", identity=["user"], unique=Unique(on_conflict="raise"))
def build(user: int) -> None: ...
"""


@pytest.fixture(autouse=True)
def app(folder: Path) -> None:
    (folder / "shop.py").write_text(APP)


def stored(run: Call, *arguments: str) -> str:
    said = run("enqueue", *arguments)
    assert said.code == 0, said.err
    return said.out.strip()


def test_limits_are_listed_in_every_form(
    run: Call, shop: Longshore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    empty = run("limits", "list", "-o", "table")
    assert (empty.code, empty.out) == (0, "")
    assert "no limit" in empty.err
    first = stored(run, "charge", "account=7")
    stored(run, "charge", "account=7")
    stored(run, "mail", "user=1")
    stored(run, "mail", "user=2")
    assert len(claim(shop)) == 2
    account, mail = run("limits", "list", "-o", "json").json["limits"]
    assert account == {
        "name": "account",
        "key": "c:account:7",
        "value": "7",
        "to": 1,
        "per_seconds": None,
        "used": 1,
        "blocked": 1,
        "holders": [first],
        "opens_at": None,
        "set": None,
    }
    assert (mail["name"], mail["used"], mail["per_seconds"], mail["blocked"]) == (
        "app.mail",
        1,
        3600.0,
        1,
    )
    assert mail["opens_at"] is not None
    table = run("limits", "list", "-o", "table").out.splitlines()
    assert table[0].split() == ["limit", "value", "used", "of", "blocked", "opens"]
    assert table[1].split() == ["account", "7", "1", "1", "1"]
    assert "1/1 h" in table[2]
    plain = run("limits", "list").out.splitlines()
    assert plain[0].split("\t") == ["account", "7", "1", "1", "1", "-", "-"]
    lines = [json.loads(line) for line in run("limits", "list", "-o", "jsonl").out.splitlines()]
    assert lines == [account, mail]
    short = run("limits", "list", "--limit", "1", "-o", "jsonl")
    assert len(short.out.splitlines()) == 1
    assert "--limit" in short.err


def test_a_limit_is_shown_set_and_reset(run: Call, shop: Longshore) -> None:
    holder = stored(run, "charge", "account=7")
    for _ in range(2):
        stored(run, "charge", "account=7")
    claim(shop)
    shown = run("limits", "show", "account")
    assert shown.out.splitlines() == [
        "limit\taccount",
        "set\tno; the code decides",
        "7\t1 of 1 running, 2 jobs waiting",
        f"held by\t{holder}",
    ]
    said = run("limits", "set", "account", "--to", "2", "-o", "json").json["limit"]
    assert (said["name"], said["set"]) == ("account", {"to": 2, "per_seconds": None})
    assert [key["to"] for key in said["keys"]] == [2]
    assert len(claim(shop, "p2")) == 1
    back = run("limits", "reset", "account", "-o", "json").json["limit"]
    assert back["set"] is None
    assert [(key["used"], key["to"]) for key in back["keys"]] == [(2, 1)]


def test_a_limit_may_be_set_before_it_is_used(run: Call) -> None:
    assert run("limits", "set", "app.mail", "--to", "0", "--per", "1m").code == 0
    (only,) = run("limits", "list", "-o", "json").json["limits"]
    assert (only["name"], only["key"], only["set"]) == (
        "app.mail",
        None,
        {"to": 0, "per_seconds": 60.0},
    )
    assert "0 in 1 min" in run("limits", "show", "app.mail").out
    near = run("limits", "show", "app.mial")
    assert (near.code, near.number) == (8, 804)
    assert "Did you mean app.mail?" in near.err
    assert run("limits", "reset", "app.mail").code == 0
    assert run("limits", "list", "-o", "json").json["limits"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        ("account",),
        ("account", "--to", "-1"),
        ("account", "--to", "many"),
        ("account", "--to", "1.5"),
        ("account", "--to", "1", "--per", "0"),
        ("account", "--to", "1", "--per", "soon"),
        ("a:b", "--to", "1"),
        ("", "--to", "1"),
    ],
    ids=" ".join,
)
def test_what_no_limit_can_be_is_refused(run: Call, wrong: tuple[str, ...]) -> None:
    said = run("limits", "set", *wrong)
    assert said.code == 2, said.err
    assert run("limits", "list", "-o", "json").json["limits"] == []


def test_a_kind_is_paused_and_resumed(run: Call, shop: Longshore) -> None:
    id_ = stored(run, "mail", "user=1")
    said = run(
        "queues", "pause", "--kind", "mail", "--reason", "provider", "--for", "15m", "-o", "json"
    )
    kind = said.json["kind"]
    assert (kind["kind"], kind["paused"], kind["reason"]) == ("app.mail", True, "provider")
    assert kind["resumes_at"]
    assert claim(shop) == []
    listed = run("queues", "list", "-o", "json").json
    assert listed["paused_kinds"] == [kind]
    assert "provider until" in run("queues", "list", "-o", "table").out
    assert run("status", "-o", "json").json["paused_kinds"] == [kind]
    assert "kind\tapp.mail\tpaused" in run("status").out
    waits = run("jobs", "show", id_, "-o", "json").json["job"]["waits"]
    assert (waits["reason"], waits["resumes_at"]) == ("paused kind", kind["resumes_at"])
    resumed = run("queues", "resume", "--kind", "app.mail", "-o", "json").json["kind"]
    assert (resumed["paused"], resumed["reason"]) == (False, None)
    assert len(claim(shop, "p2")) == 1


def test_a_kind_of_another_application_may_be_paused(run: Call, shop: Longshore) -> None:
    said = run("queues", "pause", "--kind", "app.mial")
    assert said.code == 0
    assert "Did you mean app.mail?" in said.err
    shop.push({"kind": "app.mial", "args": []})
    assert claim(shop) == []


@pytest.mark.parametrize("arguments", [(), ("mail", "--kind", "app.mail")], ids=["none", "both"])
@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_queue_or_a_kind_is_needed(run: Call, verb: str, arguments: tuple[str, ...]) -> None:
    assert run("queues", verb, *arguments).code == 2


def test_show_says_what_a_job_waits_for(run: Call, shop: Longshore) -> None:
    one, two = (stored(run, "charge", "account=7") for _ in range(2))
    later = stored(run, "charge", "account=8", "--in", "1h")
    claim(shop)
    waits = run("jobs", "show", two, "-o", "json").json["job"]
    assert waits["blocked_by"] == "c:account:7"
    assert waits["limits"] == ["c:account:7"]
    assert (waits["waits"]["reason"], waits["waits"]["held_by"]) == ("limited", [one])
    assert (waits["waits"]["used"], waits["waits"]["of"]) == (1, 1)
    shown = dict(line.split("\t", 1) for line in run("jobs", "show", two).out.splitlines())
    assert shown["waits"] == waits["waits"]["text"]
    assert one in shown["waits"]
    assert "blocked by c:account:7" in shown["state"]
    assert run("jobs", "show", later, "-o", "json").json["job"]["waits"]["reason"] == "not due"
    assert run("jobs", "show", one, "-o", "json").json["job"]["waits"] is None
    assert "\nwaits" not in run("jobs", "show", one).out
    listed = run("jobs", "list", "--columns", "id,blocked", "state:available").out
    assert listed == f"{two}\tc:account:7\n"


def test_what_holds_a_unique_key_is_the_answer(run: Call) -> None:
    first = stored(run, "sync", "user=7")
    again = run("enqueue", "sync", "user=7", "full:=true")
    assert (again.code, again.out.strip()) == (0, first)
    assert "holds the unique key" in again.err
    assert stored(run, "sync", "user=8") != first
    stored(run, "build", "user=7")
    refused = run("enqueue", "build", "user=7")
    assert (refused.code, refused.number, refused.out) == (6, 610, "")


def test_a_unique_key_of_ones_own(run: Call) -> None:
    first = stored(run, "charge", "account=7", "--unique-key", "monthly")
    assert stored(run, "charge", "account=8", "--unique-key", "monthly") == first
    assert stored(run, "charge", "account=7", "--unique-key", "daily") != first
    assert stored(run, "mail", "user=1", "--unique-key", "monthly") != first
    whole = run("jobs", "show", first, "-o", "json").json["job"]
    assert whole["unique_key"]
    assert whole["kwargs"] == {"account": 7}
    assert run("enqueue", "mail", "user=1", "--unique-key", "").code == 2


def test_a_retry_says_that_the_key_is_held(run: Call, shop: Longshore) -> None:
    ended = stored(run, "sync", "user=7")
    (lease,) = claim(shop)
    end(shop, lease, JobState.DEAD)
    stored(run, "sync", "user=7")
    said = run("jobs", "retry", ended)
    assert (said.code, said.number) == (6, 610)
    many = run("jobs", "retry", "--query", "kind:app.sync", "--yes", "-o", "json").json
    assert (many["matched"], many["changed"], many["held"]) == (1, 0, 1)
    assert "unique key held\t1" in run("jobs", "retry", "--query", "kind:app.sync", "--yes").out
    assert shop.get(ended).state is JobState.DEAD


def test_a_job_is_called_by_its_last_part_where_it_has_an_older_name(
    run: Call, folder: Path
) -> None:
    (folder / "shop.py").write_text(
        APP
        + """
@jobs.job(kind="post.send", aliases=["app.send"])
def send(user: int) -> None: ...

@jobs.job(kind="post.mail")
def another(user: int) -> None: ...
"""
    )
    assert run("enqueue", "send", "user=1").code == 0
    paused = run("queues", "pause", "--kind", "send", "-o", "json")
    assert (paused.code, paused.json["kind"]["kind"]) == (0, "post.send")
    for said in (run("queues", "pause", "--kind", "mail"), run("enqueue", "mail", "user=1")):
        assert said.code == 2
        assert "may be app.mail or post.mail" in said.err
