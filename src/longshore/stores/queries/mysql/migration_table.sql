-- Where the migrations that have run are noted, and how far one that has begun has come: each of
-- its statements lasts at once.
create table if not exists longshore_migration (
    name       varchar(100) character set ascii collate ascii_bin not null,
    additive   tinyint not null,
    steps      int not null,
    applied_at bigint null,
    primary key (name)
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic;
