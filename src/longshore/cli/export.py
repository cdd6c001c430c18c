"""Schedules written for the scheduler of a system: a crontab, or timers of systemd."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from time import localtime, time
from typing import Final

import msgspec

from longshore.core.exporting import calendars, crontab
from longshore.core.schedules import ScheduleRecord
from longshore.core.settings import DEFAULTS, VARIABLE_PREFIX
from longshore.errors import InvalidSchedule

_HEAD: Final = "# Made by `longshore schedules export`: each entry enqueues one job."
_UNIT: Final = re.compile(r"[^A-Za-z0-9_.-]+")


class Export(msgspec.Struct):
    """Files by name, or one text under no name; and what could not be written so."""

    files: dict[str, str]
    problems: list[str]
    notes: list[str] = []
    paths: list[str] = []

    def written(self, folder: str | None) -> str:
        """Write the files into a folder, or give all of them as one text."""
        if folder is None:
            return "\n".join(
                f"# --- {name}\n{text}" if name else text for name, text in self.files.items()
            ).rstrip()
        for name, text in self.files.items():
            path = os.path.join(folder, name)  # noqa: PTH118 - a path as text
            with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
                file.write(text)
            self.paths.append(path)
        return ""


def crontab_of(records: Sequence[ScheduleRecord], folder: str) -> Export:
    """Lines for a crontab; ``CRON_TZ`` before each group of one time zone."""
    lines = [_HEAD]
    problems: list[str] = []
    notes: list[str] = []
    tz = ""
    for record in sorted(records, key=lambda one: (one.schedule.tz, one.name)):
        schedule = record.schedule
        try:
            times = crontab(schedule.when)
        except InvalidSchedule as error:
            problems.append(f"{record.name}: {error}")
            lines.append(f"# {_plain(record.name)}: {_plain(str(error))}")
            continue
        if schedule.tz != tz:
            tz = schedule.tz
            lines.append(f"CRON_TZ={tz}")
        mark = "# paused: " if record.paused else ""
        words = ["cd", folder, "&&", *_command(record.name)]
        call = " ".join(word if word == "&&" else shlex.quote(word) for word in words)
        # A percent sign ends the command in a crontab.
        lines.append(f"{mark}{times} {call}".replace("%", r"\%"))
    zones = {line.removeprefix("CRON_TZ=") for line in lines if line.startswith("CRON_TZ=")}
    if zones and (zones != {"UTC"} or not _in_utc()):
        notes.append(
            "CRON_TZ is understood by cronie. Debian's cron passes over it and takes the time zone"
            " of the machine: set that one, or export timers of systemd."
        )
    return Export({"": "\n".join(lines) + "\n"}, problems, notes)


def timers_of(records: Sequence[ScheduleRecord], folder: str) -> Export:
    """A timer and a service for each schedule that is not paused."""
    files: dict[str, str] = {}
    problems: list[str] = []
    notes: list[str] = []
    for record in sorted(records, key=lambda one: one.name):
        schedule = record.schedule
        try:
            times = calendars(schedule.when, schedule.tz)
        except InvalidSchedule as error:
            problems.append(f"{record.name}: {error}")
            continue
        if record.paused:
            notes.append(f"{record.name} is paused: it has no timer. Resume it and export again.")
            continue
        unit = _unit(record.name, files)
        persistent = "false" if schedule.catch_up == "none" else "true"
        name = _percent(_plain(record.name))
        files[f"{unit}.timer"] = "\n".join(
            (
                _HEAD,
                "[Unit]",
                f"Description=Longshore schedule {name}",
                "",
                "[Timer]",
                *(f"OnCalendar={time}" for time in times),
                f"Persistent={persistent}",
                "AccuracySec=1s",
                "",
                "[Install]",
                "WantedBy=timers.target",
                "",
            )
        )
        files[f"{unit}.service"] = "\n".join(
            (
                _HEAD,
                "[Unit]",
                f"Description=Enqueue the job of Longshore schedule {name}",
                "",
                "[Service]",
                "Type=oneshot",
                f"WorkingDirectory={_percent(folder)}",
                f"ExecStart={' '.join(map(_quoted, _command(record.name)))}",
                "",
            )
        )
    return Export(files, problems, notes)


def _in_utc() -> bool:
    """Whether the clocks of this machine show UTC all year."""
    months = (time() + month * 30 * 86_400 for month in range(12))
    return not any(localtime(month).tm_gmtoff for month in months)


def needed(environ: Iterable[str]) -> str | None:
    """What has to be said of settings that the environment gives, which no entry carries."""
    found = sorted({f"{VARIABLE_PREFIX}{name.upper()}" for name in DEFAULTS} & set(environ))
    if not found:
        return None
    return (
        f"{', '.join(found)}: set here, and not in the entries. Set the same there (a line in the"
        " crontab, EnvironmentFile= of the units), or the jobs are enqueued elsewhere."
    )


def _command(name: str) -> list[str]:
    """What enqueues the job of a schedule: this program, with the application it was given."""
    app = os.environ.get("LONGSHORE_APP")
    words = list(sys.argv[1:])
    for flag in ("-A", "--app"):
        if flag in words[:-1]:
            app = words[words.index(flag) + 1]
    given = ["-A", app] if app else []
    program = os.path.abspath(sys.executable)  # noqa: PTH100 - no link followed: its packages
    return [program, "-m", "longshore", *given, "schedules", "run", "--", name]


def _unit(name: str, files: dict[str, str]) -> str:
    unit = f"longshore-{_UNIT.sub('-', name)}"
    number = 1
    while f"{unit}{'' if number == 1 else f'-{number}'}.timer" in files:
        number += 1
    return unit if number == 1 else f"{unit}-{number}"


def _plain(text: str) -> str:
    return " ".join(text.split())


def _percent(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """A word of a command line of systemd."""
    word = _percent(word).replace("\\", "\\\\").replace("$", "$$").replace('"', '\\"')
    return f'"{word}"' if not word or re.search(r"[\s'\"\\;]", word) else word
