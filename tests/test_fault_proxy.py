"""The line with faults does what it says: else tests over it would show nothing."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.fault_proxy import FaultProxy

PLENTY = 20.0


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that answers each message with `<message>`."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listening:
        threads: list[threading.Thread] = []

        def answer(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                while said := connection.recv(65_536):
                    connection.sendall(b"<" + said + b">")

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    threads.append(threading.Thread(target=answer, args=(connection,)))
                    threads[-1].start()

        threads.append(threading.Thread(target=accept))
        threads[0].start()
        port: int = listening.getsockname()[1]
        yield port
        listening.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(PLENTY)


@pytest.fixture
def line(echo: int) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", echo) as line:
        yield line


@contextlib.contextmanager
def client(line: FaultProxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", line.port), PLENTY) as client:
        yield client


def ask(client: socket.socket, said: bytes) -> bytes:
    client.sendall(said)
    return client.recv(65_536)


def hears_nothing(client: socket.socket, said: bytes) -> bool:
    client.settimeout(0.1)
    try:
        ask(client, said)
    except TimeoutError:
        return True
    finally:
        client.settimeout(PLENTY)
    return False


def test_it_passes_everything_on(line: FaultProxy) -> None:
    with client(line) as one, client(line) as other:
        assert ask(one, b"a") == b"<a>"
        assert ask(other, b"b") == b"<b>"
        assert ask(one, b"c") == b"<c>"
        assert line.connections == 2


@pytest.mark.parametrize("fault", ["delay", "slow"])
def test_what_is_late_arrives(line: FaultProxy, fault: str) -> None:
    line.delay(0.05) if fault == "delay" else line.slow(40)
    with client(line) as one:
        began = time.monotonic()
        assert ask(one, b"aa") == b"<aa>"
        assert time.monotonic() - began >= 0.1


def test_a_black_hole_answers_nobody_until_it_is_healed(line: FaultProxy) -> None:
    with client(line) as one:
        assert ask(one, b"a") == b"<a>"
        line.blackhole()
        assert hears_nothing(one, b"b")
        with client(line) as new:
            assert hears_nothing(new, b"c")
            line.heal()
            assert ends(one)
            assert ends(new)
    with client(line) as after:
        assert ask(after, b"d") == b"<d>"


def test_a_black_hole_may_be_for_one_alone(line: FaultProxy) -> None:
    with client(line) as one, client(line) as other:
        assert ask(one, b"listen") == b"<listen>"
        assert ask(other, b"a") == b"<a>"
        line.blackhole(saying=b"listen")
        assert hears_nothing(one, b"listen again")
        assert ask(other, b"b") == b"<b>"


def test_it_refuses_new_connections(line: FaultProxy) -> None:
    with client(line) as one:
        assert ask(one, b"a") == b"<a>"
        line.refuse()
        # The end comes at once, perhaps before we know of the beginning.
        with contextlib.suppress(ConnectionResetError), client(line) as new:
            assert ends(new)
        assert ask(one, b"b") == b"<b>"


def test_it_cuts_every_connection(line: FaultProxy) -> None:
    with client(line) as one:
        assert ask(one, b"a") == b"<a>"
        line.cut()
        assert ends(one)


def test_it_drops_the_reply_to_one_request_that_was_carried_out(line: FaultProxy) -> None:
    with client(line) as one:
        line.drop_reply(2)
        assert ask(one, b"a") == b"<a>"
        assert not line.hit
        one.sendall(b"b")
        assert ends(one)
        assert line.hit
        assert line.requests == 2
    with client(line) as after:
        assert ask(after, b"c") == b"<c>"


def test_it_tears_one_reply(line: FaultProxy) -> None:
    with client(line) as one:
        line.truncate(3)
        assert ask(one, b"abcdef") == b"<ab"
        assert ends(one)
    with client(line) as after:
        assert ask(after, b"c") == b"<c>"


def ends(client: socket.socket) -> bool:
    """Whether the next that comes is the end of the connection."""
    try:
        return not client.recv(1)
    except ConnectionResetError:
        return True


def test_a_request_in_pieces_is_carried_whole_before_its_reply_is_lost() -> None:
    heard: list[bytes] = []
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            said = b""
            with connection, contextlib.suppress(OSError):
                while not said.endswith(b".") and (piece := connection.recv(65_536)):
                    said += piece
                heard.append(said)
                connection.sendall(b"yes")

        server = threading.Thread(target=serve)
        server.start()
        with FaultProxy("127.0.0.1", listening.getsockname()[1]) as line, client(line) as one:
            line.drop_reply()
            one.sendall(b"one ")
            end = time.monotonic() + PLENTY
            while line.requests < 1 and time.monotonic() < end:
                time.sleep(0.01)
            one.sendall(b"request.")
            with contextlib.suppress(ConnectionResetError):
                assert one.recv(10) == b""
            server.join(PLENTY)
    assert heard == [b"one request."]
