-- Keys between two that have blocked jobs, in order; all of them where the limit is none.
select k.limit_key
from (
    select convert(g.limit_key using utf8mb4) as limit_key,
           row_number() over (order by g.limit_key) as number
    from longshore_gate as g
    where g.limit_key > %(after)s and g.limit_key < %(before)s and exists (select 1 from longshore_job as j where j.line = g.line)
    group by g.limit_key
) as k
where %(limit)s < 0 or k.number <= %(limit)s
order by k.number;
