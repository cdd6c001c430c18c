"""What the tests of the Redis store share."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore.core.model import Ending, JobState, Lease
from longshore.core.store import Retention
from longshore.core.store_url import parse_url
from longshore.stores.clock import Clock
from longshore.stores.redis.store import RedisStore, open_redis
from longshore.stores.redis.wire import Link, Lost
from tests.places import Place, each, place, redis_client

NOTHING = Retention(succeeded=0, cancelled=0, dead=0)
PLENTY = 20.0  # seconds; far longer than anything here takes


@pytest.fixture(params=each("redis", "valkey"))
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with place(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def store(where: Place) -> Iterator[RedisStore]:
    opened = open_at(where)
    yield opened
    opened.close()


@pytest.fixture
def client(where: Place) -> Iterator[Any]:
    with contextlib.closing(redis_client(where.url)) as client:
        yield client


@pytest.fixture
def flushing(client: Any) -> Iterator[Any]:
    """The server's scripts are everybody's: one test at a time may flush them, in all processes."""
    with client.lock("tests-flushing-scripts", timeout=60, blocking_timeout=50):
        yield client


def open_at(
    where: Place,
    *,
    retention: Retention | None = None,
    durability: str = "normal",
    more: str = "",
    clock: Clock | None = None,
) -> RedisStore:
    return open_redis(
        parse_url(where.url + more),
        retention=retention or Retention(),
        prefix=where.prefix,
        durability=durability,
        clock=clock,
    )


def key(where: Place, name: str) -> str:
    return f"{{{where.prefix}}}{name}"


def succeeded(job_id: str, result: bytes | None = None, run: int = 1) -> Ending:
    return Ending(Lease(job_id, "p", run), JobState.SUCCEEDED, result=result)


def kill(client: Any, link: Any) -> None:
    host, port = link._socket.getsockname()
    assert client.client_kill_filter(addr=f"{host}:{port}") == 1


class Losing:
    """Loses answers, ``losses`` of them: the server has done what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.losses = 0
        answer = Link.answer

        def lose(link: Link, packed: bytes) -> Any:
            reply = answer(link, packed)
            if self.losses:
                self.losses -= 1
                raise Lost("cut", sent=True)
            return reply

        monkeypatch.setattr(Link, "answer", lose)


class Saying:
    """A server that says the same whatever it is asked, and counts how often."""

    def __init__(self, reply: str) -> None:
        self.reply = reply.encode() + b"\r\n"
        self.asked = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(PLENTY)
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = self._socket.accept()
                with one, contextlib.suppress(OSError):
                    while got := one.recv(100_000):
                        self.asked += 1
                        # A greeting is let through; every command is an array.
                        hello = got.count(b"CLIENT") and not got.count(b"INFO")
                        one.sendall(b"+OK\r\n" if hello else self.reply)

    def close(self) -> None:
        self._socket.close()
