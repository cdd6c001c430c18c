"""What the documentation says is so: examples run, links lead somewhere, tables are complete."""

import ast
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import longshore
from longshore.cli.exit import MEANINGS
from longshore.cli.program import program
from longshore.core.model import TRANSITIONS, JobState, Why
from longshore.core.settings import DEFAULTS, VARIABLE_PREFIX
from longshore.declare import CallOptions, JobOptions
from longshore.middleware import EVENTS
from longshore.query.where import FILTERS
from tests.docs_tools import (
    DOCS,
    GENERATED,
    PAGES,
    PART,
    ROOT,
    Block,
    Reader,
    anchors,
    blocks,
    links,
    name,
    prose,
    rewritten,
    steps,
    table,
    walk,
)

REFERENCE = DOCS / "reference"
WITH_EXAMPLES = [p for p in PAGES if any(b.language in ("python", "console") for b in blocks(p))]
LANGUAGES = {"python", "console", "text", "sh", "sql", "ini", "toml", "yaml", "dockerfile", "json"}


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """Somebody in an empty folder, without settings in the environment."""
    for variable in [each for each in os.environ if each.startswith(VARIABLE_PREFIX)]:
        monkeypatch.delenv(variable)
    # A page may set it; noted here, it is put back.
    monkeypatch.setenv("LONGSHORE_STORE", "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    reader = Reader(tmp_path)
    try:
        yield reader
    finally:
        reader.close()


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=name)
def test_the_examples_of_a_page_do_what_it_says(page: Path, reader: Reader) -> None:
    for block in blocks(page):
        reader.follow(block)


def test_the_first_pages_have_examples() -> None:
    assert {"README.md", "docs/tutorial.md"} < {name(page) for page in WITH_EXAMPLES}


@pytest.mark.parametrize("page", PAGES, ids=name)
class TestPage:
    def test_its_links_lead_somewhere(self, page: Path) -> None:
        for link in links(page):
            path, _, anchor = link.partition("#")
            assert ":" not in path, f"{link}: a page of ours is meant to be complete by itself"
            target = page if not path else (page.parent / path).resolve()
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link

    def test_its_generated_parts_are_those_of_the_code(self, page: Path) -> None:
        text = page.read_text()
        assert text == rewritten(text), "write it anew: python -m tests.docs_tools"

    def test_its_blocks_are_in_languages_that_are_looked_at(self, page: Path) -> None:
        assert {block.language for block in blocks(page)} <= LANGUAGES | {""}

    def test_it_begins_with_its_title(self, page: Path) -> None:
        assert page.read_text().startswith("# ")


class TestReader:
    """The reader itself: an example that is wrong is noticed."""

    @pytest.mark.parametrize(
        ("language", "text"),
        [
            ("python", "print(1)  # 2\n"),
            ("python", "assert False\n"),
            ("console", "$ echo one\ntwo\n"),
            ("console", "$ echo one two\none\n"),
            ("console", "$ false\n$ true\n"),
            ("console", "$ false\n$ echo $?\n0\n"),
        ],
    )
    def test_notices(self, reader: Reader, language: str, text: str) -> None:
        with pytest.raises(AssertionError):
            reader.follow(Block(ROOT / "README.md", 1, language, [], text))

    def test_an_id_stands_for_the_real_one(self, reader: Reader) -> None:
        from longshore.ids import new_id

        shown, real = "0198c5d2-7c52-7d3e-b0ab-2f5a3c1d9e10", new_id()
        text = f"$ echo a {real} b\na {shown} ...\n$ echo {shown}\n{shown}\n"
        reader.follow(Block(ROOT / "README.md", 1, "console", [], text))
        assert reader.ids == {shown: real}


class TestReference:
    def test_every_page_is_in_the_index(self) -> None:
        index = DOCS / "README.md"
        listed = {(DOCS / link.partition("#")[0]).resolve() for link in links(index)}
        records = set((DOCS / "adr").glob("0*.md"))
        assert set(PAGES) - listed - records - {index} == {ROOT / "README.md"} - listed

    def test_every_public_name_is_mentioned(self) -> None:
        text = "\n".join(page.read_text() for page in REFERENCE.glob("*.md"))
        words = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`\n]+`", text))))
        assert set(longshore.__all__) - words == set()

    def test_every_method_of_the_application_and_of_a_handle_is_mentioned(self) -> None:
        text = (REFERENCE / "api.md").read_text()
        words = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`\n]+`", text))))
        internal = {"enqueue_one", "store", "refreshing", "around", "client", "registry"}
        internal |= {"enqueue_through", "outbox", "check_shard", "enqueue_together", "placed_with"}
        for kind in (longshore.Longshore, longshore.JobHandle, longshore.JobContext):
            methods = {each for each in vars(kind) if not each.startswith("_")}
            twins = {each for each in methods if each[0] == "a" and each[1:] in methods}
            twins |= {f"a{each}" for each in internal} | {"await_"}
            assert methods - twins - internal - words == set()

    def test_the_parts_that_are_generated_stand_somewhere(self) -> None:
        found = [part[2] for page in PAGES for part in PART.finditer(page.read_text())]
        assert sorted(found) == sorted(GENERATED)

    def test_the_picture_shows_every_transition(self) -> None:
        (picture,) = (block.text for block in blocks(REFERENCE / "states.md"))
        shown = {
            (state.strip(), to)
            for state, targets in (line.split("──▶") for line in picture.splitlines())
            for to in targets.replace("(ended)", "").replace("·", " ").split()
        }
        assert shown == {
            (state.value, to.value) for state in TRANSITIONS for to in TRANSITIONS[state]
        }

    def test_the_states_are_all_explained(self) -> None:
        explained = [row[0] for row in table(REFERENCE / "states.md", "state")]
        assert explained == [state.value for state in JobState]

    def test_the_endings_of_runs_are_all_explained(self) -> None:
        explained = [row[0] for row in table(REFERENCE / "states.md", "why")]
        assert explained == [why.value for why in Why]

    def test_the_settings_are_all_there_with_their_defaults(self) -> None:
        rows = [row[:3] for row in table(REFERENCE / "settings.md", "setting")]
        assert rows == [
            [setting, f"{VARIABLE_PREFIX}{setting.upper()}", str(default)]
            for setting, default in DEFAULTS.items()
        ]

    def test_the_options_are_all_there(self) -> None:
        rows = table(REFERENCE / "options.md", "option")
        declared = [row[0] for row in rows if "yes" in row[2]]
        stored = [row[0] for row in rows if "yes" in row[3]]
        assert declared == list(JobOptions.__annotations__)
        assert set(stored) == set(CallOptions.__annotations__)

    def test_the_defaults_of_options_are_those_of_a_bare_declaration(self) -> None:
        rows = {row[0]: row[1] for row in table(REFERENCE / "options.md", "option")}
        jobs = longshore.Longshore("memory://")

        @jobs.job(kind="bare")
        def bare() -> None: ...

        jobs.close()
        for option in ("queue", "priority", "max_attempts", "timeout", "expires", "tags"):
            assert ast.literal_eval(rows[option]) == getattr(bare.declaration, option), option
        assert rows["keep_result"] == '"1d"'
        assert bare.declaration.keep_result == 86_400 * 1_000_000

    def test_the_events_are_all_there(self) -> None:
        rows = table(REFERENCE / "events.md", "event")
        later = re.findall(r"`(\w+\.\w+)`", prose(REFERENCE / "events.md").partition("## Later")[2])
        assert sorted([*(row[0] for row in rows), *later]) == sorted(EVENTS)

    def test_the_commands_are_exactly_those_that_exist(self) -> None:
        page = (REFERENCE / "command-line.md").read_text()
        headings = re.findall(r"^### `(longshore [^`]+)`$", page, re.MULTILINE)
        assert headings == [path for path, _ in walk(program)]

    def test_the_exit_codes_are_all_there(self) -> None:
        rows = table(REFERENCE / "command-line.md", "exit code")
        assert [row[0] for row in rows] == [str(code.value) for code in MEANINGS]

    def test_the_filters_are_all_there(self) -> None:
        rows = table(REFERENCE / "api.md", "filter")
        assert [row[0] for row in rows] == list(FILTERS)


def test_every_command_of_a_console_block_is_one_of_ours() -> None:
    """What is not `longshore`, `python` or a plain tool would not run on a reader's machine."""
    tools = {"longshore", "python", "echo", "kill", "sqlite3", "cat", "cp", "LONGSHORE_STORE", "ls"}
    for page in PAGES:
        for block in blocks(page):
            for command, _ in steps(block.text) if block.language == "console" else ():
                assert re.split(r"[ =]", command)[0] in tools, f"{name(page)}: {command}"


def test_the_two_commands_of_the_first_page_exist() -> None:
    page = (ROOT / "README.md").read_text()
    found = shutil.which("./dev", path=str(ROOT)) or ROOT / "dev"
    listed = Path(found).read_text()
    for command in ("demo", "test"):
        assert f"./dev {command}" in page
        assert re.search(rf"^ +{command}\)", listed, re.MULTILINE)
