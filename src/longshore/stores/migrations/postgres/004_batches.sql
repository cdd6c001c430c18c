-- Additive: batches and workflows, which releases before do not know.

-- Jobs that belong together. What is counted are members that have ended; `told` says which of its
-- callbacks have come to pass; a finished one stays until `kept_until`, or for ever without it.
create table longshore_bundle (
    id          uuid primary key,
    sort        text not null,
    name        text not null,
    created_at  bigint not null,
    succeeded   bigint not null default 0,
    cancelled   bigint not null default 0,
    dead        bigint not null default 0,
    told        integer not null default 0,
    finished_at bigint,
    kept_until  bigint,
    entry       text not null
);

create index longshore_bundle_kept on longshore_bundle (kept_until)
    where kept_until is not null;

-- Which jobs are members of what, and whether they are live.
create table longshore_member (
    job_id    uuid not null,
    bundle_id uuid not null,
    live      integer not null,
    primary key (job_id, bundle_id)
);

create index longshore_member_live on longshore_member (bundle_id, live, job_id);

-- Who waits for whom.
create table longshore_edge (
    parent_id uuid not null,
    child_id  uuid not null,
    bundle_id uuid not null,
    primary key (parent_id, child_id)
);

create index longshore_edge_bundle on longshore_edge (bundle_id);
