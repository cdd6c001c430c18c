"""The long programmes share what every test shares: the servers' keeper and the leftover check."""

from tests.conftest import (
    nothing_left_running,
    pytest_configure,
    pytest_sessionfinish,
    pytest_unconfigure,
)

__all__ = [
    "nothing_left_running",
    "pytest_configure",
    "pytest_sessionfinish",
    "pytest_unconfigure",
]
