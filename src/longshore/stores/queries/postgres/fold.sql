-- Fold the counts: one row for each day, queue, kind and state, none where nothing is left.
with old as (
    delete from longshore_count
    where ctid = any(array(select ctid from longshore_count limit 20000 for update skip locked))
    returning jobs, day, queue, kind, state
)
insert into longshore_count (jobs, day, queue, kind, state)
select sum(jobs), day, queue, kind, state from old
group by day, queue, kind, state having sum(jobs) <> 0;
