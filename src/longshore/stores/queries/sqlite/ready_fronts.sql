-- Every queue that holds jobs ready to run, except where values take turns, with priority, time and
-- id of its first one: one seek a queue, however many jobs it holds.
with recursive found (front) as (
    select (
        select queue || ' ' || priority || ' ' || scheduled_at || ' ' || id
        from longshore_job indexed by longshore_job_line
        where state = 'available' and parked is null and blocked_by is null and fair_key is null
        order by queue, priority, scheduled_at, id limit 1
    )
    union all
    select (
        select queue || ' ' || priority || ' ' || scheduled_at || ' ' || id
        from longshore_job indexed by longshore_job_line
        where state = 'available' and parked is null and blocked_by is null and fair_key is null
          and queue > substr(found.front, 1, instr(found.front, ' ') - 1)
        order by queue, priority, scheduled_at, id limit 1
    )
    from found where found.front is not null
)
select front from found where front is not null;
