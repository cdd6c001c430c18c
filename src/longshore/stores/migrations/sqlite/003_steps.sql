-- Additive: steps and log lines of jobs, which releases before do not write.

-- Jobs that have left steps or log lines, and when they were created: another job of the same id
-- has no part in them. They go after their job, when it is pruned or somebody clears up.
create table longshore_noted (
    job_id text primary key,
    born   integer not null
) strict, without rowid;

-- A durable part of a job, or how far a loop of it has come.
create table longshore_step (
    job_id    text not null,
    name      text not null,
    is_cursor integer not null,
    run       integer not null,
    saved_at  integer not null,
    value     blob not null,
    primary key (job_id, name)
) strict;

-- A line of a job's log; numbers grow from run to run.
create table longshore_log (
    job_id  text not null,
    number  integer not null,
    at      integer not null,
    level   text not null,
    message text not null,
    primary key (job_id, number)
) strict, without rowid;
