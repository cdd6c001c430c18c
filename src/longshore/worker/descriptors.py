"""How many files and sockets a worker may have open: found out before it starts, not at three."""

from __future__ import annotations

from longshore.errors import ConfigurationError

#: For the interpreter, the application, the store and what jobs open; and for each child.
FILES, FILES_OF_A_CHILD = 64, 4


def check_files(processes: int, threads: int) -> None:
    """Let this process and its children open what they need, as far as the system allows it.

    Raises:
        ConfigurationError: it allows too little.
    """
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    needed = FILES + FILES_OF_A_CHILD * processes
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    endless = resource.RLIM_INFINITY
    wanted = needed + 2 * threads
    if soft != endless and soft < wanted:
        raised = wanted if hard == endless else min(wanted, hard)
        if raised > soft:
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
    if soft != endless and soft < needed:
        raise ConfigurationError(
            f"a worker of {processes} processes needs {needed} open files in each, and the limit"
            f" is {soft}. Raise it: `ulimit -n {max(1024, needed)}` in a shell,"
            f" LimitNOFILE={max(1024, needed)} for systemd, --ulimit nofile for a container."
        )
