"""Reads the documentation as a person does: follows its links and does what its pages say.

Parts between `<!-- generated: NAME -->` and `<!-- end -->` are written from the code;
`python -m tests.docs_tools` writes them anew.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click

import longshore
from longshore import JobState, Longshore, LongshoreError
from longshore.cli.parts import Group, Whole
from longshore.cli.program import program
from longshore.core.model import ENDED, TRANSITIONS

ROOT = Path(__file__).parents[1]
SOURCE = Path(longshore.__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
PATIENCE = 15.0

FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w/]+\.(?:py|toml))\n")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
PRINTED = re.compile(r"^\s*print\(.*\)(?:  |\n *)# (.+)$", re.MULTILINE)
#: Commands that change nothing, so that a reader may repeat them until something has happened.
LOOKS = re.compile(r"longshore (jobs (show|list)|queues (show|list)|status|health)\b")


class Block(NamedTuple):
    """A block of code: where it stands, the words behind its fence, and its text."""

    page: Path
    line: int
    language: str
    words: list[str]
    text: str


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(page, text.count("\n", 0, m.start()) + 2, m[1], m[2].split(), m[3])
        for m in FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


def links(page: Path) -> list[str]:
    return re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", prose(page))


def anchors(page: Path) -> set[str]:
    """What links may point at: headings as the usual viewers name them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.strip().replace(" ", "-") for heading in plain}


def table(page: Path, first: str) -> list[list[str]]:
    """The rows of the table whose first column has this head, without backticks."""
    rows: list[list[str]] = []
    for line in page.read_text().splitlines():
        cells = [cell.strip().replace("`", "") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            if rows:
                break
        elif rows or cells[0] == first:
            rows.append(cells)
    assert rows, f"{name(page)} has no table that begins with {first}"
    return rows[2:]


# --- doing what a page says -----------------------------------------------------------------


class Reader:
    """Follows one page in a folder of its own; `close` stops what it started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, Any] = {
            "__name__": "example",
            "__file__": str(folder / "example.py"),
        }
        self.ids: dict[str, str] = {}
        self.code = 0
        self.background: list[subprocess.Popen[bytes]] = []
        #: Where workers have their sockets; the paths of those must be short.
        self.runtime = tempfile.TemporaryDirectory(prefix="docs-")
        programs = folder / ".programs"
        programs.mkdir()
        for program_, arguments in (("longshore", " -m longshore"), ("python", "")):
            path = programs / program_
            path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)}{arguments} "$@"\n')
            path.chmod(0o755)
        self.env = os.environ | {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(SOURCE),
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_RUNTIME_DIR": self.runtime.name,
            "LONGSHORE_OUTPUT": "table",  # as on a terminal
            "COLUMNS": "200",
        }

    def follow(self, block: Block) -> None:
        file = FILE.match(block.text)
        where = f"{name(block.page)}:{block.line}"
        if file:
            self._write(file[1], block.text)
        elif block.language == "python":
            self._python(block, where)
        elif block.language == "console" and "background" in block.words:
            self._start(block, where)
        elif block.language == "console":
            for command, expected in steps(block.text):
                self._command(command, expected, where)

    def close(self) -> None:
        for process in self.background:
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            for process in self.background:
                process.wait(PATIENCE)
        for process in self.background:
            process.kill()
        codes = [process.wait() for process in self.background]
        self.runtime.cleanup()
        self._forget()
        for value in self.names.values():
            if isinstance(value, Longshore):
                value.close()
        assert codes == [0] * len(codes), "a worker did not end well"

    def _write(self, file: str, text: str) -> None:
        self._forget()
        path = self.folder / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def _forget(self) -> None:
        """The next import of a module of this page reads its file."""
        for module_name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", "") or "").startswith(str(self.folder)):
                del sys.modules[module_name]
                for value in vars(module).values():
                    if isinstance(value, Longshore):
                        value.close()

    def _python(self, block: Block, where: str) -> None:
        said = io.StringIO()
        # The line numbers of a failure are those of the page.
        code = compile("\n" * (block.line - 1) + block.text, str(block.page), "exec")
        with contextlib.redirect_stdout(said):
            exec(code, self.names)
            for test in re.findall(r"^def (test_\w+)\(\)", block.text, re.MULTILINE):
                self.names[test]()
        expected = PRINTED.findall(block.text)
        assert block.text.count("print(") == len(expected), f"{where}: a print without its output"
        assert said.getvalue().splitlines() == expected, where

    def _command(self, command: str, expected: list[str], where: str) -> None:
        for shown, real in self.ids.items():
            command = command.replace(shown, real)
        if command == "echo $?":
            assert [str(self.code)] == expected, f"{where}: exit code {self.code}"
            self.code = 0
            return
        assert self.code == 0, f"{where}: the command before `{command}` ended with {self.code}"
        deadline = time.monotonic() + (PATIENCE if LOOKS.match(command) else 0)
        while True:
            done = subprocess.run(
                ["sh", "-c", command],
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=PATIENCE,
                text=True,
                check=False,
            )
            self.code = done.returncode
            found = self._matches(expected, done.stdout, whole=True)
            if found or time.monotonic() >= deadline:
                break
        assert found, f"{where}: {command} (exit code {self.code}) said\n{done.stdout}"

    def _start(self, block: Block, where: str) -> None:
        ((command, expected),) = steps(block.text)
        path = self.folder / f".said-{len(self.background)}"
        with path.open("wb") as said:
            process = subprocess.Popen(
                ["sh", "-c", f"exec {command}"],
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        self.background.append(process)
        deadline, pause = time.monotonic() + PATIENCE, threading.Event()
        while not self._matches(expected, path.read_text(), whole=False):
            alive = process.poll() is None and time.monotonic() < deadline
            assert alive, f"{where}: {command} said\n{path.read_text()}"
            pause.wait(0.02)

    def _matches(self, expected: list[str], said: str, *, whole: bool) -> bool:
        """Whether the output is as expected: `...` stands for anything, an id for any id."""
        if not expected:
            return True
        seen: list[str] = []
        parts = [self._pattern(line, seen) for line in expected]
        pattern = re.compile("".join(parts) + (r"\Z" if whole else ""))
        found = pattern.match("".join(f"{squeezed(line)}\n" for line in said.splitlines()))
        if found:
            self.ids.update({shown: found[at] for at, shown in enumerate(seen, 1)})
        return found is not None

    def _pattern(self, line: str, seen: list[str]) -> str:
        if line.strip() == "...":
            return r"(?:.*\n)*?"
        pattern = ""
        for part in re.split(rf"({UUID.pattern}|\.\.\.)", squeezed(line)):
            if part == "...":
                pattern += ".*?"
            elif UUID.fullmatch(part) and part in self.ids:
                pattern += re.escape(self.ids[part])
            elif UUID.fullmatch(part) and part in seen:
                pattern += rf"(?:\{seen.index(part) + 1})"
            elif UUID.fullmatch(part):
                seen.append(part)
                pattern += f"({UUID.pattern})"
            else:
                pattern += re.escape(part)
        return pattern + r" ?\n"


def steps(text: str) -> list[tuple[str, list[str]]]:
    """Each command of a console block and the lines that it says."""
    found: list[tuple[str, list[str]]] = []
    for line in text.replace("\\\n", "").splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        else:
            found[-1][1].append(line)
    return found


def squeezed(line: str) -> str:
    return re.sub(r"\s+", " ", line).strip()


# --- what is written from the code ----------------------------------------------------------


def picture() -> Iterator[str]:
    """Every allowed transition, as text."""
    order = list(JobState)
    yield "```text"
    for state in order:
        to = [each.value for each in order if each in TRANSITIONS[state]]
        ended = "  (ended)" if state in ENDED else ""
        yield f"{state.value:<9} ──▶ {' · '.join(to)}{ended}"
    yield "```"


def error_tree(kind: type[BaseException] = LongshoreError, depth: int = 0) -> Iterator[str]:
    """Every exception below the root, one a line."""
    about = (kind.__doc__ or "").partition("\n")[0]
    yield f"{'  ' * depth}- `{kind.__name__}`: {about.replace('``', '`')}"
    for below in kind.__subclasses__():
        if below.__module__ == "longshore.errors":
            yield from error_tree(below, depth + 1)


def command_pages() -> Iterator[str]:
    """Every command with its usage, examples and options."""
    common = [param for param in program.params if isinstance(param, click.Option)]
    yield "### Options of every command"
    yield ""
    yield from _options(click.Context(program), common)
    known = {param.name for param in common}
    for path, command in walk(program):
        ctx = click.Context(command, info_name=path)
        yield ""
        yield f"### `{path}`"
        yield ""
        yield from _help(command)
        usage = " ".join([path, *command.collect_usage_pieces(ctx)])
        examples = getattr(command, "examples", ())
        yield from ("", "```text", usage, *([""] if examples else []), *examples, "```")
        own = [
            param
            for param in command.params
            if isinstance(param, click.Option) and param.name not in known
        ]
        if own:
            yield ""
            yield from _options(ctx, own)


def walk(group: click.Group, path: str = "longshore") -> Iterator[tuple[str, click.Command]]:
    ctx = click.Context(group)
    for each in group.list_commands(ctx):
        command = group.get_command(ctx, each)
        assert command is not None
        yield f"{path} {each}", command
        if isinstance(command, Group):
            yield from walk(command, f"{path} {each}")


def _help(command: click.Command) -> Iterator[str]:
    paragraphs = (command.help or "").split("\n\n")
    for number, paragraph in enumerate(paragraphs):
        if number:
            yield ""
        yield from (line.strip() for line in paragraph.strip().splitlines())


def _options(ctx: click.Context, options: list[click.Option]) -> Iterator[str]:
    yield "| option | variable | default | meaning |"
    yield "|---|---|---|---|"
    for option in options:
        names = ", ".join([*option.opts, *option.secondary_opts])
        takes = not (option.is_flag or option.count)
        if takes:
            kind = "N" if isinstance(option.type, Whole) else option.make_metavar(ctx)
            names += f" {kind}"
        default = f"`{option.default}`" if takes and isinstance(option.default, int | str) else ""
        meaning = (option.help or "").replace("*", r"\*")
        cells = (f"`{names}`", f"`{option.envvar}`", default, meaning)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


GENERATED: dict[str, Callable[[], Iterator[str]]] = {
    "commands": command_pages,
    "errors": error_tree,
    "states": picture,
}
PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def rewritten(text: str) -> str:
    """A page with its generated parts as the code has them now."""
    return PART.sub(lambda part: "\n".join([part[1], *GENERATED[part[2]](), "", part[3]]), text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(rewritten(page.read_text()))
