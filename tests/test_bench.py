"""The measurements themselves: what they keep, what they refuse, when ``--check`` fails.

Nothing here is a claim about speed: the sizes are those of ``--quick``.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from bench import running
from bench.cells import STORES, Call, Cell, Row, Skipped, cells, chosen
from bench.child import function, measured
from bench.command import PAGE, alone, keep, main, page_for, ready
from bench.ledger import Entry, Ledger, begun, read
from bench.machine import ROOT
from bench.report import page
from bench.results import (
    Measured,
    Results,
    Verdict,
    beside,
    failed,
    judge,
)
from bench.running import sampled
from bench.sample import Invalid, Sample, exactly_once
from bench.servers import GIVEN, SERVERS, ServerError, Servers
from bench.targets import TARGETS, TIMES, Target
from bench.workloads import crowd, drain
from bench.workloads.fleet import LOG
from longshore import BoundJob, Longshore
from tests.bench_tools import results_of

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
    text = page(results, "raw.json", "benchmarks/raw.json", {})
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


def test_a_run_of_all_cells_renews_the_first_page_and_another_one_what_is_asked_for() -> None:
    assert page_for("peers", renews=True) == PAGE
    assert page_for("peers", renews=False) == PAGE.parent / "benchmarks/peers.md"
    assert page_for(None, renews=False) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "check", "code"),
    [
        pytest.param(Target(least=1e15), True, 1, id="missed figure"),
        pytest.param(Target(share=1e15), True, 1, id="missed ratio"),
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
    results = results_of(Measured(cell, [Sample(invalid="lost")], [Sample({"jobs/s": 1.0})]))
    assert failed(results)
    assert results.judged[0].ours is None


@pytest.mark.parametrize(
    ("target", "figure", "ratio", "met"),
    [
        (Target(least=10), 10.0, None, True),
        (Target(least=10), 9.9, None, False),
        (Target(most=10), 10.0, None, True),
        (Target(most=10), 10.1, None, False),
        (Target(share=0.5), 0.0, 0.5, True),
        (Target(share=0.5), 99.0, 0.4, False),
        (Target(share=0.5), 99.0, None, False),
        (Target(least=10, share=0.5), 10.0, 0.5, True),
        (Target(least=10, share=0.5), 9.9, 0.5, False),
        (Target(least=10, share=0.5), 10.0, 0.4, False),
    ],
)
def test_a_target(target: Target, figure: float, ratio: float | None, met: bool) -> None:
    assert target.met(figure, ratio) is met


def test_the_ratio_is_taken_of_each_pair() -> None:
    ours = [Sample({"jobs/s": figure}) for figure in (10.0, 40.0, 20.0)]
    raw = [Sample({"jobs/s": figure}) for figure in (20.0, 50.0, 100.0)]
    (cell,) = chosen(cells(quick=True), ["W2-memory"], [])
    judged = judge(Measured(cell, ours, raw), cell.rows[0], Target(share=0.5))
    assert judged.ratio is not None
    assert (judged.ratio.median, judged.ratio.least, judged.ratio.most) == (0.5, 0.2, 0.8)
    assert judged.verdict is Verdict.MET


@pytest.mark.parametrize("store", STORES)
def test_every_store_has_the_same_workloads(store: str) -> None:
    keys = {cell.key for cell in cells(quick=False)}
    always = ("W1", "W1b", "W2", "W3", "W4-threads", "W4-async", "W10", "W14")
    shared = ("W2-2-processes", "W5-embedded", "W5-worker", "W6-start", "W7", "W12", "W13")
    crowded = ("W8-waiting", "W8-kept", "W8-queues")
    due = always if store == "memory" else (*always, *shared, *crowded)
    assert {f"{workload}-{store}" for workload in due} <= keys


def test_every_store_of_a_server_has_a_share_of_its_raw_loop_to_reach() -> None:
    share = {key: target.share for key, target in TARGETS.items() if target.share}
    assert share["W2-redis"] == 0.15
    assert share["W2-postgres"] == share["W2-mariadb"] == 0.25


def test_every_target_belongs_to_a_row_and_every_loop_says_what_it_does() -> None:
    every = cells(quick=False)
    rows = {row.key for cell in every for row in cell.rows}
    assert set(TARGETS) <= rows
    besides = {beside(row.key, peer) for cell in every for row in cell.rows for peer in cell.peers}
    assert set(TIMES) <= besides
    assert len(rows) == sum(len(cell.rows) for cell in every)
    for cell in every:
        calls = [cell.ours, cell.raw, *cell.peers.values()]
        assert all(function(call.name).__doc__ for call in calls if call)
        shares = [target.share for row in cell.rows if (target := TARGETS.get(row.key))]
        assert cell.raw is not None or not any(shares), cell.key


def test_cells_are_chosen_by_any_of_their_names_and_by_store() -> None:
    every = cells(quick=True)

    def keys(only: list[str], stores: list[str]) -> list[str]:
        return [cell.key for cell in chosen(every, only, stores)]

    both = keys(["W1"], ["sqlite", "redis"])
    assert both == ["W1-sqlite", "W1-redis", "W1-normal-sqlite"]
    assert keys(["W2"], ["memory"]) == ["W2-memory"]
    assert keys(["W8-kept"], ["redis"]) == ["W8-kept-redis"]
    assert keys(["W6"], ["memory"]) == ["W6-import"], "it has no store, so it is in all of them"
    assert len(keys([], [])) == len(every)


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
    results = results_of(skipped=left_out)
    assert not failed(results)
    assert failed(msgspec.structs.replace(results, targets=TARGETS))
    assert "W2-redis was not measured: no redis here" in page(
        results, "raw.json", "benchmarks/raw.json", {}
    )


def test_each_round_is_begun_by_another_contender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "sampled", lambda *_, pinned: Sample({"jobs/s": 1.0}))
    cell = _cell("W2", {"huey": Call("peer.drain", {}), "celery": Call("peer.drain", {})})
    told: list[str] = []
    running.measure([cell], 3, ROOT, Servers(ROOT), lambda turn, cell, name: told.append(name))
    assert told == ["ours", "huey", "celery", "huey", "celery", "ours", "celery", "ours", "huey"]


def test_only_what_is_about_all_cores_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "cores", lambda: (0, 1))
    monkeypatch.setattr(running, "_run", lambda _, home, environment: seen.append(environment))
    seen: list[Mapping[str, str]] = []
    for pinned in (True, False):
        with suppress(TypeError):
            sampled(Call("drain.drain", {}), ROOT / ".venv", "redis://there", pinned=pinned)
    assert [each.get("BENCH_CORE") for each in seen] == ["1", None]
    every = cells(quick=True)
    free = {cell.workload for cell in every if not cell.pinned}
    assert free == {"W2", "W7", "W12"}
    assert all(
        "2-processes" in cell.key for cell in every if not cell.pinned and cell.workload == "W2"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loop", "more"),
    [
        pytest.param("crowded.kept", {"ended": 300}, id="ended jobs kept"),
        pytest.param("crowded.queues", {"queues": 50}, id="many queues"),
        pytest.param("fleet.drain_before", {"behind": 400}, id="jobs behind"),
        pytest.param("fleet.drain", {"processes": 1, "kept": False}, id="none kept"),
    ],
)
def test_a_workload_in_a_store_that_holds_more(
    tmp_path: Path, loop: str, more: dict[str, int]
) -> None:
    sample = sampled(Call(loop, {"store": "sqlite", "jobs": 200, **more}), tmp_path)
    assert sample.invalid is None
    assert sample.figures["jobs/s"] > 0


@pytest.mark.slow
def test_many_processes_are_timed_by_their_claims_and_jobs_due_by_their_lateness(
    tmp_path: Path,
) -> None:
    params = {"store": "sqlite", "jobs": 200}
    sample = sampled(Call("crowd.processes", {**params, "processes": 3}), tmp_path)
    assert sample.invalid is None
    assert sample.figures["rate"] > 0
    assert sample.figures["claim-p99"] > 0
    sample = sampled(Call("crowd.due", params), tmp_path)
    assert sample.invalid is None
    assert sample.figures["late-p99"] >= sample.figures["late-p50"]
    assert sample.seconds >= 0.9, "the jobs of one second take one"


def test_a_job_that_begins_before_it_is_due_makes_the_run_invalid() -> None:
    second = 1_000_000_000
    assert crowd._late(Entry(0, 7), 0) == 7
    assert crowd._late(Entry(150, second), 0) == second // 2, "the 150th is due after half a second"
    with pytest.raises(Invalid, match=r"job 99 began 990\.0 ms before it was due"):
        crowd._late(Entry(99, 0), 0)


def test_a_worker_that_said_that_its_store_failed_makes_the_run_invalid(tmp_path: Path) -> None:
    log = tmp_path / LOG
    log.write_text("started\n")
    crowd._untroubled(tmp_path)
    log.write_text("started\nthe store failed (locked); trying again in 0.1 s\n")
    with pytest.raises(Invalid, match="workers said 1 times: the store failed"):
        crowd._untroubled(tmp_path)


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.parametrize("store", ["postgres", "mariadb"])
def test_copies_of_ended_jobs_are_jobs_that_are_there_and_counted(
    tmp_path: Path, store: str
) -> None:
    tmp_path.chmod(0o711)
    with Servers(tmp_path) as servers:
        servers.start(store)
        params = {"store": store, "jobs": 200}
        call = Call("crowded.kept", {**params, "ended": 5_500})
        sample = sampled(call, tmp_path, servers.fresh(store))
        assert sample.invalid is None
        if store == "postgres":
            call = Call("crowded.churned", {**params, "before": 500})
            sample = sampled(call, tmp_path, servers.fresh(store))
            assert sample.invalid is None


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


def test_an_unknown_cell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--only", "W8-keep"])
    assert ended.value.code == 2
    assert "no W8-keep; there are W8-kept" in capsys.readouterr().err


def test_a_ledger_keeps_numbers_and_moments_in_order_and_is_never_overrun(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, 2)
    ledger.write(0)
    ledger.write(7)
    first, second = read(tmp_path)
    assert (first.number, second.number) == (0, 7)
    assert 0 < first.at <= second.at
    with pytest.raises(Exception, match="buffer"):
        ledger.write(8)


def test_who_looks_at_ledgers_reads_how_many_bodies_have_begun(tmp_path: Path) -> None:
    assert begun(tmp_path) == 0
    ledger = Ledger(tmp_path, 1_000)
    (tmp_path / "1.ledger").write_bytes((tmp_path / f"{os.getpid()}.ledger").read_bytes())
    for number in range(700):
        assert begun(tmp_path) == number
        ledger.write(number)
    (tmp_path / "2.ledger").write_bytes((tmp_path / f"{os.getpid()}.ledger").read_bytes())
    assert begun(tmp_path) == 1_400


def test_a_process_that_is_weighed_loads_no_drivers_of_other_stores() -> None:
    look = "import sys, bench.workloads.embedded; print(sys.modules.keys() & {%s})"
    asked = [sys.executable, "-c", look % "'psycopg', 'pymysql', 'redis'"]
    assert subprocess.check_output(asked, cwd=ROOT, text=True) == "set()\n"


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
