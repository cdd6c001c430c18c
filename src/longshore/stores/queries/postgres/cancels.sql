-- Running jobs of these processes that a person wants to end.
select j.id::text, j.claimed_by, j.run
from longshore_job as j
where j.state = 'running' and j.claimed_by = any(%(ids)s::text[]) and j.cancel_requested;
