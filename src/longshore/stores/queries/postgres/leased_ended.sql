-- The last run of these jobs, if they have ended.
select j.id::text, j.claimed_by, j.run
from unnest(%(ids)s::uuid[]) as e (id) join longshore_ended as j
    on j.id = e.id
    and (
        j.day is null
        or j.day = ('x' || translate(left(e.id::text, 13), '-', ''))::bit(48)::bigint / 86400000
    );
