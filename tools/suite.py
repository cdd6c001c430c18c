"""`./dev test`: every test; those that hold a clock to what they test come after the others.

On two busy cores it takes a quarter of a second now and then until who waits is woken. What is
marked ``timed`` mostly waits: two of them at once leave a core idle.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence

CHOSE_NOTHING = 5  # of pytest
GOES_ON = (0, 1, CHOSE_NOTHING)  # passed, failed, chose nothing; others are no verdict


def main(arguments: Sequence[str]) -> int:
    """The worse exit code of both runs; that of pytest where none of them chose a test."""
    spread = arguments[: arguments.index("--")]
    given = arguments[len(spread) + 1 :]
    together = run(*spread, "--session-timeout=1800", "--timed=without", *given)
    if together not in GOES_ON:
        return together
    after = run("-n2", "--dist=worksteal", "--session-timeout=600", "--timed=only", *given)
    codes = [code for code in (together, after) if code != CHOSE_NOTHING]
    return max(codes, default=CHOSE_NOTHING)


def run(*arguments: str) -> int:
    """Run pytest; who ends this process ends that one."""
    with subprocess.Popen([sys.executable, "-m", "pytest", *arguments]) as process:
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        # A terminal interrupts both, and pytest has its servers to end first.
        signal.signal(signal.SIGINT, lambda *_: None)
        code = process.wait()
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
