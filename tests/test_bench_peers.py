"""Other job systems beside ours: who takes part, what their drivers do, how they are compared."""

import io
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from bench import command
from bench.cells import Call, Cell, Row, Skipped, cells, chosen
from bench.command import ready, with_peers
from bench.machine import ROOT
from bench.peers import environments
from bench.peers.__main__ import main as produce
from bench.peers.catalogue import PEERS, Peer, Runtime
from bench.peers.environments import REQUIREMENTS as DRIVERS
from bench.peers.environments import NotInstalled, producer, requirements
from bench.report import page
from bench.results import Measured, PeerFacts, Range, Results, Verdict, compare, failed
from bench.sample import Sample
from bench.servers import Servers
from tests.bench_tools import results_of


def test_peers_take_part_in_a_whole_run_and_where_they_are_asked_for() -> None:
    every = cells(quick=True)
    redis = chosen(every, [], ["redis"])
    assert with_peers(every, peers=None, whole=True) == every
    assert not any(cell.peers for cell in with_peers(every, peers=False, whole=True))
    assert not any(cell.peers for cell in with_peers(redis, peers=None, whole=False))
    asked = with_peers(redis, peers=True, whole=False)
    peers = {cell.key: set(cell.peers) for cell in asked}
    everybody = {"celery", "dramatiq", "huey", "taskiq", "rq", "saq", "arq", "bullmq", "sidekiq"}
    settings = {"rq-simple", "arq-default"}
    assert peers == {
        "W1-redis": everybody,
        "W1b-redis": {"rq", "bullmq", "sidekiq"},
        "W2-worker-redis": everybody | settings,
        "W2-worker-not-kept-redis": {"bullmq", "sidekiq"},
        "W2-2-processes-redis": {"bullmq", "sidekiq"},
        "W3-redis": everybody | settings,
    }


def test_what_is_wanted_beside_a_peer_is_judged_and_a_peer_that_is_not_there_fails() -> None:
    cell = _cell("W2", {"huey": Call("peer.drain", {})})
    ours, theirs = [Sample({"jobs/s": 10.0})], [Sample({"jobs/s": 4.0})]
    results = results_of(Measured(cell, ours, [], {"huey": theirs}))

    def wanting(times: float, found: Results = results) -> Results:
        return msgspec.structs.replace(found, times={"W2-memory of huey": times})

    assert not failed(wanting(2.5))
    assert wanting(2.5).compared[0].verdict is Verdict.MET
    assert failed(wanting(2.6))
    assert wanting(2.6).compared[0].verdict is Verdict.MISSED
    lost = results_of(Measured(cell, ours, [], {"huey": [Sample(invalid="lost")]}))
    assert not failed(lost), "a peer's faults are its own"
    assert failed(wanting(1, lost)), "where nothing is wanted beside it"
    gone = msgspec.structs.replace(results_of(), skipped=[Skipped("W2-memory of huey", "no index")])
    assert not failed(gone)
    assert failed(wanting(1, gone))
    facts = {"huey": PeerFacts("Huey", {"huey": "1.0"}, "4 threads")}
    text = page(msgspec.structs.replace(wanting(2.6), peers=facts), "raw.json", "raw.json", {})
    assert "| ≥ 2.6 x | missed |" in text


def test_a_peer_has_a_driver_and_every_version_that_it_is_measured_with_is_pinned() -> None:
    for peer in PEERS:
        assert (ROOT / producer(peer)[-1]).is_file() or (DRIVERS / f"{peer.driver}.py").is_file()
        if peer.runtime is Runtime.RUBY:
            continue  # as the system has it: the page says which
        pins = _pins(requirements(peer).read_text(), peer.runtime)
        assert all(re.fullmatch(r"[0-9][\w.-]*", pin) for pin in pins.values()), pins
        assert set(peer.packages) <= set(pins)


def _pins(text: str, runtime: Runtime) -> dict[str, str]:
    if runtime is Runtime.NODE:
        said: dict[str, dict[str, str]] = json.loads(text)
        return said["dependencies"] | said["overrides"]
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: pin for name, _, pin in (line.partition("==") for line in lines)}


@pytest.mark.parametrize("driver", ["bullmq", "graphile", "sidekiq"])
def test_a_runtime_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, driver: str
) -> None:
    (peer,) = (peer for peer in PEERS if peer.driver == driver)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path)
    program = "ruby" if peer.runtime is Runtime.RUBY else "npm"
    told: list[str] = []
    with pytest.raises(NotInstalled, match=f"there is no program {program}"):
        environments.install(peer, told.append)
    assert not (tmp_path / driver / "installed.txt").exists()


def test_a_peer_that_cannot_be_installed_is_named_and_the_rest_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def install(peer: Peer, tell: object) -> None:
        if peer.driver == "huey":
            raise NotInstalled("no such version")

    monkeypatch.setattr(command, "install", install)
    wanted = [_cell("W2", {"huey": Call("peer.drain", {}), "celery": Call("peer.drain", {})})]
    there, left_out = ready(wanted, Servers(ROOT))
    assert [list(cell.peers) for cell in there] == [["celery"]]
    assert left_out == [
        Skipped("W2-memory of huey", "huey could not be installed: no such version")
    ]


def test_a_peer_is_compared_in_each_round_and_its_faults_are_its_own() -> None:
    rate = Measured(
        _cell("W2", {"huey": Call("peer.drain", {})}),
        [Sample({"jobs/s": figure}) for figure in (10.0, 40.0, 20.0)],
        [],
        {"huey": [Sample({"jobs/s": 5.0}), Sample(invalid="lost"), Sample({"jobs/s": 2.0})]},
    )
    assert not rate.faults
    (compared,) = results_of(rate).compared
    assert compared.faults == ["lost"]
    assert compared.times == Range(6.0, 2.0, 10.0)
    waits = Row("W3-memory-p50", "jobs/s", "ms")
    assert compare(rate, waits, "huey").times == Range(0.3, 0.1, 0.5), "a shorter wait is better"
    facts = {"huey": PeerFacts("Huey", {"huey": "1.0"}, "4 threads")}
    text = page(msgspec.structs.replace(results_of(rate), peers=facts), "raw.json", "raw.json", {})
    assert "| Huey | huey 1.0 | 4 threads | W2 100 |" in text
    assert "W2-memory of Huey is invalid: lost" in text


def test_the_driver_of_a_peer_stores_what_it_is_told_and_says_how_long_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Calls:
        @staticmethod
        def one(number: int) -> None:
            stored.append(number)

        @staticmethod
        def many(numbers: range) -> None:
            stored.append(len(numbers))

    @contextmanager
    def opened() -> Iterator[type[Calls]]:
        yield Calls

    driver = ModuleType("bench.peers.fake")
    driver.__dict__["opened"] = opened
    monkeypatch.setitem(sys.modules, "bench.peers.fake", driver)
    monkeypatch.setattr(sys, "stdin", io.StringIO("go\n"))
    stored: list[int] = []
    for words, expected in {
        ("prepare",): [],
        ("fill", "2500"): [1000, 1000, 500],
        ("one", "3"): [3, 0, 1, 2],
        ("bulk", "1500"): [1500, 1000, 500],
        ("pace", "2", "10"): [2, 0, 1],
    }.items():
        stored.clear()
        produce("fake", *words)
        assert stored == expected, words
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [list(each) for each in said] == [["seconds"], ["seconds"], ["seconds"], ["called"]]
    first, second = said[-1]["called"]
    assert second - first >= 50_000_000


def _cell(workload: str, peers: dict[str, Call]) -> Cell:
    sized = {name: Call(call.name, {"peer": name, "jobs": 100}) for name, call in peers.items()}
    return Cell(
        workload=workload,
        variant="",
        store="memory",
        title="a drain",
        figures={"jobs/s": "jobs/s"},
        ours=Call("drain.drain", {}),
        peers=sized,
    )
