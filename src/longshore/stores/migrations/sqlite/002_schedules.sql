-- Schedules, and what became of their ticks.
-- Additive: releases before this one look at neither.

-- What is to be enqueued when, and how far that has been done: no tick up to the watermark is ever
-- fired again, whatever becomes of its job.
create table longshore_schedule (
    name      text primary key,
    revision  integer not null,
    seen_at   integer not null,
    watermark integer not null,
    last_job  text,
    last_at   integer,
    fired     integer not null,
    skipped   integer not null,
    missed    integer not null,
    firing    text,
    entry     blob not null
) strict, without rowid;

-- The last ticks of each schedule: fired, skipped or missed, and why.
create table longshore_tick (
    name    text not null,
    at      integer not null,
    outcome text not null,
    why     text,
    job_id  text,
    made_at integer not null,
    primary key (name, at)
) strict, without rowid;
