"""Every reply of every operation that writes is lost once, on every server."""

import pytest

from longshore.testing.conformance.faults import WRITES
from tests.places import each
from tests.test_lost_replies import Lossy, lossy, lost_replies

__all__ = ["lossy"]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("awaiting", [False, True], ids=["blocking", "awaiting"])
@pytest.mark.parametrize("kind", each("postgres16", "postgres18", "mariadb", "redis", "valkey"))
def test_no_request_is_carried_out_twice(lossy: Lossy, awaiting: bool) -> None:
    wrong = [said for name in WRITES for said in lost_replies(lossy, name, every=True)]
    assert wrong == []
