"""The servers of the tests: one of a kind for a run, gone with it however it ends."""

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pymysql
import pytest
import redis

from longshore.core.store_url import parse_url
from tests import server_programs, servers
from tests.harbour_tools import eventually
from tests.server_programs import PROGRAMS, MissingProgram
from tests.servers import ROOT, VARIABLE, Keeping, ServerError, private, shared

SQL_OR_REDIS = [pytest.param(kind, marks=pytest.mark.servers) for kind in PROGRAMS]


@pytest.mark.parametrize("kind", SQL_OR_REDIS)
def test_a_run_has_one_server_of_a_kind(kind: str) -> None:
    server = shared(kind)
    asked = subprocess.run(
        [sys.executable, "-c", f"from tests.servers import *; print(shared({kind!r}).url)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert asked.stdout.strip() == server.url
    assert "127.0.0.1" in server.url or not server.ours


def write_to_redis(url: str) -> Callable[[], object]:
    with redis.Redis.from_url(url) as client:
        client.set("kept", 1)

    def read() -> object:
        with redis.Redis.from_url(url) as client:
            return client.get("kept")

    return read


def write_to_postgres(url: str) -> Callable[[], object]:
    with psycopg.connect(url) as connection:
        connection.execute("create table kept as select 1")

    def read() -> object:
        with psycopg.connect(url) as connection:
            return connection.execute("select * from kept").fetchone()

    return read


def write_to_mariadb(url: str) -> Callable[[], object]:
    port = parse_url(url).port
    connect = functools.partial(pymysql.connect, host="127.0.0.1", port=port, user="root")
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("create table mysql.kept (a int) engine=innodb")
        cursor.execute("insert into mysql.kept values (1)")
        connection.commit()

    def read() -> object:
        with connect() as connection, connection.cursor() as cursor:
            cursor.execute("select * from mysql.kept")
            return cursor.fetchone()

    return read


@pytest.mark.servers
@pytest.mark.private
@pytest.mark.parametrize(
    ("kind", "write"),
    [
        ("postgres16", write_to_postgres),
        ("postgres18", write_to_postgres),
        ("mariadb", write_to_mariadb),
        ("redis", write_to_redis),
        ("valkey", write_to_redis),
    ],
)
def test_a_durable_server_keeps_what_it_acknowledged_over_a_crash(
    kind: str, write: Callable[[str], Callable[[], object]]
) -> None:
    with private(kind, durable=True) as server:
        read = write(server.url)
        before = server.pid
        server.kill()
        with pytest.raises((psycopg.OperationalError, pymysql.Error, redis.ConnectionError)):
            read()
        server.start()
        assert server.pid != before
        assert read() in ((1,), b"1")
    assert not psutil.pid_exists(server.pid)


@pytest.mark.servers
@pytest.mark.private
def test_servers_of_mariadb_have_no_temporary_folder_in_common() -> None:
    """Each clears its own when it starts, and with it what another keeps there just then."""
    folders: list[str] = []
    for _ in range(2):
        with private("mariadb") as server:
            port = parse_url(server.url).port
            connection = pymysql.connect(host="127.0.0.1", port=port, user="root")
            with connection, connection.cursor() as cursor:
                cursor.execute("select @@tmpdir")
                folders += (folder for (folder,) in cursor.fetchall())
    assert len(set(folders)) == 2
    assert tempfile.gettempdir() not in folders


def test_an_address_given_from_outside_is_used_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_REDIS_URL", "redis://elsewhere.example/5")
    monkeypatch.delenv(VARIABLE)
    keeping = Keeping()
    keeping.begin()
    try:
        given = servers.Server(servers.ask(do="shared", kind="redis"))
    finally:
        keeping.end()
    assert (given.url, given.ours) == ("redis://elsewhere.example/5", False)


def test_without_a_keeper_a_test_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(ServerError, match=VARIABLE):
        servers.ask(do="shared", kind="redis")


def test_a_program_that_is_not_installed_is_named_with_what_to_do() -> None:
    with pytest.raises(MissingProgram, match=r"apt-get install mariadb-.*TEST_MYSQL_URL.*-m"):
        server_programs.find(
            "no-such-daemon", package="mariadb-server-core", variable="TEST_MYSQL_URL"
        )


def test_programs_below_a_closed_folder_are_copied_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    programs = tmp_path / "closed" / "package" / "install" / "bin"
    programs.mkdir(parents=True)
    (programs / "postgres").write_text("")
    libraries = tmp_path / "closed" / "package.libs"
    libraries.mkdir()
    (libraries / "lib.so").write_text("")
    (tmp_path / "closed").chmod(0o700)
    folder = tmp_path / "open"
    folder.mkdir()
    copied = server_programs.readable(programs, folder)
    assert (copied / "postgres").exists()
    assert copied.is_relative_to(folder)
    assert (copied.parents[2] / "package.libs" / "lib.so").exists()
    assert all(path.stat().st_mode & 0o005 == 0o005 for path in copied.parents[:3])


class TestDev:
    """`./dev test` sees to the servers before anything else."""

    @pytest.fixture
    def bare(self, tmp_path: Path) -> Path:
        """A checkout on a machine that has next to nothing, its programs in `bin`."""
        for name in ("dev", "constraints.txt", "pyproject.toml", "requirements-dev.txt"):
            shutil.copy(ROOT / name, tmp_path)
        (tmp_path / "bin").mkdir()
        for name in ("sh", "dirname", "cat", "env", "mktemp", "rm"):
            found = shutil.which(name)
            assert found
            (tmp_path / "bin" / name).symlink_to(found)
        for name in ("spin", "gcc"):
            (tmp_path / "bin" / name).write_text("")
            (tmp_path / "bin" / name).chmod(0o755)
        return tmp_path

    def dev(self, bare: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        programs = bare / "bin"
        kept = {name: text for name, text in os.environ.items() if not name.startswith("TEST_")}
        return subprocess.run(
            [programs / "sh", "./dev", *arguments],
            cwd=bare,
            env={**kept, "PYTHON": "", **variables, "PATH": str(programs)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def test_it_says_what_is_missing_and_what_to_do(self, bare: Path) -> None:
        done = self.dev(bare, "test")
        assert done.returncode == 3
        assert "redis-tools, or TEST_REDIS_URL set" in done.stderr
        assert re.search("As root: apt-get install.* redis-tools", done.stderr)
        assert '-m "not servers"' in done.stderr
        assert "Python" not in done.stderr

    def test_models_need_a_checker_and_a_compiler(self, bare: Path) -> None:
        for name in ("spin", "gcc"):
            (bare / "bin" / name).unlink()
        done = self.dev(bare, "test")
        assert done.returncode == 3
        assert "there is no spin: it needs the package spin for the models" in done.stderr
        assert re.search("As root: apt-get install.* spin gcc", done.stderr)

    @pytest.mark.parametrize(
        ("arguments", "variables"),
        [
            (("-m", "not servers"), {}),
            (
                ("-x",),
                {
                    "TEST_REDIS_URL": "redis://there",
                    "TEST_MYSQL_URL": "mysql://there",
                    "TEST_PGBOUNCER_URL": "postgresql://there",
                },
            ),
        ],
    )
    def test_it_goes_on_without_them_when_told_to(
        self, bare: Path, arguments: tuple[str, ...], variables: dict[str, str]
    ) -> None:
        done = self.dev(bare, "test", *arguments, **variables)
        assert done.returncode == 3
        assert "redis-tools" not in done.stderr
        assert "Python 3.11 or newer" in done.stderr

    @pytest.mark.parametrize("works", [True, False])
    def test_root_installs_what_is_missing(self, bare: Path, works: bool) -> None:
        programs, log = bare / "bin", bare / "asked"
        for name, body in {
            "id": "echo 0",
            "apt-get": f'echo "$*" >>{log}; echo "no such package" >&2; exit {0 if works else 100}',
        }.items():
            (programs / name).write_text(f"#!{programs / 'sh'}\n{body}\n")
            (programs / name).chmod(0o755)
        done = self.dev(bare, "test")
        assert done.returncode == 3
        assert "redis-tools" in log.read_text().splitlines()[0]
        # What it was about comes next: Python, which this machine lacks too.
        assert ("Python 3.11 or newer" in done.stderr) == works
        assert ("could not install them here" in done.stderr) == (not works)


#: A run whose only test waits for ever with a server and tells which.
WAITS = """
import os, pathlib, threading
from tests.servers import shared

def test_waits():
    server = shared("valkey")
    folder = os.path.dirname(os.environ["TEST_SERVERS_KEEPER"])
    told = pathlib.Path(os.environ["TOLD"])
    told.with_suffix(".new").write_text(f"{server.pid} {folder}")
    told.with_suffix(".new").rename(told)
    threading.Event().wait(60)
"""


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("processes", ["0", "1"])
def test_servers_are_gone_after_a_run_that_was_ended(
    how: signal.Signals, processes: str, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    (tmp_path / "test_it.py").write_text(WAITS)
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-n", processes]
    with (tmp_path / "log").open("w") as log:
        run = subprocess.Popen(
            [*command, "--rootdir", str(tmp_path), "-c", os.devnull, str(tmp_path / "test_it.py")],
            cwd=ROOT,
            env={**environment, "TOLD": str(told), "PYTHONPATH": f"{ROOT}:{ROOT}/src"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        eventually(told.exists, 30, (tmp_path / "log").read_text() or "the run's test")
        pid, folder = told.read_text().split()
        assert psutil.pid_exists(int(pid))
        # Ctrl-C reaches every process of the terminal's group, a kill only the one it names.
        (os.killpg if how is signal.SIGINT else os.kill)(run.pid, how)
        run.wait(30)
        eventually(lambda: not psutil.pid_exists(int(pid)), 20, "the end of the server")
        eventually(lambda: not Path(folder).exists(), 20, "the removal of its folder")
    finally:
        for process in psutil.process_iter():
            try:
                if os.getpgid(process.pid) == run.pid:
                    process.kill()
            except (ProcessLookupError, psutil.NoSuchProcess):
                continue
        run.wait(30)
