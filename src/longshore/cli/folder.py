"""Where a command was called."""

from __future__ import annotations

import os

from longshore.cli.exit import PIPE, Failure


def current_folder() -> str:
    """Its path; :class:`Failure` if it cannot be read, for example because it was deleted."""
    try:
        return os.getcwd()  # noqa: PTH109 - pathlib is not needed elsewhere here
    except OSError as error:
        raise Failure(PIPE, f"the current folder cannot be read: {error.strerror}.") from None
