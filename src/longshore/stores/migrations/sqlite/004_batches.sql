-- Additive: batches and workflows, which releases before do not know.

-- Jobs that belong together. What is counted are members that have ended; `told` says which of its
-- callbacks have come to pass; a finished one stays until `kept_until`, or for ever without it.
create table longshore_bundle (
    id          text primary key,
    sort        text not null,
    name        text not null,
    created_at  integer not null,
    succeeded   integer not null default 0,
    cancelled   integer not null default 0,
    dead        integer not null default 0,
    told        integer not null default 0,
    finished_at integer,
    kept_until  integer,
    entry       text not null
) strict;

create index longshore_bundle_kept on longshore_bundle (kept_until) where kept_until is not null;

-- Which jobs are members of what, and whether they are live.
create table longshore_member (
    job_id    text not null,
    bundle_id text not null,
    live      integer not null,
    primary key (job_id, bundle_id)
) strict, without rowid;

create index longshore_member_live on longshore_member (bundle_id, live, job_id);

-- Who waits for whom.
create table longshore_edge (
    parent_id text not null,
    child_id  text not null,
    bundle_id text not null,
    primary key (parent_id, child_id)
) strict, without rowid;

create index longshore_edge_bundle on longshore_edge (bundle_id);
