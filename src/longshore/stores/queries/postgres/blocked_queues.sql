-- In which queues jobs wait for these keys.
with recursive found (key, queue) as (
    select e.key, (select queue from longshore_job where blocked_by = e.key order by queue limit 1)
    from unnest(%(keys)s::text[]) as e (key)
    union all
    select f.key, (
        select queue from longshore_job
        where blocked_by = f.key and queue > f.queue order by queue limit 1
    )
    from found as f where f.queue is not null
)
select key, queue from found where queue is not null;
