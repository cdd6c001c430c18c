-- Where the migrations that have run are noted; additive: older releases run on beside it.
create table if not exists longshore_migration (
    name       text collate "C" primary key,
    additive   boolean not null,
    applied_at bigint not null
);
