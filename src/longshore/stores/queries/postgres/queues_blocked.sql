-- The queues that have jobs blocked by a limit, once for each limit: one seek each.
with recursive found (key, name) as (
    (
        select blocked_by, queue from longshore_job where blocked_by is not null
        order by blocked_by, queue limit 1
    )
    union all
    select n.blocked_by, n.queue
    from found cross join lateral (
        select blocked_by, queue from longshore_job
        where blocked_by is not null and (blocked_by, queue) > (found.key, found.name)
        order by blocked_by, queue limit 1
    ) as n
)
select name from found;
