"""The program itself: help, finding the application, usage, and the table of errors.

The rows of the command line in the list of bad input are tested in this folder by their numbers.
B60 belongs to a later issue: there are no pid files; they come with the deployment artefacts. B59,
two workers of one name, is tested with the worker.
"""

import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from longshore import config, errors
from longshore.cli import program
from longshore.cli.errors_page import errors_page
from longshore.cli.exit import KINDS, Exit, Kind, kind_of
from longshore.cli.parts import Group
from longshore.core.settings import DEFAULTS
from tests.cli.tools import Call, fresh

# --- help and the program itself ---------------------------------------------------------------


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
def test_help_begins_with_examples_and_shows_every_variable(run: Call, path: str) -> None:
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


def test_no_argument_prints_the_commands(run: Call) -> None:
    said = run()
    assert said.code == 0
    for name in program.COMMANDS:
        assert f"  {name} " in said.out


def test_a_group_alone_prints_its_commands_as_a_wrong_call(run: Call) -> None:
    said = run("queues")
    assert said.code == 2
    assert said.err.startswith("Examples:\n  longshore queues list")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("worker", "extra"), "longshore: Got unexpected extra argument (extra). Compare "),
        (("completion",), "Choose from: bash, zsh, fish. Compare longshore completion --help. "),
        (("jobs", "show", "01a1fb7b"), "ids are UUIDs of 36 characters"),
    ],
)
def test_a_wrong_call_is_told_in_sentences(run: Call, arguments: Sequence[str], said: str) -> None:
    assert said in run(*arguments).err


def test_the_number_stands_below_a_traceback(run: Call, folder: Path) -> None:
    (folder / "shop.py").write_text("raise ValueError('no DATABASE_URL')")
    assert "ValueError: no DATABASE_URL\nLONGSHORE-E302 " in run("check").err


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


def test_version_in_both_places_of_a_global_option(run: Call) -> None:
    assert run("version").out.startswith("longshore 0.")
    first, second = run("-o", "json", "version"), run("version", "-o", "json")
    assert first.json == second.json
    assert first.json["schema_version"] == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(run: Call, shell: str) -> None:
    said = run("completion", shell)
    assert said.code == 0
    assert "_LONGSHORE_COMPLETE" in said.out


def test_completion_completes(folder: Path) -> None:
    env = {"COMP_WORDS": "longshore que", "COMP_CWORD": "1"}
    said = fresh(cwd=folder, env={**env, "_LONGSHORE_COMPLETE": "bash_complete"})
    assert said.stdout.split() == ["plain,queues"]


COMPLETES = """
print("imported, as some applications say")
from longshore import Longshore
jobs = Longshore()

@jobs.schedule("0 5 * * *", name="nightly")
@jobs.job(kind="mail.send", queue="mail", aliases=["mail.old"])
def send() -> None: ...

@jobs.job(kind="report.month", queue="reports")
def month() -> None: ...
"""


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("enqueue ", ["mail.send", "report.month"]),
        ("enqueue m", ["mail.send"]),
        ("enqueue -A shop:jobs mail.send --queue d", ["default"]),
        ("schedules pause ", ["nightly"]),
        ("schedules run nig", ["nightly"]),
        ("queues pause ", ["default", "mail", "reports"]),
        ("queues pause --kind rep", ["report.month"]),
        ("worker -Q default,ma", ["default,mail"]),
        ("-A nosuch enqueue ", []),
        ("enqueue -A broken ", []),
    ],
)
def test_completion_completes_names_of_the_code(
    folder: Path, words: str, completed: list[str]
) -> None:
    (folder / "shop.py").write_text(COMPLETES)
    (folder / "broken.py").write_text("import sys\nprint('going')\nsys.exit(3)\n")
    place = len(words.split()) + words.endswith(" ")
    env = {"COMP_WORDS": f"longshore {words}", "COMP_CWORD": str(place)}
    said = fresh(cwd=folder, env={**env, "_LONGSHORE_COMPLETE": "bash_complete"})
    assert said.stdout.split() == [f"plain,{name}" for name in completed]
    assert said.stderr == ""
    assert not (folder / "longshore.db").exists()


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
def test_b51_app(run: Call, folder: Path, place: str, *, app: str, code: int, message: str) -> None:
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
    run: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
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


# --- B52, B53: usage ---------------------------------------------------------------------------


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
def test_b52_unknown_commands_and_options(run: Call, arguments: Sequence[str], hint: str) -> None:
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
def test_b53_ranges_of_the_worker(run: Call, arguments: Sequence[str], range_: str) -> None:
    said = run("worker", *arguments)
    assert said.code == 2
    assert range_ in said.err
    assert said.number // 100 == 2
    assert len(said.err) < 500


def test_a_variable_out_of_range_is_named(run: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGSHORE_THREADS", "0")
    said = run("worker")
    assert said.code == 2
    assert "LONGSHORE_THREADS" in said.err


def test_options_reach_the_worker(run: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


# --- the table of errors -----------------------------------------------------------------------


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
        (errors.StoreUnfit, 5),
        (errors.StoreDenied, 5),
        (errors.DuplicateJob, 5),
        (errors.InvalidOption, 2),
        (errors.InvalidQueueName, 2),
        (errors.UnknownJob, 2),
        (errors.ArgsMismatch, 2),
        (errors.IdConflict, 6),
        (errors.AppNotFound, 3),
        (errors.AppImportFailed, 3),
        (errors.StoreUnavailable, 4),
        (errors.StoreGone, 4),
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
        errors.TransactionRefused,
        errors.UnstorableResult,
        errors.CyclicWorkflow,
        errors.StepRefused,
    }
    rows = {kind.raised for kind in KINDS}
    below = {errors.PayloadMismatch, errors.UnknownPayloadVersion, errors.Undecryptable}
    assert set(all_errors()) - rows - inside_jobs - below == set()


def test_the_page_of_errors_is_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "errors.md"
    assert page.read_text() == errors_page(), (
        "write it anew: python -c 'from longshore.cli.errors_page import errors_page;"
        ' print(errors_page(), end="")\' > docs/errors.md'
    )


def test_an_unforeseen_error_is_no_traceback(
    run: Call, monkeypatch: pytest.MonkeyPatch, folder: Path
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
