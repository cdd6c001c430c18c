"""The application: four ordinary jobs.

The worker imports this module (`longshore worker -A demo.app:jobs`), and so does the web side.
Called directly, `make_thumbnail(...)` is the plain function it looks like.
"""

import hashlib
import smtplib
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from PIL import Image, ImageOps

from demo import mishaps, orders
from demo.fetch import TryAgainLater, get
from demo.files import whole_file
from longshore import CONTEXT, Discard, JobContext, Longshore, constant, retry_on

# LONGSHORE_STORE names the store: SQLite here, or what --store names; the code is the same.
jobs = Longshore()


@jobs.job(queue="images", max_attempts=3)
def make_thumbnail(picture: Path, to: Path, edge: int = 320) -> tuple[int, int]:
    """Shrink a picture to fit a square of `edge` pixels; returns the width and height it got."""
    try:
        with Image.open(picture) as image:
            thumbnail = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, Image.DecompressionBombError) as error:
        # Another attempt would read the same bytes.
        raise Discard(f"{picture.name} is not a picture: {error}") from error
    thumbnail.thumbnail((edge, edge))
    with whole_file(to) as part:
        thumbnail.save(part, "JPEG", quality=85)
    return thumbnail.size


class WrongChecksum(Exception):
    """What arrived is not what was promised."""


@jobs.job(
    queue="downloads",
    timeout="30s",
    max_attempts=5,
    backoff=constant(1),
    errors=[retry_on(TryAgainLater, wait=0.3, attempts=5)],
)
async def download(url: str, sha256: str, to: Path, ctx: JobContext = CONTEXT) -> int:
    """Fetch a file and verify its checksum; returns its size in bytes."""
    digest = hashlib.sha256()
    with whole_file(to) as part, part.open("wb") as file:
        async with get(url) as (length, chunks):
            async for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
                ctx.progress(file.tell(), length, to.name)
        if digest.hexdigest() != sha256:
            raise WrongChecksum(f"{url}: SHA-256 is {digest.hexdigest()}, expected {sha256}")
        return file.tell()


@dataclass(frozen=True)
class Imported:
    """What became of a file of orders."""

    rows: int
    malformed: dict[int, str]  # line number to what is wrong with it


@jobs.job(queue="imports", max_attempts=3)
def import_orders(file: Path, database: Path, ctx: JobContext = CONTEXT) -> Imported:
    """Load a CSV file into the table of orders; malformed lines are reported, not loaded."""
    total = orders.count_lines(file) - 1
    malformed: dict[int, str] = {}
    rows = done = 0
    with closing(sqlite3.connect(database, timeout=10)) as shop:
        for batch in orders.read_batches(file, malformed, size=1000):
            # A second run meets the rows of the first and writes them again: no harm done.
            with shop:
                shop.executemany(orders.UPSERT, batch)
            rows += len(batch)
            done = rows + len(malformed)
            ctx.progress(done, total, f"{rows} orders")
            if done > total / 2:
                mishaps.strike(file)
    return Imported(rows, malformed)


@dataclass(frozen=True)
class Mail:
    recipient: str
    subject: str
    text: str


@jobs.job(queue="mail", timeout="10s", max_attempts=5, backoff=constant(1))
def send_mail(mail: Mail, server: str, ctx: JobContext = CONTEXT) -> None:
    """Hand a mail to the SMTP server `host:port`."""
    message = EmailMessage()
    message["From"] = "shop@longshore.example"
    message["To"] = mail.recipient
    message["Subject"] = mail.subject
    # Jobs run at least once: should one be sent again, its id lets the receiver drop the second.
    message["Message-ID"] = f"<{ctx.id}@longshore.example>"
    message.set_content(mail.text)
    host, _, port = server.rpartition(":")
    with smtplib.SMTP(host, int(port), local_hostname="localhost", timeout=5) as smtp:
        smtp.send_message(message)
