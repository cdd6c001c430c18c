-- Kind and payload of those ids that are there, live or ended.
select e.id::text, j.kind, j.payload
from unnest(%(ids)s::uuid[]) as e (id) join longshore_job as j on j.id = e.id
union all
select e.id::text, j.kind, j.payload
from unnest(%(ids)s::uuid[]) as e (id), lateral (
    select kind, payload from longshore_ended as j
    where j.id = e.id
      and (
          j.day is null
          or j.day = ('x' || translate(left(e.id::text, 13), '-', ''))::bit(48)::bigint / 86400000
      )
    -- Each id by itself: joined in any other way, the planner may read the days that it leaves out.
    offset 0
) as j;
