-- Let the first jobs that wait for a key into the line again, of each queue so many. Those that a
-- person orders about just now are left to that.
with recursive found (key, queue, jobs) as (
    select e.key, (
        select queue from longshore_job where blocked_by = e.key order by queue limit 1
    ), e.jobs
    from unnest(%(c0)s::text[], %(c1)s::bigint[]) as e (key, jobs)
    where exists (select from longshore_job where blocked_by is not null)
    union all
    select f.key, (
        select queue from longshore_job
        where blocked_by = f.key and queue > f.queue order by queue limit 1
    ), f.jobs
    from found as f where f.queue is not null
), picked as materialized (
    select j.id from found as f cross join lateral (
        select id from longshore_job
        where blocked_by = f.key and queue = f.queue
        order by priority, scheduled_at, id
        limit f.jobs
        for update skip locked
    ) as j
    where f.queue is not null
)
update longshore_job set blocked_by = null where id = any(array(select id from picked))
returning queue;
