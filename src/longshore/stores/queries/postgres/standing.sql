-- What a person's order has to know of live jobs.
select j.id::text, j.state, j.queue, j.kind, j.keep_result, j.runs
from longshore_job as j
where j.id = any(%(ids)s::uuid[])
order by j.id
for update;
