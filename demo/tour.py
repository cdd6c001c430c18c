"""One run of the demo: set the stage, start the services and a worker, work, report."""

import time
from pathlib import Path

from rich.console import Console

from demo import inputs, orders
from demo.app import jobs
from demo.check import verify
from demo.diary import Diary
from demo.live import watching
from demo.place import Place
from demo.report import report, where_to_look_next
from demo.services import Served, mail_server, web_server
from demo.web import serve_visitors
from demo.worker import worker


def tour(console: Console, place: Place, images: Path | None, *, check: bool) -> int:
    """Run it all; returns the exit code.

    Parameters: `images`, a folder of pictures instead of those the demo paints; `check`, whether
    to verify the report.
    """
    started = time.monotonic()
    console.print(f"Preparing files in {place.folder}", soft_wrap=True)
    set_the_stage(place, paint=images is None)
    console.print("Working: longshore worker with 2 processes of 4 threads")
    diary = work(console, place, images or place.pictures)
    diary.save(place.diary)
    report(console, place, diary)
    where_to_look_next(console, place, diary)
    console.print(f"\nDone in {time.monotonic() - started:.1f} s")
    return verdict(console, place) if check else 0


def set_the_stage(place: Place, *, paint: bool) -> None:
    place.make()
    if paint:
        inputs.paint_pictures(place.pictures)
    inputs.write_orders(place.served / place.orders.name)
    inputs.write_downloads(place.served)
    orders.create_table(place.shop)


def work(console: Console, place: Place, pictures: Path) -> Diary:
    files = {file.name: Served(file) for file in place.served.iterdir()}
    files["catalogue-4.bin"].seconds = 2.0
    files[place.orders.name].refusals = 2
    with web_server(files) as web, mail_server() as mailbox, worker(place) as running:
        with watching(jobs, console):
            diary = serve_visitors(place, pictures, web.url, mailbox.address, running.check)
        diary.worker_exit = running.stop()
        diary.received, diary.copies = list(mailbox.mails.values()), mailbox.copies
    return diary


def verdict(console: Console, place: Place) -> int:
    wrong = verify(jobs, place)
    if not wrong:
        console.print(f"check: {jobs.query.count()} jobs read back, everything is as it should be")
        return 0
    console.print(f"check: {len(wrong)} things are wrong:")
    for sentence in wrong:
        console.print(f"  - {sentence}", soft_wrap=True, markup=False)
    return 1
