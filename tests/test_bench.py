"""The measurements themselves: what they keep, what they refuse, when ``--check`` fails.

Nothing here is a claim about speed: the sizes are those of ``--quick``.
"""

import io
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import psutil
import pytest

from bench import command, running
from bench.cells import STORES, Call, Cell, Row, Skipped, cells, chosen
from bench.child import function, measured
from bench.command import PAGE, alone, keep, main, ready, with_peers
from bench.ledger import Ledger, read
from bench.machine import ROOT, facts
from bench.peers.__main__ import main as produce
from bench.peers.catalogue import PEERS
from bench.peers.environments import REQUIREMENTS as DRIVERS
from bench.peers.environments import NotInstalled
from bench.report import page
from bench.results import (
    Measured,
    PeerFacts,
    Range,
    Results,
    Verdict,
    compare,
    failed,
    judge,
)
from bench.running import sampled
from bench.sample import Invalid, Sample, exactly_once
from bench.servers import GIVEN, SERVERS, ServerError, Servers
from bench.targets import TARGETS, Target
from bench.workloads import drain
from longshore import BoundJob, Longshore

TWO = "W1-sqlite,W2-memory"


@pytest.fixture(scope="module")
def raw_results(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Results]:
    """What the program printed, and what it kept."""
    folder = tmp_path_factory.mktemp("bench")
    kept = folder / "raw.json"
    options = ["--quick", "--rounds", "2", "--only", TWO]
    options += ["--json", str(kept), "--dir", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, msgspec.json.decode(kept.read_bytes(), type=Results)


@pytest.mark.slow
def test_a_run_prints_both_figures_their_ratio_and_the_target(
    raw_results: tuple[str, Results],
) -> None:
    printed, _ = raw_results
    for key in TWO.split(","):
        (line,) = (line for line in printed.splitlines() if f" {key} " in line)
        assert line.count("jobs/s (") == 2
        assert " x (" in line
        assert "≥" in line


@pytest.mark.slow
def test_a_run_keeps_every_sample_with_what_it_depends_on(
    raw_results: tuple[str, Results],
) -> None:
    _, results = raw_results
    assert [entry.cell.key for entry in results.cells] == TWO.split(",")
    for entry in results.cells:
        assert (len(entry.ours), len(entry.raw)) == (2, 2)
        assert all(sample.figures["jobs/s"] > 0 for sample in (*entry.ours, *entry.raw))
    assert results.rounds == 2
    assert results.quick
    assert results.machine.cores >= 1
    assert all((results.commit, results.machine.processor, results.machine.sqlite))
    assert "FULL" in results.settings["SQLite"]


@pytest.mark.slow
def test_the_page_shows_every_row_and_says_what_each_loop_does(
    raw_results: tuple[str, Results],
) -> None:
    _, results = raw_results
    text = page(results, "raw.json", "benchmarks/raw.json")
    for row in results.judged:
        assert f"| {row.row.key} | {row.title} |" in text
    assert "(benchmarks/raw.json)" in text
    assert "(benchmarks/budget.md)" in text
    assert "**W2-memory**: `worker().run(until_empty=True)`" in text
    assert "Raw: `BEGIN IMMEDIATE`" in text
    assert results.machine.processor in text


def test_a_part_has_a_page_of_its_own(
    raw_results: tuple[str, Results], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, results = raw_results
    keep(results, None, tmp_path / "limits.md")
    (raw,) = tmp_path.glob("*-limits.json")
    assert msgspec.json.decode(raw.read_bytes(), type=Results).commit == results.commit
    assert f"[{raw.name}]({raw.name})" in (tmp_path / "limits.md").read_text()
    assert raw.name in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "check", "code"),
    [
        pytest.param(Target(least=1e15), True, 1, id="missed figure"),
        pytest.param(Target(least=1e15, ratio=True), True, 1, id="missed ratio"),
        pytest.param(Target(least=1), True, 0, id="met"),
        pytest.param(Target(least=1e15), False, 0, id="not asked"),
    ],
)
def test_check_fails_on_a_missed_target(
    tmp_path: Path, target: Target, check: bool, code: int
) -> None:
    before = PAGE.read_bytes() if PAGE.exists() else None
    options = ["--quick", "--rounds", "1", "--only", "W2-memory", "--dir", str(tmp_path)]
    arguments = [*options, "--check"] if check else options
    assert main(arguments, targets={"W2-memory": target}) == code
    assert (PAGE.read_bytes() if PAGE.exists() else None) == before, "a part renews no page"


@pytest.mark.parametrize(
    ("numbers", "fault"),
    [
        pytest.param([0, 2], "1 of 3 jobs did not run (1)", id="lost"),
        pytest.param([0, 1, 2, 1], "1 of 3 jobs ran more than once (1)", id="repeated"),
        pytest.param([0, 1, 2, 9], "1 of 3 jobs were never stored (9)", id="strange"),
    ],
)
def test_a_run_that_is_not_exactly_once_is_refused(numbers: list[int], fault: str) -> None:
    exactly_once([2, 0, 1], 3)
    with pytest.raises(Invalid) as refused:
        exactly_once(numbers, 3)
    assert str(refused.value) == fault


def test_a_drain_that_loses_one_job_and_repeats_another_is_invalid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def badly(jobs: Longshore, bind: Callable[[int], BoundJob[Any]], numbers: range) -> None:
        jobs.enqueue_many(bind(5 if number == 6 else number) for number in numbers)

    params: dict[str, object] = {"store": "memory", "jobs": 20}
    good = measured(drain.drain, tmp_path, params)
    monkeypatch.setattr(drain, "fill", badly)
    bad = measured(drain.drain, tmp_path, params)

    assert bad.invalid == "1 of 20 jobs did not run (6); 1 of 20 jobs ran more than once (5)"
    assert _verdict([good], Target(least=1)) is Verdict.MET
    assert _verdict([good, bad], Target(least=1)) is Verdict.INVALID
    assert _verdict([good, bad], None) is Verdict.INVALID


def test_a_drain_whose_store_has_fewer_than_were_due_is_invalid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_few(jobs: Longshore, bind: Callable[[int], BoundJob[Any]], numbers: range) -> None:
        jobs.enqueue_many(map(bind, numbers[:-1]))

    monkeypatch.setattr(drain, "fill", too_few)
    sample = measured(drain.drain, tmp_path, {"store": "memory", "jobs": 20})
    assert sample.invalid == "available jobs: the store has 19, 20 were due"


@pytest.mark.slow
def test_a_workload_that_breaks_is_invalid_and_says_why(tmp_path: Path) -> None:
    sample = sampled(Call("drain.drain", {"store": "nowhere", "jobs": 1}), tmp_path)
    assert sample.invalid is not None
    assert "exit code 1" in sample.invalid
    assert "KeyError: 'nowhere'" in sample.invalid
    assert list(tmp_path.iterdir()) == []


@pytest.mark.servers
@pytest.mark.slow
def test_a_run_that_is_told_to_end_leaves_nothing_running(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    options = ["--rounds", "1", "--only", "W3-redis", "--dir", str(tmp_path)]
    options += ["--json", str(tmp_path / "raw.json")]
    with subprocess.Popen(
        [sys.executable, "-m", "bench", *options], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as bench:
        assert bench.stderr is not None
        assert any("W3-redis" in line for line in bench.stderr)
        process = psutil.Process(bench.pid)
        deadline = time.monotonic() + 30
        # The sample, its worker and the worker's child.
        while len(started := process.children(recursive=True)) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        bench.send_signal(signal.SIGTERM)
        bench.communicate(timeout=30)
    assert bench.returncode == 128 + signal.SIGTERM
    assert len(started) >= 3
    _, alive = psutil.wait_procs(started, timeout=10)
    assert alive == []


def test_an_invalid_run_fails_even_without_a_target() -> None:
    (cell,) = chosen(cells(quick=True), ["W2-not-kept-sqlite"], [])
    results = _results(Measured(cell, [Sample(invalid="lost")], [Sample({"jobs/s": 1.0})]))
    assert failed(results)
    assert results.judged[0].ours is None


@pytest.mark.parametrize(
    ("target", "figure", "ratio", "met"),
    [
        (Target(least=10), 10.0, None, True),
        (Target(least=10), 9.9, None, False),
        (Target(most=10), 10.0, None, True),
        (Target(most=10), 10.1, None, False),
        (Target(least=0.5, ratio=True), 0.0, 0.5, True),
        (Target(least=0.5, ratio=True), 99.0, 0.4, False),
        (Target(least=0.5, ratio=True), 99.0, None, False),
    ],
)
def test_a_target(target: Target, figure: float, ratio: float | None, met: bool) -> None:
    assert target.met(figure, ratio) is met


def test_the_ratio_is_taken_of_each_pair() -> None:
    ours = [Sample({"jobs/s": figure}) for figure in (10.0, 40.0, 20.0)]
    raw = [Sample({"jobs/s": figure}) for figure in (20.0, 50.0, 100.0)]
    (cell,) = chosen(cells(quick=True), ["W2-memory"], [])
    judged = judge(Measured(cell, ours, raw), cell.rows[0], Target(least=0.5, ratio=True))
    assert judged.ratio is not None
    assert (judged.ratio.median, judged.ratio.least, judged.ratio.most) == (0.5, 0.2, 0.8)
    assert judged.verdict is Verdict.MET


@pytest.mark.parametrize("store", STORES)
def test_every_store_has_the_same_workloads(store: str) -> None:
    keys = {cell.key for cell in cells(quick=False)}
    assert {f"{workload}-{store}" for workload in ("W1", "W1b", "W2", "W3")} <= keys


def test_every_store_of_a_server_has_a_share_of_its_raw_loop_to_reach() -> None:
    least = {key: target.least for key, target in TARGETS.items() if target.ratio}
    assert least["W2-redis"] == 0.15
    assert least["W2-postgres"] == least["W2-mariadb"] == 0.25


def test_every_target_belongs_to_a_row_and_every_loop_says_what_it_does() -> None:
    every = cells(quick=False)
    rows = {row.key for cell in every for row in cell.rows}
    assert set(TARGETS) <= rows
    assert len(rows) == sum(len(cell.rows) for cell in every)
    for cell in every:
        calls = [cell.ours, cell.raw, *cell.peers.values()]
        assert all(function(call.name).__doc__ for call in calls if call)
        target = TARGETS.get(cell.key)
        assert not (target and target.ratio and cell.raw is None)


def test_cells_are_chosen_by_workload_by_key_and_by_store() -> None:
    every = cells(quick=True)

    def keys(only: list[str], stores: list[str]) -> list[str]:
        return [cell.key for cell in chosen(every, only, stores)]

    assert keys(["W1"], ["sqlite", "redis"]) == ["W1-sqlite", "W1-redis"]
    assert keys(["W2"], ["memory"]) == ["W2-memory"]
    assert keys(["W6"], ["memory"]) == ["W6-import"], "it has no store, so it is in all of them"
    assert len(keys([], [])) == len(every)


def test_peers_take_part_in_a_whole_run_and_where_they_are_asked_for() -> None:
    every = cells(quick=True)
    redis = chosen(every, [], ["redis"])
    assert with_peers(every, peers=None, whole=True) == every
    assert not any(cell.peers for cell in with_peers(every, peers=False, whole=True))
    assert not any(cell.peers for cell in with_peers(redis, peers=None, whole=False))
    asked = with_peers(redis, peers=True, whole=False)
    assert [cell.key for cell in asked] == ["W1-redis", "W2-worker-redis", "W3-redis"]
    assert all({"celery", "dramatiq", "huey", "taskiq"} == set(cell.peers) for cell in asked)


def test_a_peer_has_a_driver_and_every_version_that_it_is_measured_with_is_pinned() -> None:
    for peer in PEERS:
        assert (DRIVERS / f"{peer.driver}.py").is_file()
        lines = (DRIVERS / f"{peer.driver}.txt").read_text().splitlines()
        pins = [line for line in lines if line and not line.startswith("#")]
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
        assert set(peer.packages) <= {pin.partition("==")[0] for pin in pins}


def test_a_peer_that_cannot_be_installed_is_named_and_the_rest_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def install(driver: str, tell: object) -> None:
        if driver == "huey":
            raise NotInstalled("no such version")

    monkeypatch.setattr(command, "install", install)
    wanted = [_cell("W2", {"huey": Call("peer.drain", {}), "celery": Call("peer.drain", {})})]
    there, left_out = ready(wanted, Servers(ROOT))
    assert [list(cell.peers) for cell in there] == [["celery"]]
    assert left_out == [
        Skipped("W2-memory of huey", "huey could not be installed: no such version")
    ]


def test_a_server_that_is_missing_is_named_and_fails_the_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(_: Servers, store: str) -> None:
        raise ServerError(f"no {store} here")

    monkeypatch.setattr(Servers, "start", start)
    wanted = chosen(cells(quick=True), ["W2-redis", "W2-memory"], [])
    there, left_out = ready([alone(cell) for cell in wanted], Servers(ROOT))
    assert [cell.key for cell in there] == ["W2-memory"]
    assert left_out == [Skipped("W2-redis", "no redis here")]
    results = _results(skipped=left_out)
    assert not failed(results)
    assert failed(msgspec.structs.replace(results, targets=TARGETS))
    assert "W2-redis was not measured: no redis here" in page(
        results, "raw.json", "benchmarks/raw.json"
    )


def test_a_peer_is_compared_in_each_round_and_its_faults_are_its_own() -> None:
    rate = Measured(
        _cell("W2", {"huey": Call("peer.drain", {})}),
        [Sample({"jobs/s": figure}) for figure in (10.0, 40.0, 20.0)],
        [],
        {"huey": [Sample({"jobs/s": 5.0}), Sample(invalid="lost"), Sample({"jobs/s": 2.0})]},
    )
    assert not rate.faults
    (compared,) = _results(rate).compared
    assert compared.faults == ["lost"]
    assert compared.times == Range(6.0, 2.0, 10.0)
    waits = Row("W3-memory-p50", "jobs/s", "ms")
    assert compare(rate, waits, "huey").times == Range(0.3, 0.1, 0.5), "a shorter wait is better"
    facts = {"huey": PeerFacts("Huey", {"huey": "1.0"}, "4 threads")}
    text = page(msgspec.structs.replace(_results(rate), peers=facts), "raw.json", "raw.json")
    assert "| Huey | huey 1.0 | 4 threads | W2 100 |" in text
    assert "W2-memory of Huey is invalid: lost" in text


def test_each_round_is_begun_by_another_contender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "sampled", lambda *_: Sample({"jobs/s": 1.0}))
    cell = _cell("W2", {"huey": Call("peer.drain", {}), "celery": Call("peer.drain", {})})
    told: list[str] = []
    running.measure([cell], 3, ROOT, Servers(ROOT), lambda turn, cell, name: told.append(name))
    assert told == ["ours", "huey", "celery", "huey", "celery", "ours", "celery", "ours", "huey"]


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.parametrize("store", SERVERS)
def test_a_sample_finds_an_empty_durable_server_and_does_its_work_there(
    tmp_path: Path, store: str
) -> None:
    raw = STORES[store]
    tmp_path.chmod(0o711)
    with Servers(tmp_path) as servers:
        servers.start(store)
        (about,) = servers.described.values()
        assert re.search(r"fsync=on|appendfsync=everysec|flush_log_at_trx_commit=1", about)
        for loop in ("one_by_one", "in_bulk", "drain"):
            url = servers.fresh(store)
            sample = sampled(Call(f"{raw}.{loop}", {"jobs": 250}), tmp_path, url)
            assert sample.invalid is None
            assert sample.figures["jobs/s"] > 0
        for loop in ("enqueue.one_by_one", "enqueue.in_bulk", "drain.drain"):
            url = servers.fresh(store)
            sample = sampled(Call(loop, {"store": store, "jobs": 250}), tmp_path, url)
            assert sample.invalid is None
            assert sample.figures["jobs/s"] > 0


@pytest.mark.servers
@pytest.mark.slow
def test_a_server_that_would_lose_what_it_acknowledged_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GIVEN, "redis", ("--appendonly", "no"))
    with Servers(tmp_path) as servers, pytest.raises(ServerError, match="appendonly = no"):
        servers.start("redis")


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


def test_an_unknown_cell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--only", "W99"])
    assert ended.value.code == 2
    assert "there is no W99" in capsys.readouterr().err


def test_a_ledger_keeps_numbers_and_moments_in_order_and_is_never_overrun(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, 2)
    ledger.write(0)
    ledger.write(7)
    first, second = read(tmp_path)
    assert (first.number, second.number) == (0, 7)
    assert 0 < first.at <= second.at
    with pytest.raises(Exception, match="buffer"):
        ledger.write(8)


def _verdict(ours: list[Sample], target: Target | None) -> Verdict:
    row = Row("W2-memory", "jobs/s", "jobs/s")
    return judge(Measured(_cell("W2", {}), ours, []), row, target).verdict


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


def _results(*entries: Measured, skipped: Sequence[Skipped] = ()) -> Results:
    return Results(
        commit="none",
        changed=False,
        started="2030-01-01T00:00:00+00:00",
        seconds=1.0,
        quick=True,
        rounds=1,
        machine=facts(ROOT),
        settings={},
        targets={},
        cells=list(entries),
        skipped=list(skipped),
    )
