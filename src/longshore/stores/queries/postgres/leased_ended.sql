-- The last run of these jobs, if they have ended.
select j.id::text, j.claimed_by, j.run
from unnest(%(ids)s::uuid[]) as e (id), lateral (
    select id, claimed_by, run from longshore_ended as j
    where j.id = e.id
      and (
          j.day is null
          or j.day = ('x' || translate(left(e.id::text, 13), '-', ''))::bit(48)::bigint / 86400000
      )
    -- Each id by itself: joined in any other way, the planner may read the days that it leaves out.
    offset 0
) as j;
