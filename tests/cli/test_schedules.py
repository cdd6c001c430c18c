"""``schedules``: listed, shown, run, paused, explained and exported."""

import json
import shlex
import shutil
import subprocess
import time
from datetime import datetime
from pathlib import Path

import pytest

from longshore import Longshore, every
from longshore.core.cron import next_ticks
from longshore.core.exporting import calendars, crontab
from longshore.core.schedules import Declare
from longshore.errors import InvalidSchedule
from tests.cli.tools import Call

APP = """
from longshore import Longshore, every

jobs = Longshore("sqlite:///jobs.db")

@jobs.schedule("0 5 * * 1-5", tz="Europe/Paris", overlap="skip", max_age="2h")
@jobs.schedule(every("1 day", at="04:30"), args=("eu",), name="nightly 50%")
@jobs.job(kind="sync", queue="slow")
def sync(region: str = "us", count: int = 1) -> str:
    return region

@jobs.job(kind="report")
def report(number: int) -> None: ...
"""


@pytest.fixture(autouse=True)
def app(folder: Path) -> None:
    (folder / "shop.py").write_text(APP)


def test_what_is_in_code_is_listed_before_any_worker(
    run: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    nightly, sync = run("schedules", "list", "-o", "json").json["schedules"]
    assert nightly["name"] == "nightly 50%"
    assert (nightly["when"], nightly["in_words"]) == (
        "every 1 day at 04:30",
        "Every 1 day at 04:30",
    )
    assert (sync["state"], sync["source"], sync["tz"]) == (
        "not declared yet",
        "code",
        "Europe/Paris",
    )
    assert (sync["overlap"], sync["max_age_seconds"], sync["queue"]) == ("skip", 7200, "slow")
    assert nightly["kwargs"] == {"region": "eu"}
    shown = run("schedules", "list", "-o", "table").out
    assert "0 5 * * 1-5" in shown


def test_showing_pausing_and_resuming(run: Call) -> None:
    paused = run("schedules", "pause", "sync", "--reason", "provider down", "-o", "json")
    assert paused.code == 0
    schedule = paused.json["schedule"]
    assert (schedule["state"], schedule["reason"]) == ("paused", "provider down")
    assert (len(schedule["next"]), schedule["ticks"]) == (5, [])
    text = run("schedules", "show", "sync", "-o", "table").out
    assert "state       paused: provider down" in text
    assert "in words    At 05:00 on Monday through Friday" in text
    assert run("schedules", "resume", "sync", "-o", "json").json["schedule"]["state"] == "active"
    assert run("schedules", "reset", "sync").code == 0


def test_the_next_times(run: Call) -> None:
    times = run("schedules", "next", "sync", "-n", "3", "-o", "json").json["times"]
    assert [datetime.fromisoformat(one["at"]).hour for one in times] == [5, 5, 5]
    both = run("schedules", "next", "-o", "json").json["times"]
    assert len(both) == 10
    assert {one["name"] for one in both} == {"nightly 50%", "sync"}
    assert [one["at"] for one in both] == sorted(
        (one["at"] for one in both), key=datetime.fromisoformat
    )
    run("schedules", "pause", "sync")
    left = run("schedules", "next", "-o", "json").json["times"]
    assert {one["name"] for one in left} == {"nightly 50%"}


def test_running_one_now(run: Call, shop: Longshore) -> None:
    plain = run("schedules", "run", "nightly 50%").out.strip()
    other = run("schedules", "run", "nightly 50%", "count=5").out.strip()
    assert shop.get(plain).record.meta == {"schedule": "nightly 50%"}
    assert json.loads(shop.get(plain).record.payload)["kwargs"] == {"region": "eu"}
    record = shop.get(other).record
    assert json.loads(record.payload)["kwargs"] == {"region": "eu", "count": 5}
    assert record.queue == "slow"
    assert run("schedules", "run", "sync", "count=many").number == 209
    assert run("schedules", "run", "sync", "nothing=1").number == 209


def test_what_was_added_at_run_time_is_shown_with_its_ticks(run: Call, shop: Longshore) -> None:
    @shop.job(kind="report")
    def report(number: int) -> None: ...

    shop.schedules.add("report-7", report.bind(7), "* * * * * *")
    with shop.worker(threads=1).running():
        while not shop.schedules.ticks("report-7"):
            pass
    schedule = run("schedules", "show", "report-7", "-o", "json").json["schedule"]
    assert (schedule["source"], schedule["state"]) == ("run time", "active")
    assert schedule["ticks"][0]["outcome"] == "fired"
    assert schedule["last_job"] == schedule["ticks"][0]["job_id"]
    assert "fired" in run("schedules", "show", "report-7", "-o", "table").out
    assert run("schedules", "remove", "report-7").code == 0
    assert run("schedules", "show", "report-7").number == 805


@pytest.mark.parametrize("verb", ["show", "next", "run", "pause", "resume", "reset", "remove"])
def test_an_unknown_name_is_told_with_the_nearest(run: Call, verb: str) -> None:
    said = run("schedules", verb, "snyc")
    assert (said.code, said.number) == (8, 805)
    assert "Did you mean sync?" in said.err


def test_what_is_in_code_cannot_be_removed(run: Call) -> None:
    said = run("schedules", "remove", "sync")
    assert (said.code, said.number) == (6, 611)


def test_explaining_needs_no_application(run: Call, folder: Path) -> None:
    (folder / "shop.py").unlink()
    said = run(
        "schedules", "explain", "0 5 * * 1-5", "--tz", "Europe/Paris", "-n", "2", "-o", "json"
    )
    assert said.json["in_words"] == "At 05:00 on Monday through Friday"
    assert [datetime.fromisoformat(at).hour for at in said.json["next"]] == [5, 5]
    assert run("schedules", "explain", "every 15m").code == 0
    wrong = run("schedules", "explain", "0 25 * * *")
    assert (wrong.code, wrong.number) == (2, 215)
    assert "  0 25 * * *\n    ^^\n" in wrong.err
    assert run("schedules", "explain", "@daily", "--tz", "Mars").number == 215


def test_a_crontab_enqueues(run: Call, shop: Longshore, folder: Path) -> None:
    said = run("-A", "shop:jobs", "schedules", "export", "crontab")
    assert said.code == 0
    head, paris, first, utc, second = said.out.splitlines()
    assert head.startswith("# Made by `longshore schedules export`")
    assert (paris, utc) == ("CRON_TZ=Europe/Paris", "CRON_TZ=UTC")
    assert first.startswith("0 5 * * 1-5 cd ")
    assert second.startswith("30 4 * * * cd ")
    # As cron runs it: a percent sign is written with a backslash.
    call = second.split(" ", 5)[5].replace(r"\%", "%")
    done = subprocess.run(["/bin/sh", "-c", call], capture_output=True, text=True, check=True)
    assert shop.get(done.stdout.strip()).record.meta == {"schedule": "nightly 50%"}


def test_timers_enqueue(run: Call, shop: Longshore, folder: Path) -> None:
    units = folder / "units"
    units.mkdir()
    said = run("-A", "shop:jobs", "schedules", "export", "systemd", "--write", str(units))
    assert (said.code, said.out) == (0, "")
    names = ["longshore-nightly-50-", "longshore-sync"]
    assert sorted(path.name for path in units.iterdir()) == sorted(
        f"{name}.{kind}" for name in names for kind in ("service", "timer")
    )
    timer = (units / "longshore-sync.timer").read_text()
    assert "OnCalendar=Mon,Tue,Wed,Thu,Fri *-*-* 05:00:00 Europe/Paris\n" in timer
    assert "Persistent=true" in timer
    service = (units / "longshore-nightly-50-.service").read_text()
    (line,) = [line for line in service.splitlines() if line.startswith("ExecStart=")]
    words = [word.replace("%%", "%") for word in shlex.split(line.removeprefix("ExecStart="))]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    assert shop.get(done.stdout.strip()).record.meta == {"schedule": "nightly 50%"}
    if shutil.which("systemd-analyze"):
        checked = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *map(str, units.iterdir())],
            capture_output=True, text=True, check=False, env={"SYSTEMD_LOG_LEVEL": "warning"},
        )  # fmt: skip
        assert "longshore" not in checked.stderr, checked.stderr


def test_a_paused_schedule_has_no_timer(run: Call) -> None:
    run("schedules", "pause", "sync")
    said = run("schedules", "export", "systemd")
    assert said.code == 0
    assert "longshore-sync.timer" not in said.out
    assert "longshore-nightly-50-.timer" in said.out
    assert "sync is paused: it has no timer" in said.err
    assert "# paused: 0 5 * * 1-5 cd " in run("schedules", "export", "crontab").out


def test_what_is_in_the_code_of_another_application_is_left_to_it(
    run: Call, shop: Longshore
) -> None:
    @shop.schedule("@daily")
    @shop.job(kind="theirs")
    def other() -> None: ...

    run("db", "up")
    store = shop.client.store
    store.run(store.declare(Declare("elsewhere", shop.planned.schedules(), fresh=True)))
    shop.schedules.add("everybody", other.bind(), "@daily")
    listed = run("schedules", "list", "-o", "json").json["schedules"]
    assert {one["name"] for one in listed} >= {"theirs", "everybody", "sync"}
    lines = run("schedules", "export", "crontab").out
    assert "everybody" in lines
    assert "sync" in lines
    assert "theirs" not in lines


def test_what_entries_do_not_carry_is_told(run: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not in the entries" not in run("schedules", "export", "crontab").err
    monkeypatch.setenv("LONGSHORE_LEASE", "20s")
    for form in ("crontab", "systemd"):
        said = run("schedules", "export", form)
        assert said.code == 0
        assert "LONGSHORE_LEASE: set here, and not in the entries" in said.err


@pytest.mark.parametrize(("local", "told"), [("UTC", False), ("Europe/London", True)])
def test_zones_are_told_where_a_cron_may_not_know_them(
    run: Call, folder: Path, monkeypatch: pytest.MonkeyPatch, local: str, told: bool
) -> None:
    monkeypatch.setenv("TZ", local)
    time.tzset()
    try:
        assert "Debian's cron passes over it" in run("schedules", "export", "crontab").err
        (folder / "shop.py").write_text(APP.replace('tz="Europe/Paris", ', ""))
        said = run("schedules", "export", "crontab")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert ("Debian's cron passes over it" in said.err) is told


def test_a_narrow_list_says_how_it_stands(run: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    shown = run("schedules", "list", "-o", "table").out.splitlines()
    assert shown[0].split() == ["name", "when", "state", "next"]


def test_what_cannot_be_written_is_told_and_left_out(run: Call, shop: Longshore) -> None:
    @shop.job(kind="report")
    def report(number: int) -> None: ...

    shop.schedules.add("last", report.bind(1), "0 0 LW * *")
    said = run("schedules", "export", "crontab")
    assert said.code == 1
    assert "last: '0 0 LW * *' cannot be written for a crontab" in said.err
    assert "# last: " in said.out
    assert run("schedules", "export", "systemd").code == 1
    assert run("schedules", "export", "crontab", "--write", ".").code == 2


@pytest.mark.parametrize(
    ("when", "tab"),
    [
        ("0 5 * * 1-5", "0 5 * * 1-5"),
        ("@monthly", "0 0 1 * *"),
        ("0 30 2 * * *", "30 2 * * *"),
        ("5/20 9-17 * * mon", "5-59/20 9-17 * * mon"),
        ("every 15 min", "*/15 * * * *"),
        ("every 6 h", "0 */6 * * *"),
        ("every 1 day at 04:30", "30 4 * * *"),
        ("every 7 days at 04:30", "30 4 * * 1"),
    ],
)
def test_times_of_a_crontab(when: str, tab: str) -> None:
    start = round(datetime.fromisoformat("2026-01-01T00:00:30+00:00").timestamp()) * 1_000_000
    assert crontab(when) == tab
    assert next_ticks(when, "UTC", start, 50) == next_ticks(tab, "UTC", start, 50)


@pytest.mark.parametrize(
    "when",
    [
        *("*/10 * * * * *", "0 0 L * *", "0 0 * * 5L", "0 0 * * 1#2", "every 7 h", "every 2 days"),
        *("every 45 s", "every 1 day at 04:30:15"),
    ],
)
def test_what_a_crontab_cannot_say(when: str) -> None:
    with pytest.raises(InvalidSchedule, match="cannot be written for a crontab"):
        crontab(when)


@pytest.mark.parametrize(
    "when", ["0 0 LW * *", "0 0 * * 1#5", "0 0 */2 * 1#2", "every 2 days", "every 45 s"]
)
def test_what_a_timer_cannot_say(when: str) -> None:
    with pytest.raises(InvalidSchedule, match="cannot be written for a systemd timer"):
        calendars(when, "UTC")


@pytest.mark.parametrize(
    ("when", "lines"),
    [
        ("*/15 * * * *", ["*-*-* *:00,15,30,45:00 UTC"]),
        ("0 0 1,15 * 1", ["*-*-01,15 00:00:00 UTC", "Mon *-*-* 00:00:00 UTC"]),
        ("30 4 L * *", ["*-*~01 04:30:00 UTC"]),
        ("0 9 * * 1#2", ["Mon *-*-08..14 09:00:00 UTC"]),
        ("0 9 * * 5L", ["Fri *-*~07/1 09:00:00 UTC"]),
        ("0 9 1-3 * */7", ["Sun *-*-01,02,03 09:00:00 UTC"]),
        ("0 12 1 1,6 *", ["*-01,06-01 12:00:00 UTC"]),
        ("0 0 * * 0,3", ["Wed,Sun *-*-* 00:00:00 UTC"]),
        ("every 15 min", ["*-*-* *:00/15:00 UTC"]),
        ("every 10 s", ["*-*-* *:*:00/10 UTC"]),
        ("every 60 s", ["*-*-* *:*:00 UTC"]),
        ("every 1 h", ["*-*-* *:00:00 UTC"]),
        # One of two fields that are joined by or says every day.
        ("0 9 1-31 * MON", ["*-*-* 09:00:00 UTC"]),
        ("0 9 13 6 0-6", ["*-06-* 09:00:00 UTC"]),
        ("0 9 13 * 1-7", ["*-*-* 09:00:00 UTC"]),
        ("0 9 13 * *", ["*-*-13 09:00:00 UTC"]),
        ("every 12 h", ["*-*-* 00:00:00 UTC", "*-*-* 12:00:00 UTC"]),
        ("every 7 days at 04:30", ["Mon *-*-* 04:30:00 UTC"]),
    ],
)
def test_times_of_a_timer(when: str, lines: list[str]) -> None:
    assert calendars(when, "UTC") == lines
    if shutil.which("systemd-analyze") is None:
        return
    start = datetime.fromisoformat("2026-01-01T00:00:30+00:00")
    base = f"{start:%Y-%m-%d %H:%M:%S} UTC"
    found: set[datetime] = set()
    for line in lines:
        said = subprocess.run(
            ["systemd-analyze", "calendar", f"--base-time={base}", "--iterations=6", line],
            capture_output=True, text=True, check=True, env={"TZ": "UTC", "LC_ALL": "C"},
        ).stdout  # fmt: skip
        for each in said.splitlines():
            name, _, text = each.strip().partition(": ")
            if name.startswith(("Next", "Iter")):
                found.add(datetime.strptime(f"{text[4:]}+0000", "%Y-%m-%d %H:%M:%S %Z%z"))
    after = round(start.timestamp()) * 1_000_000
    expected = [at // 1_000_000 for at in next_ticks(when, "UTC", after, 6)]
    assert [round(at.timestamp()) for at in sorted(found)][:6] == expected


def test_check_looks_at_schedules(run: Call, folder: Path) -> None:
    said = run("check", "-o", "json")
    assert said.code == 0
    assert "2 jobs, 2 schedules, store" in said.err
    assert said.json["schedules"][0] == {
        "name": "nightly 50%",
        "kind": "sync",
        "when": "every 1 day at 04:30",
        "tz": "UTC",
    }
    later = (
        APP
        + """
def clean(number: "int | Nothing") -> None: ...

jobs.schedule("@daily", args=(1,))(jobs.job(kind="clean")(clean))
"""
    )
    (folder / "shop.py").write_text(later)
    said = run("check", "-o", "json")
    assert said.code == 5
    assert "schedule clean: " in said.err
    (folder / "shop.py").write_text(APP.replace("0 5 * * 1-5", "0 25 * * *"))
    said = run("check")
    assert said.number == 510
    assert "the hour '25' cannot be read" in said.err


def test_every_is_public() -> None:
    assert str(every("15m")) == "every 15 min"
