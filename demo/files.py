"""Files that appear whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Yield a path to write to; leaving the block puts the file in place.

    A process may die at any line and two runs of one job may overlap: neither leaves half a file
    under the name that others read.
    """
    part = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
