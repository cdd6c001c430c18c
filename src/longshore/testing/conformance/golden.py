"""Forty instants at which clocks were changed, and when schedules came then: the golden table.

Each line: a schedule, its zone, the time on its wall (with its offset) from which on it is asked,
and the instants at which it comes, as the wall shows them.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Change(NamedTuple):
    """One schedule over one change of the clocks."""

    when: str
    tz: str
    since: str
    comes: tuple[str, ...]


CHANGES: Final = (
    # Spring in Berlin: 02:00 to 03:00 on 29 March 2026.
    Change(
        "30 2 * * *",
        "Europe/Berlin",
        "2026-03-28T00:00:00+01:00",
        ("2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"),
    ),
    Change(
        "*/30 * * * *",
        "Europe/Berlin",
        "2026-03-29T01:10:00+01:00",
        ("2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"),
    ),
    # Autumn in Berlin: 03:00 back to 02:00 on 25 October 2026.
    Change(
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-25T00:00:00+02:00",
        ("2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"),
    ),
    Change(
        "*/30 * * * *",
        "Europe/Berlin",
        "2026-10-25T02:10:00+02:00",
        (
            "2026-10-25T02:30:00+02:00",
            "2026-10-25T02:00:00+01:00",
            "2026-10-25T02:30:00+01:00",
            "2026-10-25T03:00:00+01:00",
        ),
    ),
    # Spring in New York: 02:00 to 03:00 on 8 March 2026.
    Change(
        "0 2 * * *",
        "America/New_York",
        "2026-03-08T00:00:00-05:00",
        ("2026-03-08T03:00:00-04:00", "2026-03-09T02:00:00-04:00"),
    ),
    Change(
        "15 * * * *",
        "America/New_York",
        "2026-03-08T00:30:00-05:00",
        ("2026-03-08T01:15:00-05:00", "2026-03-08T03:15:00-04:00", "2026-03-08T04:15:00-04:00"),
    ),
    # Autumn in New York: 02:00 back to 01:00 on 1 November 2026.
    Change(
        "every 1 day at 01:30",
        "America/New_York",
        "2026-11-01T00:00:00-04:00",
        ("2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"),
    ),
    Change(
        "every 30 min",
        "America/New_York",
        "2026-11-01T00:45:00-04:00",
        (
            "2026-11-01T01:00:00-04:00",
            "2026-11-01T01:30:00-04:00",
            "2026-11-01T01:00:00-05:00",
            "2026-11-01T01:30:00-05:00",
            "2026-11-01T02:00:00-05:00",
        ),
    ),
    # Half an hour in Lord Howe: 02:00 to 02:30 on 4 October, back to 01:30 on 5 April 2026.
    Change(
        "15 2 * * *",
        "Australia/Lord_Howe",
        "2026-10-03T12:00:00+10:30",
        ("2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"),
    ),
    Change(
        "*/15 * * * *",
        "Australia/Lord_Howe",
        "2026-10-04T01:40:00+10:30",
        ("2026-10-04T01:45:00+10:30", "2026-10-04T02:30:00+11:00", "2026-10-04T02:45:00+11:00"),
    ),
    Change(
        "45 1 * * *",
        "Australia/Lord_Howe",
        "2026-04-05T00:00:00+11:00",
        ("2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"),
    ),
    Change(
        "*/15 1 * * *",
        "Australia/Lord_Howe",
        "2026-04-05T01:20:00+11:00",
        (
            "2026-04-05T01:30:00+11:00",
            "2026-04-05T01:45:00+11:00",
            "2026-04-05T01:30:00+10:30",
            "2026-04-05T01:45:00+10:30",
        ),
    ),
    # A day that Apia did not have: 30 December 2011.
    Change(
        "0 12 * * *",
        "Pacific/Apia",
        "2011-12-29T00:00:00-10:00",
        ("2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"),
    ),
    Change(
        "0 */8 * * *",
        "Pacific/Apia",
        "2011-12-29T10:00:00-10:00",
        ("2011-12-29T16:00:00-10:00", "2011-12-31T00:00:00+14:00"),
    ),
)
