"""``python -m bench``."""

import signal
import sys
from types import FrameType

from bench.command import main


def leave(number: int, _frame: FrameType | None) -> None:
    """End like a failed `with` block does: the sample that runs and the servers are stopped."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    for told in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(told, leave)
    sys.exit(main(sys.argv[1:]))
