"""Every behaviour on every server by every way to drive it, also those the suite takes one of."""

import pytest

from longshore.testing.conformance import StoreConformance
from tests.places import MYSQL, POSTGRES, REDIS
from tests.store_tools import driven
from tests.test_conformance import WAYS, StoreOnAServer, class_name

BOTH = ("blocking", "awaiting")

for _kind in (*POSTGRES, *MYSQL, *REDIS):
    for _way in BOTH:
        if WAYS.get(_kind) != _way:
            _name = class_name(_kind) + _way.title()
            globals()[_name] = pytest.mark.servers(
                type(
                    _name,
                    (StoreOnAServer, StoreConformance),
                    {"kind": _kind, "bench": driven(_way)},
                )
            )
