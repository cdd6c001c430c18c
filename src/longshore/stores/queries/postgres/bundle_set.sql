-- Write what is counted of bundles and what has come to pass.
update longshore_bundle as b
set succeeded = e.succeeded, cancelled = e.cancelled, dead = e.dead, told = e.told,
    finished_at = e.finished_at, kept_until = e.kept_until
from unnest(
    %(c0)s::uuid[], %(c1)s::bigint[], %(c2)s::bigint[], %(c3)s::bigint[], %(c4)s::integer[],
    %(c5)s::bigint[], %(c6)s::bigint[]
) as e (id, succeeded, cancelled, dead, told, finished_at, kept_until)
where b.id = e.id;
