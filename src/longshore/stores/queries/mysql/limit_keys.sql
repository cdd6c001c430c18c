-- Some keys of limits: those that running jobs use, that have seen starts or block jobs.
select convert(k.limit_key using utf8mb4)
from (
    (
        select distinct limit_key from longshore_slot
        where limit_key > %(after)s order by limit_key limit %(limit)s
    )
    union
    (
        select distinct limit_key from longshore_start
        where limit_key > %(after)s order by limit_key limit %(limit)s
    )
    union
    (
        select distinct g.limit_key from longshore_gate as g
        where g.limit_key > %(after)s and g.limit_key not like 'k:%%' and exists (select 1 from longshore_job as j where j.line = g.line)
        order by g.limit_key limit %(limit)s
    )
) as k
order by k.limit_key
limit %(limit)s;
