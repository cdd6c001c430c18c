"""What schedules come to when clocks are changed: written by hand from the calendars, not by code.

When, time zone, the UTC time from which one looks, and the UTC instants in order.
"""

GOLDEN = (
    # Berlin, 2026-03-29: 02:00 becomes 03:00. What was left out comes right after the gap, once.
    (
        "30 2 * * *",
        "Europe/Berlin",
        "2026-03-27T12:00",
        ("2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"),
    ),
    ("0 3 * * *", "Europe/Berlin", "2026-03-28T12:00", ("2026-03-29T01:00", "2026-03-30T01:00")),
    (
        "*/30 * * * *",
        "Europe/Berlin",
        "2026-03-29T00:05",
        ("2026-03-29T00:30", "2026-03-29T01:00", "2026-03-29T01:30"),
    ),
    # Berlin, 2026-10-25: 03:00 becomes 02:00. What is shown twice comes the first time.
    (
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-23T12:00",
        ("2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"),
    ),
    (
        "*/30 * * * *",
        "Europe/Berlin",
        "2026-10-24T23:35",
        (
            "2026-10-25T00:00",
            "2026-10-25T00:30",
            "2026-10-25T01:00",
            "2026-10-25T01:30",
            "2026-10-25T02:00",
        ),
    ),
    # New York, 2026-03-08: 02:00 becomes 03:00; 2026-11-01: 02:00 becomes 01:00.
    (
        "30 2 * * *",
        "America/New_York",
        "2026-03-06T12:00",
        ("2026-03-07T07:30", "2026-03-08T07:00", "2026-03-09T06:30"),
    ),
    (
        "30 1 * * *",
        "America/New_York",
        "2026-10-30T12:00",
        ("2026-10-31T05:30", "2026-11-01T05:30", "2026-11-02T06:30"),
    ),
    (
        "*/30 * * * *",
        "America/New_York",
        "2026-11-01T04:35",
        (
            "2026-11-01T05:00",
            "2026-11-01T05:30",
            "2026-11-01T06:00",
            "2026-11-01T06:30",
            "2026-11-01T07:00",
        ),
    ),
    # Lord Howe, by half an hour. 2026-10-04: 02:00 becomes 02:30; 2026-04-05: 02:00 becomes 01:30.
    (
        "15 2 * * *",
        "Australia/Lord_Howe",
        "2026-10-02T12:00",
        ("2026-10-02T15:45", "2026-10-03T15:30", "2026-10-04T15:15"),
    ),
    (
        "45 1 * * *",
        "Australia/Lord_Howe",
        "2026-04-03T00:00",
        ("2026-04-03T14:45", "2026-04-04T14:45", "2026-04-05T15:15"),
    ),
    # Apia, 2011: after Thursday 29 December came Saturday the 31st, whose first
    # moment is right after the day that was left out.
    (
        "0 12 * * *",
        "Pacific/Apia",
        "2011-12-28T00:00",
        ("2011-12-28T22:00", "2011-12-29T22:00", "2011-12-30T10:00", "2011-12-30T22:00"),
    ),
    # UTC knows no change.
    (
        "30 2 * * *",
        "UTC",
        "2026-03-28T12:00",
        ("2026-03-29T02:30", "2026-03-30T02:30", "2026-03-31T02:30"),
    ),
)
