-- Schedules, and what became of their ticks.
-- Additive: releases before this one look at neither.

-- What is to be enqueued when, and how far that has been done: no tick up to the watermark is ever
-- fired again, whatever becomes of its job.
create table longshore_schedule (
    name      varchar(200) not null,
    revision  bigint not null,
    seen_at   bigint not null,
    watermark bigint not null,
    last_job  varchar(36) character set ascii collate ascii_bin null,
    last_at   bigint null,
    fired     bigint not null,
    skipped   bigint not null,
    missed    bigint not null,
    firing    varchar(36) character set ascii collate ascii_bin null,
    entry     longblob not null,
    primary key (name)
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic;

-- The last ticks of each schedule: fired, skipped or missed, and why.
create table longshore_tick (
    name    varchar(200) not null,
    at      bigint not null,
    outcome varchar(10) character set ascii collate ascii_bin not null,
    why     text null,
    job_id  varchar(36) character set ascii collate ascii_bin null,
    made_at bigint not null,
    primary key (name, at)
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic;
