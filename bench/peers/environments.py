"""An environment for each peer, made on first use: ``.venv/peers/NAME``.

Of a peer in Python it is made from ``NAME.txt``, of one in JavaScript from ``NAME/package.json``;
one in Ruby is measured as this system has it, since nothing here may install it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.machine import ROOT
from bench.peers.catalogue import Peer, Runtime

ENVIRONMENTS = ROOT / ".venv/peers"
REQUIREMENTS = Path(__file__).parent
LIMIT = 600  # seconds for an installation
LAST_WORDS = 400

_VERSIONS = """
import importlib.metadata, json, sys
print(json.dumps({name: importlib.metadata.version(name) for name in sys.argv[1:]}))
"""
_NODE_VERSIONS = """
const of = (name) => [name, require(`${process.env.NODE_PATH}/${name}/package.json`).version];
const found = process.argv.slice(1).map(of);
console.log(JSON.stringify({ ...Object.fromEntries(found), node: process.versions.node }));
"""
# Of what is not there no version is said; without the first nothing can be measured.
_RUBY_VERSIONS = """
require "json"
require ARGV.first
ARGV.drop(1).each { |name| begin require name; rescue LoadError; end }
specs = Gem.loaded_specs.slice(*ARGV).transform_values { |spec| spec.version.to_s }
specs["hiredis"] ||= Hiredis::VERSION if defined?(Hiredis)
puts JSON.generate(specs.merge("ruby" => RUBY_VERSION))
"""


class NotInstalled(Exception):
    """A peer's environment could not be made; the text says what the installer said last."""


def producer(peer: Peer) -> list[str]:
    """The command of its driver, which the driver's arguments follow."""
    match peer.runtime:
        case Runtime.PYTHON:
            return [str(_python(peer)), "-m", "bench.peers", peer.driver]
        case Runtime.NODE:
            return ["node", f"bench/peers/{peer.driver}/driver.cjs"]
        case Runtime.RUBY:
            return ["ruby", f"bench/peers/{peer.driver}/driver.rb"]


def worker(peer: Peer) -> list[str]:
    """The command of its worker."""
    match peer.runtime:
        case Runtime.PYTHON:
            return [str(_python(peer)), *peer.worker]
        case Runtime.NODE:
            return [*producer(peer), *peer.worker]
        case Runtime.RUBY:
            return [*peer.worker]


def surroundings(peer: Peer) -> dict[str, str]:
    """What both find in their environment, besides what everything here does."""
    return {"NODE_PATH": str(_home(peer) / "node_modules")} if peer.runtime is Runtime.NODE else {}


def install(peer: Peer, tell: Callable[[str], object]) -> None:
    """Make the environment if it is not there or holds other versions.

    Raises:
        NotInstalled: nothing can be measured of this peer.
    """
    if peer.runtime is Runtime.RUBY:
        versions(peer)
        return
    home, wanted = _home(peer), requirements(peer).read_text()
    stamp = home / "installed.txt"
    if stamp.is_file() and stamp.read_text() == _stamp(wanted):
        return
    tell(f"installing {peer.driver} into .venv/peers")
    shutil.rmtree(home, ignore_errors=True)
    if peer.runtime is Runtime.NODE:
        home.mkdir(parents=True)
        shutil.copy(requirements(peer), home)
        npm = ["npm", "install", "--prefix", str(home), "--no-package-lock", "--ignore-scripts"]
        _run([*npm, "--no-audit", "--no-fund", "--loglevel", "error"])
    else:
        _run([sys.executable, "-m", "venv", str(home)])
        pip = [str(_python(peer)), "-m", "pip", "install", "--no-input", "--quiet"]
        _run([*pip, "--disable-pip-version-check", "-r", str(requirements(peer))])
    stamp.write_text(_stamp(wanted))


def requirements(peer: Peer) -> Path:
    """The file that pins every version of its environment."""
    name = "package.json" if peer.runtime is Runtime.NODE else None
    return REQUIREMENTS / peer.driver / name if name else REQUIREMENTS / f"{peer.driver}.txt"


def versions(peer: Peer) -> dict[str, str]:
    """What its environment really holds of the packages that matter."""
    program = {
        Runtime.PYTHON: [str(_python(peer)), "-c", _VERSIONS],
        Runtime.NODE: ["node", "-e", _NODE_VERSIONS, "--"],
        Runtime.RUBY: ["ruby", "-e", _RUBY_VERSIONS, "--"],
    }
    found: dict[str, str] = json.loads(
        _run([*program[peer.runtime], *peer.packages], surroundings(peer))
    )
    return found


def _home(peer: Peer) -> Path:
    return ENVIRONMENTS / peer.driver


def _python(peer: Peer) -> Path:
    return _home(peer) / "bin/python"


def _stamp(wanted: str) -> str:
    # A moved checkout has another path, and the scripts of a venv would run the old one.
    return f"{ROOT}\n{sys.version}\n{wanted}"


def _run(command: Sequence[str], more: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            env=os.environ | (more or {}),
            check=False,
        )
    except FileNotFoundError as error:
        raise NotInstalled(f"there is no program {command[0]}") from error
    except subprocess.TimeoutExpired as error:
        raise NotInstalled(f"the installation did not end within {LIMIT} s") from error
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split())[-LAST_WORDS:]
        # Results are published: where somebody keeps this repository is not part of them.
        raise NotInstalled(words.replace(f"{ROOT}/", ""))
    return done.stdout
