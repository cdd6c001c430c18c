-- Jobs, hot and ended apart; processes and their leases; counts as deltas that are folded.
-- Words are compared byte by byte: what a queue is called has no language.

-- A job that waits or runs. Rows are rewritten at a claim and deleted at the end, so dead ones are
-- cleared away early and often.
create table longshore_job (
    id               uuid primary key,
    scheduled_at     bigint not null,
    created_at       bigint not null,
    claimed_at       bigint,
    attempted_at     bigint,
    expires_at       bigint,
    timeout          bigint,
    keep_result      bigint,
    claim_id         bigint,
    run              integer not null default 0,
    failures         integer not null default 0,
    interruptions    integer not null default 0,
    max_attempts     integer not null,
    priority         smallint not null,
    cancel_requested boolean not null default false,
    state            text collate "C" not null,
    queue            text collate "C" not null,
    kind             text collate "C" not null,
    claimed_by       text collate "C",
    parked           text,
    parked_by        text collate "C",
    reason           text,
    tags             text,
    budgets          text,
    meta             text,
    progress         text,
    runs             text,
    held_until       bigint,
    unique_key       text collate "C",
    identity         text collate "C",
    fair_key         text collate "C",
    blocked_by       text collate "C",
    slot_key         text collate "C",
    rules            text,
    payload          text not null
) with (
    fillfactor = 90,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0.1,
    autovacuum_analyze_scale_factor = 0.1,
    autovacuum_vacuum_cost_delay = 0
);

-- What a claim reads, queue by queue in a claim's order. A claimed job has left it: of the indexes,
-- a claim writes only to those of the id and of what runs.
create index longshore_job_line on longshore_job (queue, priority, scheduled_at, id)
    where state = 'available' and parked is null and blocked_by is null and fair_key is null;
create index longshore_job_running on longshore_job (claimed_by, claim_id)
    where state = 'running';
-- What runs under a limit: the running row is the slot, and is gone with the run.
create index longshore_job_slot on longshore_job (slot_key)
    where state = 'running' and slot_key is not null;
create index longshore_job_due on longshore_job (scheduled_at)
    where state in ('scheduled', 'retrying');
create index longshore_job_waiting on longshore_job (queue, kind)
    where state = 'waiting';
create index longshore_job_parked on longshore_job (kind)
    where parked is not null;
create index longshore_job_expires on longshore_job (expires_at)
    where expires_at is not null and attempted_at is null;

-- The rest is of jobs with rules: others have no entry there.
create unique index longshore_job_unique on longshore_job (unique_key)
    where unique_key is not null;
create index longshore_job_identity on longshore_job (identity, id)
    where identity is not null;
-- What waits for a limit or a paused kind, in the order in which it is let into the line again.
create index longshore_job_blocked on longshore_job (blocked_by, queue, priority, scheduled_at, id)
    where blocked_by is not null;
-- Whether a claim has limits to look at.
create index longshore_job_limited on longshore_job (queue)
    where state = 'available' and parked is null and blocked_by is null
      and strpos(rules, '"limits":') > 0;
-- What takes turns: the line of each value.
create index longshore_job_fair on longshore_job (queue, priority, fair_key, scheduled_at, id)
    where state = 'available' and parked is null and blocked_by is null and fair_key is not null;

-- A job that has ended. Jobs that succeeded on the day of their id or the next and are kept for the
-- usual time lie in that day's partition, to be dropped with it; all others have no day. From an id
-- follows the one day at which it can be.
create table longshore_ended (
    id            uuid not null,
    day           integer,
    kept_until    bigint,
    finalized_at  bigint not null,
    scheduled_at  bigint not null,
    created_at    bigint not null,
    claimed_at    bigint,
    attempted_at  bigint,
    expires_at    bigint,
    timeout       bigint,
    keep_result   bigint,
    run           integer not null,
    failures      integer not null,
    interruptions integer not null,
    max_attempts  integer not null,
    priority      smallint not null,
    state         text collate "C" not null,
    queue         text collate "C" not null,
    kind          text collate "C" not null,
    claimed_by    text collate "C",
    reason        text,
    result_error  text,
    tags          text,
    meta          text,
    progress      text,
    runs          text,
    identity      text collate "C",
    rules         text,
    result        text,
    payload       text not null
) partition by range (day);

create index longshore_ended_id on longshore_ended (id);
-- For both: which kinds there are in a queue is known from the counts.
create index longshore_ended_kind on longshore_ended (kind, queue);
create index longshore_ended_identity on longshore_ended (identity, id)
    where identity is not null;

-- Jobs without a day: a day is given only where it has a partition, so that nothing ever fails for
-- want of one, and a partition can be added without a look at these.
create table longshore_ended_rest partition of longshore_ended (
    constraint longshore_ended_rest_day check (day is null)
) default;
create index longshore_ended_rest_kept on longshore_ended_rest (kept_until)
    where kept_until is not null;
create index longshore_ended_rest_state on longshore_ended_rest (state)
    where state <> 'succeeded';

-- How many ended jobs were added or taken away; the sum is how many there are. Nobody waits for
-- anybody: rows are only added, and folded when jobs are pruned.
create table longshore_count (
    jobs  bigint not null,
    day   integer,
    queue text collate "C" not null,
    kind  text collate "C" not null,
    state text collate "C" not null
) with (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_cost_delay = 0
);

-- A paused queue; a queue that is not here is served.
create table longshore_queue (
    name         text collate "C" primary key,
    reason       text,
    paused_until bigint
);

-- A paused kind; one that is not here is claimed.
create table longshore_kind (
    kind         text collate "C" primary key,
    reason       text,
    paused_until bigint
);

-- What a person set for all keys of one limit; wins over what jobs say.
create table longshore_limit (
    name text collate "C" primary key,
    per  bigint,
    most bigint not null
);

-- A running job that counts for a limit, as far as its own row does not say so in `slot_key`, where
-- one key has room: there as long as it runs, and written with it.
create table longshore_slot (
    job_id    uuid not null,
    limit_key text collate "C" not null,
    primary key (limit_key, job_id)
) with (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_cost_delay = 0
);

create index longshore_slot_job on longshore_slot (job_id);

-- Starts of a rate, one row a key: those within a hundredth of its period are one entry, at the time
-- of the latest. `starts` are running totals that begin with `base`, so that any window is one
-- difference; `part` is that of the last entry; `most` and `per` are what its job said of the limit.
-- No other index: each claim changes these rows where they are.
create table longshore_start (
    part      bigint not null,
    base      bigint not null,
    gone_at   bigint not null,
    most      bigint not null,
    per       bigint not null,
    limit_key text collate "C" primary key,
    at        bigint[] not null,
    starts    bigint[] not null
) with (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_cost_delay = 0
);

-- When jobs that wait for a full rate, or for a paused kind, can go on: one row for all of a key.
create table longshore_opening (
    opens_at  bigint not null,
    limit_key text collate "C" primary key
) with (fillfactor = 50, autovacuum_vacuum_threshold = 200);

create index longshore_opening_next on longshore_opening (opens_at);

-- Where the last turn of each value ended, in one queue and priority; `*` is their clock.
create table longshore_turn (
    ends_at  bigint not null,
    priority smallint not null,
    queue    text collate "C" not null,
    fair_key text collate "C" not null,
    primary key (queue, priority, fair_key)
) with (fillfactor = 50, autovacuum_vacuum_threshold = 200);

-- A process and its lease, by the clock of this server.
create table longshore_process (
    id         text collate "C" primary key,
    expires_at bigint not null,
    started_at bigint not null,
    seen_at    bigint not null,
    pid        bigint not null,
    slots      integer not null,
    embedded   boolean not null,
    app        text not null,
    name       text not null,
    host       text not null,
    queues     text not null,
    kinds      text not null
) with (fillfactor = 50, autovacuum_vacuum_threshold = 200);

-- The one process that prunes.
create table longshore_leader (
    one        integer primary key check (one = 1),
    expires_at bigint not null,
    process_id text collate "C" not null
) with (fillfactor = 50);

-- Which store this is, however it is reached: a connection that reads the same id leads here.
create table longshore_store (
    one integer primary key check (one = 1),
    id  text not null
);

insert into longshore_store (one, id) values (1, gen_random_uuid()::text);

-- Jobs on their way to a store elsewhere, each added in the transaction of what it belongs to.
create table longshore_outbox (
    position   bigint generated always as identity primary key,
    made_at    bigint not null,
    held_until bigint,
    store      text collate "C" not null,
    job        text not null,
    parked     text
);

create index longshore_outbox_next on longshore_outbox (store, position) where parked is null;
create index longshore_outbox_parked on longshore_outbox (store, position)
    where parked is not null;
