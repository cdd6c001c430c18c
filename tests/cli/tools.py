"""What the tests of the command line share: an application, and jobs in every state."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import longshore
from longshore import Longshore
from longshore.core.model import Ending, JobState, Lease, Run, Why
from longshore.core.store import ClaimRequest, Line, NewProcess

APP = """
from pathlib import Path
from longshore import Longshore

jobs = Longshore("sqlite:///jobs.db")

@jobs.job(kind="mail.send", queue="mail")
def send(user_id: int, locale: str = "en", tags: list[str] = ()) -> str:
    return f"{user_id} {locale}"

@jobs.job(kind="fail", max_attempts=1)
def fail() -> None:
    raise RuntimeError("no such host")

@jobs.job(kind="report.month")
def month(name: str) -> None: ...
"""
#: So that a process started elsewhere runs what is tested here.
SOURCE = Path(longshore.__file__).parents[1]
CODE = re.compile(r"LONGSHORE-E(\d{3}) \(docs/errors\.md#e\1\)\n\Z")


class Said:
    """How a command ended and what it said."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def number(self) -> int:
        found = CODE.search(self.err)
        assert found, self.err
        return int(found[1])

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Call = Callable[..., Said]


def forget(folder: Path) -> None:
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "") or "").startswith(str(folder)):
            del sys.modules[name]


def push(app: Longshore, count: int = 1, queue: str = "mail") -> list[str]:
    return [
        app.push({"kind": "mail.send", "kwargs": {"user_id": i}, "queue": queue}).id
        for i in range(count)
    ]


def claim(app: Longshore, process: str = "p1", lease: int = 3_600_000_000) -> list[Lease]:
    """Claim everything as a worker process would."""
    app.store.run(
        app.store.register(
            NewProcess(
                id=process,
                app="shop",
                name="one",
                host="here",
                pid=1,
                lease=lease,
                queues=("mail",),
                kinds=(),
                slots=10,
                embedded=True,
            )
        )
    )
    taken = app.store.run(app.store.claim(ClaimRequest(process, 1, 100, (Line(("*",)),))))
    return [Lease(job.id, process, job.run) for job in taken.jobs]


def end(app: Longshore, lease: Lease, state: JobState) -> None:
    entry = Run(
        run=1,
        process="p1",
        started_at=1,
        ended_at=2,
        why=Why.FAILED,
        error="builtins.OSError",
        message="no route: \x1b[31mred",
    )
    result = b'"done"' if state is JobState.SUCCEEDED else None
    failed = state is JobState.DEAD
    ending = Ending(lease, state, failed=failed, entry=entry if failed else None, result=result)
    assert app.store.run(app.store.finish([ending])) == {lease}


def fresh(
    *arguments: str, cwd: Path, env: dict[str, str] | None = None, **rest: Any
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "longshore", *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        **rest,
    )
