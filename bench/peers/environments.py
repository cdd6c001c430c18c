"""An environment for each peer, made on first use: ``.venv/peers/NAME`` from ``NAME.txt``."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.machine import ROOT

ENVIRONMENTS = ROOT / ".venv/peers"
REQUIREMENTS = Path(__file__).parent
LIMIT = 600  # seconds for an installation
LAST_WORDS = 400

_VERSIONS = """
import importlib.metadata, json, sys
print(json.dumps({name: importlib.metadata.version(name) for name in sys.argv[1:]}))
"""


class NotInstalled(Exception):
    """A peer's environment could not be made; the text says what the installer said last."""


def python_of(driver: str) -> Path:
    """The interpreter of its environment."""
    return ENVIRONMENTS / driver / "bin/python"


def install(driver: str, tell: Callable[[str], object]) -> None:
    """Make the environment if it is not there or holds other versions.

    Raises:
        NotInstalled: nothing can be measured of this peer.
    """
    home, wanted = ENVIRONMENTS / driver, (REQUIREMENTS / f"{driver}.txt").read_text()
    stamp = home / "installed.txt"
    if stamp.is_file() and stamp.read_text() == _stamp(wanted):
        return
    tell(f"installing {driver} into {home.relative_to(ROOT)}")
    shutil.rmtree(home, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(home)])
    pip = [str(python_of(driver)), "-m", "pip", "install", "--no-input", "--quiet"]
    _run([*pip, "--disable-pip-version-check", "-r", str(REQUIREMENTS / f"{driver}.txt")])
    stamp.write_text(_stamp(wanted))


def versions(driver: str, packages: Sequence[str]) -> dict[str, str]:
    """What its environment really holds of these."""
    said = _run([str(python_of(driver)), "-c", _VERSIONS, *packages])
    found: dict[str, str] = json.loads(said)
    return found


def _stamp(wanted: str) -> str:
    # A moved checkout has another path, and the scripts of a venv would run the old one.
    return f"{ROOT}\n{sys.version}\n{wanted}"


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NotInstalled(f"the installation did not end within {LIMIT} s") from error
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split())[-LAST_WORDS:]
        # Results are published: where somebody keeps this repository is not part of them.
        raise NotInstalled(words.replace(f"{ROOT}/", ""))
    return done.stdout
