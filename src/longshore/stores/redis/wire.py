"""The connection to a server: commands packed and replies read by hiredis, blocking and awaiting.

Nothing is between an operation and the socket: a call costs a third of what a client made for every
command takes. A link serves one caller at a time; one that broke or was left in the middle of a
reply is never used again.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from longshore.errors import ConfigurationError
from longshore.stores.deadlines import ANSWER, CONNECT

try:
    import hiredis
except ImportError as error:  # pragma: no cover - a test starts an interpreter without it
    raise ConfigurationError(
        "redis:// needs a driver that is not installed: pip install 'longshore[redis]'"
    ) from error

if TYPE_CHECKING:
    import asyncio
    import ssl

_MOST: Final = 65_536

#: One command with its values, as it is sent. (The driver's types know commands of one word.)
pack: Final[Callable[[tuple[str | bytes | int, ...]], bytes]] = vars(hiredis)["pack_command"]


class Place(msgspec.Struct, frozen=True):
    """Where a server is and how to be let in; the password is not shown."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None
    database: int = 0
    tls: bool = False
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    #: How long to wait for a connection and for an answer, seconds.
    connect: float = CONNECT
    answer: float = ANSWER

    def __repr__(self) -> str:
        return f"Place({self.host}:{self.port}/{self.database})"

    def greeting(self) -> list[bytes]:
        """What is said first on a new connection."""
        said = [pack(("CLIENT", "SETNAME", f"longshore-{os.getpid()}"))]
        if self.password is not None or self.user is not None:
            user = () if self.user is None else (self.user,)
            # A user without a password takes any; unnamed, we would be who may do everything.
            said.insert(0, pack(("AUTH", *user, self.password or "")))
        if self.database:
            said.append(pack(("SELECT", self.database)))
        return said

    def context(self) -> ssl.SSLContext | None:
        """How to encrypt, if at all."""
        if not self.tls:
            return None
        import ssl  # noqa: PLC0415 - 10 ms that only who encrypts pays

        context = ssl.create_default_context(cafile=self.ca)
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.key)
        return context


class Lost(Exception):
    """The connection broke. ``sent``: the server may have done what it was asked."""

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.sent = sent
        #: Of a request in parts, the jobs that are stored for certain.
        self.stored: tuple[str, ...] = ()


class Refused(Exception):
    """What the server said instead of an answer, beginning with its code."""

    @property
    def code(self) -> str:
        return str(self).partition(" ")[0]


class Unreplicated(Exception):
    """Written, but fewer replicas than asked for said in time that they have it too."""


def checked(reply: Any) -> Any:
    """The reply, unless it is an error."""
    if isinstance(reply, Refused):
        raise reply
    return reply


class _Socket:
    """What both sorts of connection share."""

    __slots__ = ("_socket",)

    _socket: socket.socket

    def silent(self) -> bool:
        """Whether the server has neither closed it nor said what nobody asked."""
        readable, _, _ = select.select([self._socket.fileno()], [], [], 0)
        return not readable

    def close(self) -> None:
        """Close it; in a forked child that closes the child's end alone."""
        self._socket.close()

    def __del__(self) -> None:
        # One that is inherited by a fork, or whose event loop has ended, is simply let go.
        plain: socket.socket | None = getattr(self, "_socket", None)
        if plain is not None:
            plain.close()


class Link(_Socket):
    """A blocking connection."""

    __slots__ = ("_reader",)

    def __init__(self, place: Place) -> None:
        try:
            self._socket = socket.create_connection((place.host, place.port), place.connect)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            context = place.context()
            if context is not None:
                self._socket = context.wrap_socket(self._socket, server_hostname=place.host)
        except OSError as error:
            raise Lost(_why(error), sent=False) from error
        self._reader = hiredis.Reader(replyError=Refused)
        try:
            greeting = place.greeting()
            for reply in self.ask(b"".join(greeting), len(greeting)):
                checked(reply)
            self._socket.settimeout(place.answer)
        except Lost as lost:
            self.close()
            raise Lost(str(lost), sent=False) from lost
        except BaseException:
            self.close()
            raise

    def ask(self, packed: bytes, replies: int = 1) -> list[Any]:
        """Send commands and read an answer to each.

        Raises:
            Lost: the connection broke.
        """
        self.send(packed)
        return [self.reply() for _ in range(replies)]

    def answer(self, packed: bytes) -> Any:
        """Send commands and read the first answer; as :meth:`ask`, and a little quicker."""
        try:
            self._socket.sendall(packed)
        except OSError as error:
            raise Lost(_why(error), sent=True) from error
        return self.reply()

    def send(self, packed: bytes) -> None:
        """Send commands."""
        try:
            self._socket.sendall(packed)
        except OSError as error:
            raise Lost(_why(error), sent=True) from error

    def reply(self) -> Any:
        """Read the next reply."""
        reader = self._reader
        try:
            while (reply := reader.gets()) is False:
                got = self._socket.recv(_MOST)
                if not got:
                    raise Lost("the server closed the connection", sent=True)
                reader.feed(got)
        except (OSError, hiredis.ProtocolError) as error:
            raise Lost(_why(error), sent=True) from error
        return reply

    def ready(self, others: Sequence[int], timeout: float) -> bool:
        """Wait until there is something to read here (true) or on one of the others."""
        if self._reader.has_data() or getattr(self._socket, "pending", int)():
            return True
        readable, _, _ = select.select([self._socket.fileno(), *others], [], [], timeout)
        return self._socket.fileno() in readable


class AsyncLink(_Socket):
    """An awaiting connection of one event loop.

    A socket of our own rather than a stream of the loop: it can be closed when the loop has ended.
    """

    __slots__ = ("_answer", "_incoming", "_loop", "_outgoing", "_reader", "_tls")

    def __init__(
        self, plain: socket.socket, loop: asyncio.AbstractEventLoop, answer: float = ANSWER
    ) -> None:
        self._socket = plain
        self._answer = answer
        self._loop = loop
        self._reader = hiredis.Reader(replyError=Refused)
        self._tls: ssl.SSLObject | None = None

    @classmethod
    async def open(cls, place: Place) -> AsyncLink:
        """Connect.

        Raises:
            Lost: nobody answers there.
        """
        import asyncio  # noqa: PLC0415 - imported already by who awaits

        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(place.connect):
                link = cls(await _connected(loop, place), loop, place.connect)
        except (OSError, TimeoutError) as error:
            raise Lost(_why(error), sent=False) from error
        try:
            context = place.context()
            if context is not None:
                async with asyncio.timeout(place.connect):
                    await link._encrypt(context, place.host)
            greeting = place.greeting()
            for reply in await link.ask(b"".join(greeting), len(greeting)):
                checked(reply)
            link._answer = place.answer
        except (Lost, OSError, TimeoutError) as error:
            link.close()
            raise Lost(_why(error), sent=False) from error
        except BaseException:
            link.close()
            raise
        return link

    async def ask(self, packed: bytes, replies: int = 1) -> list[Any]:
        """Send commands and read an answer to each.

        Raises:
            Lost: the connection broke.
        """
        import asyncio  # noqa: PLC0415 - imported already by who awaits

        answers: list[Any] = []
        reader = self._reader
        try:
            async with asyncio.timeout(self._answer):
                await self._send(packed)
                while len(answers) < replies:
                    reply = reader.gets()
                    if reply is not False:
                        answers.append(reply)
                        continue
                    got = await self._receive()
                    if not got:
                        raise Lost("the server closed the connection", sent=True)
                    reader.feed(got)
        except (OSError, TimeoutError, hiredis.ProtocolError) as error:
            raise Lost(_why(error), sent=True) from error
        return answers

    async def _send(self, data: bytes) -> None:
        if self._tls is not None:
            self._tls.write(data)
            data = self._outgoing.read()
        await self._loop.sock_sendall(self._socket, data)

    async def _receive(self) -> bytes:
        if self._tls is None:
            return await self._loop.sock_recv(self._socket, _MOST)
        import ssl  # noqa: PLC0415 - imported already by who encrypts

        while True:
            try:
                return self._tls.read(_MOST)
            except ssl.SSLWantReadError:
                await self._exchange()

    async def _encrypt(self, context: ssl.SSLContext, host: str) -> None:
        import ssl  # noqa: PLC0415 - imported already by who encrypts

        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._exchange()
            else:
                await self._flush()
                self._tls = tls
                return

    async def _exchange(self) -> None:
        """Send what encryption has to say, and read what it waits for."""
        await self._flush()
        got = await self._loop.sock_recv(self._socket, _MOST)
        if got:
            self._incoming.write(got)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._loop.sock_sendall(self._socket, self._outgoing.read())


async def _connected(loop: asyncio.AbstractEventLoop, place: Place) -> socket.socket:
    found = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    last: OSError = OSError(f"no address of {place.host}")
    for family, kind, protocol, _, address in found:
        plain = socket.socket(family, kind, protocol)
        try:
            plain.setblocking(False)  # noqa: FBT003 - the name of the parameter is private
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(plain, address)
        except OSError as error:
            plain.close()
            last = error
        except BaseException:
            plain.close()
            raise
        else:
            return plain
    raise last


def _why(error: Exception) -> str:
    if isinstance(error, Lost):
        return str(error)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "the answer is not one of a Redis server"
