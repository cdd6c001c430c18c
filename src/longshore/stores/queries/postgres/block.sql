-- Take jobs out of the line that wait for a limit or a paused kind.
update longshore_job as j set blocked_by = e.key
from unnest(%(c0)s::uuid[], %(c1)s::text[]) as e (id, key)
where j.id = e.id;
