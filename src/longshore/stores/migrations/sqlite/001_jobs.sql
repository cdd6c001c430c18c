-- Jobs, hot and ended apart; processes and their leases; counts kept in the same write.

-- A job that waits or runs. Without a rowid: the id is the only way to a row, so it is the tree.
create table longshore_job (
    id               text primary key,
    state            text not null,
    queue            text not null,
    priority         integer not null,
    scheduled_at     integer not null,
    run              integer not null default 0,
    claimed_by       text,
    claim_id         integer,
    claimed_at       integer,
    attempted_at     integer,
    cancel_requested integer not null default 0,
    failures         integer not null default 0,
    interruptions    integer not null default 0,
    max_attempts     integer not null,
    created_at       integer not null,
    expires_at       integer,
    timeout          integer,
    keep_result      integer,
    kind             text not null,
    parked           text,
    parked_by        text,
    blocked_by       text,
    unique_key       text,
    held_until       integer,
    identity         text,
    fair_key         text,
    reason           text,
    rules            blob,
    tags             text,
    budgets          blob,
    meta             blob,
    progress         blob,
    runs             blob,
    payload          blob not null
) strict, without rowid;

-- What a claim reads, queue by queue in a claim's order. One index serves all claims: a second one
-- over all queues would cost every insert a page. A job that is ready is in one of the first three,
-- in the second if its values take turns, in the third if a limit or a paused kind holds it back.
-- Kind and queue behind the order let jobs be counted by them without a look at the rows.
create index longshore_job_line on longshore_job (queue, priority, scheduled_at, id, kind)
    where state = 'available' and parked is null and blocked_by is null and fair_key is null;
create index longshore_job_fair
    on longshore_job (queue, priority, fair_key, scheduled_at, id, kind)
    where state = 'available' and parked is null and blocked_by is null and fair_key is not null;
create index longshore_job_blocked
    on longshore_job (blocked_by, queue, priority, scheduled_at, id, kind)
    where blocked_by is not null;
create index longshore_job_due on longshore_job (scheduled_at, queue, kind, state)
    where state in ('scheduled', 'retrying');
create index longshore_job_waiting on longshore_job (queue, kind)
    where state = 'waiting';
create index longshore_job_running on longshore_job (claimed_by, claim_id)
    where state = 'running';
create index longshore_job_parked on longshore_job (kind)
    where parked is not null;
create index longshore_job_expires on longshore_job (expires_at)
    where expires_at is not null and attempted_at is null;
-- At most one job that waits or runs holds a key.
create unique index longshore_job_unique on longshore_job (unique_key)
    where unique_key is not null;
create index longshore_job_identity on longshore_job (identity, id) where identity is not null;

-- A job that has ended. With a rowid: rows are added at the end and pruned from the beginning.
create table longshore_ended (
    id            text not null unique,
    state         text not null,
    queue         text not null,
    kind          text not null,
    kept_until    integer,
    finalized_at  integer not null,
    run           integer not null,
    claimed_by    text,
    claimed_at    integer,
    attempted_at  integer,
    failures      integer not null,
    interruptions integer not null,
    max_attempts  integer not null,
    priority      integer not null,
    scheduled_at  integer not null,
    created_at    integer not null,
    expires_at    integer,
    timeout       integer,
    keep_result   integer,
    identity      text,
    reason        text,
    result_error  text,
    rules         blob,
    tags          text,
    result        blob,
    meta          blob,
    progress      blob,
    runs          blob,
    payload       blob not null
) strict;

create index longshore_ended_kept on longshore_ended (kept_until) where kept_until is not null;
create index longshore_ended_state on longshore_ended (state) where state <> 'succeeded';
create index longshore_ended_queue on longshore_ended (queue);
create index longshore_ended_kind on longshore_ended (kind);
create index longshore_ended_identity on longshore_ended (identity, id) where identity is not null;

-- How many jobs have ended and are kept; those that wait or run are counted by their indexes.
create table longshore_count (
    queue text not null,
    kind  text not null,
    state text not null,
    jobs  integer not null,
    primary key (queue, kind, state)
) strict, without rowid;

-- A paused queue; a queue that is not here is served.
create table longshore_queue (
    name         text primary key,
    reason       text,
    paused_until integer
) strict, without rowid;

-- A paused kind; a kind that is not here is served.
create table longshore_kind (
    kind         text primary key,
    reason       text,
    paused_until integer
) strict, without rowid;

-- A running job under a key of a limit on how many may run: written and removed with its run.
create table longshore_slot (
    limit_key text not null,
    job_id    text not null,
    primary key (limit_key, job_id)
) strict, without rowid;

-- Starts under a key of a rate: those of one part of its period, when the latest of them was, and
-- what its job said of the rate.
create table longshore_start (
    limit_key text not null,
    part      integer not null,
    at        integer not null,
    starts    integer not null,
    gone_at   integer not null,
    most      integer not null,
    per       integer not null,
    primary key (limit_key, part)
) strict, without rowid;

create index longshore_start_gone on longshore_start (gone_at);

-- When jobs that a key has blocked may go on: a full rate has room again, a paused kind resumes.
create table longshore_opening (
    limit_key text primary key,
    opens_at  integer not null
) strict, without rowid;

create index longshore_opening_next on longshore_opening (opens_at);

-- What people have set for a limit; it wins over what its jobs say.
create table longshore_limit (
    name text primary key,
    most integer not null,
    per  integer
) strict, without rowid;

-- The virtual time of a queue and priority ('*'), and where the last turn of each value ended.
create table longshore_turn (
    queue    text not null,
    priority integer not null,
    fair_key text not null,
    ends_at  integer not null,
    primary key (queue, priority, fair_key)
) strict, without rowid;

-- A process and its lease, which counts in the time since this boot of the machine.
create table longshore_process (
    id         text primary key,
    app        text not null,
    name       text not null,
    host       text not null,
    pid        integer not null,
    queues     text not null,
    kinds      text not null,
    slots      integer not null,
    embedded   integer not null,
    started_at integer not null,
    seen_at    integer not null,
    boot_id    text not null,
    expires_at integer not null
) strict, without rowid;

-- The one process that prunes.
create table longshore_leader (
    one        integer primary key check (one = 1),
    process_id text not null,
    boot_id    text not null,
    expires_at integer not null
) strict;

-- Which store this is, however it is reached: a connection that reads the same id leads here.
create table longshore_store (
    one integer primary key check (one = 1),
    id  text not null
) strict;

insert into longshore_store (one, id) values (1, lower(hex(randomblob(16))));

-- Jobs on their way to a store elsewhere, each added in the transaction of what it belongs to.
create table longshore_outbox (
    position   integer primary key autoincrement,
    store      text not null,
    job        blob not null,
    made_at    integer not null,
    held_until integer,
    parked     text
) strict;

create index longshore_outbox_next on longshore_outbox (store, position) where parked is null;
create index longshore_outbox_parked on longshore_outbox (store, position)
    where parked is not null;
