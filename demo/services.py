"""The outside world on this machine: a web server to download from and a mail server.

Both listen on the loopback interface, on ports that are free, for as long as their block lasts.
"""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from aiosmtpd.smtp import SMTP, Envelope, Session

LOOPBACK = "127.0.0.1"


@dataclass
class Served:
    """A file and how the server treats those who ask for it."""

    path: Path
    seconds: float = 0.0  # how long it takes to send
    refusals: int = 0  # how many requests are answered with 503 first


class WebServer(ThreadingHTTPServer):
    """Serves files by name: `/orders.csv`."""

    daemon_threads = True

    def __init__(self, files: Mapping[str, Served]) -> None:
        super().__init__((LOOPBACK, 0), FileHandler)
        self.files = files
        self.stopping = threading.Event()
        self.lock = threading.Lock()

    def url(self, name: str) -> str:
        return f"http://{LOOPBACK}:{self.server_port}/{name}"

    def refuses(self, served: Served) -> bool:
        with self.lock:
            served.refusals -= 1
            return served.refusals >= 0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may vanish in the middle of an answer: one of them will be killed."""


class FileHandler(BaseHTTPRequestHandler):
    server: WebServer

    def do_GET(self) -> None:
        served = self.server.files.get(self.path.lstrip("/"))
        if served is None:
            self.send_error(404)
        elif self.server.refuses(served):
            self.send_error(503)
        else:
            self.send(served)

    def send(self, served: Served, parts: int = 20) -> None:
        content = served.path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        step = len(content) // parts + 1
        for start in range(0, len(content), step):
            self.wfile.write(content[start : start + step])
            if served.seconds and self.server.stopping.wait(served.seconds / parts):
                return

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name it inherits
        """The demo shows jobs, not requests."""


@contextmanager
def web_server(files: Mapping[str, Served]) -> Iterator[WebServer]:
    server = WebServer(files)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()


class Received(NamedTuple):
    """A mail as it arrived."""

    message_id: str
    sender: str
    recipient: str
    subject: str
    text: str


@dataclass
class MailServer:
    """Keeps the mail it receives; a second copy of one is counted and dropped."""

    address: str = ""
    mails: dict[str, Received] = field(default_factory=dict[str, Received])
    copies: int = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802, ARG002 - the name and form that aiosmtpd calls
        content = envelope.content
        message = message_from_bytes(
            content if isinstance(content, bytes) else b"", EmailMessage, policy=policy.default
        )
        mail = Received(
            str(message["Message-ID"]),
            envelope.mail_from or "",
            ", ".join(envelope.rcpt_tos),
            str(message["Subject"]),
            "\n".join(message.get_content().splitlines()),  # the wire has CRLF
        )
        self.copies += mail.message_id in self.mails
        self.mails.setdefault(mail.message_id, mail)
        return "250 Message accepted for delivery"


@contextmanager
def mail_server() -> Iterator[MailServer]:
    mailbox = MailServer()
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        loop.create_server(
            lambda: SMTP(mailbox, hostname="localhost", loop=loop), host=LOOPBACK, port=0
        )
    )
    mailbox.address = "{}:{}".format(*server.sockets[0].getsockname())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield mailbox
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for task in asyncio.all_tasks(loop):  # a client that did not say goodbye
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
