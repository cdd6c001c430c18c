-- Put outputs of others into the arguments of jobs.
update longshore_job as j set payload = e.payload
from unnest(%(c0)s::uuid[], %(c1)s::text[]) as e (id, payload)
where j.id = e.id;
