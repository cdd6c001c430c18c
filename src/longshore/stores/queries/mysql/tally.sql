-- What people have set for each of these limits, and how full its key is.
select
    v.limit_key, v.name, l.most, l.per,
    if(
        v.per is null,
        (select count(*) from longshore_slot as s where s.limit_key = cast(v.limit_key as binary)),
        (
            select cast(coalesce(sum(s.starts), 0) as signed) from longshore_start as s
            where s.limit_key = cast(v.limit_key as binary)
              and s.at > %(now)s - coalesce(nullif(l.per, 0), v.per)
        )
    )
from json_table(%(limits)s, '$[*]' columns (
    limit_key varchar(700) character set utf8mb4 path '$[0]',
    name varchar(700) character set utf8mb4 path '$[1]',
    per bigint path '$[2]'
)) as v left join longshore_limit as l on l.name = cast(v.name as binary);
