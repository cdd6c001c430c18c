"""``longshore workflows``: see :mod:`longshore.cli.commands.batches`."""

from longshore.cli.commands.batches import workflows as command

__all__ = ["command"]
