"""The web side: takes orders from visitors, enqueues the work, reads what became of it.

In a real application these are lines in request handlers; none of them waits for the work but the
one that needs a result.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from demo import mishaps
from demo.app import Mail, download, import_orders, jobs, make_thumbnail, send_mail
from demo.diary import Diary, Wanted
from demo.place import Place
from longshore import JobHandle, ResultTimeout

PICTURE_SUFFIXES = {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
CUSTOMERS = ["Ada", "Bjorn", "Chidi", "Dolores", "Emeka", "Fatima", "Grace", "Hiro"]
PATIENCE = 60  # seconds; the whole run takes a fraction of it

Check = Callable[[], None]


def serve_visitors(
    place: Place, pictures: Path, address: Callable[[str], str], smtp: str, check: Check
) -> Diary:
    """Enqueue the day's work and wait until it is done.

    Parameters: `pictures`, the folder to make thumbnails of; `address`, gives the URL of a file on
    the web server; `smtp`, `host:port` of the mail server; `check` is called while waiting and
    raises when waiting makes no sense any more.
    """
    diary = Diary()
    handles: list[JobHandle[Any]] = [
        *request_thumbnails(place, pictures, diary),
        *request_downloads(place, address, diary),
        *request_mails(smtp, diary),
    ]
    # The import needs the file: wait for the download that the server refuses twice.
    orders = jobs.get(diary.unreliable)
    wait_for(orders, check)
    orders.result()  # raises if it never came
    mishaps.arrange(place.orders)
    handles.append(import_orders.enqueue(place.orders, place.shop))
    diary.imported = handles[-1].id
    for handle in handles:
        wait_for(handle, check)
    return diary


def request_thumbnails(
    place: Place, folder: Path, diary: Diary
) -> list[JobHandle[tuple[int, int]]]:
    pictures = sorted(file for file in folder.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES)
    handles = jobs.enqueue_many(
        make_thumbnail.bind(picture, place.thumbnails / f"{picture.name}.jpg")
        for picture in pictures
    )
    diary.pictures = {handle.id: picture for handle, picture in zip(handles, pictures, strict=True)}
    return handles


def request_downloads(
    place: Place, address: Callable[[str], str], diary: Diary
) -> list[JobHandle[int]]:
    handles: list[JobHandle[int]] = []
    for file in sorted(place.served.iterdir()):
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        handle = download.enqueue(address(file.name), sha256, place.downloads / file.name)
        diary.downloads[handle.id] = Wanted(file.name, sha256)
        if file.name == place.orders.name:
            diary.unreliable = handle.id
        handles.append(handle)
    return handles


def request_mails(smtp: str, diary: Diary) -> list[JobHandle[None]]:
    handles: list[JobHandle[None]] = []
    for number, name in enumerate(CUSTOMERS, 1):
        mail = Mail(
            f"{name.lower()}@port.example",
            f"Order {number} is on its way",
            f"Dear {name}, your winch is on board.\nIt costs € {number}9.50.",
        )
        handle = send_mail.enqueue(mail, smtp)
        diary.mails[handle.id] = mail
        handles.append(handle)
    return handles


def wait_for(handle: JobHandle[Any], check: Check) -> None:
    """Wait for the end of a job, looking up every second to see whether it can still come."""
    for _ in range(PATIENCE):
        try:
            handle.wait(timeout=1)
        except ResultTimeout:
            check()
        else:
            return
    raise ResultTimeout(f"{handle.kind} {handle.id} was still {handle.state} after {PATIENCE} s")
