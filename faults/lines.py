"""A bad line between the workers of a trial and their store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from faults.trial import Trial
from longshore.core.store_url import parse_url
from tests.fault_proxy import FaultProxy


@contextmanager
def line(trial: Trial) -> Iterator[tuple[FaultProxy, dict[str, str]]]:
    """The line, and the environment of a worker that goes over it; producers do not.

    It must be open as long as the workers on it live.
    """
    url = parse_url(trial.where.url)
    assert url.port is not None
    with FaultProxy(url.host, url.port) as proxy:
        over = msgspec.structs.replace(url, host="127.0.0.1", port=proxy.port)
        yield proxy, {"LONGSHORE_STORE": over.reveal()}
