"""The first process of a container buries what bodies leave behind, and nothing of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, os, subprocess, sys, threading, time
from longshore.worker.orphans import bury_orphans

SUBREAPER = 36  # what is left behind comes to this process, as it comes to process 1
ctypes.CDLL(None).prctl(SUBREAPER, 1)
own = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.DEVNULL)
reading, writing = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.write(writing, b"%d " % os.getpid())
    os._exit(0)
left = int(os.read(reading, 32).split()[0])

def defunct(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return False

deadline = time.monotonic() + 20
while not (defunct(left) and defunct(own.pid)) and time.monotonic() < deadline:
    threading.Event().wait(0.01)
bury_orphans([own.pid])
print("others bury nothing:", defunct(left))
os.getpid = lambda: 1
bury_orphans([own.pid])
own.wait(20)
bury_orphans([])
print("buried:", not os.path.exists(f"/proc/{left}"), "own:", own.returncode)
"""


@pytest.mark.slow
def test_orphans_are_buried_and_our_own_are_waited_for() -> None:
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=50, check=True
    )
    assert said.stdout.split("\n")[:2] == ["others bury nothing: True", "buried: True own: 0"]
