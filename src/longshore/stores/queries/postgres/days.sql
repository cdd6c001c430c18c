-- The partitions by day, how many jobs each holds by the counts, and whether this role may make and
-- drop them.
select
    substring(c.relname from '_d([0-9]+)$')::integer,
    coalesce((
        select sum(jobs)::bigint from longshore_count
        where day = substring(c.relname from '_d([0-9]+)$')::integer
    ), 0)
from pg_catalog.pg_inherits as i join pg_catalog.pg_class as c on c.oid = i.inhrelid
where i.inhparent = to_regclass('longshore_ended') and c.relname ~ '_d[0-9]+$'
order by 1;
