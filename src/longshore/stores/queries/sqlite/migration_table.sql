-- Where the migrations that have run are noted.
create table if not exists longshore_migration (
    name       text primary key,
    applied_at integer not null
) strict, without rowid;
