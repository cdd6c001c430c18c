"""What every test shares: random but repeatable examples, and nothing left running.

The time limit of a test, random order and warnings as errors are set in `pyproject.toml`.
The keeper of servers is started with the run and ends with it, see `tests/servers.py`.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import hypothesis
import hypothesis.core
import psutil
import pytest

from tests import servers

# Machines are shared and slow at times: how long an example takes is no verdict on the code.
hypothesis.settings.register_profile(
    "ci",
    deadline=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "thorough", hypothesis.settings.get_profile("ci"), max_examples=2_000
)
hypothesis.settings.load_profile("ci")

GRACE = 5.0  # seconds in which what was told to end may end
TRACKER = "multiprocessing.resource_tracker"
KEEPING = pytest.StashKey[servers.Keeping]()
BEGUN = pytest.StashKey[float]()
TIMED = "@pytest.mark.timed"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`./dev test` first runs all others beside each other, then these."""
    choices = ("with", "without", "only")
    parser.addoption("--timed", choices=choices, default="with", help="tests marked timed")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Sixteen thousand tests need not be collected to find those."""
    if config.option.timed == "only" and collection_path.suffix == ".py":
        return TIMED not in collection_path.read_text("utf-8") or None
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = {"with": (True, False), "without": (False,), "only": (True,)}[config.option.timed]
    chosen, left = list[pytest.Item](), list[pytest.Item]()
    for item in items:
        timed = item.get_closest_marker("timed") is not None
        if timed:
            # A virtual machine stands still at times, for as long as such a test may take.
            item.add_marker(pytest.mark.flaky(reruns=2))
        elif item.get_closest_marker("slow") is not None:
            stood_still = partial(has_stood_still, item)
            item.add_marker(pytest.mark.flaky(reruns=1, condition=stood_still))
        (chosen if timed in wanted else left).append(item)
    items[:] = chosen
    config.hook.pytest_deselected(items=left)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[BEGUN] = time.monotonic()


def has_stood_still(item: pytest.Item) -> bool:
    """Whether the machine did so while a test ran: what it starts then misses its times."""
    delays = servers.delays(item.stash[BEGUN])
    item.add_report_section("call", "machine", f"it stood still for {delays or 'no time'}")
    return bool(delays)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What passed at a second go only is looked into as well: it is told in full."""
    for report in terminalreporter.getreports("rerun"):
        terminalreporter.section(f"failed at first: {report.nodeid}")
        terminalreporter.line(report.longreprtext)
        for title, text in report.sections:
            terminalreporter.line(f"{title}: {text[-4000:]}")
    with contextlib.suppress(servers.ServerError, OSError):  # it has ended after Ctrl-C
        if delays := servers.delays():
            text = f"the machine stood still {len(delays)} times, for up to {max(delays):.1f} s"
            terminalreporter.line(text)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """One number repeats a run: the seed printed at its start orders the tests and the examples."""
    seed = getattr(config.option, "randomly_seed", None)
    if hypothesis.core.global_force_seed is None and isinstance(seed, int):
        hypothesis.core.global_force_seed = seed
    # The processes of xdist share the keeper of the one that started them.
    if servers.VARIABLE not in os.environ:
        config.stash[KEEPING] = servers.Keeping()
        config.stash[KEEPING].begin()


def pytest_sessionfinish() -> None:
    """Remove what this process made on servers."""
    if (places := sys.modules.get("tests.places")) is not None:
        places.KEPT.close()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Also after Ctrl-C; what is killed leaves the keeper a closed pipe, which does the same."""
    if (keeping := config.stash.get(KEEPING, None)) is not None:
        keeping.end()


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    """Fail the test that leaves a child process or a thread that keeps the interpreter alive.

    What stood before it (fixtures of a module or session) is not its doing.
    """
    children_before, threads_before = set(children()), set(threading.enumerate())
    yield
    deadline = time.monotonic() + GRACE
    threads = [thread for thread in lasting_threads() if thread not in threads_before]
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    left = [f"thread {thread.name}" for thread in threads if thread.is_alive()]
    processes = [child for child in children() if child not in children_before]
    processes += [below for child in processes for below in descendants(child)]
    _, alive = psutil.wait_procs(processes, timeout=max(0.0, deadline - time.monotonic()))
    left += [f"process {process.pid}: {command(process)}" for process in alive]
    for process in alive:  # not to be found again at every later test
        process.kill()
    psutil.wait_procs(alive, timeout=GRACE)
    assert not left, f"the test left running: {'; '.join(left)}"


def children() -> list[psutil.Process]:
    """Our own children, without multiprocessing's tracker, which lives as long as we do."""
    return [child for child in own_children() if TRACKER not in command(child)]


def own_children() -> list[psutil.Process]:
    """Asked twice for each of thousands of tests: Linux knows without a look at every process."""
    tasks = Path("/proc/self/task")
    if not (tasks / str(os.getpid()) / "children").exists():
        return psutil.Process().children()
    found: list[psutil.Process] = []
    for task in tasks.iterdir():
        with contextlib.suppress(OSError, psutil.NoSuchProcess):  # the thread or child has ended
            found += map(psutil.Process, map(int, (task / "children").read_text().split()))
    return found


def descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it ended meanwhile
        return ""


def lasting_threads() -> list[threading.Thread]:
    return [
        thread
        for thread in threading.enumerate()
        if not thread.daemon and thread is not threading.main_thread()
    ]
