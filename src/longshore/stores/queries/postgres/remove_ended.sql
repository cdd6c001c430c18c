-- Take these jobs out of those that have ended, and out of their counts.
with gone as (
    delete from longshore_ended as j using unnest(%(ids)s::uuid[]) as e (id)
    where j.id = e.id
      and (
        j.day is null
        or j.day = ('x' || translate(left(e.id::text, 13), '-', ''))::bit(48)::bigint / 86400000
    )
    returning j.day, j.queue, j.kind, j.state
)
insert into longshore_count (jobs, day, queue, kind, state)
select -count(*), day, queue, kind, state from gone group by day, queue, kind, state;
