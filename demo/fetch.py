"""Just enough of an HTTP client for the demo: one GET over asyncio, read in chunks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

CHUNK = 64 * 1024


class HttpError(Exception):
    """The server answered, but not with the file, or not with all of it."""


class TryAgainLater(HttpError):
    """503: the server is busy and will not be for long."""


@asynccontextmanager
async def get(url: str) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
    """Ask for `url`; gives the length in bytes and the chunks of the body as they arrive."""
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port or 80)
    try:
        writer.write(f"GET {where.path} HTTP/1.0\r\nHost: {where.netloc}\r\n\r\n".encode())
        await writer.drain()
        status, length = read_head(await reader.readuntil(b"\r\n\r\n"))
        if status != 200:
            kind = TryAgainLater if status == 503 else HttpError
            raise kind(f"{url} answered {status}")
        yield length, read_body(reader, length)
    finally:
        writer.close()


def read_head(head: bytes) -> tuple[int, int]:
    """The status and the length of the body."""
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split()[1]), int(fields.get("content-length", 0))


async def read_body(reader: asyncio.StreamReader, length: int) -> AsyncIterator[bytes]:
    left = length
    while left:
        chunk = await reader.read(min(CHUNK, left))
        if not chunk:
            raise HttpError(f"the connection ended {left} bytes early")
        left -= len(chunk)
        yield chunk
