"""Makes sure that the store holds no jobs yet: the report and its check count every one."""

from demo.app import jobs


class NoRoom(Exception):
    """The store holds jobs that are not to be removed."""


def make_room(*, clear: bool) -> None:
    """Make tables where there are none; what an earlier demo left is removed with `clear`.

    Raises: `NoRoom`, if jobs are left.
    """
    jobs.migrate()
    if clear:
        jobs.query.cancel()
        jobs.query.delete()
    if left := jobs.query.count():
        raise NoRoom(
            f"the store holds {left} jobs already. Name an empty database, or set LONGSHORE_PREFIX"
            " to what no other names begin with."
        )
