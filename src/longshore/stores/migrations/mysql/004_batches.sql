-- Additive: batches and workflows, which releases before do not know.

-- Jobs that belong together. What is counted are members that have ended; `told` says which of its
-- callbacks have come to pass; a finished one stays until `kept_until`, or for ever without it.
create table longshore_bundle (
    id          varchar(36) character set ascii collate ascii_bin not null,
    sort        varchar(20) character set ascii collate ascii_bin not null,
    name        varchar(200) not null,
    created_at  bigint not null,
    succeeded   bigint not null default 0,
    cancelled   bigint not null default 0,
    dead        bigint not null default 0,
    told        int not null default 0,
    finished_at bigint,
    kept_until  bigint,
    entry       longtext not null,
    primary key (id),
    key longshore_bundle_kept (kept_until)
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic;

-- Which jobs are members of what, and whether they are live.
create table longshore_member (
    job_id    varchar(36) character set ascii collate ascii_bin not null,
    bundle_id varchar(36) character set ascii collate ascii_bin not null,
    live      tinyint not null,
    primary key (job_id, bundle_id),
    key longshore_member_live (bundle_id, live, job_id)
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic;

-- Who waits for whom.
create table longshore_edge (
    parent_id varchar(36) character set ascii collate ascii_bin not null,
    child_id  varchar(36) character set ascii collate ascii_bin not null,
    bundle_id varchar(36) character set ascii collate ascii_bin not null,
    primary key (parent_id, child_id),
    key longshore_edge_bundle (bundle_id)
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic;
