-- Where the migrations that have run are noted; additive: older releases run on beside it.
create table if not exists longshore_migration (
    name       text primary key,
    additive   integer not null,
    applied_at integer not null
) strict, without rowid;
