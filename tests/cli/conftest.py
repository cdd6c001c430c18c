"""An application in a folder of its own, and the command line called in this process."""

import io
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore import Longshore, cli
from tests.cli.tools import APP, SOURCE, Call, Said, forget


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An application in a folder of its own, forgotten by the interpreter afterwards."""
    (tmp_path / "shop.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("LONGSHORE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LONGSHORE_APP", "shop:jobs")
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    before = list(sys.path)
    # Workers that run on this machine beside the tests do not answer `health` here. A folder of
    # its own, because the path of a socket is short.
    with tempfile.TemporaryDirectory(prefix="longshore-") as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        yield tmp_path
    sys.path[:] = before
    forget(tmp_path)


@pytest.fixture
def run(folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run the command line in this process, as a fresh one would find the application."""

    def call(*arguments: str, stdin: bytes = b"") -> Said:
        forget(folder)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfd.readouterr()
        code = cli.main(arguments)
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return call


@pytest.fixture
def shop(folder: Path) -> Iterator[Longshore]:
    """Another door to the application's store."""
    app = Longshore(f"sqlite:///{folder}/jobs.db")
    yield app
    app.close()
