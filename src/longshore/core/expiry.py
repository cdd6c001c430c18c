"""When so many leases have run out at once that it is doubted.

Who asks and has no lease any more is one sign: nobody could be renewed. A request to give jobs back
that was under way while the server stood still is carried out before any beat.
"""

from typing import Final

#: Fewer jobs than this are never too many to be given back at once.
MANY_JOBS: Final = 20


def is_mass(doomed: int, running: int) -> bool:
    """Whether so many of all running jobs are rather an error than the loss of a host."""
    return doomed >= MANY_JOBS and 2 * doomed > running
