"""Whose fault an option is that cannot be: of the application's code, or of the command line."""

from __future__ import annotations

from typing import Final

from longshore.errors import DeclarationError

#: What is raised below these was raised by code of the application, or is told of it.
_LOADERS: Final = frozenset({"longshore.discovery", "longshore.programs.child"})


def is_of_the_application(error: BaseException) -> bool:
    """Whether an error comes of a declaration that was met while the application was loaded.

    One and the same error is raised where a command names an option that cannot be.
    """
    trace = error.__traceback__ if isinstance(error, DeclarationError) else None
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") in _LOADERS:
            return True
        trace = trace.tb_next
    return False
