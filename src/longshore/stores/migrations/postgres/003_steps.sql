-- Additive: steps and log lines of jobs, which releases before do not write.

-- Jobs that have left steps or log lines, and when they were created: another job of the same id
-- has no part in them. They go after their job, when it is pruned or somebody clears up.
create table longshore_noted (
    job_id uuid primary key,
    born   bigint not null
);

-- A durable part of a job, or how far a loop of it has come.
create table longshore_step (
    job_id    uuid not null,
    name      text collate "C" not null,
    is_cursor integer not null,
    run       integer not null,
    saved_at  bigint not null,
    value     text not null,
    primary key (job_id, name)
);

-- A line of a job's log; numbers grow from run to run.
create table longshore_log (
    job_id  uuid not null,
    number  bigint not null,
    at      bigint not null,
    level   text not null,
    message text not null,
    primary key (job_id, number)
);
