-- Keys that jobs wait for, from one to another: one seek a key, however many jobs wait.
with recursive found (key) as (
    (
        select blocked_by from longshore_job
        where blocked_by > %(after)s and blocked_by < %(before)s
        order by blocked_by limit 1
    )
    union all
    select (
        select blocked_by from longshore_job
        where blocked_by > found.key and blocked_by < %(before)s
        order by blocked_by limit 1
    )
    from found where found.key is not null
)
select key from found where key is not null limit nullif(%(limit)s::bigint, -1);
