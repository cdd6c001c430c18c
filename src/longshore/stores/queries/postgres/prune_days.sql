-- Delete jobs of these days that are past their retention, the oldest first.
with old as materialized (
    select id, day from longshore_ended
    where day = any(%(days)s::integer[]) and kept_until <= %(now)s
    order by kept_until
    limit %(limit)s
    for update skip locked
), gone as (
    delete from longshore_ended as j using old where j.id = old.id and j.day = old.day
    returning j.day, j.queue, j.kind, j.state
), counted as (
    insert into longshore_count (jobs, day, queue, kind, state)
    select -count(*), day, queue, kind, state from gone group by day, queue, kind, state
)
select count(*) from gone;
