-- Delete jobs without a day that are past their retention, the oldest first.
with old as materialized (
    select ctid as place from longshore_ended_rest
    where kept_until is not null and kept_until <= %(now)s
    order by kept_until
    limit %(limit)s
    for update skip locked
), gone as (
    delete from longshore_ended_rest where ctid = any(array(select place from old))
    returning day, queue, kind, state
), counted as (
    insert into longshore_count (jobs, day, queue, kind, state)
    select -count(*), day, queue, kind, state from gone group by day, queue, kind, state
)
select count(*) from gone;
