"""Stores that are reached over a bad line."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from longshore.core.store_url import parse_url
from tests.fault_proxy import FaultProxy
from tests.places import Place
from tests.servers import shared

PORTS = {"postgresql": 5432, "mysql": 3306, "redis": 6379}


@contextmanager
def line_to(kind: str) -> Iterator[FaultProxy]:
    """A line to the run's server of a kind."""
    url = parse_url(shared(kind).url)
    with FaultProxy(url.host or "127.0.0.1", url.port or PORTS[url.scheme]) as line:
        yield line


def behind(line: FaultProxy, where: Place) -> Place:
    """The same place, over the line."""
    url = msgspec.structs.replace(parse_url(where.url), host="127.0.0.1", port=line.port)
    return Place(url.reveal(), where.prefix)
