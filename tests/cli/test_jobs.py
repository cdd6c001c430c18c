"""``jobs`` and ``queues``: reading, the query language, and verbs that ask first."""

import json
import re
import threading
import time

import pytest

from longshore import Longshore
from longshore.core.model import RUN_LINES, Ending, JobState, LogLine, Patch, Step
from tests.cli.tools import Call, claim, end, push

# --- jobs --------------------------------------------------------------------------------------


def test_list_in_every_form(run: Call, shop: Longshore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    ids = push(shop, 3)
    assert [job["id"] for job in run("jobs", "list", "-o", "json").json["jobs"]] == ids[::-1]
    lines = run("jobs", "list", "-o", "jsonl").out.splitlines()
    assert [json.loads(line)["kwargs"]["user_id"] for line in lines] == [2, 1, 0]
    plain = run("jobs", "list", "args.user_id:1", "--columns", "id,queue,args").out
    assert plain == f'{ids[1]}\tmail\t{{"user_id":1}}\n'
    table = run("jobs", "list", "-o", "table", "--sort", "oldest", "--limit", "2")
    assert table.out.splitlines()[0].split() == [
        "id",
        "state",
        "kind",
        "queue",
        "attempt",
        "created",
    ]
    assert [line.split()[0] for line in table.out.splitlines()[1:]] == ids[:2]
    assert "--limit" in table.err


def test_list_refuses_unknown_columns(run: Call) -> None:
    said = run("jobs", "list", "--columns", "id,stat")
    assert said.code == 2
    assert "Did you mean state?" in said.err


def test_show_cleans_what_a_terminal_would_obey(run: Call, shop: Longshore) -> None:
    (id_,) = push(shop)
    end(shop, claim(shop)[0], JobState.DEAD)
    said = run("jobs", "show", id_, "-o", "table")
    assert said.code == 0
    assert "\x1b" not in said.out
    assert "builtins.OSError: no route: ?[31mred" in said.out
    whole = run("jobs", "show", id_.upper(), "-o", "json").json["job"]
    assert whole["state"] == "dead"
    assert whole["runs"][0]["message"] == "no route: \x1b[31mred"


def test_show_tells_the_steps_that_are_saved(run: Call, shop: Longshore) -> None:
    (id_,) = push(shop)
    (lease,) = claim(shop)
    now = time.time_ns() // 1000
    loop = Step("rows", b'{"at":7,"done":false}', now + 1, 1, cursor=True)
    saved = (Step("charge", b'"receipt"', now, 1), loop)
    shop.store.run(shop.store.save([Patch(lease, steps=saved)]))
    lines = run("jobs", "show", id_).out.splitlines()
    said = [line for line in lines if line.startswith(("step", "loop"))]
    assert [re.sub(r", [^)]*", "", line) for line in said] == [
        'step\tcharge (run 1): "receipt"',
        'loop\trows (run 1): {"at":7,"done":false}',
    ]
    steps = run("jobs", "show", id_, "-o", "json").json["job"]["steps"]
    assert [(one["name"], one["loop"], one["value"]) for one in steps] == [
        ("charge", False, "receipt"),
        ("rows", True, {"at": 7, "done": False}),
    ]


def test_logs_in_every_form(run: Call, shop: Longshore) -> None:
    (id_,) = push(shop)
    (lease,) = claim(shop)
    said = [LogLine(RUN_LINES + n, n * 1_000_000, "info", f"page {n}\nof \x1b3") for n in (1, 2, 3)]
    shop.store.run(shop.store.save([Patch(lease, lines=tuple(said))]))
    plain = run("jobs", "logs", id_, "--limit", "2").out.splitlines()
    assert [line.split("\t") for line in plain] == [
        ["1", "1970-01-01T00:00:02+00:00", "info", "page 2 of ?3"],
        ["1", "1970-01-01T00:00:03+00:00", "info", "page 3 of ?3"],
    ]
    table = run("jobs", "logs", id_.upper(), "-o", "table").out.splitlines()
    assert table[:2] == [
        "1970-01-01T00:00:01+00:00 INFO    page 1",
        f"{'':<34}of ?3",
    ]
    lines = run("jobs", "logs", id_, "-o", "json").json["lines"]
    assert lines[2]["message"] == "page 3\nof \x1b3"
    assert [line["run"] for line in lines] == [1, 1, 1]
    assert run("jobs", "logs", "42").code == 2
    assert run("jobs", "logs", "0198c5d2-7c52-7d3e-b0ab-2f5a3c1d9e10").code == 8
    assert "use -o jsonl" in run("jobs", "logs", "-f", id_, "-o", "json").err


def test_logs_are_followed_until_the_job_has_ended(run: Call, shop: Longshore) -> None:
    (id_,) = push(shop)
    (lease,) = claim(shop)

    def say(number: int) -> None:
        line = LogLine(RUN_LINES + number, number, "info", f"page {number}")
        shop.store.run(shop.store.save([Patch(lease, lines=(line,))]))

    def work() -> None:
        for number in (2, 3):
            threading.Event().wait(0.3)
            say(number)
        end(shop, lease, JobState.SUCCEEDED)

    say(1)
    working = threading.Thread(target=work)
    working.start()
    said = run("jobs", "logs", "--follow", id_, "-o", "jsonl")
    working.join()
    assert said.code == 0
    told = [json.loads(line)["message"] for line in said.out.splitlines()]
    assert told == ["page 1", "page 2", "page 3"]


def test_b55_retry_by_id(run: Call, shop: Longshore) -> None:
    unknown = "0198c5d2-7c52-7d3e-b0ab-2f5a3c1d9e10"
    done, running, dead = push(shop, 3)
    leases = {lease.job_id: lease for lease in claim(shop)}
    end(shop, leases[done], JobState.SUCCEEDED)
    end(shop, leases[dead], JobState.DEAD)
    expected = {"not-an-id": 2, unknown: 8, done: 6, running: 6}
    for id_, code in expected.items():
        said = run("jobs", "retry", id_)
        assert said.code == code, said.err
        assert said.number // 100 == code
        assert said.out == ""
    assert run("jobs", "show", unknown).code == 8
    assert run("jobs", "show", "42").code == 2
    assert shop.get(done).state is JobState.SUCCEEDED
    assert shop.get(running).state is JobState.RUNNING
    assert run("jobs", "retry", dead).code == 0
    assert shop.get(dead).state is JobState.AVAILABLE


def test_several_ids_are_told_apart(run: Call, shop: Longshore) -> None:
    one, two = push(shop, 2)
    shop.get(two).cancel()
    said = run("jobs", "cancel", one, two, one)
    assert (said.code, said.number) == (6, 604)
    assert [line.split("\t")[:2] for line in said.out.splitlines()] == [
        [one, "cancelled"],
        [two, "skipped"],
    ]
    unknown = "0198c5d2-7c52-7d3e-b0ab-2f5a3c1d9e10"
    assert run("jobs", "cancel", two, unknown).code == 1
    (three,) = push(shop)
    assert run("jobs", "cancel", three, "42").code == 2
    assert shop.get(three).state is JobState.AVAILABLE


def test_cancel_and_discard_keep_their_reason(run: Call, shop: Longshore) -> None:
    one, two, three = push(shop, 3)
    assert run("jobs", "cancel", one, "--reason", "wrong region").code == 0
    assert run("jobs", "discard", two).code == 0
    assert run("jobs", "discard", three, "--reason", "spam").code == 0
    reasons = [shop.get(id_).record.reason for id_ in (one, two, three)]
    assert reasons == ["wrong region", "discarded by a person", "discarded by a person: spam"]


def test_b56_bulk_verbs_need_a_confirmation(run: Call, shop: Longshore) -> None:
    push(shop, 5)
    said = run("jobs", "cancel", "--query", "queue:mail")
    assert (said.code, said.number) == (6, 601)
    assert "5 jobs" in said.err
    empty = run("jobs", "cancel", "--query", "", "--yes")
    assert (empty.code, empty.number) == (6, 602)
    assert "5 jobs" in empty.err
    every = run("jobs", "cancel", "--all")
    assert (every.code, every.number) == (6, 601)
    assert run("jobs", "cancel").code == 2
    assert run("jobs", "cancel", "--query", "queue:mail", "--dry-run").code == 0
    assert shop.query.filter(state="available").count() == 5
    done = run("jobs", "cancel", "--query", "queue:mail", "--yes", "-o", "json")
    assert done.json["changed"] == 5
    assert shop.query.filter(state="cancelled").count() == 5
    assert run("jobs", "retry", "--query", "state:cancelled", "--yes").code == 0
    assert run("jobs", "discard", "--all", "--yes").code == 0
    assert shop.query.filter(state="cancelled").count() == 5


def test_retry_by_query_means_what_failed_unless_it_says_more(run: Call, shop: Longshore) -> None:
    done, dead = push(shop, 2)
    leases = {lease.job_id: lease for lease in claim(shop)}
    end(shop, leases[done], JobState.SUCCEEDED)
    end(shop, leases[dead], JobState.DEAD)
    said = run("jobs", "retry", "--query", "queue:mail", "--yes", "-o", "json")
    assert (said.json["matched"], said.json["changed"]) == (1, 1)
    assert shop.get(done).state is JobState.SUCCEEDED
    said = run("jobs", "retry", "--query", "state:succeeded", "--yes", "-o", "json")
    assert said.json["changed"] == 1


@pytest.mark.parametrize(
    ("query", "caret", "message"),
    [
        ("state:flying", 6, "not a state"),
        ("state:ded", 6, "Did you mean dead"),
        ('error:"no end', 6, "not closed"),
        ("a:b:c", 3, "quotes"),
        ("stat:dead", 0, "Did you mean state"),
        ("dead", 0, "name:value"),
        (":dead", 0, "name:value"),
        ("state:", 6, "missing"),
        ("state:dead,", 11, "missing"),
        ("queue:mail  args:7", 12, "args.name"),
        ("id:42", 3, "not a job's id"),
        ("queue:A", 6, "lower-case"),
        ("x" * 3000, None, "at most 2000"),
        ("error:(a+)+$ state:dead" + "a" * 1900, None, "state"),
        ('error:"' + '\\"' * 900, None, "not closed"),
    ],
)
def test_b57_queries(run: Call, query: str, caret: int | None, message: str) -> None:
    started = time.monotonic()
    said = run("jobs", "list", query)
    assert time.monotonic() - started < 5
    assert (said.code, said.number) == (2, 208)
    assert message in said.err
    pointing = next(line for line in said.err.splitlines() if line.strip() == "^")
    if caret is not None:
        assert pointing == " " * (caret + 2) + "^"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", 4),
        ("queue:mail", 3),
        ("queue:mail,vip", 4),
        ("tag:eu", 1),
        ("tag:eu tag:us", 0),
        ("args.user_id:1", 1),
        ('args.user_id:"1"', 0),
        ("args.user_id:0,2", 2),
        ("args.locale:7", 1),
        ("args.box.size:3", 1),
        ("kind:mail.send state:available", 4),
        ("state:dead", 0),
        ('args.locale:"a \\"b\\": c"', 1),
    ],
)
def test_the_query_language(run: Call, shop: Longshore, query: str, found: int) -> None:
    for job in (
        {"kwargs": {"user_id": 0, "locale": "7"}},
        {"kwargs": {"user_id": 1, "locale": 'a "b": c'}, "tags": ["eu"]},
        {"kwargs": {"user_id": 2, "box": {"size": 3}}},
        {"kwargs": {"user_id": 3}, "queue": "vip"},
    ):
        shop.push({"kind": "mail.send", "queue": "mail", **job})
    assert len(run("jobs", "list", query, "-o", "json").json["jobs"]) == found


# --- queues ------------------------------------------------------------------------------------


def test_queues(run: Call, shop: Longshore) -> None:
    push(shop, 3)
    assert run("queues", "list").out.split("\t")[:4] == ["mail", "3", "0", "0"]
    paused = run("queues", "pause", "mail", "--for", "15m", "--reason", "down", "-o", "json").json
    assert paused["queue"]["paused"]
    assert paused["queue"]["reason"] == "down"
    assert claim(shop) == []
    assert "down" in run("queues", "show", "mail").out
    assert not run("queues", "resume", "mail", "-o", "json").json["queue"]["paused"]
    refused = run("queues", "clear", "mail")
    assert (refused.code, refused.number) == (6, 601)
    assert "3 jobs" in refused.err
    assert run("queues", "clear", "mail", "--yes", "-o", "json").json["changed"] == 3
    assert shop.query.count() == 0


def test_unknown_queues(run: Call, shop: Longshore) -> None:
    push(shop)
    for verb in ("show", "clear"):
        said = run("queues", verb, "mial")
        assert (said.code, said.number) == (8, 802)
        assert "Did you mean mail?" in said.err
    assert run("queues", "show", "a b").code == 2
    assert run("queues", "pause", "mail", "--for", "0").code == 2


def test_a_queue_of_which_nobody_has_heard_is_paused_and_told(run: Call, shop: Longshore) -> None:
    push(shop, queue="imports")
    odd = run("queues", "pause", "import")
    assert odd.code == 0
    assert "no queue import has jobs, and no job or worker names it" in odd.err
    assert "Did you mean imports?" in odd.err
    assert {queue.name for queue in shop.queues if queue.record.paused} == {"import"}
    claim(shop)  # by a worker of the queue mail, which is declared too
    for name in ("imports", "mail"):
        assert "no queue" not in run("queues", "pause", name).err


@pytest.mark.parametrize(("limit", "more"), [(2, True), (3, False), (4, False)])
def test_list_says_that_there_are_more_where_there_are(
    run: Call, shop: Longshore, limit: int, more: bool
) -> None:
    push(shop, 3)
    said = run("jobs", "list", "--limit", str(limit), "-o", "json")
    assert len(said.json["jobs"]) == min(limit, 3)
    assert ("--limit shows more" in said.err) is more


def test_show_says_which_start_it_means(run: Call, shop: Longshore) -> None:
    (job_id,) = push(shop)
    end(shop, claim(shop)[0], JobState.DEAD)
    assert "\nstarted\t" in run("jobs", "show", job_id).out
    shop.get(job_id).retry()
    claim(shop)
    assert "\nfirst started\t" in run("jobs", "show", job_id).out


def test_why_a_job_is_quarantined_stands_in_the_list(run: Call, shop: Longshore) -> None:
    push(shop)
    (lease,) = claim(shop)
    poison = Ending(lease, JobState.DEAD, reason="poison")
    assert shop.store.run(shop.store.finish([poison]))
    listed = run("jobs", "list", "state:dead", "-o", "plain").out
    assert listed.splitlines()[0].split("\t")[6] == "poison"
