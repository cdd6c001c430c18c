-- What a person's order has to know of ended jobs.
select j.id::text, j.state, j.queue, j.kind, j.rules, j.attempted_at
from unnest(%(ids)s::uuid[]) as e (id) join longshore_ended as j
    on j.id = e.id
    and (
        j.day is null
        or j.day = ('x' || translate(left(e.id::text, 13), '-', ''))::bit(48)::bigint / 86400000
    )
order by j.id
for update of j;
