-- Every queue that holds jobs ready to run, except where values take turns: one seek a queue,
-- however many jobs it holds.
with recursive found (name) as (
    select (
        select queue from longshore_job indexed by longshore_job_line
        where state = 'available' and parked is null and blocked_by is null and fair_key is null
        order by queue limit 1
    )
    union all
    select (
        select queue from longshore_job indexed by longshore_job_line
        where state = 'available' and parked is null and blocked_by is null and fair_key is null
          and queue > found.name
        order by queue limit 1
    )
    from found where found.name is not null
)
select name from found where name is not null;
