-- Every queue that holds jobs ready to run, whether values take turns there or not: one seek a
-- queue, however many jobs it holds.
with recursive line (name) as (
    (
        select queue from longshore_job
        where state = 'available' and parked is null and blocked_by is null and fair_key is null
        order by queue limit 1
    )
    union all
    select (
        select queue from longshore_job
        where state = 'available' and parked is null and blocked_by is null and fair_key is null
          and queue > line.name
        order by queue limit 1
    )
    from line where line.name is not null
), fair (name) as (
    (
        select queue from longshore_job
        where state = 'available' and parked is null and blocked_by is null
          and fair_key is not null
        order by queue limit 1
    )
    union all
    select (
        select queue from longshore_job
        where state = 'available' and parked is null and blocked_by is null
          and fair_key is not null and queue > fair.name
        order by queue limit 1
    )
    from fair where fair.name is not null
)
select name from line where name is not null
union
select name from fair where name is not null;
