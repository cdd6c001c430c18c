"""Which cores a server has while it is measured."""

import os
import subprocess
import sys

import psutil

from bench.pinning import cores, on_server_core, place_server

#: A process with a second thread and a child, as servers are.
SERVER = """
import subprocess, sys, threading
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
threading.Thread(target=sys.stdin.read, daemon=True).start()
print("up", flush=True)
child.wait()
"""


def test_a_server_has_its_core_or_all_of_them() -> None:
    chosen = cores()
    everything = os.sched_getaffinity(0) if chosen else set()
    command = [sys.executable, "-c", SERVER]
    with on_server_core():
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"up\n"
        processes = [psutil.Process(server.pid), *psutil.Process(server.pid).children()]
        threads = [thread.id for process in processes for thread in process.threads()]
        assert len(threads) >= 3

        def allowed() -> list[set[int]]:
            return [os.sched_getaffinity(thread) for thread in threads] if chosen else []

        place_server(server.pid, pinned=False)
        assert all(here == everything for here in allowed())
        place_server(server.pid, pinned=True)
        assert all(here == {chosen[0]} for here in allowed() if chosen)
    finally:
        for process in (*psutil.Process(server.pid).children(), psutil.Process(server.pid)):
            process.kill()
        server.wait()
        for pipe in (server.stdin, server.stdout):
            assert pipe is not None
            pipe.close()
