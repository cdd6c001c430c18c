"""A bad line between a client and its server, on the loopback and without any privilege.

    with FaultProxy("127.0.0.1", 6379) as line:
        connect to 127.0.0.1:line.port
        line.drop_reply(2)

Faults last until :meth:`FaultProxy.heal`; those of one reply (`drop_reply`, `truncate`) are over
when it came. One thread serves all connections; it ends with the block.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, Self

Mode = Literal["pass", "delay", "slow", "blackhole", "refuse", "drop_reply", "truncate"]

CHUNK = 65_536
#: How long the thread may take for what it is told, seconds.
PATIENCE = 20


class Pair:
    """A client's connection and the one to the server."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.ends = [client]
        self.said = b""  # what the client has sent, the last of it
        self.swallows = False
        self.held = False
        self.doomed = False

    def end(self) -> None:
        """End both; what is still on the way arrives."""
        for end in self.ends:
            end.close()

    def reset(self) -> None:
        """End both as a broken line does: without a goodbye."""
        for end in self.ends:
            plain = end.get_extra_info("socket")
            with contextlib.suppress(OSError):
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.transport.abort()


class FaultProxy:
    """One line to one server, and what is wrong with it."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._mode: Mode = "pass"
        self._amount = 0.0
        self._saying = b""
        #: Whether the one reply was hit, and how many requests there were since the line was told.
        self.hit = False
        self.requests = 0
        self._pairs: set[Pair] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy")

    def __enter__(self) -> Self:
        self._thread.start()
        self.port: int = self._do(self._listen)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._do(self._end)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE)
            self._loop.close()

    # --- faults ---

    def heal(self) -> None:
        """Whole again; connections that were held are cut, for what they missed is missed."""
        self._do(self._heal)

    def delay(self, seconds: float) -> None:
        """Everything arrives so much later."""
        self._set("delay", seconds)

    def slow(self, bytes_per_second: float) -> None:
        """Everything takes its time."""
        self._set("slow", bytes_per_second)

    def blackhole(self, saying: bytes = b"") -> None:
        """Connections stand and nothing arrives; of those alone whose client has said this."""
        self._set("blackhole", saying=saying)

    def refuse(self) -> None:
        """No new connection."""
        self._set("refuse")

    def cut(self) -> None:
        """Break every connection that there is."""
        self._do(self._cut)

    def drop_reply(self, number: int = 1) -> None:
        """Carry the next so many requests, but not the reply to the last: cut instead."""
        self._set("drop_reply", number)

    def truncate(self, size: int) -> None:
        """Carry so many bytes of the next reply, then cut."""
        self._set("truncate", size)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._pairs)

    @property
    def doomed(self) -> int:
        """How many of them are black holes for what they have said."""
        return sum(pair.doomed for pair in list(self._pairs))

    # --- in the thread ---

    def _set(self, mode: Mode, amount: float = 0, saying: bytes = b"") -> None:
        async def apply() -> None:
            self._mode, self._amount, self._saying = mode, amount, saying
            self.hit, self.requests = False, 0
            for pair in self._pairs:
                pair.doomed = bool(saying) and saying in pair.said

        self._do(apply)

    def _do(self, work: Callable[[], Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(PATIENCE)

    async def _listen(self) -> int:
        self._healed = asyncio.Event()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _end(self) -> None:
        self._server.close()
        await self._heal()
        await self._cut()
        # What was cut ends by itself; only what still sleeps has to be told.
        if tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            _, asleep = await asyncio.wait(tasks, timeout=1)
            for task in asleep:
                task.cancel()

    async def _heal(self) -> None:
        self._mode, self._amount, self._saying = "pass", 0, b""
        for pair in [pair for pair in self._pairs if pair.held]:
            pair.reset()
        self._healed.set()
        self._healed = asyncio.Event()

    async def _cut(self) -> None:
        for pair in self._pairs:
            pair.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = Pair(writer)
        if self._mode == "refuse":
            pair.reset()
            return
        self._pairs.add(pair)
        try:
            if self._mode == "blackhole" and not self._saying:
                await self._hold(pair)
            there, back = await asyncio.open_connection(*self._to)
            pair.ends.append(back)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(pair, reader, back, asks=True))
                both.create_task(self._carry(pair, there, writer, asks=False))
        except* (OSError, EOFError):
            pass
        finally:
            pair.end()
            self._pairs.discard(pair)

    async def _carry(
        self,
        pair: Pair,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        asks: bool,
    ) -> None:
        while data := await reader.read(CHUNK):
            if asks:
                pair.said = (pair.said + data)[-CHUNK:]
                self.requests += 1
            data = await self._wronged(pair, data, asks=asks)
            writer.write(data)
            await writer.drain()
        raise EOFError  # who hangs up ends both directions

    async def _wronged(self, pair: Pair, data: bytes, *, asks: bool) -> bytes:
        """What arrives of these bytes, and when."""
        match self._mode:
            case "delay":
                await asyncio.sleep(self._amount)
            case "slow":
                await asyncio.sleep(len(data) / self._amount)
            case "drop_reply" if asks and self._amount:
                self._amount -= 1
                pair.swallows = not self._amount
            # A long request comes in pieces: the rest of it is carried.
            case "drop_reply" if pair.swallows and not asks:
                self._spend()
                pair.reset()
                raise EOFError
            case "truncate" if not asks:
                size = int(self._amount)
                self._spend()
                # An orderly end: a reset could overtake what is sent.
                pair.ends[0].write(data[:size])
                raise EOFError
            case _ if self._holes(pair):
                await self._hold(pair)
            case _:
                pass
        return data

    def _spend(self) -> None:
        self._mode, self._amount, self.hit = "pass", 0, True

    def _holes(self, pair: Pair) -> bool:
        return self._mode == "blackhole" and (pair.doomed or not self._saying)

    async def _hold(self, pair: Pair) -> None:
        pair.held = True
        await self._healed.wait()
        raise EOFError  # what it missed is missed
