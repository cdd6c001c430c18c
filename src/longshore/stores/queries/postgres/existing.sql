-- Kind and payload of those ids that are there, live or ended.
select e.id::text, j.kind, j.payload
from unnest(%(ids)s::uuid[]) as e (id) join longshore_job as j on j.id = e.id
union all
select e.id::text, j.kind, j.payload
from unnest(%(ids)s::uuid[]) as e (id) join longshore_ended as j
    on j.id = e.id
    and (
        j.day is null
        or j.day = ('x' || translate(left(e.id::text, 13), '-', ''))::bit(48)::bigint / 86400000
    );
