"""The command line: exit codes, forms of output, and every bad input of its part of the list.

Rows of `bad-input.md` that belong to a later issue: B60 (there are no pid files; they come with the
deployment artefacts). B59 (two workers of one name) is tested with the worker.
"""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from longshore import Longshore, cli, config, errors
from longshore.cli import program
from longshore.cli.exit import KINDS, Exit, Kind, errors_page, kind_of
from longshore.cli.parts import Group
from longshore.core.model import Ending, JobState, Lease, Run, Why
from longshore.core.settings import DEFAULTS
from longshore.core.store import ClaimRequest, Line, NewProcess

APP = """
from pathlib import Path
from longshore import Longshore

jobs = Longshore("sqlite:///jobs.db")

@jobs.job(kind="mail.send", queue="mail")
def send(user_id: int, locale: str = "en", tags: list[str] = ()) -> str:
    return f"{user_id} {locale}"

@jobs.job(kind="fail", max_attempts=1)
def fail() -> None:
    raise RuntimeError("no such host")

@jobs.job(kind="report.month")
def month(name: str) -> None: ...
"""
CODE = re.compile(r"LONGSHORE-E(\d{3}) \(docs/errors\.md#e\1\)\n\Z")


class Said:
    """How a command ended and what it said."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def number(self) -> int:
        found = CODE.search(self.err)
        assert found, self.err
        return int(found[1])

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run_ = Callable[..., Said]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An application in a folder of its own, forgotten by the interpreter afterwards."""
    (tmp_path / "shop.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("LONGSHORE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LONGSHORE_APP", "shop:jobs")
    before = list(sys.path)
    yield tmp_path
    sys.path[:] = before
    forget(tmp_path)


def forget(folder: Path) -> None:
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "") or "").startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def run(folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run_:
    """Run the command line in this process, as a fresh one would find the application."""

    def call(*arguments: str, stdin: bytes = b"") -> Said:
        forget(folder)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfd.readouterr()
        code = cli.main(arguments)
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return call


@pytest.fixture
def shop(folder: Path) -> Iterator[Longshore]:
    """Another door to the application's store."""
    app = Longshore(f"sqlite:///{folder}/jobs.db")
    yield app
    app.close()


def push(app: Longshore, count: int = 1, queue: str = "mail") -> list[str]:
    return [
        app.push({"kind": "mail.send", "kwargs": {"user_id": i}, "queue": queue}).id
        for i in range(count)
    ]


def claim(app: Longshore, process: str = "p1", lease: int = 3_600_000_000) -> list[Lease]:
    """Claim everything as a worker process would."""
    app.store.run(
        app.store.register(
            NewProcess(
                id=process,
                app="shop",
                name="one",
                host="here",
                pid=1,
                lease=lease,
                queues=("mail",),
                kinds=(),
                slots=10,
                embedded=True,
            )
        )
    )
    taken = app.store.run(app.store.claim(ClaimRequest(process, 1, 100, (Line(("*",)),))))
    return [Lease(job.id, process, job.run) for job in taken.jobs]


def end(app: Longshore, lease: Lease, state: JobState) -> None:
    entry = Run(
        run=1,
        process="p1",
        started_at=1,
        ended_at=2,
        why=Why.FAILED,
        error="builtins.OSError",
        message="no route: \x1b[31mred",
    )
    result = b'"done"' if state is JobState.SUCCEEDED else None
    failed = state is JobState.DEAD
    ending = Ending(lease, state, failed=failed, entry=entry if failed else None, result=result)
    assert app.store.run(app.store.finish([ending])) == {lease}


def fresh(
    *arguments: str, cwd: Path, env: dict[str, str] | None = None, **rest: Any
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "longshore", *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        **rest,
    )


# --- help and the program itself --------------------------------------------------------------


def every_command() -> list[tuple[str, click.Command]]:
    found = list[tuple[str, click.Command]]()

    def walk(path: str, command: click.Command, ctx: click.Context) -> None:
        found.append((path, command))
        if isinstance(command, Group):
            for name in command.list_commands(ctx):
                below = command.get_command(ctx, name)
                assert below is not None
                walk(f"{path} {name}".strip(), below, click.Context(below, ctx, name))

    walk("", program.program, click.Context(program.program, info_name="longshore"))
    return found


@pytest.mark.parametrize("path", [path for path, _ in every_command()])
def test_help_begins_with_examples_and_shows_every_variable(run: Run_, path: str) -> None:
    command = dict(every_command())[path]
    said = run(*path.split(), "--help")
    assert said.code == 0
    assert said.out.startswith("Examples:\n")
    assert said.out.index("Examples:") < said.out.index("Usage:")
    for param in command.params:
        if isinstance(param, click.Option) and param.name != "help":
            assert isinstance(param.envvar, str), param.name
            assert param.envvar in said.out.replace("\n", "").replace(" ", ""), param.name


def test_every_variable_of_the_command_line_is_known_to_the_settings() -> None:
    """Else an application would warn that nobody reads it."""
    known = {f"LONGSHORE_{name.upper()}" for name in {*config.COMMAND_VARIABLES, *DEFAULTS}}
    used = {
        param.envvar
        for _, command in every_command()
        for param in command.params
        if isinstance(param, click.Option) and param.name != "help"
    }
    assert used <= known


def test_no_argument_prints_the_commands(run: Run_) -> None:
    said = run()
    assert said.code == 0
    for name in program.COMMANDS:
        assert f"  {name} " in said.out


def test_examples_name_commands_and_options_that_exist() -> None:
    for path, command in every_command():
        for line in getattr(command, "examples", ()):
            words = re.sub(r"'[^']*'|\"[^\"]*\"", "x", line).replace("$(", "").split()
            if "longshore" not in words:
                continue
            flags = {word for word in words if word.startswith("--")}
            known = {
                name
                for other, one in every_command()
                if other in line or other == path
                for param in one.params
                for name in (*param.opts, *param.secondary_opts)
            }
            assert flags <= known, (path, line)


def test_version_in_both_places_of_a_global_option(run: Run_) -> None:
    assert run("version").out.startswith("longshore 0.")
    first, second = run("-o", "json", "version"), run("version", "-o", "json")
    assert first.json == second.json
    assert first.json["schema_version"] == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(run: Run_, shell: str) -> None:
    said = run("completion", shell)
    assert said.code == 0
    assert "_LONGSHORE_COMPLETE" in said.out


def test_completion_completes(folder: Path) -> None:
    env = {"COMP_WORDS": "longshore que", "COMP_CWORD": "1"}
    said = fresh(cwd=folder, env={**env, "_LONGSHORE_COMPLETE": "bash_complete"})
    assert said.stdout.split() == ["plain,queues"]


# --- B51: the application ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("app", "code", "message"),
    [
        ("nosuch.module", 3, "there is no module nosuch"),
        ("shop:nothing", 3, "has no attribute nothing"),
        ("shop:Path", 3, "not a Longshore object"),
        ("broken", 3, "importing broken failed"),
        ("shop.py:jobs", 0, ""),
    ],
)
@pytest.mark.parametrize("place", ["before", "after"])
def test_b51_app(run: Run_, folder: Path, app: str, code: int, message: str, place: str) -> None:
    (folder / "broken.py").write_text("import shop\ndef inner():\n    1 / 0\ninner()\n")
    arguments = ("-A", app, "check") if place == "before" else ("check", "-A", app)
    said = run(*arguments)
    assert said.code == code
    assert message in said.err
    if code:
        assert said.out == ""
        assert said.number // 100 == code
    assert "importlib" not in said.err
    assert "longshore/cli" not in said.err


def test_b51_an_import_that_takes_too_long(
    run: Run_, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from longshore import discovery
    from longshore.cli import session

    def load(*arguments: Any, **options: Any) -> Any:
        return discovery.load(*arguments, **options, import_time=0.1)

    monkeypatch.setattr(session, "load", load)
    (folder / "slow.py").write_text("import threading\nthreading.Event().wait(50)\n")
    started = time.monotonic()
    said = run("-A", "slow", "check")
    assert (said.code, said.number) == (3, 302)
    assert time.monotonic() - started < 20


# --- B52, B53: usage --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("wroker",), "Did you mean worker?"),
        (("jobs", "lst"), "Did you mean list?"),
        (("worker", "--thread", "4"), "Did you mean --threads?"),
        (("jobs", "retry", "--quary", "x"), "Did you mean --query?"),
        (("-o", "xml", "version"), "'json'"),
        (("queues", "pause"), "QUEUE"),
        (("completion", "tcsh"), "'bash'"),
        (("zzzzzz",), "no command zzzzzz"),
        (("health", "--live", "--ready"), "one of them"),
    ],
)
def test_b52_unknown_commands_and_options(run: Run_, arguments: Sequence[str], hint: str) -> None:
    said = run(*arguments)
    assert said.code == 2
    assert said.out == ""
    assert hint in said.err
    assert said.number // 100 == 2


@pytest.mark.parametrize(
    ("arguments", "range_"),
    [
        (("--threads", "0"), "from 1 to 1000"),
        (("--threads", "-1"), "from 1 to 1000"),
        (("--threads", "1e3"), "from 1 to 1000"),
        (("--threads", "99999"), "from 1 to 1000"),
        (("--threads", "9" * 5000), "from 1 to 1000"),
        (("--threads", "٣"), "from 1 to 1000"),
        (("--processes", "0"), "from 1 to 256"),
        (("--max-jobs", "0"), "from 1 to"),
        (("--shutdown-timeout", "-1"), ">= 0"),
        (("--shutdown-timeout", "5 parsecs"), "500ms"),
        (("--idle-timeout", "nan"), "500ms"),
        (("-Q", "a b"), "lower-case letters"),
        (("-Q", "mail,mail"), "twice"),
        (("-Q", ""), "lower-case letters"),
        (("--name", "../x"), "letters, digits"),
        (("--until-empty", "--max-jobs", "3"), "give one of them"),
    ],
)
def test_b53_ranges_of_the_worker(run: Run_, arguments: Sequence[str], range_: str) -> None:
    said = run("worker", *arguments)
    assert said.code == 2
    assert range_ in said.err
    assert said.number // 100 == 2
    assert len(said.err) < 500


def test_a_variable_out_of_range_is_named(run: Run_, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGSHORE_THREADS", "0")
    said = run("worker")
    assert said.code == 2
    assert "LONGSHORE_THREADS" in said.err


def test_options_reach_the_worker(run: Run_, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from longshore import supervise
    from longshore.worker.options import WorkerOptions

    got = list[WorkerOptions]()

    def supervisor(options: WorkerOptions) -> int:
        got.append(options)
        return 9

    monkeypatch.setattr(supervise, "run", supervisor)
    monkeypatch.setenv("LONGSHORE_PROCESSES", "3")
    assert run("worker", "-A", "x:y", "-Q", "a,mail*,-b", "--shutdown-timeout", "1m").code == 9
    assert "shop" not in sys.modules
    options = got[0]
    assert (options.app, options.processes, options.threads) == ("x:y", 3, 10)
    assert (options.queues, options.shutdown_timeout) == (("a", "mail*", "-b"), 60.0)
    assert options.cwd == str(folder)
    run("-q", "dev")
    assert (got[1].reload, got[1].processes, got[1].verbosity) == (True, 1, -1)
    run("dev", "--no-reload")
    assert (got[2].reload, got[2].verbosity) == (False, 1)


# --- B54: enqueue -------------------------------------------------------------------------------


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
def test_b54_arguments(run: Run_, shop: Longshore, words: Sequence[str], message: str) -> None:
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
def test_b54_standard_input(run: Run_, shop: Longshore, stdin: bytes, message: str) -> None:
    said = run("enqueue", "mail.send", "-", stdin=stdin)
    assert said.code == 2
    assert message in said.err
    assert "position" in said.err or "byte" in said.err
    assert said.number // 100 == 2
    assert shop.query.count() == 0


def test_b54_a_hundred_megabytes_are_not_read(run: Run_, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_an_unknown_job_is_refused_with_the_nearest(run: Run_, kind: str) -> None:
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
    run: Run_, shop: Longshore, words: Sequence[str], stdin: bytes, kwargs: dict[str, object]
) -> None:
    said = run("enqueue", "mail.send", *words, stdin=stdin)
    assert said.code == 0, said.err
    record = shop.get(said.out.strip()).record
    assert json.loads(record.payload)["kwargs"] == kwargs
    assert (record.queue, record.state) == ("mail", JobState.AVAILABLE)


def test_enqueue_by_the_last_part_of_a_kind_and_a_list(run: Run_, shop: Longshore) -> None:
    said = run("enqueue", "month", '["2030-01"]', "-o", "json")
    assert said.code == 0, said.err
    assert said.json["job"]["kind"] == "report.month"
    assert said.json["job"]["args"] == ["2030-01"]


def test_enqueue_options(run: Run_, shop: Longshore) -> None:
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
        (("--in", "5m", "--at", "2030-01-01T00:00Z"), "both"),
        (("--in", "-5"), ">= 0"),
        (("--queue", "a b"), "lower-case"),
        (("--priority", "high"), "-32768"),
        (("--priority", "99999"), "-32768"),
        (("--timeout", "5"), "--wait"),
        (("--tag", "longshore.x"), "reserved"),
    ],
)
def test_wrong_enqueue_options(
    run: Run_, shop: Longshore, options: Sequence[str], message: str
) -> None:
    said = run("enqueue", "send", "user_id=1", *options)
    assert said.code == 2
    assert message in said.err
    assert shop.query.count() == 0


def test_waiting_ends_with_the_timeout(run: Run_) -> None:
    said = run("enqueue", "send", "user_id=1", "--wait", "--timeout", "0.05")
    assert (said.code, said.number) == (7, 700)
    assert "still available" in said.err


# --- jobs ---------------------------------------------------------------------------------------


def test_list_in_every_form(run: Run_, shop: Longshore) -> None:
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


def test_list_refuses_unknown_columns(run: Run_) -> None:
    said = run("jobs", "list", "--columns", "id,stat")
    assert said.code == 2
    assert "Did you mean state?" in said.err


def test_show_cleans_what_a_terminal_would_obey(run: Run_, shop: Longshore) -> None:
    (id_,) = push(shop)
    end(shop, claim(shop)[0], JobState.DEAD)
    said = run("jobs", "show", id_, "-o", "table")
    assert said.code == 0
    assert "\x1b" not in said.out
    assert "builtins.OSError: no route: ?[31mred" in said.out
    whole = run("jobs", "show", id_.upper(), "-o", "json").json["job"]
    assert whole["state"] == "dead"
    assert whole["runs"][0]["message"] == "no route: \x1b[31mred"


def test_b55_retry_by_id(run: Run_, shop: Longshore) -> None:
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


def test_several_ids_are_told_apart(run: Run_, shop: Longshore) -> None:
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


def test_cancel_and_discard_keep_their_reason(run: Run_, shop: Longshore) -> None:
    one, two, three = push(shop, 3)
    assert run("jobs", "cancel", one, "--reason", "wrong region").code == 0
    assert run("jobs", "discard", two).code == 0
    assert run("jobs", "discard", three, "--reason", "spam").code == 0
    reasons = [shop.get(id_).record.reason for id_ in (one, two, three)]
    assert reasons == ["wrong region", "discarded by a person", "discarded by a person: spam"]


def test_b56_bulk_verbs_need_a_confirmation(run: Run_, shop: Longshore) -> None:
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


def test_retry_by_query_means_what_failed_unless_it_says_more(run: Run_, shop: Longshore) -> None:
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
def test_b57_queries(run: Run_, query: str, caret: int | None, message: str) -> None:
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
def test_the_query_language(run: Run_, shop: Longshore, query: str, found: int) -> None:
    for job in (
        {"kwargs": {"user_id": 0, "locale": "7"}},
        {"kwargs": {"user_id": 1, "locale": 'a "b": c'}, "tags": ["eu"]},
        {"kwargs": {"user_id": 2, "box": {"size": 3}}},
        {"kwargs": {"user_id": 3}, "queue": "vip"},
    ):
        shop.push({"kind": "mail.send", "queue": "mail", **job})
    assert len(run("jobs", "list", query, "-o", "json").json["jobs"]) == found


# --- queues ---------------------------------------------------------------------------------------


def test_queues(run: Run_, shop: Longshore) -> None:
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


def test_unknown_queues(run: Run_, shop: Longshore) -> None:
    push(shop)
    for verb in ("show", "clear"):
        said = run("queues", verb, "mial")
        assert (said.code, said.number) == (8, 802)
        assert "Did you mean mail?" in said.err
    assert run("queues", "show", "a b").code == 2
    assert run("queues", "pause", "mail", "--for", "0").code == 2


# --- status, health, check, db, config -------------------------------------------------------------


def test_status_tells_whether_jobs_are_looked_after(run: Run_, shop: Longshore) -> None:
    assert run("status").code == 0
    push(shop, 2)
    said = run("status", "-o", "json")
    assert (said.code, said.number) == (1, 103)
    assert said.json["states"]["available"] == 2
    assert not said.json["healthy"]
    leases = claim(shop)
    push(shop, 1)
    healthy = run("status", "-o", "json")
    assert healthy.code == 0
    assert healthy.json["workers"][0]["running"] == len(leases) == 2
    push(shop, 1, queue="nobody")
    assert "queue nobody has 1 job waiting and no worker" in run("status").err
    assert run("queues", "pause", "nobody").code == 0
    table = run("status", "-o", "table")
    assert table.code == 0
    assert "one" in table.out


def test_health_asks_the_store_and_imports_no_application(
    run: Run_, shop: Longshore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGSHORE_STORE", f"sqlite:///{folder}/jobs.db")
    push(shop)
    none = run("health")
    assert (none.code, none.number) == (1, 103)
    claim(shop)
    said = run("health", "-o", "json")
    assert said.code == 0
    assert said.json["healthy"]
    assert "shop" not in sys.modules
    assert run("health", "--worker", "one").code == 0
    assert run("health", "--worker", "two").code == 8


def test_health_without_a_store_makes_none(
    run: Run_, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGSHORE_STORE", f"sqlite:///{folder}/other.db")
    said = run("health")
    assert (said.code, said.number) == (4, 401)
    assert not (folder / "other.db").exists()


def test_check_lists_kinds_and_opens_no_store(run: Run_, folder: Path) -> None:
    said = run("check", "-o", "json")
    assert said.code == 0
    assert [kind["kind"] for kind in said.json["kinds"]] == ["fail", "mail.send", "report.month"]
    assert said.json["ok"]
    assert not (folder / "jobs.db").exists()


def test_check_finds_what_cannot_work(run: Run_, folder: Path) -> None:
    (folder / "bad.py").write_text(
        "from __future__ import annotations\n"
        "from longshore import Longshore\n"
        "jobs = Longshore('memory://')\n"
        "@jobs.job\n"
        "def f(x: Nowhere) -> None: ...\n"
        "@jobs.job\n"
        "def g(x: int) -> None: ...\n"
    )
    said = run("check", "-A", "bad", "-o", "json")
    assert (said.code, said.number) == (5, 514)
    assert [problem["kind"] for problem in said.json["problems"]] == ["bad.f"]
    assert "Nowhere" in said.err


def test_db_status_and_up(run: Run_, folder: Path) -> None:
    before = run("db", "status", "-o", "json")
    assert before.code == 5
    assert before.json["pending"]
    up = run("db", "up", "-o", "json")
    assert up.code == 0
    assert up.json["ran"] == before.json["pending"]
    after = run("db", "status", "-o", "json")
    assert (after.code, after.json["pending"]) == (0, [])
    assert run("db", "up", "-o", "json").json["ran"] == []


def test_config_show(run: Run_, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGSHORE_LEASE", "30s")
    plain = dict(line.split("\t") for line in run("config", "show").out.splitlines())
    assert plain["lease"] == "30 s"
    resolved = run("config", "show", "--resolved", "-o", "json").json["settings"]
    assert resolved["lease"] == {"value": "30 s", "source": "LONGSHORE_LEASE"}
    assert resolved["store"]["source"] == "arguments"
    assert resolved["max_payload"]["source"] == "default"


def test_config_show_without_an_application(
    run: Run_, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LONGSHORE_APP")
    (folder / "shop.py").unlink()
    (folder / "pyproject.toml").write_text('[tool.longshore]\nlease = "20s"\n')
    monkeypatch.setenv("LONGSHORE_STORE", "postgresql://app:hunter2@db/shop")
    said = run("config", "show", "--resolved", "-o", "json")
    assert said.code == 0
    assert said.json["settings"]["lease"]["value"] == "20 s"
    assert "hunter2" not in said.out + said.err
    assert "***" in said.json["settings"]["store"]["value"]
    assert run("config", "show", "-A", "nowhere").code == 3


def test_a_wrong_setting_is_exit_5(run: Run_, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGSHORE_LEASE", "5 parsecs")
    said = run("jobs", "list")
    assert (said.code, said.number) == (5, 500)


def test_an_unknown_variable_is_a_warning(run: Run_, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGSHORE_LEESE", "5s")
    said = run("check")
    assert said.code == 0
    assert "warning: nobody reads the environment variable LONGSHORE_LEESE" in said.err


def test_a_memory_store_is_refused(run: Run_, folder: Path) -> None:
    (folder / "mem.py").write_text("from longshore import Longshore\njobs = Longshore('memory://')")
    for arguments in (("jobs", "list"), ("status",), ("queues", "list"), ("db", "up")):
        said = run("-A", "mem", *arguments)
        assert (said.code, said.number) == (6, 603)
        assert "one process only" in said.err
    assert run("-A", "mem", "check").code == 0


# --- the table of errors ----------------------------------------------------------------------


def all_errors() -> list[type[errors.LongshoreError]]:
    return [
        one
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, errors.LongshoreError)
    ]


def test_numbers_are_unique_and_say_their_exit_code() -> None:
    numbers = [kind.number for kind in KINDS]
    assert len(set(numbers)) == len(numbers)
    assert numbers == sorted(numbers)
    assert all(kind.exit in Exit for kind in KINDS)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigurationError, 5),
        (errors.SchemaMismatch, 5),
        (errors.DuplicateJob, 5),
        (errors.InvalidOption, 2),
        (errors.InvalidQueueName, 2),
        (errors.UnknownJob, 2),
        (errors.ArgsMismatch, 2),
        (errors.IdConflict, 6),
        (errors.AppNotFound, 3),
        (errors.AppImportFailed, 3),
        (errors.StoreUnavailable, 4),
        (errors.JobNotFound, 8),
        (errors.ResultTimeout, 7),
        (errors.JobDead, 1),
        (errors.LongshoreError, 1),
    ],
)
def test_exit_codes_of_errors(error: type[errors.LongshoreError], code: int) -> None:
    assert kind_of(error("x")).exit == code


def test_every_error_that_a_command_meets_has_a_row_of_its_own() -> None:
    """Only what is raised inside a running job goes by its parent's number."""
    inside_jobs = {
        errors.LeaseLost,
        errors.AttemptTimeout,
        errors.Interrupted,
        errors.Cancelled,
        errors.NotInAJob,
        errors.UnstorableResult,
    }
    rows = {kind.raised for kind in KINDS}
    below = {errors.PayloadMismatch, errors.UnknownPayloadVersion}
    assert set(all_errors()) - rows - inside_jobs - below == set()


def test_the_page_of_errors_is_the_table() -> None:
    page = Path(__file__).parent.parent / "docs" / "errors.md"
    assert page.read_text() == errors_page(), (
        "write it anew: python -c 'from longshore.cli.exit import errors_page;"
        ' print(errors_page(), end="")\' > docs/errors.md'
    )


def test_an_unforeseen_error_is_no_traceback(
    run: Run_, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    def explode(kind: Kind) -> str:
        raise ZeroDivisionError("by \x1b[0m zero")

    from longshore.cli.commands import check

    monkeypatch.setattr(check, "_view", explode)
    said = run("check")
    assert (said.code, said.number) == (1, 101)
    assert "ZeroDivisionError: by ?[0m zero" in said.err
    assert "Traceback" not in said.err
    assert "Traceback" in run("check", "-v").err


# --- B58: streams and terminals ------------------------------------------------------------------


def test_quiet_leaves_data_and_errors(run: Run_) -> None:
    said = run("-q", "check")
    assert said.err == ""
    assert said.out
    assert run("-q", "jobs", "list", "x").number == 208


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"COLUMNS": "0"},
        {"COLUMNS": "1"},
        {"TERM": "dumb"},
        {"NO_COLOR": "1", "FORCE_COLOR": "1"},
    ],
)
def test_b58_terminals_of_all_kinds(folder: Path, shop: Longshore, env: dict[str, str]) -> None:
    shop.push({"kind": "naïve.→", "args": ["é"], "tags": ["ü"]})
    said = fresh("-o", "table", "jobs", "list", "--columns", "id,kind,tags", cwd=folder, env=env)
    assert said.returncode == 0, said.stderr
    assert said.stderr == ""
    assert "\x1b" not in said.stdout
    as_json = fresh("jobs", "list", "-o", "json", cwd=folder, env=env, encoding=None)
    assert json.loads(as_json.stdout)["jobs"][0]["kind"] == "naïve.→"


def test_color_when_asked_for(folder: Path, shop: Longshore) -> None:
    push(shop)
    arguments = ("-o", "table", "jobs", "list")
    assert "\x1b" in fresh(*arguments, "--color", "always", cwd=folder).stdout
    assert "\x1b" in fresh(*arguments, cwd=folder, env={"FORCE_COLOR": "1"}).stdout
    assert "\x1b" not in fresh(*arguments, cwd=folder).stdout


@pytest.mark.parametrize("arguments", [("jobs", "list"), ("jobs", "list", "-o", "json")])
def test_b58_a_reader_that_has_seen_enough(
    folder: Path, shop: Longshore, arguments: Sequence[str]
) -> None:
    shop.enqueue_many([])
    for i in range(300):
        shop.push({"kind": "mail.send", "args": [f"{i}{'x' * 500}"]})
    process = subprocess.Popen(
        [sys.executable, "-m", "longshore", *arguments, "--limit", "1000"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        said = process.stderr.read()
    assert process.wait(30) == 0
    assert b"Traceback" not in said
    assert b"Exception" not in said


def test_b58_a_full_disk_is_told(folder: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:
        said = subprocess.run(
            [sys.executable, "-m", "longshore", "check"],
            cwd=folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=50,
            check=False,
        )
    assert said.returncode == 1
    assert "No space left" in said.stderr
    assert "Traceback" not in said.stderr


def test_ctrl_c_ends_waiting_with_130(folder: Path, shop: Longshore) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "longshore", "enqueue", "send", "user_id=1", "--wait"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    assert "stored; waiting" in first
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert shop.query.filter(state="available").count() == 1


# --- end to end ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_enqueue_and_wait_for_a_real_worker(folder: Path, shop: Longshore) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "longshore", "worker", "--threads", "2"],
        cwd=folder,
        stderr=subprocess.DEVNULL,
    )
    try:
        said = fresh(
            *("enqueue", "send", "user_id=7", "--wait", "--timeout", "40", "-o", "json"), cwd=folder
        )
        assert said.returncode == 0, said.stderr
        job = json.loads(said.stdout)["job"]
        assert (job["state"], job["result"]) == ("succeeded", "7 en")
        dead = fresh("enqueue", "fail", "--wait", "--timeout", "40", cwd=folder)
        assert dead.returncode == 1
        assert "no such host" in dead.stderr
        assert "LONGSHORE-E110" in dead.stderr
        assert fresh("status", cwd=folder).returncode == 0
    finally:
        worker.terminate()
        assert worker.wait(40) == 0


@pytest.mark.slow
def test_a_worker_that_cannot_import_its_application_ends_with_3(folder: Path) -> None:
    (folder / "shop.py").write_text("1 / 0\n")
    said = fresh("worker", cwd=folder)
    assert said.returncode == 3
    assert "ZeroDivisionError" in said.stderr
