-- Schedules, and what became of their ticks.
-- Additive: releases before this one look at neither.

-- What is to be enqueued when, and how far that has been done: no tick up to the watermark is ever
-- fired again, whatever becomes of its job.
create table longshore_schedule (
    name      text collate "C" primary key,
    revision  bigint not null,
    seen_at   bigint not null,
    watermark bigint not null,
    last_at   bigint,
    fired     bigint not null,
    skipped   bigint not null,
    missed    bigint not null,
    last_job  text,
    firing    text,
    entry     text not null
) with (fillfactor = 50, autovacuum_vacuum_threshold = 200);

-- The last ticks of each schedule: fired, skipped or missed, and why.
create table longshore_tick (
    at      bigint not null,
    made_at bigint not null,
    name    text collate "C" not null,
    outcome text not null,
    why     text,
    job_id  text,
    primary key (name, at)
);
