"""What the programs of a worker load before the first job: nothing that they do not use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from longshore import Longshore

APPLICATION = """
import sys
from pathlib import Path

from longshore import Longshore

jobs = Longshore()


@jobs.job(kind="note")
def note() -> None:
    Path("child").write_text("\\n".join(sys.modules))
"""

#: Read by every Python that starts.
WITNESS = """
import atexit
import sys


def tell(name):
    with open(name, "w") as file:
        file.write("\\n".join(sys.modules))


def heard(event, arguments):
    if event == "subprocess.Popen":
        tell("before")


sys.addaudithook(heard)
if "worker" in sys.orig_argv:
    atexit.register(tell, "supervisor")
"""

#: Drivers of other stores, and what only some programs need.
NOT_NEEDED = frozenset(
    {
        *("asyncio", "cronsim", "psycopg", "pymysql", "redis", "rich", "zoneinfo"),
        *("longshore.stores.memory", "longshore.stores.mysql", "longshore.stores.postgres"),
        *("longshore.stores.redis", "longshore.stores.sharded", "longshore.testing"),
        *("longshore.cli.views", "longshore.query", "ctypes"),
    }
)
#: Processes are started and files are made by the supervisor alone, and only it reads a command.
SUPERVISOR_ALONE = frozenset(
    {"bz2", "click", "longshore.cli.program", "lzma", "shutil", "subprocess", "tempfile"}
)
#: The application is the children's affair, and so is to run what it declares.
CHILD_ALONE = frozenset(
    {
        *("longshore.app", "longshore.client", "longshore.config", "longshore.declare"),
        *("longshore.discovery", "longshore.worker.engine", "longshore.worker.perform"),
        *("longshore.context", "longshore.core.codec", "longshore.core.registry"),
        *("longshore.core.sealing", "longshore.running", "longshore.worker.plan"),
    }
)
#: What a supervisor loads while its children boot.
LATER = frozenset(
    {
        *("logging", "longshore.core.model", "longshore.core.store", "longshore.stores"),
        *("longshore.worker.control", "longshore.worker.supervisor", "sqlite3"),
    }
)


def test_a_worker_on_sqlite_loads_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "harbour.py").write_text(APPLICATION)
    (tmp_path / "sitecustomize.py").write_text(WITNESS)
    url = f"sqlite:///{tmp_path}/jobs.db"
    app = Longshore(store=url)
    app.migrate()
    app.job(kind="note")(lambda: None).enqueue()
    app.close()
    done = subprocess.run(
        [sys.executable, "-m", "longshore", "-A", "harbour", "worker", "--max-jobs", "1"],
        check=False,
        cwd=tmp_path,
        env=os.environ | {"LONGSHORE_STORE": url, "PYTHONPATH": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    supervisor = set((tmp_path / "supervisor").read_text().split())
    child = set((tmp_path / "child").read_text().split())
    assert {"click", "longshore.stores.sqlite.store"} <= supervisor
    assert {"longshore.worker.engine", "longshore.stores.sqlite.store"} <= child
    assert not supervisor & (NOT_NEEDED | CHILD_ALONE)
    assert not child & (NOT_NEEDED | SUPERVISOR_ALONE)
    before = set((tmp_path / "before").read_text().split())
    assert supervisor >= LATER
    assert not before & (NOT_NEEDED | CHILD_ALONE | LATER)
