-- What the latest start of each of these rates declared.
select f.limit_key, f.most, f.per
from (
    select convert(limit_key using utf8mb4) as limit_key, most, per,
           row_number() over (partition by limit_key order by at desc) as number
    from longshore_start
    where limit_key in %(keys)s
) as f
where f.number = 1;
