"""Hold every file to the budgets of the house, and keep a workplace's traces out of the repository.

    python tools/budgets.py [directory]     # the repository by default

Budgets: a source file has at most 500 lines, a function at most 60. In `src` no checker is silenced
and nothing sleeps to wait. No tracked file names a path of somebody's machine, the address of a
package index, or a word that stands in `.git/info/private-words` (one a line; the file is local, so
that the words of a workplace are never written into the repository).

Prints one line for each finding; exit code 1 when there is one.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

FILE_LINES = 500
FUNCTION_LINES = 60
BUDGETED = {".py", ".sql", ".lua"}
UNREADABLE = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".ico", ".db", ".woff2"}
NOT_TRACKED = {".git", ".venv", "build", "dist", "__pycache__"}

SILENCED = re.compile(r"#.*\b(type|pyright|mypy):\s*(ignore|basic|standard|ignore-errors)\b")
TRACES = {
    "a path of one machine": re.compile(r"(?<![\w.~*])/(root|home/\w+|Users/\w+|work|opt)/\w"),
    "the address of a package index": re.compile(
        r"(pypi|pythonhosted|npmjs)\.org|--(extra-)?index-url|--find[-]links|https?://\S+/simple\b"
    ),
}


def main(arguments: list[str]) -> int:
    root = Path(arguments[0] if arguments else Path(__file__).parent.parent).resolve()
    words = private_words(root)
    findings = [
        f"{path.relative_to(root)}:{line}: {text}"
        for path in files(root)
        for line, text in check(path, path.relative_to(root), words)
    ]
    print("\n".join(findings), end="\n" if findings else "")
    return 1 if findings else 0


def files(root: Path) -> list[Path]:
    """Tracked files and those about to be; every file of a copy that has no history."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0 and (root / ".git").exists():
        names = [root / name for name in listed.stdout.decode().split("\0") if name]
    else:
        names = [
            path
            for path in root.rglob("*")
            if not any(
                part in NOT_TRACKED or part.endswith("_cache")
                for part in path.relative_to(root).parts
            )
        ]
    return sorted(path for path in names if path.is_file())


def private_words(root: Path) -> re.Pattern[str] | None:
    path = root / ".git/info/private-words"
    words = path.read_text().split("\n") if path.is_file() else []
    quoted = [re.escape(word.strip()) for word in words if word.strip()]
    return re.compile(rf"\b({'|'.join(quoted)})\b", re.IGNORECASE) if quoted else None


def check(path: Path, name: Path, words: re.Pattern[str] | None) -> Iterator[tuple[int, str]]:
    if path.suffix in UNREADABLE:
        return
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        yield 1, "is not UTF-8 text"
        return
    yield from traces(text, words)
    if path.suffix in BUDGETED and (count := len(text.splitlines())) > FILE_LINES:
        yield 1, f"the file has {count} lines, {FILE_LINES} are allowed"
    if path.suffix == ".py":
        yield from python(text, in_package=name.parts[0] == "src")


def traces(text: str, words: re.Pattern[str] | None) -> Iterator[tuple[int, str]]:
    patterns = TRACES | ({"a word of this workplace": words} if words else {})
    for what, pattern in patterns.items():
        for found in pattern.finditer(text):
            yield text.count("\n", 0, found.start()) + 1, f"names {what}: {found[0]}"


def python(text: str, *, in_package: bool) -> Iterator[tuple[int, str]]:
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        yield error.lineno or 1, f"does not parse: {error.msg}"
        return
    yield from long_functions(tree)
    if in_package:
        yield from silenced(text)
        yield from sleeps(tree)


def long_functions(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            count = (node.end_lineno or node.lineno) - node.lineno + 1
            if count > FUNCTION_LINES:
                yield node.lineno, f"{node.name} has {count} lines, {FUNCTION_LINES} are allowed"


def silenced(text: str) -> Iterator[tuple[int, str]]:
    if not SILENCED.search(text):
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and SILENCED.search(token.string):
            yield token.start[0], f"silences a checker: {token.string}"


def sleeps(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="time"), attr="sleep"):
                yield node.lineno, "sleeps: wait on an event with a deadline"
            case ast.ImportFrom(module="time", names=names) if "sleep" in {n.name for n in names}:
                yield node.lineno, "sleeps: wait on an event with a deadline"
            case _:
                pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
