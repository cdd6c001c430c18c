"""`./dev demo`: options, environment and how the run ends."""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from rich.console import Console

from demo.place import Place
from longshore.core.store_url import parse_url
from longshore.errors import ConfigurationError

PREFIX = "longshore_demo_"  # of tables and keys in a store of yours


def main() -> int:
    options = parse()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    console = Console(width=None if sys.stdout.isatty() else 110)
    try:
        return run(console, options)
    except KeyboardInterrupt:
        console.print("Stopped. Nothing is left running.")
        return 130


def run(console: Console, options: argparse.Namespace) -> int:
    folder = options.only_check or options.keep or tempfile.mkdtemp(prefix="longshore-demo-")
    place = Place(Path(folder).resolve(), options.store)
    os.environ["LONGSHORE_STORE"] = place.store
    ours = options.store is not None and "LONGSHORE_PREFIX" not in os.environ
    if ours:
        # In a database of yours: no table of the demo has a name that another one could have.
        os.environ["LONGSHORE_PREFIX"] = PREFIX
    # The application reads the environment when it is imported, as most do.
    from demo.room import NoRoom, make_room  # noqa: PLC0415
    from demo.tour import tour, verdict  # noqa: PLC0415
    from demo.worker import WorkerDied  # noqa: PLC0415
    from longshore import LongshoreError  # noqa: PLC0415

    try:
        if options.only_check:
            return verdict(console, place)
        images = options.images and options.images.resolve()
        make_room(clear=ours)
        return tour(console, place, images, check=options.check)
    except (NoRoom, WorkerDied, LongshoreError) as error:
        console.print(f"demo: {error}", markup=False, soft_wrap=True)
        return 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev demo", description=sys.modules["demo"].__doc__)

    def folder(name: str, about: str) -> None:
        parser.add_argument(name, type=Path, metavar="FOLDER", help=about)

    parser.add_argument(
        "--check", action="store_true", help="read everything back and verify it; else exit code 1"
    )
    parser.add_argument(
        "--store",
        metavar="URL",
        help="keep the jobs there instead of in a file of SQLite, as postgresql://, mysql://,"
        f" redis:// or sqlite:///; names of tables and keys begin with {PREFIX}",
    )
    folder("--images", "make thumbnails of these pictures instead of painted ones")
    folder("--keep", "a new or empty folder to write to, instead of a temporary one")
    folder("--only-check", "verify a run that ended earlier, in this folder")
    options = parser.parse_args()
    if problem := find_problem(options):
        parser.error(problem)
    return options


def find_problem(options: argparse.Namespace) -> str | None:
    """What is wrong with the address and the folders; makes the one to write to."""
    if options.store is not None and (problem := find_problem_of_store(options.store)):
        return f"--store: {problem}"
    if options.only_check and not Place(options.only_check).diary.is_file():
        return f"--only-check {options.only_check} does not hold a finished run"
    if options.images and not options.images.is_dir():
        return f"--images {options.images} is not a folder"
    if options.keep:
        try:
            options.keep.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            return f"--keep {options.keep}: {error.strerror}"
        if any(options.keep.iterdir()):
            return f"--keep {options.keep} is not empty; name a new folder"
    return None


def find_problem_of_store(text: str) -> str | None:
    try:
        address = parse_url(text)
    except ConfigurationError as error:
        return str(error)
    if address.store == "memory":
        return "memory:// is seen by one process alone, and here the worker is another"
    return None


def leave(number: int, _frame: FrameType | None) -> None:
    """End like a failed `with` block does: the worker is stopped on the way out."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
