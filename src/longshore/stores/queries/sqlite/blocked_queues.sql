-- In which queues these keys have blocked jobs: one seek for each.
with recursive found (key, name) as (
    select e.value, (
        select queue from longshore_job indexed by longshore_job_blocked
        where blocked_by = e.value
        order by queue limit 1
    )
    from json_each(:keys) as e
    where exists (
        select 1 from longshore_job indexed by longshore_job_blocked where blocked_by is not null
    )
    union all
    select found.key, (
        select queue from longshore_job indexed by longshore_job_blocked
        where blocked_by = found.key and queue > found.name
        order by queue limit 1
    )
    from found where found.name is not null
)
select key, name from found where name is not null;
