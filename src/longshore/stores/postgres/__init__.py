"""The store in a PostgreSQL database, 14 or newer."""

from __future__ import annotations

from longshore.errors import ConfigurationError

__all__ = ["driver_version"]

try:
    from psycopg import __version__ as driver_version
except ImportError as error:
    raise ConfigurationError(
        "store: postgresql:// needs a driver that is not installed:"
        f' `pip install "longshore[postgres]"`. ({error})'
    ) from error
