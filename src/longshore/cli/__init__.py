"""The command line. A command's module is imported when that command is called, and not before."""

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``longshore`` with these arguments, by default the process's own.

    Returns the exit code; the table is in :mod:`longshore.cli.exit`.
    """
    from longshore.cli.program import run  # noqa: PLC0415 - this package is on many import paths

    return run(arguments)
