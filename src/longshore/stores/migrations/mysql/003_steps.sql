-- Additive: steps and log lines of jobs, which releases before do not write.

-- Jobs that have left steps or log lines, and when they were created: another job of the same id
-- has no part in them. They go after their job, when it is pruned or somebody clears up.
create table longshore_noted (
    job_id varchar(36) character set ascii collate ascii_bin not null,
    born   bigint not null,
    primary key (job_id)
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic;

-- A durable part of a job, or how far a loop of it has come.
create table longshore_step (
    job_id    varchar(36) character set ascii collate ascii_bin not null,
    name      varchar(200) not null,
    is_cursor tinyint not null,
    run       int not null,
    saved_at  bigint not null,
    value     longblob not null,
    primary key (job_id, name)
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic;

-- A line of a job's log; numbers grow from run to run.
create table longshore_log (
    job_id  varchar(36) character set ascii collate ascii_bin not null,
    number  bigint not null,
    at      bigint not null,
    level   varchar(20) character set ascii collate ascii_bin not null,
    message text not null,
    primary key (job_id, number)
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic;
