-- When the next key has room again that jobs wait for.
select opens_at from longshore_opening as o
where (
    select j.blocked_by from longshore_job as j
    where j.blocked_by = o.limit_key limit 1
) is not null
order by opens_at limit 1;
