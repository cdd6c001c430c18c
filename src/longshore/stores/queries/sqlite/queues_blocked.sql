-- The queues that have jobs blocked by a limit, once for each limit: one seek each.
with recursive found (key, name) as (
    select e.key, e.queue from (
        select blocked_by as key, queue from longshore_job indexed by longshore_job_blocked
        where blocked_by is not null
        order by blocked_by, queue limit 1
    ) as e
    union all
    select (
        select blocked_by from longshore_job indexed by longshore_job_blocked
        where blocked_by is not null and (blocked_by, queue) > (found.key, found.name)
        order by blocked_by, queue limit 1
    ), (
        select queue from longshore_job indexed by longshore_job_blocked
        where blocked_by is not null and (blocked_by, queue) > (found.key, found.name)
        order by blocked_by, queue limit 1
    )
    from found where found.key is not null
)
select name from found where name is not null;
